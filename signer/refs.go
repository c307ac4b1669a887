package signer

import (
	"strings"

	"signpost/internal/message"
	"signpost/keys"
	"signpost/keys/lifecycle"
)

// signsFor is the entry's name in lifecycle.ActiveKeys; "" if it depends on the author
// domain.
func (d *Domain) signsFor() string {
	name, k := d.name()
	switch {
	case d.SDID != "":
		sdid, _ := entryName(d.SDID)
		return sdid
	case k == exactDomain, k == wholeAddress:
		return name
	case d.KeysOf != "":
		owner, _ := d.owner()
		return name + " by the keys of " + owner
	}
	return ""
}

// folder is the domain whose keys the entry lists; "" if it depends on the author domain.
func (d *Domain) folder() string {
	name, k := d.name()
	switch {
	case k == exactDomain:
		return name
	case k == wholeAddress:
		return name[strings.LastIndexByte(name, '@')+1:]
	case d.KeysOf != "":
		owner, _ := d.owner()
		return owner
	}
	return ""
}

// Refs returns all keys that the configuration lists, for keys.Open.
func (c Config) Refs() []keys.Ref {
	refs := make([]keys.Ref, 0, len(c.Domains)+1)
	for _, d := range c.Domains {
		folder := d.folder()
		if folder == "" {
			folder = AnyDomain
		}
		for _, s := range d.Selectors {
			refs = append(refs, keys.Ref{Domain: folder, Selector: s.Selector})
		}
	}
	if ref, seals := c.ARC.key(); seals {
		refs = append(refs, ref)
	}
	return refs
}

// Optional returns, for keys.Config, the keys that only databases list. They may be
// missing.
func (c Config) Optional() map[keys.Ref]bool {
	optional := map[keys.Ref]bool{}
	for _, database := range []bool{true, false} { // a key that a file lists too is not optional
		for _, d := range c.Domains {
			if d.fromDatabase() != database || (!database && len(optional) == 0) {
				continue
			}
			folder := d.folder()
			if folder == "" {
				continue
			}
			for _, s := range d.Selectors {
				ref := keys.Ref{Domain: folder, Selector: s.Selector}
				if database {
					optional[ref] = true
				} else {
					delete(optional, ref)
				}
			}
		}
	}
	if ref, seals := c.ARC.key(); seals {
		delete(optional, ref)
	}
	return optional
}

// Listed returns the keys that may sign, for lifecycle.Spec. Patterns and "*" contribute
// the keys of present, the existing key files, whose domain has no entry of its own.
func (c Config) Listed(present []keys.Ref) []lifecycle.Listed {
	listed, many := c.listedByName()
	if len(many) > 0 {
		listed = append(listed, c.listedByFolder(many, present)...)
	}
	if ref, seals := c.ARC.key(); seals {
		listed = append(listed, lifecycle.Listed{Ref: ref, SignsFor: c.ARC.signsFor()})
	}
	return listed
}

// listedByName returns the keys of the entries that name a folder, and the entries that many
// domains come under.
func (c Config) listedByName() (listed []lifecycle.Listed, many []Domain) {
	listed = make([]lifecycle.Listed, 0, len(c.Domains)+1)
	for _, d := range c.Domains {
		name, k := d.name()
		if k == domainGlob || k == anyDomain {
			many = append(many, d)
		}
		folder, signsFor := name, ""
		if k != exactDomain {
			folder, signsFor = d.folder(), d.signsFor()
		}
		if folder == "" {
			continue
		}
		for _, s := range d.Selectors {
			l := s.listed(folder)
			l.SignsFor = signsFor
			listed = append(listed, l)
		}
	}
	return listed, many
}

// listedByFolder returns the keys of present whose domains come under the entries of many.
func (c Config) listedByFolder(many []Domain, present []keys.Ref) []lifecycle.Listed {
	hasEntry := map[string]bool{} // by domain
	for _, d := range c.Domains {
		name, _ := d.name()
		hasEntry[name] = true
	}
	var listed []lifecycle.Listed
	for _, ref := range present {
		if hasEntry[ref.Domain] && ref.Domain != AnyDomain {
			continue
		}
		for _, d := range entriesFor(many, ref.Domain) {
			for _, s := range d.Selectors {
				if l := s.listed(ref.Domain); l.Ref == ref {
					listed = append(listed, l)
				}
			}
		}
	}
	return listed
}

// listed is the key in the folder of a domain.
func (s Selector) listed(domain string) lifecycle.Listed {
	selector, _ := message.DomainToASCII(s.Selector)
	return lifecycle.Listed{Ref: keys.Ref{Domain: domain, Selector: selector}, ActiveFrom: s.ActiveFrom.Time}
}

// entriesFor returns the entries that make a domain without its own entry sign with the
// keys of its folder: the first pattern that matches, else "*". The folder "*" belongs to
// all of them.
func entriesFor(many []Domain, domain string) []Domain {
	var found, any []Domain
	for _, d := range many {
		name, k := d.name()
		switch {
		case domain == AnyDomain && d.signsFor() == "":
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
	if len(found) > 0 && found[0].signsFor() != "" {
		return nil
	}
	return found
}
