package signer

import (
	"fmt"
	"strings"

	"signpost/internal/message"
	"signpost/keys"
	"signpost/keys/lifecycle"
)

// table finds the keys for an author. It is built once for a generation: a look-up
// is one map access for each label of the domain at most, one comparison for each
// pattern where those have found nothing, and one map access for who is on duty.
type table struct {
	exact     map[string]entry
	addresses map[string]entry // by the local part in lower case
	patterns  []entry          // in the order of the configuration
	any       *entry
	roster    *lifecycle.ActiveKeys
}

// entry is one line of the table.
type entry struct {
	name, rule string // as it is found, and as the log calls it
	sdid       string // the d= of its signatures; "": the author domain itself
	duty       string // as the roster has it; "": the author domain, else AnyDomain
	subdomains bool
	selectors  []Selector
}

// match is what signs one message.
type match struct {
	sdid     string
	keys     []*keys.Key
	rule     string                // how the entry was found, for the log
	override string                // which listed keys do not sign, and why; "" where all do
	lost     string                // not "": the file of a key is missing or cannot be used: our failure
	open     *lifecycle.SigningSet // not nil: DNS is to be heard about these keys first
	next     *lifecycle.SigningSet // not nil: it may have to be heard about these then
}

// find returns the keys for an author, most specific entry first: the whole
// address, the domain itself, its nearest parent with subdomains, the first pattern
// that fits, "*". ok is false where none is meant to sign, or none may, and rule
// says so.
func (t *table) find(author message.Author, trace *message.Trace) (c match, ok bool) {
	domain := author.Domains[0]
	c, ok = t.byAddress(author, trace)
	if c.open != nil { // where its keys may not sign, the domain's do
		domains, _ := t.byDomain(domain, nil)
		c.next = domains.open
	}
	if ok || c.open != nil {
		return c, true
	}
	idle := c.rule // an entry for the address that cannot sign: the domain's does
	lost := c.lost
	c, ok = t.byDomain(domain, trace)
	if ok && idle != "" {
		c.override = strings.TrimPrefix(c.override+"; "+idle, "; ")
	}
	if !ok && c.lost == "" {
		c.lost = lost
	}
	return c, ok
}

// byAddress finds the entry for a whole address. An address that is one of several,
// or not certain, has none.
func (t *table) byAddress(author message.Author, trace *message.Trace) (c match, ok bool) {
	if len(t.addresses) == 0 || len(author.Addresses) != 1 {
		return match{}, false
	}
	address := lower(author.Addresses[0].Local) + "@" + author.Addresses[0].Domain
	e, found := t.addresses[address]
	if !found {
		trace.Add(domainsRule, address, "no entry for the address")
		return match{}, false
	}
	trace.Add(domainsRule, address, "an entry for the address")
	return t.onDuty(e, author.Domains[0], e.duty, "", trace)
}

func (t *table) byDomain(author string, trace *message.Trace) (c match, ok bool) {
	if e, found := t.exact[author]; found {
		trace.Add(domainsRule, author, "its own entry")
		return t.onDuty(e, author, e.duty, "", trace)
	}
	trace.Add(domainsRule, author, "no entry of its own")
	for name := author; ; {
		_, parent, more := strings.Cut(name, ".")
		if !more {
			break
		}
		e, found := t.exact[parent]
		trace.Add(domainsRule, parent, ofParent(found, e))
		if found && e.subdomains {
			return t.onDuty(e, author, e.duty, " with subdomains", trace)
		}
		name = parent
	}
	for _, e := range t.patterns {
		fits := glob(e.name, author)
		trace.Add(domainsRule, e.name, ofPattern(fits))
		if fits {
			return t.byMany(e, author, trace)
		}
	}
	if t.any == nil {
		trace.Add(domainsRule+` "*"`, author, "no such entry: not signed")
		return match{rule: fmt.Sprintf("author domain %s has no entry in signer.domains; to sign it: signpost keys generate %s SELECTOR, publish the record, add the entry, reload", author, author)}, false
	}
	return t.byMany(*t.any, author, trace)
}

// named says that a domain, in lower-case A-labels, has an entry under its own name, or
// that a parent with subdomains has.
func (t *table) named(domain string) bool {
	if _, found := t.exact[domain]; found {
		return true
	}
	for _, parent, more := strings.Cut(domain, "."); more; _, parent, more = strings.Cut(parent, ".") {
		if e, found := t.exact[parent]; found && e.subdomains {
			return true
		}
	}
	return false
}

// byMany signs by an entry that many domains come under: with the keys that it
// names, or with those in the domain's own folder, else those in the folder "*",
// which sign for everybody.
func (t *table) byMany(e entry, author string, trace *message.Trace) (c match, ok bool) {
	if e.duty != "" {
		return t.onDuty(e, author, e.duty, "", trace)
	}
	for _, folder := range []string{author, AnyDomain} {
		if t.roster.Of(folder) != nil {
			trace.Add(e.rule, folder, "has a folder of keys")
			return t.onDuty(e, author, folder, "", trace)
		}
	}
	trace.Add(e.rule, author, "has no key, and there is none for all domains: not signed")
	return match{rule: fmt.Sprintf("author domain %s comes under %q in signer.domains, but has no key for selector %s; signpost keys generate %s %s makes one, then publish it and reload",
		author, e.name, e.names(), author, e.selectors[0].Selector)}, false
}

// onDuty chooses the keys of a duty that sign at the moment. how is how the entry
// was found, where that is not by its name alone.
func (t *table) onDuty(e entry, author, duty, how string, trace *message.Trace) (c match, ok bool) {
	rule := e.rule + how
	d := t.roster.Of(duty)
	traceDuty(trace, duty, d)
	switch {
	case d == nil:
		return match{rule: fmt.Sprintf("%s: no key is loaded for selector %s of %s; signpost keys generate makes one, then publish it and reload", rule, e.names(), duty)}, false
	case d.Pending():
		return match{rule: rule, open: d}, false
	case d.Lost != "":
		return match{rule: rule, lost: d.Lost}, false
	case len(d.Keys) == 0:
		return match{rule: rule + ": " + d.Why + " (or set signer.require_published: false)"}, false
	}
	sdid := e.sdid
	if sdid == "" {
		sdid = author
	}
	return match{sdid: sdid, keys: d.Keys, rule: rule, override: d.Why}, true
}

// ruleOf names an entry for the log.
func ruleOf(name string) string {
	if strings.Contains(name, "*") {
		return domainsRule + ` "` + name + `"`
	}
	return domainsRule + " " + name
}

func (e entry) names() string {
	var names []string
	for _, s := range e.selectors {
		names = append(names, s.Selector)
	}
	return strings.Join(names, " or ")
}

// newTable builds the table of a validated configuration.
func newTable(domains []Domain, roster *lifecycle.ActiveKeys) *table {
	t := &table{exact: make(map[string]entry, len(domains)), addresses: map[string]entry{}, roster: roster}
	for _, d := range domains {
		name, k := d.name()
		e := entry{name: name, rule: ruleOf(name), duty: d.duty(), subdomains: d.Subdomains, selectors: d.Selectors}
		if d.SDID != "" {
			e.sdid = e.duty
		}
		switch k {
		case exactDomain:
			if e.sdid == "" {
				e.sdid = name
			}
			t.exact[name] = e
		case wholeAddress:
			t.addresses[name] = e
		case domainGlob:
			t.patterns = append(t.patterns, e)
		case anyDomain:
			t.any = &e
		}
	}
	return t
}
