package openssl

import (
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"testing"
)

// testFile reads a key file of package keys, which has some of each kind.
func testFile(t testing.TB, name string) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "keys", "testdata", name))
	check(t, err)
	return text
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func rsaKey(t testing.TB, file string) *rsa.PrivateKey {
	t.Helper()
	block, _ := pem.Decode(testFile(t, file))
	if key, err := x509.ParsePKCS1PrivateKey(block.Bytes); err == nil {
		return key
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	check(t, err)
	return key.(*rsa.PrivateKey)
}

func newTestSigner(name Name, key *rsa.PrivateKey, lib library) *Signer {
	return (&Library{lib}).NewSigner(name, &key.PublicKey, x509.MarshalPKCS1PrivateKey(key), nil)
}
