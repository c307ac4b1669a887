package main

import (
	"errors"
	"fmt"
	"strings"

	"signpost/internal/control"
	"signpost/internal/daemon"
	"signpost/internal/message"
	"signpost/keys"
	"signpost/signer"
)

// keyUse is one entry that signs with a key.
type keyUse struct {
	Entry string `json:"entry"` // its domain, pattern or address
	Where string `json:"where"`
	// How it comes to the key: own, address, keys_of, sdid, or seals for signer.arc.
	How string `json:"how"`
	// Changed says that the entry lists the new key from the next reload on. An entry that
	// many domains come under is never changed: nothing looks whether all have the record.
	Changed bool `json:"changed"`
	// Record is the name under which the entry needs the new record, where that is not
	// the domain's own; for a pattern, one that begins as the pattern does.
	Record string `json:"record_name,omitempty"`

	entry int // its index; -1: there is nothing to edit
	place signer.Place
}

// byHand reports whether a person has to change the entry.
func (u keyUse) byHand() bool { return u.Changed && u.place.Database }

// rotating is a domain whose keys are replaced.
type rotating struct {
	domain    string // in A-labels
	own       *signer.Domain
	selectors []signer.Selector
	users     map[string]bool // domains that sign with its keys under their own names
}

// domains are those whose records have the keys' selectors.
func (r rotating) domains() map[string]bool {
	all := map[string]bool{r.domain: true}
	for d := range r.users {
		all[d] = true
	}
	return all
}

// rotating finds the keys of a domain that are to be replaced: those of its own entry,
// or, where it has none and all is set, those that other entries sign with.
func (c Config) rotating(domain string, all bool) (rotating, error) {
	own := c.entryOf(domain)
	if own != nil {
		if err := rotatable(domain, own); err != nil {
			return rotating{}, err
		}
	}
	r := rotating{domain: asciiDomain(domain), own: own, users: map[string]bool{}}
	if own != nil {
		r.domain, r.selectors = asciiDomain(own.Domain), own.Selectors
	}
	var others []string
	for _, d := range c.Signer.Domains {
		if d.KeysOf == "" || asciiDomain(d.KeysOf) != r.domain {
			continue
		}
		others = append(others, d.Domain)
		r.users[asciiDomain(d.Domain)] = true
		if own == nil {
			r.selectors = appendNew(r.selectors, d.Selectors)
		}
	}
	switch {
	case own == nil && len(others) == 0:
		return r, &control.Error{Problem: domain + " has no entry in signer.domains or signer.tables", Remedy: "signpost keys generate " + domain + " SELECTOR makes its first key"}
	case own == nil && !all:
		return r, fmt.Errorf("%s has no entry of its own, and its keys sign for %s: signpost keys rotate --all-entries %s changes all of these", domain, daemon.SomeOf(others), domain)
	}
	return r, nil
}

// rotatable returns an error for an entry whose keys are not its own.
func rotatable(domain string, entry *signer.Domain) error {
	switch {
	case entry.Domain == keys.AnyDomain:
		return errors.New(`the entry "*" stands for many domains, whose records all have to be published first: make each domain's new key with signpost keys generate, then change the entry by hand`)
	case entry.SDID != "":
		return fmt.Errorf("%s is signed as %s: signpost keys rotate %s", domain, entry.SDID, entry.SDID)
	case entry.KeysOf != "":
		return fmt.Errorf("%s signs with the keys of %s, and DNS has to have the new one for both before: signpost keys rotate --all-entries %s changes every entry that does", domain, entry.KeysOf, entry.KeysOf)
	case strings.ContainsAny(entry.Domain, "*@"):
		return fmt.Errorf("%q is no domain: make the new key with signpost keys generate, then change the entry by hand", entry.Domain)
	}
	return nil
}

func appendNew(list, more []signer.Selector) []signer.Selector {
	for _, s := range more {
		seen := false
		for _, have := range list {
			seen = seen || strings.EqualFold(have.Selector, s.Selector)
		}
		if !seen {
			list = append(list, s)
		}
	}
	return list
}

// entryOf finds the domain's own entry; nil: it has none.
func (c Config) entryOf(domain string) *signer.Domain {
	want := asciiDomain(domain)
	for i := range c.Signer.Domains {
		d := &c.Signer.Domains[i]
		if d.Domain == domain || (want != "" && asciiDomain(d.Domain) == want) {
			return d
		}
	}
	return nil
}

// asciiDomain returns a domain in A-labels. Other text is returned unchanged.
func asciiDomain(domain string) string {
	if ascii, ok := message.DomainToASCII(domain); ok {
		return ascii
	}
	return strings.ToLower(domain)
}

// keyUses are the entries that sign with one key of the domain, its own first.
func (c Config) keyUses(r rotating, k *keys.Key, selector string, all bool) []keyUse {
	var own, others []keyUse
	signs := map[string]bool{r.domain: true} // the names under which the key is used
	for i, d := range c.Signer.Domains {
		if !d.SignsWith(r.domain, selector) && !c.signsByLoan(d, r.domain, k, selector) {
			continue
		}
		u := keyUse{Entry: d.Domain, How: "keys_of", Changed: all, entry: i, place: d.Place(), Where: c.where(i)}
		switch name := asciiDomain(d.Domain); {
		case r.own != nil && name == r.domain:
			u.How, u.Changed = "own", true
			own = append(own, u)
			continue
		case d.KeysOf == "":
			u.How = "address"
		case strings.Contains(d.Domain, "*"):
			// Whether the domains under it have the new record is for a person to see.
			u.Record, u.Changed = selectorName(d.Domain), false
		default:
			u.Record = selectorName(d.Domain)
			signs[name] = true
		}
		others = append(others, u)
	}
	for i, d := range c.Signer.Domains {
		if target := asciiDomain(d.SDID); d.SDID != "" && signs[target] {
			others = append(others, keyUse{Entry: d.Domain, How: "sdid", Changed: all || target == r.domain, entry: -1, Where: c.where(i)})
		}
	}
	if c.Signer.ARC.SealsWith(r.domain, selector) {
		others = append(others, keyUse{Entry: "ARC seals", How: "seals", entry: -1, Where: "signer.arc.selector"})
	}
	return append(own, others...)
}

// selectorName is the domain part of a record's name for an entry.
func selectorName(domain string) string { return "._domainkey." + asciiDomain(domain) }

// signsByLoan reports whether an entry for a domain signs with the key by keys_of: a
// key file of its own would go before.
func (c Config) signsByLoan(d signer.Domain, owner string, k *keys.Key, selector string) bool {
	if d.KeysOf == "" || asciiDomain(d.KeysOf) != owner || strings.ContainsAny(d.Domain, "*@") {
		return false
	}
	if !d.SignsWith(asciiDomain(d.Domain), selector) {
		return false
	}
	lent, err := c.Keys.Key(d.Domain, selector)
	return err != nil || lent.Fingerprint() == k.Fingerprint()
}

// where is the place of an entry, for a person.
func (c Config) where(i int) string {
	if place := c.Signer.Domains[i].Place(); place.Source != "" {
		return place.String()
	}
	return fmt.Sprintf("signer.domains[%d]", i)
}
