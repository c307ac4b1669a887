package signer

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"signpost/internal/dkim"
	"signpost/internal/message"
	"signpost/keys"
	"signpost/keys/lifecycle"
)

func TestTheMostSpecificEntryChoosesTheKey(t *testing.T) {
	s, store := newSigner(t, `
domains:
  - {domain: "*", selectors: [any1]}
  - {domain: "*.shops.example", selectors: [shop1]}
  - {domain: "mail-*.example", selectors: [lent1], keys_of: provider.example}
  - {domain: "*.example", selectors: [never], keys_of: provider.example}
  - {domain: example.com, selectors: [ed1], subdomains: true}
  - {domain: alice@example.com, selectors: [alice1]}
  - {domain: News@example.com, sdid: news.example.com}
  - {domain: news.example.com, selectors: [news1]}
  - {domain: customer.test, selectors: [ed1], keys_of: example.com}
  - {domain: partner.test, sdid: example.com, subdomains: true}
`, keys.Ref{Domain: "a.shops.example", Selector: "shop1"}, keys.Ref{Domain: "other.test", Selector: "any1"}, keys.Ref{Domain: "mail-9.example", Selector: "any1"})
	for _, c := range []struct{ name, from, sdid, selectors, rule string }{
		{"a whole address", "alice@example.com", "example.com", "alice1", "signer.domains alice@example.com"},
		{"a whole address in other case", "ALICE@Example.COM", "example.com", "alice1", "signer.domains alice@example.com"},
		{"another address of the domain", "bob@example.com", "example.com", "ed1", "signer.domains example.com"},
		{"an address that is one of two", "alice@example.com, bob@example.com", "example.com", "ed1", "signer.domains example.com"},
		{"an address below the domain", "alice@x.example.com", "example.com", "ed1", "signer.domains example.com with subdomains"},
		{"an address that signs as another domain", "news@example.com", "news.example.com", "news1", "signer.domains news@example.com"},
		{"the domain it signs as", "x@news.example.com", "news.example.com", "news1", "signer.domains news.example.com"},
		{"a domain with another's key", "a@customer.test", "customer.test", "ed1", "signer.domains customer.test"},
		{"a domain that signs as another", "a@partner.test", "example.com", "ed1", "signer.domains partner.test"},
		{"a name below it", "a@x.partner.test", "example.com", "ed1", "signer.domains partner.test with subdomains"},
		{"a pattern, with the domain's own key", "a@a.shops.example", "a.shops.example", "shop1", `signer.domains "*.shops.example"`},
		{"a pattern with another's key", "a@mail-1.example", "mail-1.example", "lent1", `signer.domains "mail-*.example"`},
		{"the first pattern that fits", "a@mail-9.example", "mail-9.example", "lent1", `signer.domains "mail-*.example"`},
		{"all others", "a@other.test", "other.test", "any1", `signer.domains "*"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := header(t, "From: "+c.from+"\n")
			out := sign(s, message.Envelope{}, h)
			got := []string{noteOf(out, "signed"), noteOf(out, "selectors"), noteOf(out, "entry")}
			if got[0] != c.sdid || got[1] != c.selectors || got[2] != c.rule {
				t.Errorf("signed %q, want %q %q %q; log %v", got, c.sdid, c.selectors, c.rule, out.Log)
			}
			// Names that another domain's key was published under verify with it.
			zone := lentZone(store, c.sdid)
			signed := message.Header{{Name: out.Insert[0].Name, Value: " " + out.Insert[0].Value}}
			v := dkim.NewVerification(append(signed, h...), dkim.Options{Now: testTime})
			v.LookupKey(t.Context(), 0, zone)
			v.Write([]byte(testBody))
			if o := v.Finish(); o[0].Result != dkim.Pass {
				t.Errorf("%s: %s", o[0].Result, o[0].Reason)
			}
		})
	}
	out := sign(s, message.Envelope{}, header(t, "From: a@b.shops.example\n"))
	if got := noteOf(out, "unsigned"); !strings.Contains(got, `comes under "*.shops.example" in signer.domains, but has no key for selector shop1`) {
		t.Errorf("a domain of the pattern without a key: %q", got)
	}
}

// lentZone has every key, under the domain that signs with it too.
func lentZone(store *keys.Store, sdid string) dkim.Resolver {
	zone := zoneOf(store)
	for _, k := range store.Keys() {
		if k.Domain != sdid {
			if _, own := store.Lookup(sdid, k.Selector); !own {
				zone.AddTXT(k.Selector+"._domainkey."+sdid, k.Record())
			}
		}
	}
	return zone
}

func TestAnAddressWhoseKeyMayNotSignIsSignedByItsDomain(t *testing.T) {
	s, _ := newSigner(t, `
domains:
  - {domain: example.com, selectors: [ed1]}
  - domain: alice@example.com
    selectors: [{selector: alice1, active_from: 2099-01-01}]
`)
	out := sign(s, message.Envelope{}, header(t, "From: alice@example.com\n"))
	if noteOf(out, "selectors") != "ed1" || !strings.Contains(noteOf(out, "not_as_listed"), "signer.domains alice@example.com: alice1 signs from 2099-01-01") {
		t.Errorf("the log says %v", out.Log)
	}
}

func TestAnSDIDThatIsNotAlignedIsAWarning(t *testing.T) {
	for _, c := range []struct {
		author, sdid string
		want         bool
	}{
		{"a@example.com", "news.example.com", false},
		{"shop.example.com", "example.com", false},
		{"*.example.com", "example.com", false},
		{"example.net", "example.com", true},
		{"a.co.uk", "b.co.uk", true},
		{"x@evilexample.com", "example.com", true},
	} {
		cfg := Config{Domains: []Domain{{Domain: c.author, SDID: c.sdid}}}
		w := cfg.Warnings()
		if (len(w) == 1) != c.want || (c.want && !strings.Contains(w[0], "d="+c.sdid+" is not aligned with")) {
			t.Errorf("%s signed as %s: %q", c.author, c.sdid, w)
		}
	}
	many := Config{}
	for i := range 100 {
		many.Domains = append(many.Domains, Domain{Domain: fmt.Sprintf("x%d.example", i), SDID: "example.com"})
	}
	if w := many.Warnings(); len(w) != 11 {
		t.Errorf("%d lines of warning", len(w))
	}
}

func TestEntriesAreHeldToTheirRules(t *testing.T) {
	for _, c := range []struct{ name, yaml, want string }{
		{"neither a name, a pattern nor an address", "{domain: \"a b\", selectors: [a]}", `domains[0].domain: "a b" is not a domain name of at least two labels, a pattern of them or an address`},
		{"a pattern of one label", "{domain: \"a*\", selectors: [a]}", `"a*" is not a domain name`},
		{"a pattern of addresses", "{domain: \"a*@example.com\", selectors: [a]}", `"a*@example.com" is not a domain name`},
		{"subdomains of a pattern", "{domain: \"*.example.com\", selectors: [a], subdomains: true}", `domains[0].subdomains: "*.example.com" is no domain: leave subdomains out`},
		{"sdid and selectors", "{domain: a.example, sdid: b.example, selectors: [a]}", "domains[0]: with sdid the keys are those of b.example's entry: leave selectors and keys_of out"},
		{"sdid of no entry", "{domain: a.example, sdid: b.example}", "domains[0].sdid: b.example has no entry in signer.domains: add one with its selectors"},
		{"sdid of itself", "{domain: a.example, sdid: a.example}", "domains[0].sdid: the entry of a.example has no keys of its own"},
		{"sdid that is a pattern", "{domain: a.example, sdid: \"*.example\"}", `domains[0].sdid: "*.example" is not a domain name: write that of an entry`},
		{"keys of an address", "{domain: a.example, selectors: [a], keys_of: x@b.example}", `domains[0].keys_of: "x@b.example" is not a domain name`},
		{"an address with another's keys", "{domain: x@a.example, selectors: [a], keys_of: b.example}", "domains[0].keys_of: an address signs with keys of its own domain: write sdid for another's"},
		{"keys of itself", "{domain: a.example, selectors: [a], keys_of: A.example}", "domains[0].keys_of: the keys are the domain's own: leave keys_of out"},
		{"an address twice", "{domain: a@a.example, selectors: [a]}\n  - {domain: A@A.example, selectors: [a]}", `"A@A.example" stands already in domains[0]`},
	} {
		t.Run(c.name, func(t *testing.T) {
			wantProblem(t, "domains:\n  - "+c.yaml+"\n", c.want)
		})
	}
	var many strings.Builder
	for i := range maxPatterns + 1 {
		fmt.Fprintf(&many, "  - {domain: \"*.x%d.example\", selectors: [a]}\n", i)
	}
	wantProblem(t, "domains:\n"+many.String(), "domains: 1001 patterns are more than the 1000 that are tried for a message")
	wantProblem(t, "tables: [\"\"]\n", "tables[0]: a table needs a file, or a database and a query")
}

// manyEntries is the configuration of a provider: n customers with one key.
func manyEntries(b *testing.B, n int) (Config, keys.Config) {
	c := Defaults()
	entries := c.Entries()
	for i := range n {
		if err := entries.Add(Place{Source: "table", Line: i + 1}, []string{fmt.Sprintf("customer%d.example", i), "s1", "keys_of=provider.example"}); err != nil {
			b.Fatal(err)
		}
	}
	entries.Resolve(&c, func(string, bool, string) {})
	kc := keys.Defaults()
	kc.Dir = b.TempDir()
	if _, err := keys.Generate(kc.Dir, "provider.example", "s1", keys.RSA, 2048); err != nil {
		b.Fatal(err)
	}
	return c, kc
}

func loadTable(b *testing.B, c Config, kc keys.Config) *Signer {
	kc.Shared = c.Index().SharedKeys()
	store, err := keys.Open(kc, c.Refs())
	if err != nil {
		b.Fatal(err)
	}
	plan := &lifecycle.Spec{Config: kc, Store: store, Listed: c.Listed(store.Refs())}
	lifecycle.NewTracker(filepath.Join(kc.Dir, "none"), func() time.Time { return testTime }).Preview(plan)
	return New(c, c.Index(), &plan.Active, func() time.Time { return testTime })
}

func BenchmarkChooseAmong100000Domains(b *testing.B) {
	c, kc := manyEntries(b, 100_000)
	s := loadTable(b, c, kc)
	author := header(b, "From: a@customer54321.example\n").Author()
	b.ReportAllocs()
	for b.Loop() {
		if c, _ := s.table.find(author, s.table.now, nil); !c.signs() {
			b.Fatal("not signed")
		}
	}
}
