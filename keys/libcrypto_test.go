//go:build libcrypto && linux && (amd64 || arm64)

package keys

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/asn1"
	"math/big"
	"slices"
	"testing"
	"unsafe"
)

// words are those of a number of the library's (struct bignum_st, bn_local.h).
func words(number uintptr) []uint64 {
	type bignum struct {
		words    *uint64
		top, max int32
	}
	b := *(**bignum)(unsafe.Pointer(&number))
	return unsafe.Slice(b.words, b.top)
}

// factorOf is the number that a blinding multiplies with (struct bn_blinding_st,
// bn_blind.c).
func factorOf(b blinding) []uint64 {
	return words(**(**uintptr)(unsafe.Pointer(&b.factor)))
}

func takenByLibrary(t *testing.T, file string) *libcryptoKey {
	t.Helper()
	lib, err := openLibrary()
	if err != nil {
		t.Skip(err)
	}
	k, err := lib.take(pkcs1Of(t, file))
	check(t, err)
	t.Cleanup(k.free)
	return k.(*libcryptoKey)
}

// Without a blinding, or with one that stays as it is, every signature would be right
// just the same.
func TestABlindingIsSquaredForEverySignatureAndThenRenewed(t *testing.T) {
	k := takenByLibrary(t, "rsa1024.pem")
	hash := sha256.Sum256(nil)
	var before []uint64
	for i := range 2 * maxBlinded {
		if _, err := k.sign(hash[:]); err != nil {
			t.Fatal(err)
		}
		if i%maxBlinded == maxBlinded-1 {
			if len(k.idle) != 0 {
				t.Fatalf("after %d signatures a blinding waits for the next", i+1)
			}
			continue
		}
		if len(k.idle) != 1 {
			t.Fatalf("after %d signatures %d blindings wait", i+1, len(k.idle))
		}
		factor := slices.Clone(factorOf(k.idle[0]))
		if slices.Equal(factor, before) {
			t.Fatalf("signature %d was made with the factor of the one before", i+1)
		}
		before = factor
	}
}

// A bit that tips over in the library's memory, by a fault of the machine, must not cost
// the key: the signature is Go's then.
func TestAFaultInTheLibrarysNumbersDoesNotLeave(t *testing.T) {
	for name, number := range map[string]func(k *libcryptoKey) uintptr{
		"p":    func(k *libcryptoKey) uintptr { return k.p.n },
		"dP":   func(k *libcryptoKey) uintptr { return k.dP },
		"dQ":   func(k *libcryptoKey) uintptr { return k.dQ },
		"qInv": func(k *libcryptoKey) uintptr { return k.qInv },
	} {
		log := catchLog(t)
		key := rsaKey(t, "rsa1024.pem")
		s, ok := BackendAuto.signer(Ref{"example.com", "s1"}, key).(*checkedSigner)
		if !ok {
			t.Skip("without libcrypto")
		}
		taken, err := s.take()
		check(t, err)
		words(number(taken.foreignKey.(*libcryptoKey)))[1] ^= 1 << 7
		taken.letGo()
		hash := sha256.Sum256(nil)
		signature, err := s.Sign(rand.Reader, hash[:], crypto.SHA256)
		if err != nil || rsa.VerifyPKCS1v15(&key.PublicKey, crypto.SHA256, hash[:], signature) != nil {
			t.Errorf("%s: %x, %v", name, signature, err)
		}
		if !s.distrusted.Load() || log.Len() == 0 {
			t.Errorf("%s: nobody was told", name)
		}
	}
}

// What the numbers that are used again and again keep must not tell the key.
func TestNoPrimeStaysBehind(t *testing.T) {
	k := takenByLibrary(t, "rsa2048-pkcs8.pem")
	var octets pkcs1Key
	_, err := asn1.Unmarshal(pkcs1Of(t, "rsa2048-pkcs8.pem"), &octets)
	check(t, err)
	hash := sha256.Sum256(nil)
	signature, err := k.sign(hash[:])
	check(t, err)
	b := &k.lib.numbers
	for range cap(b.idle) {
		n, _ := b.borrow()
		defer b.giveBack(n)
		for _, number := range []uintptr{n.result, n.base, n.exponent} {
			if number == 0 {
				continue
			}
			left := new(big.Int)
			for _, w := range slices.Backward(words(number)) {
				left.Lsh(left, 64).Or(left, new(big.Int).SetUint64(w))
			}
			left.Sub(left, new(big.Int).SetBytes(signature))
			if gcd := new(big.Int).GCD(nil, nil, left.Abs(left), octets.N); gcd.Cmp(octets.P) == 0 || gcd.Cmp(octets.Q) == 0 {
				t.Error("a prime can be had from a number that is used again")
			}
		}
	}
}

func TestADamagedKeyIsRefusedForItsOwnReason(t *testing.T) {
	k := takenByLibrary(t, "rsa1024.pem")
	var octets pkcs1Key
	_, err := asn1.Unmarshal(pkcs1Of(t, "rsa1024.pem"), &octets)
	check(t, err)
	octets.P.SetBit(octets.P, 0, 0)
	for range 2 {
		if _, err := k.lib.take(marshalKey(t, octets)); err == nil || err.Error() != "reading the key" {
			t.Errorf("an even prime: %v", err)
		}
	}
	octets.N.SetInt64(15)
	if _, err := k.lib.take(marshalKey(t, octets)); err == nil || err.Error() != "a modulus of 1 octets" {
		t.Errorf("a short modulus: %v", err)
	}
}
