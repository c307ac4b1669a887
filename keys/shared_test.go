package keys

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestADomainSignsWithAnothersKeyUnderItsOwnName(t *testing.T) {
	cfg := Defaults()
	cfg.Dir = t.TempDir()
	shared, err := Generate(cfg.Dir, "provider.example", "s1", Ed25519, 0)
	check(t, err)
	own, err := Generate(cfg.Dir, "b.example", "s1", Ed25519, 0)
	check(t, err)
	cfg.Shared = ownersIn(map[string]string{"a.example": "provider.example", "b.example": "provider.example", "c.example": "a.example", "d.example": "d.example"})

	store, err := Open(cfg, []Ref{{"a.example", "s1"}, {"b.example", "s1"}})
	check(t, err)
	a, _ := store.Lookup("a.example", "s1")
	if a.Domain != "a.example" || a.Fingerprint() != shared.Fingerprint() || a.RecordName() != "s1._domainkey.a.example" || a.Path != shared.Path {
		t.Errorf("the key is %+v", a)
	}
	if b, _ := store.Lookup("b.example", "s1"); b.Fingerprint() != own.Fingerprint() {
		t.Error("a key of the domain's own does not go first")
	}
	if _, ok := store.Lookup("provider.example", "s1"); ok {
		t.Error("the owner's key is there under its own name, which is not listed")
	}
	for domain, want := range map[string]string{
		"c.example": "s1 of a.example", // what is lent is not lent on
		"d.example": "s1 of d.example",
	} {
		if _, err := Open(cfg, []Ref{{domain, "s1"}}); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: the error is %v", domain, err)
		}
	}
}

// The names in DNS have no case, so a file is found in any: in the folder of another domain too.
func TestASharedKeyIsFoundInAFileWithCapitals(t *testing.T) {
	cfg := Defaults()
	cfg.Dir = t.TempDir()
	path := put(t, cfg.Dir, "provider.example/S1.pem", "ed25519-pkcs8.pem", 0o600)
	check(t, os.Mkdir(filepath.Join(cfg.Dir, "b.example"), 0o700))
	cfg.Shared = ownersIn(map[string]string{"a.example": "provider.example", "b.example": "provider.example", "c.example": "provider.example"})
	store, err := Open(cfg, []Ref{{"a.example", "S1"}, {"b.example", "s1"}, {"c.example", "s1"}})
	check(t, err)
	for _, domain := range []string{"a.example", "b.example", "c.example"} {
		if k, ok := store.Lookup(domain, "s1"); !ok || k.Path != path || k.Selector != "s1" {
			t.Errorf("the key of %s is %+v", domain, k)
		}
	}
	if !cfg.HasFile(Ref{"provider.example", "s1"}) {
		t.Error("the file is not seen")
	}
	if _, err := Generate(cfg.Dir, "provider.example", "s1", Ed25519, 0); err == nil || !strings.Contains(err.Error(), "there is a key "+path+" already") {
		t.Errorf("a key of the same name is made: %v", err)
	}
	lower := put(t, cfg.Dir, "provider.example/s1.pem", "rsa2048-pkcs8.pem", 0o600)
	if k, err := Load(cfg.Dir, "provider.example", "s1"); err != nil || k.Path != lower {
		t.Errorf("with both files: %v, %v", k, err)
	}
}

// All processors load keys, and many domains may share the keys of one.
func TestManyDomainsShareTheKeysOfOne(t *testing.T) {
	cfg := Defaults()
	cfg.Dir = t.TempDir()
	_, err := Generate(cfg.Dir, "provider.example", "s1", Ed25519, 0)
	check(t, err)
	owners := map[string]string{}
	cfg.Shared = ownersIn(owners)
	var refs []Ref
	for i := range 200 {
		ref := Ref{fmt.Sprintf("d%d.example", i), "s1"}
		refs = append(refs, ref)
		owners[ref.Domain] = "provider.example"
	}
	store, err := Open(cfg, refs)
	check(t, err)
	first, _ := store.Lookup("d0.example", "s1")
	for _, k := range store.Keys() {
		if k.Fingerprint() != first.Fingerprint() || k.Path != first.Path {
			t.Errorf("%s: %+v", k.Domain, k)
		}
	}
}

func ownersIn(owners map[string]string) func(string) string {
	return func(domain string) string { return owners[domain] }
}
