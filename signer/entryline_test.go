package signer

import (
	"strings"
	"testing"

	"signpost/keys"
	"signpost/keys/lifecycle"
)

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
		_, err := ParseEntry(strings.Fields(line))
		if (err == nil) != (want == "") || (err != nil && !strings.Contains(err.Error(), want)) {
			t.Errorf("%q: %v, want %q", line, err, want)
		}
	}
}

func FuzzTableLine(f *testing.F) {
	for _, seed := range []string{"example.com s1,s2 subdomains", "a.example sdid=b.example", "*.x.example s1 keys_of=*", "a@b.example s", "= = ="} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, line string) {
		words := strings.Fields(line)
		if len(words) == 0 {
			return
		}
		d, err := ParseEntry(words)
		if err != nil {
			return
		}
		c := Config{Domains: []Domain{d}}
		newTable(c.Index(), &lifecycle.ActiveKeys{})
		c.Refs()
		c.Listed([]keys.Ref{{Domain: "a.example", Selector: "s1"}, {Domain: AnyDomain, Selector: "s1"}})
		c.Index().SharedKeys()
		c.Warnings()
	})
}
