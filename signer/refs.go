package signer

import (
	"strings"

	"signpost/internal/message"
	"signpost/keys"
	"signpost/keys/lifecycle"
)

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
			if d.fromDatabase != lenient || folder == "" || (!lenient && len(optional) == 0) {
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

// Listed returns the keys that may sign, for lifecycle.Spec: those of the entries, and
// for patterns and "*" those of their selectors that are there, of domains without an
// entry of their own.
func (c Config) Listed(there []keys.Ref) []lifecycle.Listed {
	var listed []lifecycle.Listed
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
				l.SignsFor = duty
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

func (s Selector) listed(domain string) lifecycle.Listed {
	selector, _ := message.DomainToASCII(s.Selector)
	return lifecycle.Listed{Ref: keys.Ref{Domain: domain, Selector: selector}, ActiveFrom: s.ActiveFrom.Time}
}
