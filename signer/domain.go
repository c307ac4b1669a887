package signer

import (
	"fmt"
	"slices"
	"strings"

	"golang.org/x/net/publicsuffix"

	"signpost/internal/message"
	"signpost/keys"
)

// Domain is one entry of the signing table.
type Domain struct {
	// Domain is an author domain, a pattern of them with "*" in it, one author's
	// whole address, or "*" for every domain that has no entry.
	Domain string `yaml:"domain"`
	// Selectors all sign, each with the key <keys.dir>/<domain>/<selector>.pem.
	Selectors []Selector `yaml:"selectors"`
	// Subdomains lets the entry sign for the names below the domain too; the
	// signature still says d=domain, which is aligned in relaxed mode.
	Subdomains bool `yaml:"subdomains"`
	// KeysOf is the domain in whose folder the keys are; "": the domain itself. The
	// signature says d=domain all the same, and DNS must have the key under it.
	KeysOf string `yaml:"keys_of"`
	// SDID has the mail signed as that of another domain, which has an entry: with
	// its d= and its keys.
	SDID string `yaml:"sdid"`

	lenient bool // it is of a database: its keys may be missing
}

// kind is what an entry is found by.
type kind int

const (
	noKind      kind = iota
	exactDomain      // in A-labels
	wholeAddress
	domainGlob
	anyDomain
)

// entryName returns the form that an entry is found by.
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

// name is the form the entry is found by; its kind is known to be good.
func (d Domain) name() (string, kind) { return entryName(d.Domain) }

func (d Domain) validate(path string, bad func(path, problem string)) {
	_, k := entryName(d.Domain)
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
	d.validateLoan(path, k, bad)
	if len(d.Selectors) == 0 && d.SDID == "" {
		bad(path, fmt.Sprintf("%q has no selectors: write selectors: [NAME], NAME as given to signpost keys generate", d.Domain))
	}
	seen := map[string]bool{}
	for j, s := range d.Selectors {
		s.validate(fmt.Sprintf("%s.selectors[%d]", path, j), seen, bad)
	}
}

// validateLoan is about what an entry takes from other domains.
func (d Domain) validateLoan(path string, k kind, bad func(path, problem string)) {
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
	owner, target := entryName(d.KeysOf)
	own, _ := entryName(d.Domain)
	switch {
	case target != exactDomain && target != anyDomain:
		bad(path+".keys_of", fmt.Sprintf("%q is not a domain name: write the one in whose folder the keys are, as example.com", d.KeysOf))
	case k == wholeAddress:
		bad(path+".keys_of", "an address signs with keys of its own domain: write sdid for another's")
	case owner == own:
		bad(path+".keys_of", "the keys are the domain's own: leave keys_of out")
	}
}

func (s Selector) validate(at string, seen map[string]bool, bad func(path, problem string)) {
	name, ok := message.DomainToASCII(s.Selector)
	switch {
	case s.Selector == "":
		bad(at, "an entry needs a selector: write its name alone, or {selector: NAME, active_from: 2027-01-31}")
	case !ok:
		bad(at, fmt.Sprintf("%q is not a selector: letters, digits, hyphens and dots, such as s2026", s.Selector))
	case seen[name]:
		bad(at, fmt.Sprintf("%q is listed twice", s.Selector))
	}
	seen[name] = true
}

// duty is the name under which the roster has an entry's keys; "" where it depends
// on the author domain.
func (d Domain) duty() string {
	name, k := d.name()
	switch {
	case d.SDID != "":
		sdid, _ := entryName(d.SDID)
		return sdid
	case k == exactDomain, k == wholeAddress:
		return name
	case d.KeysOf != "":
		owner, _ := entryName(d.KeysOf)
		return name + " by the keys of " + owner
	}
	return ""
}

// folder is the domain whose keys an entry names; "" for those of many domains.
func (d Domain) folder() string {
	name, k := d.name()
	switch {
	case k == exactDomain:
		return name
	case k == wholeAddress:
		return name[strings.LastIndexByte(name, '@')+1:]
	case d.KeysOf != "":
		owner, _ := entryName(d.KeysOf)
		return owner
	}
	return ""
}

// Refs returns the keys that a configuration signs with, for keys.Open.
func (c Config) Refs() []keys.Ref {
	var refs []keys.Ref
	for _, d := range c.Domains {
		folder := d.folder()
		if folder == "" {
			folder = AnyDomain
		}
		for _, s := range d.Selectors {
			refs = append(refs, keys.Ref{Domain: folder, Selector: s.Selector})
		}
	}
	return refs
}

// Optional returns, for keys.Config, the keys that only databases name.
func (c Config) Optional() map[keys.Ref]bool {
	optional := map[keys.Ref]bool{}
	for _, lenient := range []bool{true, false} { // what the YAML file or a table file names too is not
		for _, d := range c.Domains {
			folder := d.folder()
			if d.lenient != lenient || folder == "" || (!lenient && len(optional) == 0) {
				continue
			}
			for _, s := range d.Selectors {
				ref := keys.Ref{Domain: folder, Selector: s.Selector}
				if lenient {
					optional[ref] = true
				} else {
					delete(optional, ref)
				}
			}
		}
	}
	return optional
}

// Lent returns, for keys.Config, the domains that sign with keys from the folder of
// another one.
func (c Config) Lent() map[string]string {
	lent := map[string]string{}
	for _, d := range c.Domains {
		name, k := d.name()
		if owner, ok := entryName(d.KeysOf); d.KeysOf != "" && ok != noKind && k == exactDomain {
			lent[name] = owner
		}
	}
	return lent
}

// Listed returns the keys that may sign, for keys.Plan: those of the entries, and
// for patterns and "*" those of their selectors that are there, of domains without an
// entry of their own.
func (c Config) Listed(there []keys.Ref) []keys.Listed {
	var listed []keys.Listed
	taken := make(map[string]bool, len(c.Domains)) // domains that have an entry
	var many []Domain                              // entries that many domains come under
	for _, d := range c.Domains {
		name, k := d.name()
		folder, duty := d.folder(), d.duty()
		taken[name] = true
		if k == domainGlob || k == anyDomain {
			many = append(many, d)
		}
		if folder == "" {
			continue
		}
		for _, s := range d.Selectors {
			l := s.listed(folder)
			if k != exactDomain {
				l.Duty = duty
			}
			listed = append(listed, l)
		}
	}
	for _, ref := range there {
		if taken[ref.Domain] && ref.Domain != AnyDomain {
			continue
		}
		for _, d := range underWhich(many, ref.Domain) {
			for _, s := range d.Selectors {
				if l := s.listed(ref.Domain); l.Ref == ref {
					listed = append(listed, l)
				}
			}
		}
	}
	return listed
}

// underWhich returns the entries by which a domain without its own signs with the
// keys of its folder: the first pattern that fits, else "*". The folder "*" is for
// all of them.
func underWhich(many []Domain, domain string) []Domain {
	var found, any []Domain
	for _, d := range many {
		name, k := d.name()
		switch {
		case domain == AnyDomain && d.duty() == "":
			found = append(found, d)
		case domain == AnyDomain:
		case k == anyDomain:
			any = []Domain{d}
		case len(found) == 0 && glob(name, domain):
			found = []Domain{d}
		}
	}
	if len(found) == 0 {
		found = any
	}
	if len(found) > 0 && found[0].duty() != "" {
		return nil
	}
	return found
}

func (s Selector) listed(domain string) keys.Listed {
	selector, _ := message.DomainToASCII(s.Selector)
	return keys.Listed{Ref: keys.Ref{Domain: domain, Selector: selector}, ActiveFrom: s.ActiveFrom.Time}
}

// Warnings are what a person should know of a section that works: what is wrong with
// databases, and the entries whose d= DMARC will take no account of (RFC 9989
// §4.4.1).
func (c Config) Warnings() []string {
	const told = 10
	lines := slices.Clone(c.troubles)
	for _, d := range c.Domains {
		name, k := d.name()
		if d.SDID == "" || k == noKind {
			continue
		}
		sdid, _ := entryName(d.SDID)
		author := strings.TrimPrefix(name[strings.LastIndexByte(name, '@')+1:], "*.")
		if aligned(author, sdid) {
			continue
		}
		if len(lines) >= told+len(c.troubles) {
			return append(lines, "signer.domains: and more entries whose sdid is not aligned")
		}
		lines = append(lines, fmt.Sprintf("signer.domains %s: d=%s is not aligned with %s: the signature is good, but DMARC takes no account of it; sign with a key of its own, or with keys_of",
			d.Domain, sdid, author))
	}
	return lines
}

// aligned reports relaxed alignment as far as it can be told without DNS: by the
// list of public suffixes.
func aligned(author, sdid string) bool {
	if author == sdid {
		return true
	}
	a, err := publicsuffix.EffectiveTLDPlusOne(author)
	b, err2 := publicsuffix.EffectiveTLDPlusOne(sdid)
	return err == nil && err2 == nil && a == b
}

// loanProblem says what is wrong with the entry that sdid names, entries being the
// indexes of all by name; "" for nothing.
func (c Config) loanProblem(d Domain, entries map[string]int) string {
	sdid, k := entryName(d.SDID)
	if d.SDID == "" || k != exactDomain {
		return ""
	}
	i, ok := entries[sdid]
	switch {
	case !ok:
		return fmt.Sprintf("%s has no entry in signer.domains: add one with its selectors", sdid)
	case c.Domains[i].SDID != "":
		return fmt.Sprintf("the entry of %s has no keys of its own: write sdid: %s", sdid, c.Domains[i].SDID)
	}
	return ""
}
