package keys

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func open(t *testing.T, dir string, wanted ...Ref) (*Store, error) {
	t.Helper()
	cfg := Defaults()
	cfg.Dir = dir
	return Open(cfg, wanted)
}

func TestAStoreHoldsWhatIsWantedAndNothingElse(t *testing.T) {
	dir := t.TempDir()
	put(t, dir, "example.com/s1.pem", "rsa1024.pem", 0o600)
	put(t, dir, "example.com/e1.pem", "ed25519-pkcs8.pem", 0o600)
	put(t, dir, "example.com/unused.pem", "rsa2048-pkcs8.pem", 0o600)
	put(t, dir, "bücher.example/s1.pem", "rsa2048-pkcs8.pem", 0o600)
	s, err := open(t, dir, Ref{"Example.com", "S1"}, Ref{"example.com", "e1"}, Ref{"example.com", "s1"}, Ref{"bücher.example", "s1"})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, k := range s.Keys() {
		got = append(got, k.Ref().String())
	}
	if want := "s1 of example.com, e1 of example.com, s1 of xn--bcher-kva.example"; strings.Join(got, ", ") != want {
		t.Errorf("the store has %q, want %s", got, want)
	}
	for _, c := range []struct {
		domain, selector string
		want             bool
	}{
		{"example.com", "s1", true}, {"EXAMPLE.com.", "S1", true}, {"Bücher.example", "s1", true}, {"xn--bcher-kva.example", "s1", true},
		{"example.com", "unused", false}, {"sub.example.com", "s1", false}, {"*", "s1", false}, {"", "", false},
	} {
		if _, ok := s.Lookup(c.domain, c.selector); ok != c.want {
			t.Errorf("Lookup(%q, %q) = %v", c.domain, c.selector, ok)
		}
	}
	warning := "the key s1 of example.com, " + filepath.Join(dir, "example.com", "s1.pem") + ": an RSA key of 1024 bits is weak: make one of 2048 bits under a new selector"
	if got := s.Warnings(); len(got) != 1 || got[0] != warning {
		t.Errorf("warnings %q, want %s", got, warning)
	}
}

func TestOpenTellsEveryFaultAtOnce(t *testing.T) {
	dir := t.TempDir()
	put(t, dir, "example.com/good.pem", "rsa2048-pkcs8.pem", 0o600)
	put(t, dir, "example.com/weak.pem", "rsa512.pem", 0o600)
	put(t, dir, "example.org/open.pem", "rsa2048-pkcs8.pem", 0o644)
	s, err := open(t, dir, Ref{"example.com", "weak"}, Ref{"example.com", "good"}, Ref{"example.com", "none"}, Ref{"example.org", "open"}, Ref{"-", "x"})
	if s != nil || err == nil {
		t.Fatalf("got %v, %v", s, err)
	}
	lines := strings.Split(err.Error(), "\n")
	want := []string{"the key weak of example.com, ", "the key none of example.com: there is no file", "the key open of example.org, ", `"-" is not a domain`}
	if len(lines) != len(want) {
		t.Fatalf("%d lines:\n%v", len(lines), err)
	}
	for i, line := range lines {
		if !strings.HasPrefix(line, want[i]) {
			t.Errorf("line %d is %s, want %s…", i, line, want[i])
		}
	}
}

func TestAThousandMissingKeysAreNotAThousandLines(t *testing.T) {
	var refs []Ref
	for i := range 1000 {
		refs = append(refs, Ref{"example.com", fmt.Sprint("s", i)})
	}
	_, err := open(t, t.TempDir(), refs...)
	if lines := strings.Split(fmt.Sprint(err), "\n"); len(lines) != 51 || lines[50] != "and 950 keys more" {
		t.Errorf("%d lines, the last %q", len(lines), lines[len(lines)-1])
	}
}

func TestAKeyFolderThatIsNotThere(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "none")
	if _, err := open(t, dir); err != nil {
		t.Errorf("where no key is wanted: %v", err)
	}
	want := "the key folder " + dir + " is not there: set keys.dir, or make the first key with signpost keys generate"
	if _, err := open(t, dir, Ref{"a.example", "s"}, Ref{"b.example", "s"}); err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	check(t, os.WriteFile(dir, nil, 0o600))
	want = "the key folder " + dir + ": not a directory"
	if _, err := open(t, dir, Ref{"a.example", "s"}); err == nil || err.Error() != want {
		t.Errorf("a file: got %v, want %s", err, want)
	}
}

func TestADomainOfStarWantsTheSelectorOfEveryFolder(t *testing.T) {
	dir := t.TempDir()
	put(t, dir, "example.com/s1.pem", "rsa2048-pkcs8.pem", 0o600)
	put(t, dir, "xn--bcher-kva.example/s1.pem", "ed25519-pkcs8.pem", 0o600)
	put(t, dir, "*/s1.pem", "rsa2048-pkcs1.pem", 0o600)
	put(t, dir, "example.org/other.pem", "rsa2048-pkcs8.pem", 0o600)
	check(t, os.Mkdir(filepath.Join(dir, "lost+found"), 0o700))
	check(t, os.WriteFile(filepath.Join(dir, "README"), nil, 0o600))
	check(t, os.WriteFile(filepath.Join(dir, "readme.txt"), nil, 0o600))
	s, err := open(t, dir, Ref{"*", "s1"})
	if err != nil {
		t.Fatal(err)
	}
	for domain, want := range map[string]bool{"example.com": true, "bücher.example": true, "*": true, "example.org": false} {
		if _, ok := s.Lookup(domain, "s1"); ok != want {
			t.Errorf("Lookup(%q) = %v", domain, ok)
		}
	}
	t.Run("files in the spelling of the configuration", func(t *testing.T) {
		put(t, dir, "example.com/S3.pem", "rsa2048-pkcs8.pem", 0o600)
		put(t, dir, "*/S3.pem", "ed25519-pkcs8.pem", 0o600)
		s, err := open(t, dir, Ref{"*", "S3"})
		check(t, err)
		for _, domain := range []string{"example.com", "*"} {
			if _, ok := s.Lookup(domain, "s3"); !ok {
				t.Errorf("the key of %s is not loaded", domain)
			}
		}
	})
	t.Run("one of them at least", func(t *testing.T) {
		want := fmt.Sprintf(`the selector s2 for domain "*": no folder in %s has a file s2.pem; make one with: signpost keys generate DOMAIN s2`, dir)
		if _, err := open(t, dir, Ref{"*", "s2"}); err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
	})
	t.Run("and none that is bad", func(t *testing.T) {
		put(t, dir, "example.net/s1.pem", "rsa512.pem", 0o600)
		if _, err := open(t, dir, Ref{"*", "s1"}); err == nil || !strings.HasPrefix(err.Error(), "the key s1 of example.net, ") {
			t.Errorf("got %v", err)
		}
	})
}

func BenchmarkLookup(b *testing.B) {
	s := &Store{keys: map[Ref]*Key{}}
	for i := range 10_000 {
		ref := Ref{fmt.Sprintf("d%d.example", i), "s1"}
		s.keys[ref] = &Key{Domain: ref.Domain}
	}
	for _, domain := range []string{"d77.example", "D77.Example", "none.example"} {
		b.Run(domain, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				s.Lookup(domain, "s1")
			}
		})
	}
}
