package config

import (
	"strings"
	"testing"
)

func TestReplaceChangesOneValueAndNothingElse(t *testing.T) {
	for _, c := range []struct{ name, text, path, want string }{
		{"in a list on one line", "# head\na:\n  - domain: x   # why\n    s: [old, keep]  # both\n", "a[0].s[0]", "# head\na:\n  - domain: x   # why\n    s: [new, keep]  # both\n"},
		{"the second of a list", "s: [keep,   old ]\n", "s[1]", "s: [keep,   new ]\n"},
		{"in a list of lines", "s:\n- keep\n-   old # it\n\n\n# tail\n", "s[1]", "s:\n- keep\n-   new # it\n\n\n# tail\n"},
		{"in double quotes", `s: ["old"]`, "s[0]", `s: ["new"]`},
		{"in single quotes", `s: ['old']`, "s[0]", `s: ['new']`},
		{"a key of an entry", "s: [{selector: old, active_from: 2026-01-01}]", "s[0].selector", "s: [{selector: new, active_from: 2026-01-01}]"},
		{"behind letters of several bytes", "ü: {é: [ß, old]}\n", "ü.é[1]", "ü: {é: [ß, new]}\n"},
		{"with DOS line ends", "a: 1\r\ns:\r\n  - old\r\nb: 2\r\n", "s[0]", "a: 1\r\ns:\r\n  - new\r\nb: 2\r\n"},
		{"where the same word stands elsewhere", "old: old\ns: [old, old]\n", "s[1]", "old: old\ns: [old, new]\n"},
		{"a number", "s: [2025]", "s[0]", "s: [new]"},
		{"at the end of the file", "s: [a]\nt: old", "t", "s: [a]\nt: new"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := Replace([]byte(c.text), c.path, "new")
			if err != nil || string(got) != c.want {
				t.Errorf("got\n%s%v\nwant\n%s", got, err, c.want)
			}
		})
	}
}

func TestReplaceLeavesAloneWhatItCannotEdit(t *testing.T) {
	for _, c := range []struct{ name, text, path, value, says string }{
		{"no such path", "s: [a]", "s[1]", "new", "no single value at s[1]"},
		{"a list", "s: [a]", "s", "new", "no single value at s"},
		{"a block", "s: |\n  old\n", "s", "new", "unusual way"},
		{"an escape", `s: ["o\x6cd"]`, "s[0]", "new", "unusual way"},
		{"an anchor", "s: [&x old]", "s[0]", "new", "unusual way"},
		{"no YAML", "s: [", "s[0]", "new", "not YAML"},
		{"a value that needs quotes", "s: [a]", "s[0]", "a: b", "without quotes"},
		{"nothing", "s: [a]", "s[0]", "", "without quotes"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := Replace([]byte(c.text), c.path, c.value)
			if err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("got %q, %v; want an error with %q", got, err, c.says)
			}
		})
	}
}

func FuzzReplace(f *testing.F) {
	f.Add("a: [x, y]", "a[1]")
	f.Add("ü:\n  - {b: 'c'}\n", "ü[0].b")
	f.Add("a: \"b\"\r\n", "a")
	f.Fuzz(func(t *testing.T, text, path string) {
		got, err := Replace([]byte(text), path, "new")
		if err != nil {
			return
		}
		n, err := document(got)
		if err != nil || at(n, path) == nil || at(n, path).Value != "new" {
			t.Errorf("%q at %q became %q, %v", text, path, got, err)
		}
	})
}
