package openssl

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"log/slog"
	"math/big"
	"strings"
	"sync/atomic"
	"testing"
)

// A testLibrary signs with Go's arithmetic and then does to the signature what
// its test wants.
type testLibrary struct {
	readFault error
	spoil     func(signature []byte) ([]byte, error)
	calls     int64
	private   *keyCache

	noBlock    bool
	wrongBlock byte
}

func (l *testLibrary) recoverBlock(block, signature, _ []byte, public *rsa.PublicKey) bool {
	if l.noBlock {
		return false
	}
	n := new(big.Int).Exp(new(big.Int).SetBytes(signature), big.NewInt(int64(public.E)), public.N)
	n.FillBytes(block)
	block[len(block)/2] ^= l.wrongBlock
	return true
}

type testPrivateKey struct {
	lib *testLibrary
	key *rsa.PrivateKey
}

func (l *testLibrary) cache() *keyCache {
	if l.private == nil {
		l.private = &keyCache{most: maxCached}
	}
	return l.private
}

func (k *testPrivateKey) free() {}

func (l *testLibrary) version() string { return "TestSSL 1.0" }

func (l *testLibrary) newPrivateKey(pkcs1 []byte) (privateKey, error) {
	if l.readFault != nil {
		return nil, l.readFault
	}
	key, err := x509.ParsePKCS1PrivateKey(pkcs1)
	return &testPrivateKey{l, key}, err
}

func (k *testPrivateKey) sign(hash []byte) ([]byte, error) {
	atomic.AddInt64(&k.lib.calls, 1)
	signature, err := rsa.SignPKCS1v15(nil, k.key, crypto.SHA256, hash)
	if err != nil || k.lib.spoil == nil {
		return signature, err
	}
	return k.lib.spoil(signature)
}

// catchLog has the log of the time of a test.
func catchLog(t *testing.T) *bytes.Buffer {
	t.Helper()
	var buf bytes.Buffer
	before := slog.Default()
	slog.SetDefault(slog.New(slog.NewTextHandler(&buf, nil)))
	t.Cleanup(func() { slog.SetDefault(before) })
	return &buf
}

func TestAfterAFaultOfTheLibraryGoSigns(t *testing.T) {
	digest := sha256.Sum256([]byte("what was to be signed"))
	for _, c := range []struct {
		name string
		lib  testLibrary
		want string // in the log; empty: none
	}{
		{"a good library is heard", testLibrary{}, ""},
		{"the library does not sign", testLibrary{spoil: func([]byte) ([]byte, error) { return nil, errors.New("no signature today") }}, "no signature today"},
		{"the library does not read the key", testLibrary{readFault: errors.New("strange key")}, "reading the key: strange key"},
	} {
		t.Run(c.name, func(t *testing.T) {
			log := catchLog(t)
			key := rsaKey(t, "rsa2048-pkcs8.pem")
			s := newTestSigner(Name{"example.com", "s1"}, key, &c.lib)
			before := Faults()
			for range 3 {
				signature, err := s.Sign(rand.Reader, digest[:], crypto.SHA256)
				if err != nil {
					t.Fatal(err)
				}
				if err := rsa.VerifyPKCS1v15(&key.PublicKey, crypto.SHA256, digest[:], signature); err != nil {
					t.Fatalf("a wrong signature: %v", err)
				}
			}
			lines := strings.Count(log.String(), "\n")
			if c.want == "" {
				if lines != 0 || c.lib.calls != 3 || Faults() != before {
					t.Errorf("%d calls of the library, log %q", c.lib.calls, log)
				}
				return
			}
			// One alarm, and the library is not asked again.
			if lines != 1 || c.lib.calls > 1 || Faults() != before+1 || !strings.Contains(log.String(), c.want) ||
				!strings.Contains(log.String(), "level=ERROR msg=\"ALARM: ") || !strings.Contains(log.String(), "domain=example.com selector=s1") {
				t.Errorf("%d calls of the library, log %q, wanted one line with %q", c.lib.calls, log, c.want)
			}
		})
	}
}

func TestTheLibraryIsAskedOnlyForWhatDKIMHas(t *testing.T) {
	key := rsaKey(t, "rsa2048-pkcs8.pem")
	lib := &testLibrary{}
	s := newTestSigner(Name{}, key, lib)
	digest := sha256.Sum256(nil)
	sum := make([]byte, crypto.SHA512.Size())
	signature, err := s.Sign(rand.Reader, sum, crypto.SHA512)
	if err != nil || rsa.VerifyPKCS1v15(&key.PublicKey, crypto.SHA512, sum, signature) != nil {
		t.Errorf("SHA-512: %v", err)
	}
	pss := &rsa.PSSOptions{Hash: crypto.SHA256}
	signature, err = s.Sign(rand.Reader, digest[:], pss)
	if err != nil || rsa.VerifyPSS(&key.PublicKey, crypto.SHA256, digest[:], signature, pss) != nil {
		t.Errorf("PSS: %v", err)
	}
	if _, err := s.Sign(rand.Reader, digest[:20], crypto.SHA256); err == nil {
		t.Error("a hash of 20 octets was signed as SHA-256")
	}
	if lib.calls != 0 {
		t.Errorf("the library was asked %d times", lib.calls)
	}
	if !key.PublicKey.Equal(s.Public()) {
		t.Error("the public key is another")
	}
}

// A key that cannot sign at all is not the library's fault.
func TestADamagedKeyIsToldAsThat(t *testing.T) {
	log := catchLog(t)
	var k pkcs1Key
	if _, err := asn1.Unmarshal(pkcs1Of(t, "rsa1024.pem"), &k); err != nil {
		t.Fatal(err)
	}
	composite := new(big.Int).Mul(nextPrime(big.NewInt(1<<40+1)), nextPrime(new(big.Int).Rsh(k.P, 39)))
	for new(big.Int).GCD(nil, nil, new(big.Int).Sub(composite, big.NewInt(1)), big.NewInt(65537)).Cmp(big.NewInt(1)) != 0 {
		composite.Mul(composite, big.NewInt(3))
	}
	der := marshalKey(t, withPrimes(composite, k.Q))
	s := &Signer{public: &rsa.PublicKey{N: new(big.Int).Mul(composite, k.Q), E: 65537}, pkcs1: der, name: Name{"example.com", "s1"}, lib: &testLibrary{}}
	digest := sha256.Sum256(nil)
	for range 2 {
		_, err := s.Sign(rand.Reader, digest[:], crypto.SHA256)
		if err == nil || !strings.Contains(err.Error(), "its file is damaged") {
			t.Errorf("signing: %v", err)
		}
	}
	if log.Len() > 0 {
		t.Errorf("the library was blamed: %s", log)
	}
}
