package keys

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestKeysFromSystemdCredentials(t *testing.T) {
	given := filepath.Join(t.TempDir(), "credentials")
	check(t, os.Mkdir(given, 0o700))
	for name, file := range map[string]string{
		"s1._domainkey.example.com":     "rsa2048-pkcs8.pem",
		"e1._domainkey.example.com.pem": "ed25519-pkcs8.pem",
		"keys_example.org_s1.pem":       "rsa2048-pkcs8.pem",
		"database-password":             "ed25519-dkimpy.key",
	} {
		check(t, os.WriteFile(filepath.Join(given, name), testFile(t, file), 0o400))
	}
	t.Setenv("CREDENTIALS_DIRECTORY", given)
	dir := filepath.Join(t.TempDir(), "none")
	s, err := open(t, dir, Ref{"example.com", "S1"}, Ref{"example.com", "e1"}, Ref{"example.org", "s1"})
	check(t, err)
	if k, ok := s.Lookup("example.org", "s1"); !ok || filepath.Dir(k.Path) != given || len(s.Warnings()) > 0 {
		t.Errorf("got %v, warnings %q", k, s.Warnings())
	}
	s, err = open(t, dir, Ref{"*", "s1"})
	check(t, err)
	if refs := s.Refs(); len(refs) != 2 || refs[0].Domain != "example.com" || refs[1].Domain != "example.org" {
		t.Errorf("for every domain: %v", refs)
	}
	cfg := Defaults()
	cfg.Dir = dir
	if refs, err := cfg.Files(); err != nil || len(refs) != 3 {
		t.Errorf("the files are %v, %v", refs, err)
	}
	if _, err := open(t, dir, Ref{"example.com", "none"}); err == nil || !strings.Contains(err.Error(), "signpost keys generate --dir "+dir) {
		t.Errorf("a key that is nowhere: %v", err)
	}
}

func TestACredentialGoesBeforeAFile(t *testing.T) {
	dir, given := t.TempDir(), t.TempDir()
	put(t, dir, "example.com/s1.pem", "rsa1024.pem", 0o600)
	check(t, os.WriteFile(filepath.Join(given, "s1._domainkey.example.com"), testFile(t, "rsa2048-pkcs8.pem"), 0o400))
	t.Setenv("CREDENTIALS_DIRECTORY", given)
	k, err := Load(dir, "example.com", "s1")
	if err != nil || k.Bits != 2048 {
		t.Errorf("got %v, %v", k, err)
	}
}
