package config

import (
	"errors"
	"strings"
	"testing"
)

const sample = `# a comment
milter:
  timeout: 2s

signer:
  domains:
    - domain: example.com
      selectors: [a,
        b]
    - domain: example.org
  retries: many
`

func TestAProblemFindsItsPlace(t *testing.T) {
	for _, c := range []struct{ name, path, want string }{
		{"at a section", "milter", "f.yaml:2:1: milter: x"},
		{"at a key", "milter.timeout", "f.yaml:3:3: milter.timeout: x"},
		{"at an absent key it is the section's", "milter.listen", "f.yaml:2:1: milter.listen: x"},
		{"at an absent section it is the first", "verifier.mode", "f.yaml:1: verifier.mode: x"},
		{"at a list's item", "signer.domains[1]", "f.yaml:10:7: signer.domains[1]: x"},
		{"at a key of an item", "signer.domains[0].selectors", "f.yaml:8:7: signer.domains[0].selectors: x"},
		{"at an item of an item", "signer.domains[0].selectors[1]", "f.yaml:9:9: signer.domains[0].selectors[1]: x"},
		{"at an absent key of an item", "signer.domains[1].selectors[0]", "f.yaml:10:7: signer.domains[1].selectors[0]: x"},
		{"beyond the list it is the list's", "signer.domains[7].domain", "f.yaml:6:3: signer.domains[7].domain: x"},
		{"at no index it is the list's", "signer.domains[x]", "f.yaml:6:3: signer.domains[x]: x"},
		{"below a word it is the word's", "milter.timeout.seconds", "f.yaml:3:3: milter.timeout.seconds: x"},
		{"without a path it is the file's", "", "f.yaml:1: x"},
	} {
		t.Run(c.name, func(t *testing.T) {
			v := defaults()
			s := Decode("f.yaml", []byte(strings.Replace(sample, "many", "1", 1)), &v)
			s.Bad(c.path, "x")
			if got := s.Err().Error(); got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
}

func TestASectionsPathsAreItsOwn(t *testing.T) {
	v := defaults()
	s := Decode("f.yaml", []byte("# x\nsigner:\n"), &v)
	// A package whose section is a list begins its paths with an index.
	s.Section("listen")("[3].role", "z")
	s.Section("signer")("domains[0]", "x")
	s.Section("signer")("", "y")
	want := []string{"listen[3].role", "signer.domains[0]", "signer"}
	var e *Error
	if !errors.As(s.Err(), &e) {
		t.Fatalf("error %v", s.Err())
	}
	for i, p := range e.Problems {
		if p.Path != want[i] {
			t.Errorf("problem %d is at %q, want %q", i, p.Path, want[i])
		}
	}
}

func TestProblemsAreSortedByPlace(t *testing.T) {
	v := defaults()
	s := Decode("f.yaml", []byte(sample), &v)
	s.Bad("signer.domains", "b")
	s.Bad("milter", "a")
	s.Bad("signer.domains", "c")
	want := `f.yaml:2:1: milter: a
f.yaml:6:3: signer.domains: b
f.yaml:6:3: signer.domains: c
f.yaml:11:3: signer.retries: "many" is not a whole number: write decimal digits alone, without a unit or a leading zero`
	if got := s.Err().Error(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestAValueThatCouldNotBeReadIsNotComplainedOfTwice(t *testing.T) {
	for _, c := range []struct{ name, text, path string }{
		{"the value itself", "signer: {retries: x}", "signer.retries"},
		{"a value inside it", "signer: {domains: x}", "signer.domains[0].selectors"},
		{"an item of it", "signer: {domains: [x]}", "signer.domains[0].domain"},
		{"anything, where the file is no mapping", "- x", "signer.domains"},
		{"anything, where the file is no YAML", "{", "signer.domains"},
	} {
		t.Run(c.name, func(t *testing.T) {
			v := defaults()
			s := Decode("f.yaml", []byte(c.text), &v)
			before := s.Err().Error()
			s.Bad(c.path, "is missing")
			if got := s.Err().Error(); got != before {
				t.Errorf("got\n%s", got)
			}
		})
	}
	t.Run("but a value beside a key that nobody knows is", func(t *testing.T) {
		v := defaults()
		s := Decode("f.yaml", []byte("signer: {<<: x, domains: [{domian: x}]}"), &v)
		s.Bad("signer.domains[0].domain", "is missing")
		if got := s.Err().Error(); !strings.Contains(got, "is missing") {
			t.Errorf("got\n%s", got)
		}
	})
	t.Run("but its neighbour is", func(t *testing.T) {
		v := defaults()
		s := Decode("f.yaml", []byte("signer: {retries: x}"), &v)
		s.Bad("signer.retries_more", "is missing")
		if got := s.Err().Error(); !strings.Contains(got, "is missing") {
			t.Errorf("got\n%s", got)
		}
	})
}

func TestOneOfNamesTheWordThatWasMeant(t *testing.T) {
	for _, c := range []struct{ name, value, want string }{
		{"an allowed word is no problem", "enforce", ""},
		{"a misspelling gets the word", "enfroce", `mode: "enfroce" is not one of monitor, enforce: did you mean enforce?`},
		{"the case of letters counts", "Monitor", `mode: "Monitor" is not one of monitor, enforce: did you mean monitor?`},
		{"a strange word gets the list", "strict", `mode: "strict" is not one of monitor, enforce`},
		{"an empty word gets the list", "", `mode: "" is not one of monitor, enforce`},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := ""
			OneOf(func(path, problem string) { got = path + ": " + problem }, "mode", word(c.value), "monitor", "enforce")
			if got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
}

func TestDistanceCountsSwappedNeighboursOnce(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want int
	}{
		{"", "", 0}, {"abc", "abc", 0}, {"abc", "acb", 1}, {"abc", "ab", 1}, {"ab", "abc", 1}, {"abc", "axc", 1}, {"abc", "xyz", 3}, {"", "abc", 3},
	} {
		if got := distance(c.a, c.b); got != c.want {
			t.Errorf("distance(%q, %q) = %d, want %d", c.a, c.b, got, c.want)
		}
	}
}

func TestHasTellsWhatTheFileSays(t *testing.T) {
	var v struct {
		A struct {
			B []string `yaml:"b"`
			C string   `yaml:"c"`
		} `yaml:"a"`
	}
	s := Decode("t", []byte("a:\n  b: [x]\n"), &v)
	for path, want := range map[string]bool{"a": true, "a.b": true, "a.b[0]": true, "a.b[1]": false, "a.c": false, "d": false} {
		if got := s.Has(path); got != want {
			t.Errorf("Has(%q) is %v", path, got)
		}
	}
	if Decode("t", nil, &v).Has("a") {
		t.Error("an empty file has a")
	}
}

// A key that several sections have belongs under any of them, those nearest to the top first.
func TestAMisplacedKeyNamesTheSectionsThatHaveIt(t *testing.T) {
	type inner struct {
		Mode string `yaml:"mode"`
	}
	var v struct {
		Signer struct {
			Senders inner `yaml:"senders"`
		} `yaml:"signer"`
		Verifier struct {
			Mode      string  `yaml:"mode"`
			Overrides []inner `yaml:"overrides"`
		} `yaml:"verifier"`
	}
	want := `f.yaml:1:1: mode: unknown key here: it belongs under verifier, signer.senders or verifier.overrides[] (this section takes signer, verifier)`
	if err := Decode("f.yaml", []byte("mode: enforce\n"), &v).Err(); err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}
