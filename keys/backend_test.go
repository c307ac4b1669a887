package keys

import (
	"bytes"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
)

// backends are those that this build and machine have.
func backends(t testing.TB) []Backend {
	t.Helper()
	if _, err := openLibrary(); err != nil {
		t.Logf("without libcrypto: %v", err)
		return []Backend{BackendGo}
	}
	return []Backend{BackendGo, BackendOpenSSL}
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
	for _, b := range backends(t) {
		for file, want := range vectors {
			t.Run(string(b)+" "+file, func(t *testing.T) {
				log := catchLog(t)
				s := b.signer(Ref{"example.com", "s"}, rsaKey(t, file))
				if _, checked := s.(*checkedSigner); checked != (b == BackendOpenSSL) {
					t.Fatalf("signed by a %T", s)
				}
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

// The vectors are of keys as they are usually made. These fill their last word more or
// less, have either prime as the larger one, or are none that the library is given.
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
		for _, b := range backends(t) {
			s := b.signer(Ref{"example.com", "s"}, key)
			if _, checked := s.(*checkedSigner); checked != (b == BackendOpenSSL && alike(key.Primes[0], key.Primes[1])) {
				t.Errorf("%s, %d: signed by a %T", b, bits, s)
			}
			for i := range 8 {
				digest := sha256.Sum256([]byte{byte(i)})
				want, err := rsa.SignPKCS1v15(nil, key, crypto.SHA256, digest[:])
				check(t, err)
				if got, err := s.Sign(rand.Reader, digest[:], crypto.SHA256); err != nil || !bytes.Equal(got, want) {
					t.Fatalf("%s, %d: %x, %v; want %x", b, bits, got, err, want)
				}
			}
		}
	}
	three, err := rsa.GenerateMultiPrimeKey(rand.Reader, 3, 1024)
	check(t, err)
	for _, b := range backends(t) {
		if s := b.signer(Ref{"example.com", "s"}, three); s != crypto.Signer(three) {
			t.Errorf("%s: a key of three primes is signed with by a %T", b, s)
		}
	}
	if log.Len() > 0 {
		t.Errorf("fell back: %s", log)
	}
}

// The library's blindings are used up and taken anew on the way.
func TestEverySignatureOfManyIsTheSame(t *testing.T) {
	digest := sha256.Sum256([]byte("abc"))
	for _, b := range backends(t) {
		log := catchLog(t)
		s := b.signer(Ref{"example.com", "s"}, rsaKey(t, "rsa1024.pem"))
		for range 600 {
			signature, err := s.Sign(rand.Reader, digest[:], crypto.SHA256)
			check(t, err)
			if got := fmt.Sprintf("%x", sha256.Sum256(signature)); got != vectors["rsa1024.pem"] {
				t.Fatalf("%s: the signature's sum is %s", b, got)
			}
		}
		if log.Len() > 0 {
			t.Errorf("%s fell back: %s", b, log)
		}
	}
}

func TestBothBackendsAgreeFromManyGoroutines(t *testing.T) {
	key := rsaKey(t, "rsa1024.pem")
	for _, b := range backends(t) {
		log := catchLog(t)
		s := b.signer(Ref{"example.com", "s"}, key)
		var running sync.WaitGroup
		for g := range 4 * runtime.GOMAXPROCS(0) {
			running.Go(func() {
				for i := range 20 {
					digest := sha256.Sum256(fmt.Appendf(nil, "%d %d", g, i))
					want, _ := key.Sign(nil, digest[:], crypto.SHA256)
					got, err := s.Sign(rand.Reader, digest[:], crypto.SHA256)
					if err != nil || !bytes.Equal(got, want) {
						t.Errorf("%s: %v", b, err)
						return
					}
				}
			})
		}
		running.Wait()
		if log.Len() > 0 {
			t.Errorf("%s fell back: %s", b, log)
		}
	}
}

// Keys of generations that are gone are freed while others sign.
func TestKeysComeAndGo(t *testing.T) {
	digest := sha256.Sum256(nil)
	for _, b := range backends(t) {
		log := catchLog(t)
		for range 50 {
			s := b.signer(Ref{"example.com", "s"}, rsaKey(t, "rsa1024.pem"))
			if _, err := s.Sign(rand.Reader, digest[:], crypto.SHA256); err != nil {
				t.Fatal(err)
			}
			runtime.GC()
		}
		if log.Len() > 0 {
			t.Errorf("%s fell back: %s", b, log)
		}
	}
}

func TestEd25519IsAlwaysGos(t *testing.T) {
	key := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
	for _, b := range []Backend{BackendAuto, BackendGo, BackendOpenSSL} {
		if _, same := b.signer(Ref{}, key).(ed25519.PrivateKey); !same {
			t.Errorf("%s signs with a %T", b, b.signer(Ref{}, key))
		}
	}
}

func TestTheBackendInUseIsNamed(t *testing.T) {
	if a := BackendGo.Arithmetic(); a.String() != "go" {
		t.Errorf("go is %s", a)
	}
	a := BackendAuto.Arithmetic()
	if _, err := openLibrary(); err == nil {
		if !strings.HasPrefix(a.String(), "openssl (OpenSSL 3.") {
			t.Errorf("auto is %s", a)
		}
		return
	}
	if a.Backend != BackendGo || a.Detail == "" {
		t.Errorf("auto is %+v: without a library it is Go's, and says why", a)
	}
}

func TestAStoreSignsWithTheBackendOfItsConfiguration(t *testing.T) {
	dir := t.TempDir()
	put(t, dir, "example.com/s1.pem", "rsa2048-pkcs8.pem", 0o600)
	sum := sha512.Sum512_256(nil)
	for _, b := range []Backend{BackendAuto, BackendGo, BackendOpenSSL} {
		store, err := Open(Config{Dir: dir, Backend: b, InsecureMode: InsecureWarn}, []Ref{{"example.com", "s1"}})
		if _, missing := openLibrary(); b == BackendOpenSSL && missing != nil {
			if err == nil || !strings.Contains(err.Error(), "keys.backend is openssl: ") || !strings.Contains(err.Error(), "write auto") {
				t.Errorf("a library that is demanded and not there: %v", err)
			}
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		k, _ := store.Lookup("example.com", "s1")
		_, checked := k.Signer.(*checkedSigner)
		if want := b.Arithmetic().Backend == BackendOpenSSL; checked != want {
			t.Errorf("%s: signer %T", b, k.Signer)
		}
		signature, err := k.Signer.Sign(rand.Reader, sum[:], crypto.SHA256)
		if err != nil || rsa.VerifyPKCS1v15(k.Signer.Public().(*rsa.PublicKey), crypto.SHA256, sum[:], signature) != nil {
			t.Errorf("%s: %v", b, err)
		}
	}
}

func BenchmarkSign(b *testing.B) {
	digest := sha256.Sum256(nil)
	for _, backend := range backends(b) {
		for _, bits := range []string{"1024", "2048", "4096"} {
			b.Run(string(backend)+"/rsa"+bits, func(b *testing.B) {
				files, _ := filepath.Glob("testdata/rsa" + bits + "*.pem")
				if len(files) == 0 {
					b.Skip(os.ErrNotExist)
				}
				s := backend.signer(Ref{}, rsaKey(b, filepath.Base(files[0])))
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

// BenchmarkLoad is what one key costs when the daemon starts.
func BenchmarkLoad(b *testing.B) {
	dir := b.TempDir()
	check(b, os.MkdirAll(filepath.Join(dir, "example.com"), 0o755))
	check(b, os.WriteFile(filepath.Join(dir, "example.com", "s1.pem"), testFile(b, "rsa2048-pkcs8.pem"), 0o600))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := (Config{Dir: dir, InsecureMode: InsecureWarn}).load(Ref{"example.com", "s1"}); err != nil {
			b.Fatal(err)
		}
	}
}
