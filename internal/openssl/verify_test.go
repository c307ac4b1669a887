package openssl

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"fmt"
	"math/big"
	"runtime"
	"sync"
	"testing"
)

// verifiers are those of this build and machine, and those of libraries that err.
func verifiers(t testing.TB) map[string]func(*rsa.PublicKey, crypto.Hash, []byte, []byte) bool {
	with := func(lib library) func(*rsa.PublicKey, crypto.Hash, []byte, []byte) bool {
		return func(public *rsa.PublicKey, hash crypto.Hash, sum, signature []byte) bool {
			return (&Library{lib}).Verify(public, hash, sum, signature) || rsa.VerifyPKCS1v15(public, hash, sum, signature) == nil
		}
	}
	all := map[string]func(*rsa.PublicKey, crypto.Hash, []byte, []byte) bool{
		"a good library":          with(&testLibrary{}),
		"a library that is wrong": with(&testLibrary{wrongBlock: 1}),
		"a library that gives up": with(&testLibrary{noBlock: true}),
		"Go, to hold the cases to": func(p *rsa.PublicKey, h crypto.Hash, sum, s []byte) bool {
			return rsa.VerifyPKCS1v15(p, h, sum, s) == nil
		},
	}
	if lib, err := Load(); err == nil {
		all["libcrypto"] = with(lib.library)
	} else {
		t.Logf("without libcrypto: %v", err)
	}
	return all
}

func TestVerifyRSAAgreesWithGo(t *testing.T) {
	key, long := rsaKey(t, "rsa2048-pkcs8.pem"), rsaKey(t, "rsa4096.pem")
	sum := sha256.Sum256([]byte("abc"))
	old := sha1.Sum([]byte("abc"))
	sign := func(key *rsa.PrivateKey, hash crypto.Hash, sum []byte) []byte {
		signature, err := rsa.SignPKCS1v15(nil, key, hash, sum)
		if err != nil {
			t.Fatal(err)
		}
		return signature
	}
	good := sign(key, crypto.SHA256, sum[:])
	changed := append([]byte(nil), good...)
	changed[100] ^= 1
	// The same residue, written as a larger number: RFC 8017 §8.2.2 has it refused.
	larger := new(big.Int).Add(new(big.Int).SetBytes(good), key.N)
	pss, err := rsa.SignPSS(rand.Reader, key, crypto.SHA256, sum[:], nil)
	check(t, err)
	// A block whose padding is one octet short, with an octet behind the hash.
	em := make([]byte, 256)
	encode(em[:255], sum[:])
	loose := new(big.Int).Exp(new(big.Int).SetBytes(em), key.D, key.N)
	for _, c := range []struct {
		name      string
		key       *rsa.PrivateKey
		hash      crypto.Hash
		sum       []byte
		signature []byte
		want      bool
	}{
		{"a good signature", key, crypto.SHA256, sum[:], good, true},
		{"one of a long key", long, crypto.SHA256, sum[:], sign(long, crypto.SHA256, sum[:]), true},
		{"one with SHA-1", key, crypto.SHA1, old[:], sign(key, crypto.SHA1, old[:]), true},
		{"another message's", key, crypto.SHA256, make([]byte, 32), good, false},
		{"another key's", long, crypto.SHA256, sum[:], good, false},
		{"one bit changed", key, crypto.SHA256, sum[:], changed, false},
		{"one octet short", key, crypto.SHA256, sum[:], good[:255], false},
		{"one octet long", key, crypto.SHA256, sum[:], append([]byte{0}, good...), false},
		{"nothing", key, crypto.SHA256, sum[:], nil, false},
		{"zero", key, crypto.SHA256, sum[:], make([]byte, 256), false},
		{"a number above the modulus", key, crypto.SHA256, sum[:], larger.FillBytes(make([]byte, 257))[1:], false},
		{"the modulus", key, crypto.SHA256, sum[:], key.N.FillBytes(make([]byte, 256)), false},
		{"PSS", key, crypto.SHA256, sum[:], pss, false},
		{"loose padding", key, crypto.SHA256, sum[:], loose.FillBytes(make([]byte, 256)), false},
		{"a sum of another length", key, crypto.SHA256, sum[:20], good, false},
	} {
		for name, verify := range verifiers(t) {
			if got := verify(&c.key.PublicKey, c.hash, c.sum, c.signature); got != c.want {
				t.Errorf("%s, by %s: %v, want %v", c.name, name, got, c.want)
			}
		}
	}
	// What is no key costs no crash.
	for name, verify := range verifiers(t) {
		for _, n := range []*big.Int{new(big.Int).Lsh(big.NewInt(1), 2047), new(big.Int).Sub(key.N, big.NewInt(1)), big.NewInt(15)} {
			if verify(&rsa.PublicKey{N: n, E: 3}, crypto.SHA256, sum[:], good) {
				t.Errorf("%s: a signature is good under the modulus %x", name, n)
			}
		}
	}
}

func TestVerifyRSAFromManyGoroutines(t *testing.T) {
	key := rsaKey(t, "rsa1024.pem")
	for name, verify := range verifiers(t) {
		var running sync.WaitGroup
		for g := range 4 * runtime.GOMAXPROCS(0) {
			running.Go(func() {
				for i := range 20 {
					sum := sha256.Sum256(fmt.Appendf(nil, "%d %d", g, i))
					signature, err := rsa.SignPKCS1v15(nil, key, crypto.SHA256, sum[:])
					if err != nil || !verify(&key.PublicKey, crypto.SHA256, sum[:], signature) {
						t.Errorf("%s: a good signature is none (%v)", name, err)
					}
					sum[i] ^= 1
					if verify(&key.PublicKey, crypto.SHA256, sum[:], signature) {
						t.Errorf("%s: a wrong signature is good", name)
					}
					if i%5 == 0 {
						runtime.GC() // what waits to be used may be freed
					}
				}
			})
		}
		running.Wait()
	}
}

func BenchmarkVerifyRSA(b *testing.B) {
	sum := sha256.Sum256(nil)
	for _, file := range []string{"rsa1024.pem", "rsa2048-pkcs8.pem", "rsa4096.pem"} {
		key := rsaKey(b, file)
		signature, err := rsa.SignPKCS1v15(nil, key, crypto.SHA256, sum[:])
		check(b, err)
		verifiers := map[string]func(*rsa.PublicKey, crypto.Hash, []byte, []byte) bool{
			"go": func(p *rsa.PublicKey, h crypto.Hash, sum, s []byte) bool {
				return rsa.VerifyPKCS1v15(p, h, sum, s) == nil
			},
		}
		if lib, err := Load(); err == nil {
			verifiers["openssl"] = lib.Verify
		}
		for name, verify := range verifiers {
			b.Run(fmt.Sprintf("%s/rsa%d", name, key.N.BitLen()), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					if !verify(&key.PublicKey, crypto.SHA256, sum[:], signature) {
						b.Fatal("a good signature is none")
					}
				}
			})
		}
	}
}
