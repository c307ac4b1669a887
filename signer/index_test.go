package signer

import (
	"fmt"
	"testing"
)

// Tables index their entries by name while they are read. That index is the one of the whole configuration.
func TestNamesAreThoseOfTheEntries(t *testing.T) {
	c := Defaults()
	c.Domains = []Domain{{Domain: "first.example", Selectors: []Selector{{Selector: "s1"}}}}
	entries := c.Entries()
	for i, words := range [][]string{
		{"lost.example", "sdid=none.example"}, {"Second.Example", "s1", "keys_of=FIRST.example"},
		{"alice@second.example", "s1"}, {"*.third.example", "s1", "keys_of=first.example"}, {"fourth.example", "s1", "keys_of=first.example"},
	} {
		if err := entries.Add(Place{Source: "table", Line: i + 1}, words); err != nil {
			t.Fatal(err)
		}
	}
	lost := 0
	index := entries.Resolve(&c, func(string, bool, string) { lost++ })
	want := func(c Config, index *Index) {
		t.Helper()
		for i := range c.Domains {
			d := &c.Domains[i]
			if name, _ := d.name(); index.lookup(name) != d {
				t.Errorf("%s is the entry %+v, not %+v", name, index.lookup(name), d)
			}
		}
		if len(index.byName) != len(c.Domains) {
			t.Errorf("%d entries have %d names", len(c.Domains), len(index.byName))
		}
		owner := index.SharedKeys()
		for domain, want := range map[string]string{
			"first.example": "", "second.example": "first.example", "fourth.example": "first.example",
			"alice@second.example": "", "*.third.example": "", "x.third.example": "", "lost.example": "",
		} {
			if got := owner(domain); got != want {
				t.Errorf("the keys of %s are from %q, not %q", domain, got, want)
			}
		}
	}
	if lost != 1 || len(c.Domains) != 5 {
		t.Fatalf("%d lost, %+v", lost, c.Domains)
	}
	want(c, index)
	want(c, c.Index())

	entries = c.Entries() // without one that is lost
	want(c, entries.Resolve(&c, func(string, bool, string) { t.Error("an entry is lost") }))
}

// Each entry lists the selectors of its own line, and none of the lines around it.
func TestTheSelectorsOfALineAreItsOwn(t *testing.T) {
	c := Defaults()
	entries := c.Entries()
	lines := [][]string{
		{"a.example", "s1"}, {"b.example", "s2,s3"}, {"c.example", "s1"}, {"d.example", "s4", "s5"}, {"e.example", "sdid=a.example"}, {"f.example", "s6"}, {"g.example", "s2,s3,s7"},
	}
	for i, words := range lines {
		if err := entries.Add(Place{Source: "table", Line: i + 1}, words); err != nil {
			t.Fatal(err)
		}
	}
	entries.Resolve(&c, func(_ string, _ bool, problem string) { t.Error(problem) })
	want := []string{"[s1]", "[s2 s3]", "[s1]", "[s4 s5]", "[]", "[s6]", "[s2 s3 s7]"}
	for i, d := range c.Domains {
		var names []string
		for _, s := range d.Selectors {
			names = append(names, s.Selector)
		}
		if got := fmt.Sprint(names); got != want[i] {
			t.Errorf("%s has the selectors %s, want %s", d.Domain, got, want[i])
		}
	}
}

func TestNamesAreTheDomainsThatTheConfigurationLists(t *testing.T) {
	index := Config{Domains: []Domain{
		{Domain: "example.com"}, {Domain: "example.net", Subdomains: true},
		{Domain: "*.pattern.example"}, {Domain: "*"}, {Domain: "alice@example.org"},
	}}.Index()
	for domain, want := range map[string]bool{
		"example.com": true, "sub.example.com": false, "example.net": true, "a.b.example.net": true,
		"x.pattern.example": false, "elsewhere.example": false, "example.org": false, "alice@example.org": false, "*": false, "*.pattern.example": false, "com": false, "": false,
	} {
		if index.Names(domain) != want {
			t.Errorf("%q: %v", domain, !want)
		}
	}
}
