package signer

import (
	"testing"
)

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
