package keys

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha512"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"signpost/internal/openssl"
)

func TestEd25519IsAlwaysGos(t *testing.T) {
	key := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
	for _, b := range []Backend{BackendAuto, BackendGo, BackendOpenSSL} {
		if _, same := b.signer(Ref{}, key).(ed25519.PrivateKey); !same {
			t.Errorf("%s signs with a %T", b, b.signer(Ref{}, key))
		}
	}
}

func TestTheBackendInUseIsNamed(t *testing.T) {
	if a := BackendGo.Info(); a.String() != "go" {
		t.Errorf("go is %s", a)
	}
	a := BackendAuto.Info()
	if _, err := openssl.Load(); err == nil {
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
		if _, missing := openssl.Load(); b == BackendOpenSSL && missing != nil {
			if err == nil || !strings.Contains(err.Error(), "keys.backend is openssl: ") || !strings.Contains(err.Error(), "write auto") {
				t.Errorf("a library that is demanded and not there: %v", err)
			}
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		k, _ := store.Lookup("example.com", "s1")
		_, checked := k.Signer.(*openssl.Signer)
		if want := b.Info().Backend == BackendOpenSSL; checked != want {
			t.Errorf("%s: signer %T", b, k.Signer)
		}
		signature, err := k.Signer.Sign(rand.Reader, sum[:], crypto.SHA256)
		if err != nil || rsa.VerifyPKCS1v15(k.Signer.Public().(*rsa.PublicKey), crypto.SHA256, sum[:], signature) != nil {
			t.Errorf("%s: %v", b, err)
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
