package signer

import (
	"fmt"
	"strings"

	"signpost/internal/message"
)

// Domain is one entry of the signing table.
type Domain struct {
	// Domain is an author domain, a pattern with "*" in it, a whole address, or "*" for every
	// domain that has no entry.
	Domain string `yaml:"domain"`
	// Selectors are the keys <keys.dir>/<domain>/<selector>.pem. Each of them signs.
	Selectors []Selector `yaml:"selectors"`
	// Subdomains makes the entry sign for all names below the domain too. The signature has
	// d= of this domain, which DMARC accepts in relaxed mode.
	Subdomains bool `yaml:"subdomains"`
	// KeysOf is the domain whose key folder is used; "": this domain. The signature still has
	// d= of this domain, so its record must be in DNS under this domain.
	KeysOf string `yaml:"keys_of"`
	// SDID signs the mail as another domain, with d= and the keys of that domain's entry.
	SDID string `yaml:"sdid"`

	table *Place // where it stands, without the line; nil: in the YAML file
	line  int32
	// canonical says that Domain is an exact domain in its normal form, and canonicalOwner the same
	// of KeysOf. Where they are false, the form has to be found.
	canonical, canonicalOwner bool
}

// kind is the kind of name that an entry has.
type kind int

const (
	noKind      kind = iota
	exactDomain      // in A-labels
	wholeAddress
	domainGlob
	anyDomain
)

// entryName returns the normal form of an entry's name, and its kind.
func entryName(domain string) (string, kind) {
	if domain == AnyDomain {
		return AnyDomain, anyDomain
	}
	if at := strings.LastIndexByte(domain, '@'); at > 0 {
		name, ok := message.DomainToASCII(domain[at+1:])
		if ok && strings.Contains(name, ".") && !strings.ContainsAny(domain[:at], "* \t\"") {
			return lower(domain[:at]) + "@" + name, wholeAddress
		}
		return "", noKind
	}
	if pattern, ok := domainPattern(domain); ok {
		return pattern, domainGlob
	}
	if name, ok := message.DomainToASCII(domain); ok && strings.Contains(name, ".") {
		return name, exactDomain
	}
	return "", noKind
}

// name returns the normal form of a valid entry's name.
func (d *Domain) name() (string, kind) {
	if d.canonical {
		return d.Domain, exactDomain
	}
	return entryName(d.Domain)
}

func (d *Domain) kind() kind {
	_, k := d.name()
	return k
}

// owner returns the normal form of KeysOf and its kind.
func (d *Domain) owner() (string, kind) {
	if d.canonicalOwner {
		return d.KeysOf, exactDomain
	}
	return entryName(d.KeysOf)
}

// noteCanonical sets canonical and canonicalOwner.
func (d *Domain) noteCanonical() {
	name, k := entryName(d.Domain)
	d.canonical = k == exactDomain && name == d.Domain
	if d.KeysOf != "" {
		owner, k := entryName(d.KeysOf)
		d.canonicalOwner = k == exactDomain && owner == d.KeysOf
	}
}

func (d *Domain) validate(path string, bad func(path, problem string)) {
	_, k := d.name()
	switch {
	case d.Domain == "":
		bad(path, `an entry needs a domain: write domain: example.com, or domain: "*" for all others`)
	case k == noKind:
		bad(path+".domain", fmt.Sprintf("%q is not a domain name of at least two labels, a pattern of them or an address: write one such as example.com, \"*.example.com\" or alice@example.com", d.Domain))
	case d.Subdomains && k == anyDomain:
		bad(path+".subdomains", `"*" matches every domain already: leave subdomains out`)
	case d.Subdomains && k != exactDomain:
		bad(path+".subdomains", fmt.Sprintf("%q is no domain: leave subdomains out", d.Domain))
	}
	d.validateOtherDomains(path, k, bad)
	if len(d.Selectors) == 0 && d.SDID == "" {
		bad(path, fmt.Sprintf("%q has no selectors: write selectors: [NAME], NAME as given to signpost keys generate", d.Domain))
	}
	seen := make(map[string]bool, len(d.Selectors))
	for j, s := range d.Selectors {
		if problem := s.problem(seen); problem != "" {
			bad(fmt.Sprintf("%s.selectors[%d]", path, j), problem)
		}
	}
}

// validateOtherDomains checks keys_of and sdid.
func (d *Domain) validateOtherDomains(path string, k kind, bad func(path, problem string)) {
	if d.SDID != "" {
		if _, target := entryName(d.SDID); target != exactDomain {
			bad(path+".sdid", fmt.Sprintf("%q is not a domain name: write that of an entry, as example.com", d.SDID))
		}
		if len(d.Selectors) > 0 || d.KeysOf != "" {
			bad(path, fmt.Sprintf("with sdid the keys are those of %s's entry: leave selectors and keys_of out", d.SDID))
		}
		return
	}
	if d.KeysOf == "" {
		return
	}
	owner, target := d.owner()
	own, _ := d.name()
	switch {
	case target != exactDomain && target != anyDomain:
		bad(path+".keys_of", fmt.Sprintf("%q is not a domain name: write the one in whose folder the keys are, as example.com", d.KeysOf))
	case k == wholeAddress:
		bad(path+".keys_of", "an address signs with keys of its own domain: write sdid for another's")
	case owner == own:
		bad(path+".keys_of", "the keys are the domain's own: leave keys_of out")
	}
}

// problem returns the mistake in a selector, or "". seen has the names of those before.
func (s Selector) problem(seen map[string]bool) string {
	name, ok := message.DomainToASCII(s.Selector)
	twice := seen[name]
	seen[name] = true
	switch {
	case s.Selector == "":
		return "an entry needs a selector: write its name alone, or {selector: NAME, active_from: 2027-01-31}"
	case !ok:
		return fmt.Sprintf("%q is not a selector: letters, digits, hyphens and dots, such as s2026", s.Selector)
	case strings.Contains(name, "._domainkey."):
		return fmt.Sprintf("%q is the name of a record: write the selector alone, %s", s.Selector, name[:strings.Index(name, "._domainkey.")])
	case twice:
		return fmt.Sprintf("%q is listed twice", s.Selector)
	}
	return ""
}

// sdidProblem returns the problem with the entry that sdid names, or "".
func (x *Index) sdidProblem(d Domain) string {
	if d.SDID == "" {
		return ""
	}
	sdid, k := entryName(d.SDID)
	if k != exactDomain {
		return ""
	}
	target := x.lookup(sdid)
	switch {
	case target == nil:
		return fmt.Sprintf("%s has no entry in signer.domains: add one with its selectors", sdid)
	case target.SDID != "":
		return fmt.Sprintf("the entry of %s has no keys of its own: write sdid: %s", sdid, target.SDID)
	}
	return ""
}
