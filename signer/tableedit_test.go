package signer

import (
	"strings"
	"testing"
)

func TestASelectorIsReplacedInALineOfATable(t *testing.T) {
	for line, want := range map[string]string{
		"a.test s1":                       "a.test s9",
		"a.test\ts1,e1   subdomains # s1": "a.test\ts9,e1   subdomains # s1",
		"  a.test e1,s1 keys_of=s1.test":  "  a.test e1,s9 keys_of=s1.test",
		"s1.test e1 s1":                   "s1.test e1 s9",
		"a.test ,s1,, \r":                 "a.test ,s9,, \r",
		"a.test S1":                       "a.test s9",
		"a.test s11,s1.s1,s1":             "a.test s11,s1.s1,s9",
		"a.test keys_of=b.test s1":        "a.test keys_of=b.test s9",
		"a.test e1":                       "",
		"a.test sdid=b.test":              "",
		"# a.test s1":                     "",
		"a.test s9,s1":                    "", // twice the same
		"":                                "",
	} {
		got, err := ReplaceSelector(line, "s1", "s9")
		if got != want || (err != nil) != (want == "") {
			t.Errorf("%q becomes %q, %v; want %q", line, got, err, want)
		}
	}
}

func FuzzReplaceSelector(f *testing.F) {
	f.Add("a.test s1,e1 subdomains # s1", "s1", "s2")
	f.Add("\ta.test,s1 s1\r", "s1", "x")
	f.Fuzz(func(t *testing.T, line, from, to string) {
		got, err := ReplaceSelector(line, from, to)
		if err != nil {
			return
		}
		d, err := parseDomain(strings.FieldsFunc(uncommented(got), blank))
		if err != nil {
			t.Fatalf("%q becomes %q: %v", line, got, err)
		}
		if old := strings.TrimPrefix(line, uncommented(line)); !strings.HasSuffix(got, old) || len(d.Selectors) == 0 {
			t.Fatalf("%q becomes %q", line, got)
		}
	})
}

func TestAMisspeltOptionOfATableIsNoSelector(t *testing.T) {
	for line, want := range map[string]string{
		"a.test s1 subdomain":        "did you mean subdomains?",
		"a.test s1 Subdomains":       "did you mean subdomains, as a word of its own?",
		"a.test s1,subdomains":       "did you mean subdomains, as a word of its own?",
		"a.test s1 sub-domains":      "did you mean subdomains?",
		"a.test s1 subdomian":        "did you mean subdomains?",
		"a.test s1 subdomaines":      "did you mean subdomains?",
		"a.test s1 sdid b.test":      "did you mean sdid=DOMAIN?",
		"a.test s1 keys_of b.test":   "did you mean keys_of=DOMAIN?",
		"a.test s1 key_of=b.test":    "unknown key",
		"a.test s1 subdomains=true":  "unknown key",
		"a.test s1 keys_of = b.test": "did you mean keys_of=DOMAIN?",
		"a.test s1,domains":          "",
		"a.test sub1 subs domain":    "",
		"a.test s1 subdomains":       "",
		"a.test s1 2026":             "",
	} {
		_, err := parseDomain(strings.Fields(line))
		if (err == nil) != (want == "") || (err != nil && !strings.Contains(err.Error(), want)) {
			t.Errorf("%q: %v, want %q", line, err, want)
		}
	}
}
