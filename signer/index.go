package signer

import (
	"slices"
	"strings"
)

// Index finds the entries of a valid configuration by name. It never changes, and is safe for
// concurrent use.
type Index struct {
	domains []Domain
	byName  map[string]int32 // of domains; of addresses with the local part in lower case
}

// Index returns the index of the configuration's entries. Where tables were read,
// Entries.Resolve has returned it already.
func (c Config) Index() *Index {
	x := &Index{c.Domains, make(map[string]int32, len(c.Domains))}
	for i := range c.Domains {
		name, _ := c.Domains[i].name()
		x.byName[name] = int32(i)
	}
	return x
}

// lookup returns the entry with a name in its normal form; nil: none.
func (x *Index) lookup(name string) *Domain {
	if i, found := x.byName[name]; found {
		return &x.domains[i]
	}
	return nil
}

// exact returns the entry of a domain by its own name; nil: none. Addresses and patterns are
// no domains.
func (x *Index) exact(domain string) *Domain {
	if d := x.lookup(domain); d != nil && !strings.ContainsAny(domain, "@*") {
		return d
	}
	return nil
}

// Names reports whether a domain, in lower case and A-labels, is one of ours: it has an
// entry of its own, or a parent has one with subdomains. Patterns, "*" and addresses do not
// count, since they match domains of others too.
func (x *Index) Names(domain string) bool {
	if x.exact(domain) != nil {
		return true
	}
	for _, parent, more := strings.Cut(domain, "."); more; _, parent, more = strings.Cut(parent, ".") {
		if d := x.exact(parent); d != nil && d.Subdomains {
			return true
		}
	}
	return false
}

// SharedKeys returns, for keys.Config.Shared, the function that names the domain from whose folder
// another one's keys come; nil where keys_of is not used.
func (x *Index) SharedKeys() func(domain string) (owner string) {
	if !slices.ContainsFunc(x.domains, func(d Domain) bool { return d.KeysOf != "" }) {
		return nil
	}
	return func(domain string) string {
		d := x.lookup(domain)
		if d == nil || d.KeysOf == "" || d.kind() != exactDomain {
			return ""
		}
		owner, _ := d.owner()
		return owner
	}
}
