package dmarc

import (
	"strings"

	"golang.org/x/net/publicsuffix"

	"signpost/internal/message"
)

// registrable returns the domain, in A-labels, that is directly below a public suffix and
// contains domain; ok is false for a public suffix and for text that is not a domain name.
// The list of public suffixes is the built-in one, with both of its sections.
func registrable(domain string) (name string, ok bool) {
	ascii, ok := message.DomainToASCII(domain)
	if !ok {
		return "", false
	}
	suffix, _ := publicsuffix.PublicSuffix(ascii)
	labels := strings.Count(suffix, ".") + 1
	if strings.Count(ascii, ".")+1 <= labels {
		return "", false
	}
	return lastLabels(ascii, labels+1), true
}

// icannSuffix reports whether a domain, in lower-case A-labels, is a public suffix of
// the ICANN section of the built-in list: unrelated parties register names below it.
func icannSuffix(domain string) bool {
	suffix, icann := publicsuffix.PublicSuffix(domain)
	return icann && suffix == domain
}

// registered returns the organizational domain by the list: a public suffix is its own
// (RFC 7489 §3.2).
func registered(domain string) string {
	if org, ok := registrable(domain); ok {
		return org
	}
	return domain
}
