package dkim

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"math/big"
	"slices"
	"testing"
)

// verifyLongRSA and crypto/rsa agree on every signature.
func TestLongRSASaysWhatCryptoRSASays(t *testing.T) {
	sum := sha256.Sum256([]byte("header"))
	short, ok := testKeys()["rsa2048"].(*rsa.PrivateKey)
	if !ok {
		t.Fatal("the test key is not RSA")
	}
	long, err := rsa.GenerateKey(rand.Reader, 3072)
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range []*rsa.PrivateKey{short, long} {
		size := key.Size()
		padded := func(tail ...byte) []byte {
			filling := bytes.Repeat([]byte{0xff}, size-3-len(tail))
			return slices.Concat([]byte{0, 1}, filling, []byte{0}, tail)
		}
		info := append([]byte(digestInfo), sum[:]...)
		good := padded(info...)
		changed := func(at int, to byte) []byte {
			em := slices.Clone(good)
			em[at] = to
			return em
		}
		for _, tt := range []struct {
			name string
			em   []byte // the encoded message
			want bool
		}{
			{"as it has to be", good, true},
			{"another hash", changed(size-1, good[size-1]^1), false},
			{"another name of the hash", changed(size-40, 0), false},
			{"block type 2", changed(1, 2), false},
			{"block type 0", changed(1, 0), false},
			{"an octet of the filling is not 255", changed(9, 0xfe), false},
			{"no 0 after the filling", changed(size-len(info)-1, 0xff), false},
			{"octets after the hash", slices.Concat([]byte{0, 1}, bytes.Repeat([]byte{0xff}, 8), []byte{0}, info, make([]byte, size-11-len(info))), false},
			{"no name of the hash", padded(sum[:]...), false},
			{"no parameters in the name of the hash", padded(append([]byte("\x30\x2f\x30\x0b\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x01\x04\x20"), sum[:]...)...), false},
			{"nothing", make([]byte, size), false},
		} {
			data := new(big.Int).Exp(new(big.Int).SetBytes(tt.em), key.D, key.N).FillBytes(make([]byte, size))
			agree(t, tt.name, &key.PublicKey, sum[:], data, tt.want)
		}

		data, err := rsa.SignPKCS1v15(nil, key, crypto.SHA256, sum[:])
		if err != nil {
			t.Fatal(err)
		}
		agree(t, "a signature", &key.PublicKey, sum[:], data, true)
		agree(t, "without its first octet", &key.PublicKey, sum[:], data[1:], false)
		agree(t, "with a 0 before it", &key.PublicKey, sum[:], append([]byte{0}, data...), false)
		agree(t, "nothing at all", &key.PublicKey, sum[:], nil, false)
		agree(t, "the modulus", &key.PublicKey, sum[:], key.N.Bytes(), false)
		// The same number modulo n.
		if more := new(big.Int).Add(key.N, new(big.Int).SetBytes(data)); more.BitLen() <= 8*size {
			agree(t, "more than the modulus", &key.PublicKey, sum[:], more.Bytes(), false)
		}
		agree(t, "of a part of the hash", &key.PublicKey, sum[:31], data, false)
	}
}

func agree(t *testing.T, name string, key *rsa.PublicKey, sum, data []byte, want bool) {
	t.Helper()
	if got := verifyLongRSA(key, sum, data); got != want {
		t.Errorf("%d bits, %s: %v", key.N.BitLen(), name, got)
	}
	if got := rsa.VerifyPKCS1v15(key, crypto.SHA256, sum, data) == nil; got != want {
		t.Errorf("%d bits, %s: crypto/rsa says %v", key.N.BitLen(), name, got)
	}
}
