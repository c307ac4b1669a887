package signer

import (
	"fmt"
	"strings"

	"signpost/internal/message"
	"signpost/keys"
)

// table finds the keys for an author domain. It is built once for a generation:
// a look-up is one map access for each label of the name at most, and one for who
// is on duty.
type table struct {
	exact  map[string]entry
	any    *entry
	roster *keys.Roster
}

// entry is one line of the table.
type entry struct {
	sdid       string // the d= of its signatures; AnyDomain: the author domain itself
	subdomains bool
	selectors  []Selector
}

// choice is what signs one message.
type choice struct {
	sdid    string
	keys    []*keys.Key
	rule    string // how the entry was found, for the log
	instead string // which listed keys do not sign, and why; "" where all do
}

// choose returns the keys for an author domain, most specific entry first: the
// domain itself, its nearest parent with subdomains, "*". ok is false where
// none is meant to sign, or none may, and rule says so.
func (t *table) choose(author string, trace *message.Trace) (c choice, ok bool) {
	if e, found := t.exact[author]; found {
		trace.Add(theTable, author, "its own entry")
		return t.onDuty(e.sdid, e.sdid, "signer.domains "+author, trace)
	}
	trace.Add(theTable, author, "no entry of its own")
	for name := author; ; {
		_, parent, more := strings.Cut(name, ".")
		if !more {
			break
		}
		e, found := t.exact[parent]
		trace.Add(theTable, parent, ofParent(found, e))
		if found && e.subdomains {
			return t.onDuty(e.sdid, e.sdid, "signer.domains "+parent+" with subdomains", trace)
		}
		name = parent
	}
	if t.any == nil {
		trace.Add(theTable+` "*"`, author, "no such entry: not signed")
		return choice{rule: fmt.Sprintf("author domain %s has no entry in signer.domains; to sign it: signpost keys generate %s SELECTOR, publish the record, add the entry, reload", author, author)}, false
	}
	// The domain's own folder of keys, else the folder "*", whose keys sign for
	// everybody.
	for _, folder := range []string{author, AnyDomain} {
		if t.roster.Duty(folder) != nil {
			trace.Add(theTable+` "*"`, folder, "has a folder of keys")
			return t.onDuty(author, folder, `signer.domains "*"`, trace)
		}
	}
	trace.Add(theTable+` "*"`, author, "has no key, and there is none for all domains: not signed")
	return choice{rule: fmt.Sprintf("author domain %s comes under \"*\" in signer.domains, but has no key for selector %s; signpost keys generate %s %s makes one, then publish it and reload",
		author, t.any.names(), author, t.any.selectors[0].Selector)}, false
}

// onDuty chooses the keys of a domain that sign at the moment.
func (t *table) onDuty(sdid, domain, rule string, trace *message.Trace) (c choice, ok bool) {
	d := t.roster.Duty(domain)
	traceDuty(trace, domain, d)
	switch {
	case d == nil:
		return choice{rule: rule + " has no keys that are loaded; reload"}, false
	case len(d.Keys) == 0:
		return choice{rule: rule + ": " + d.Why + " (or set signer.require_published: false)"}, false
	}
	return choice{sdid: sdid, keys: d.Keys, rule: rule, instead: d.Why}, true
}

func (e entry) names() string {
	var names []string
	for _, s := range e.selectors {
		names = append(names, s.Selector)
	}
	return strings.Join(names, " or ")
}

// newTable builds the table of a validated configuration.
func newTable(domains []Domain, roster *keys.Roster) *table {
	t := &table{exact: make(map[string]entry, len(domains)), roster: roster}
	for _, d := range domains {
		name, _ := entryName(d.Domain)
		e := entry{sdid: name, subdomains: d.Subdomains, selectors: d.Selectors}
		if name == AnyDomain {
			t.any = &e
			continue
		}
		t.exact[name] = e
	}
	return t
}
