package keys

import (
	"errors"
	"fmt"
	"io/fs"
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
