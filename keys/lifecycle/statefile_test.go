package lifecycle

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"syscall"
	"testing"

	"signpost/keys"
)

func TestWhatIsWrittenIsRead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state", "keys.json")
	if facts, err := ReadState(path); err != nil || facts != nil {
		t.Fatalf("without a file: %v, %v", facts, err)
	}
	want := []Fact{
		{Domain: "a.example", Selector: "s1", Algorithm: keys.RSA, Bits: 2048, Fingerprint: "x", State: Active, DNS: keys.Found, FirstSeen: noon, LastSeen: noon, Asked: noon, LastUsed: noon},
		{Domain: "a.example", Selector: "s2", Algorithm: keys.Ed25519, Bits: 256, Fingerprint: "y", State: Pending, DNS: keys.Absent, Detail: "does not exist"},
		{Domain: "b.example", Selector: "s1", Algorithm: keys.RSA, Bits: 2048, Fingerprint: "z", State: Retired, Unlisted: noon},
	}
	for range 2 { // over an old file too
		check(t, writeState(path, known(want)))
		got, err := ReadState(path)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("got %+v, %v", got, err)
		}
	}
	left, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(left) != 1 {
		t.Errorf("the folder has %v, %v", left, err)
	}
}

func TestADamagedStateFileIsToldOf(t *testing.T) {
	good := `{"version":1,"keys":[{"domain":"a.example","selector":"s1","algorithm":"rsa-sha256","bits":2048,"fingerprint":"x","state":"active","dns":"found"}]}`
	if _, err := parseState([]byte(good)); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ name, text string }{
		{"empty", ""},
		{"cut off", good[:60]},
		{"of another form", strings.Replace(good, `"version":1`, `"version":2`, 1)},
		{"a state that is none", strings.Replace(good, "active", "lively", 1)},
		{"an answer that is none", strings.Replace(good, "found", "lost", 1)},
		{"an algorithm that is none", strings.Replace(good, "rsa-sha256", "dsa", 1)},
		{"a domain that is none", strings.Replace(good, "a.example", "../a", 1)},
		{"a selector that is none", strings.Replace(good, `"s1"`, `"../s1"`, 1)},
		{"no fingerprint", strings.Replace(good, `"x"`, `""`, 1)},
		{"a time that is none", strings.Replace(good, `"dns":"found"`, `"last_seen":"noon"`, 1)},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "keys.json")
			check(t, os.WriteFile(path, []byte(c.text), 0o600))
			if facts, err := ReadState(path); err == nil || facts != nil || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "it is damaged") {
				t.Errorf("got %v, %v", facts, err)
			}
		})
	}
}

// The names of one private key have one fact in common while nothing tells them apart.
func TestAFactOfSeveralNamesIsWrittenForEach(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys.json")
	shared := Fact{Algorithm: keys.RSA, Bits: 2048, Fingerprint: "x", State: Active, DNS: keys.Found, FirstSeen: noon}
	own := Fact{Algorithm: keys.RSA, Bits: 2048, Fingerprint: "y", State: Pending, Detail: `has "other" text`}
	written := facts{}
	for i := range 1000 {
		written[keys.Ref{Domain: fmt.Sprintf("d%d.example", i), Selector: "s1"}] = &shared
	}
	written[keys.Ref{Domain: "d5.example", Selector: "s2"}] = &own
	check(t, writeState(path, written))
	got, err := ReadState(path)
	check(t, err)
	if len(got) != len(written) {
		t.Fatalf("%d facts, want %d", len(got), len(written))
	}
	for _, f := range got {
		if want := written.of(f.ref()); f != want {
			t.Errorf("got %+v, want %+v", f, want)
		}
	}
}

func FuzzParseState(f *testing.F) {
	f.Add([]byte(`{"version":1,"keys":[{"domain":"a.example","selector":"s1","algorithm":"rsa-sha256","bits":2048,"fingerprint":"x","state":"active"}]}`))
	f.Add([]byte("{\n \"version\": 1,\n \"keys\": [\n  {\n   \"domain\": \"a.example\",\n   \"selector\": \"s1\",\n   \"algorithm\": \"rsa-sha256\",\n" +
		"   \"bits\": 2048,\n   \"fingerprint\": \"x\",\n   \"state\": \"active\",\n   \"detail\": \"<a>\"\n  }\n ]\n}\n"))
	f.Add([]byte(`{}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		facts, err := parseState(text)
		if err != nil {
			return
		}
		path := filepath.Join(t.TempDir(), "keys.json")
		check(t, writeState(path, facts))
		again, err := os.ReadFile(path)
		check(t, err)
		printed, ok := parsePrinted(again)
		if len(facts) > 0 && !ok {
			t.Fatalf("what was written is not read as such: %q", again)
		}
		for ref := range facts {
			if got, want := printed.of(ref), facts.of(ref); !reflect.DeepEqual(got, want) {
				t.Errorf("written %+v, read %+v", want, got)
			}
		}
		if _, err := ReadState(path); err != nil {
			t.Errorf("what was read cannot be read again: %v", err)
		}
	})
}

// The daemon's user owns the folder, and could leave a named pipe there for root to read.
func TestAStateFileThatIsNoFileHoldsNoOne(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys.json")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadState(path); err == nil || !strings.Contains(err.Error(), "not a regular file") {
		t.Errorf("%v", err)
	}
}

func known(all []Fact) facts {
	known := facts{}
	for _, f := range all {
		known[f.ref()] = &f
	}
	return known
}
