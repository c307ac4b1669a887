package signer

import (
	"fmt"
	"strings"

	"signpost/keys"
)

// table finds the keys for an author domain. It is built once for a generation:
// a look-up is one map access for each label of the name at most.
type table struct {
	exact map[string]entry
	any   *entry
	store *keys.Store
}

// entry is one line of the table with its keys loaded.
type entry struct {
	sdid       string // the d= of its signatures; AnyDomain: the author domain itself
	subdomains bool
	selectors  []string
	keys       []*keys.Key // in the order of selectors
}

// choice is what signs one message.
type choice struct {
	sdid string
	keys []*keys.Key
	rule string // how the entry was found, for the log
}

// choose returns the keys for an author domain, most specific entry first: the
// domain itself, its nearest parent with subdomains, "*". ok is false where
// none is meant to sign, and rule says so.
func (t *table) choose(author string) (c choice, ok bool) {
	if e, found := t.exact[author]; found {
		return choice{e.sdid, e.keys, "signer.domains " + author}, true
	}
	for name := author; ; {
		_, parent, more := strings.Cut(name, ".")
		if !more {
			break
		}
		if e, found := t.exact[parent]; found && e.subdomains {
			return choice{e.sdid, e.keys, "signer.domains " + parent + " with subdomains"}, true
		}
		name = parent
	}
	if t.any == nil {
		return choice{rule: fmt.Sprintf("author domain %s has no entry in signer.domains; to sign it: signpost keys generate %s SELECTOR, publish the record, add the entry, reload", author, author)}, false
	}
	found := t.anyKeys(author)
	if len(found) == 0 {
		return choice{rule: fmt.Sprintf("author domain %s comes under \"*\" in signer.domains, but has no key for selector %s; signpost keys generate %s %s makes one, then publish it and reload",
			author, strings.Join(t.any.selectors, " or "), author, t.any.selectors[0])}, false
	}
	return choice{author, found, `signer.domains "*"`}, true
}

// anyKeys returns the keys with which the "*" entry signs for an author domain:
// those in the domain's own folder, else those in the folder "*", which sign for
// everybody.
func (t *table) anyKeys(author string) []*keys.Key {
	var found []*keys.Key
	for _, domain := range []string{author, AnyDomain} {
		for _, selector := range t.any.selectors {
			if k, ok := t.store.Lookup(domain, selector); ok {
				found = append(found, k)
			}
		}
		if len(found) > 0 {
			break
		}
	}
	return found
}

// newTable builds the table of a validated configuration. Every selector of an
// entry must have its key in the store; a missing one is an error, not a gap.
func newTable(domains []Domain, store *keys.Store) (*table, error) {
	t := &table{exact: make(map[string]entry, len(domains)), store: store}
	for _, d := range domains {
		name, _ := entryName(d.Domain)
		e := entry{sdid: name, subdomains: d.Subdomains, selectors: d.Selectors}
		if name == AnyDomain {
			t.any = &e
			continue
		}
		for _, selector := range d.Selectors {
			k, ok := store.Lookup(name, selector)
			if !ok {
				return nil, fmt.Errorf("no key for selector %s of %s", selector, name)
			}
			e.keys = append(e.keys, k)
		}
		t.exact[name] = e
	}
	return t, nil
}
