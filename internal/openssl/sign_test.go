package openssl

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
)

// signers are crypto/rsa, and the library where this build and machine have it.
func signers(t testing.TB) map[string]func(*rsa.PrivateKey) crypto.Signer {
	t.Helper()
	all := map[string]func(*rsa.PrivateKey) crypto.Signer{"go": func(k *rsa.PrivateKey) crypto.Signer { return k }}
	lib, err := Load()
	if err != nil {
		t.Logf("without libcrypto: %v", err)
		return all
	}
	all["openssl"] = func(k *rsa.PrivateKey) crypto.Signer { return newTestSigner(Name{"example.com", "s"}, k, lib.library) }
	return all
}

// vectors are SHA-256 sums of PKCS #1 v1.5 signatures over the SHA-256 of "abc",
// as openssl dgst -sign made them: the scheme is deterministic (RFC 8017 §8.2.1).
var vectors = map[string]string{
	"rfc6376-appendix-c.pem": "4dd99a3e39dae2e8edf1be89f2ab670c31c8df10056d3c91137881d2df8b0072",
	"rsa1024.pem":            "d99fb2e084c737af5d4b2c5ce7d368bfcde5e709c2aeb4c6f17f9418e0f7cef7",
	"rsa2048-pkcs1.pem":      "7d84a15ee72a162bee2acfc77a2b7e80e65bf1bbd770054bfb74d5ca1ca90230",
	"rsa2048-pkcs8.pem":      "7d84a15ee72a162bee2acfc77a2b7e80e65bf1bbd770054bfb74d5ca1ca90230",
	"rsa4096.pem":            "69cbc5bc6478331c64069b2be24dbadaf0dc3ac742f720d59bf54492dc8ea843",
}

func TestBothBackendsMakeTheSignaturesOfTheVectors(t *testing.T) {
	digest := sha256.Sum256([]byte("abc"))
	for name, with := range signers(t) {
		for file, want := range vectors {
			t.Run(name+" "+file, func(t *testing.T) {
				log := catchLog(t)
				s := with(rsaKey(t, file))
				for range 3 {
					signature, err := s.Sign(rand.Reader, digest[:], crypto.SHA256)
					if err != nil {
						t.Fatal(err)
					}
					if got := fmt.Sprintf("%x", sha256.Sum256(signature)); got != want {
						t.Errorf("the signature's sum is %s, want %s", got, want)
					}
				}
				if log.Len() > 0 {
					t.Errorf("fell back: %s", log)
				}
			})
		}
	}
}

// The vectors are of usual keys. These fill their last word more or less, or have either
// prime as the larger one.
func TestBothBackendsSignWithPrimesOfAnyLength(t *testing.T) {
	log := catchLog(t)
	for _, bits := range [][2]int{{512, 512}, {520, 560}, {576, 513}, {577, 640}, {1024, 961}, {640, 500}, {400, 700}} {
		var key *rsa.PrivateKey
		for key == nil {
			p, err := rand.Prime(rand.Reader, bits[0])
			check(t, err)
			q, err := rand.Prime(rand.Reader, bits[1])
			check(t, err)
			k := withPrimes(p, q)
			if k.D == nil {
				continue // 65537 is no public exponent for these primes
			}
			key, err = x509.ParsePKCS1PrivateKey(marshalKey(t, k))
			if err != nil {
				t.Fatalf("%d: %v", bits, err)
			}
		}
		for name, with := range signers(t) {
			s := with(key)
			for i := range 8 {
				digest := sha256.Sum256([]byte{byte(i)})
				want, err := rsa.SignPKCS1v15(nil, key, crypto.SHA256, digest[:])
				check(t, err)
				if got, err := s.Sign(rand.Reader, digest[:], crypto.SHA256); err != nil || !bytes.Equal(got, want) {
					t.Fatalf("%s, %d: %x, %v; want %x", name, bits, got, err, want)
				}
			}
		}
	}
	if log.Len() > 0 {
		t.Errorf("fell back: %s", log)
	}
}

// The library renews its blinding on the way.
func TestEverySignatureOfManyIsTheSame(t *testing.T) {
	digest := sha256.Sum256([]byte("abc"))
	for name, with := range signers(t) {
		log := catchLog(t)
		s := with(rsaKey(t, "rsa1024.pem"))
		for range 600 {
			signature, err := s.Sign(rand.Reader, digest[:], crypto.SHA256)
			check(t, err)
			if got := fmt.Sprintf("%x", sha256.Sum256(signature)); got != vectors["rsa1024.pem"] {
				t.Fatalf("%s: the signature's sum is %s", name, got)
			}
		}
		if log.Len() > 0 {
			t.Errorf("%s fell back: %s", name, log)
		}
	}
}

func TestBothBackendsAgreeFromManyGoroutines(t *testing.T) {
	key := rsaKey(t, "rsa1024.pem")
	for name, with := range signers(t) {
		log := catchLog(t)
		s := with(key)
		var running sync.WaitGroup
		for g := range 4 * runtime.GOMAXPROCS(0) {
			running.Go(func() {
				for i := range 20 {
					digest := sha256.Sum256(fmt.Appendf(nil, "%d %d", g, i))
					want, _ := key.Sign(nil, digest[:], crypto.SHA256)
					got, err := s.Sign(rand.Reader, digest[:], crypto.SHA256)
					if err != nil || !bytes.Equal(got, want) {
						t.Errorf("%s: %v", name, err)
						return
					}
				}
			})
		}
		running.Wait()
		if log.Len() > 0 {
			t.Errorf("%s fell back: %s", name, log)
		}
	}
}

// Keys of generations that are gone are freed while others sign.
func TestKeysComeAndGo(t *testing.T) {
	digest := sha256.Sum256(nil)
	for name, with := range signers(t) {
		log := catchLog(t)
		for range 50 {
			s := with(rsaKey(t, "rsa1024.pem"))
			if _, err := s.Sign(rand.Reader, digest[:], crypto.SHA256); err != nil {
				t.Fatal(err)
			}
			runtime.GC()
		}
		if log.Len() > 0 {
			t.Errorf("%s fell back: %s", name, log)
		}
	}
}

func BenchmarkSign(b *testing.B) {
	digest := sha256.Sum256(nil)
	for name, with := range signers(b) {
		for _, bits := range []string{"1024", "2048", "4096"} {
			b.Run(name+"/rsa"+bits, func(b *testing.B) {
				files, _ := filepath.Glob("../../keys/testdata/rsa" + bits + "*.pem")
				if len(files) == 0 {
					b.Skip(os.ErrNotExist)
				}
				s := with(rsaKey(b, filepath.Base(files[0])))
				b.ReportAllocs()
				for b.Loop() {
					if _, err := s.Sign(rand.Reader, digest[:], crypto.SHA256); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
