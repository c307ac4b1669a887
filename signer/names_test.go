package signer

import (
	"testing"

	"signpost/keys/lifecycle"
)

func TestNamesAreTheDomainsThatTheConfigurationLists(t *testing.T) {
	table := newTable(Config{Domains: []Domain{
		{Domain: "example.com"}, {Domain: "example.net", Subdomains: true},
		{Domain: "*.pattern.example"}, {Domain: "*"}, {Domain: "alice@example.org"},
	}}, &lifecycle.ActiveKeys{})
	for domain, want := range map[string]bool{
		"example.com": true, "sub.example.com": false, "example.net": true, "a.b.example.net": true,
		"x.pattern.example": false, "elsewhere.example": false, "example.org": false, "alice@example.org": false, "*": false, "*.pattern.example": false, "com": false, "": false,
	} {
		if table.named(domain) != want {
			t.Errorf("%q: %v", domain, !want)
		}
	}
}
