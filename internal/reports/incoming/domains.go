package incoming

import (
	"strings"

	"golang.org/x/net/publicsuffix"
)

// Domains are the domains that are ours. It never changes.
type Domains struct {
	names   map[string]bool
	parents map[string]bool // of names, without public suffixes
}

// NewDomains makes the set of names, which are entries of signer.domains or domains: an address stands
// for its domain, "*.example.com" for example.com, and "*" for nothing.
func NewDomains(entries []string) Domains {
	d := Domains{names: map[string]bool{}, parents: map[string]bool{}}
	for _, e := range entries {
		name := strings.ToLower(strings.Trim(e[strings.LastIndexByte(e, '@')+1:], "."))
		name = strings.TrimPrefix(strings.TrimPrefix(name, "*"), ".")
		if name == "" || strings.Contains(name, "*") {
			continue
		}
		d.names[name] = true
		for _, p, more := strings.Cut(name, "."); more; _, p, more = strings.Cut(p, ".") {
			if suffix, _ := publicsuffix.PublicSuffix(p); suffix != p {
				d.parents[p] = true
			}
		}
	}
	return d
}

// Ours tells whether a report about domain is for us: a domain of ours, one below it, or the one above
// whose DMARC record applies to it. domain is in lower case.
func (d Domains) Ours(domain string) bool {
	if d.parents[domain] {
		return true
	}
	for more := domain != ""; more; _, domain, more = strings.Cut(domain, ".") {
		if d.names[domain] {
			return true
		}
	}
	return false
}
