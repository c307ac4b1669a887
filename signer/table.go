package signer

import (
	"fmt"
	"strings"

	"signpost/internal/message"
	"signpost/keys"
	"signpost/keys/lifecycle"
)

// table finds the entry for an author. It is built once for each generation. A look-up costs
// at most one map access for each label of the domain, then one comparison for each pattern,
// and one map access for the active keys.
type table struct {
	*Index
	addresses bool    // there are addresses
	patterns  []entry // in the order of the configuration
	any       *entry
	active    *lifecycle.ActiveKeys
}

// entry is one line of the table, as the rules take it. It is made of a Domain when it is
// needed, since there may be a hundred thousand.
type entry struct {
	name      string // normal form
	sdid      string // the d= of its signatures; "": the author domain itself
	signsFor  string // the name in ActiveKeys; "": the author domain, else AnyDomain
	selectors []Selector
}

// target is the entry that applies to an author, and the name of its signing set.
type target struct {
	entry entry  // if its name is empty, no entry applies
	how   string // how the entry was found, if not by its own name
	set   string // "": the author domain has no keys
}

// match is the entry for one message with its keys.
type match struct {
	sdid     string
	keys     []*keys.Key
	rule     string // which entry matched and how, for the log
	override string // which listed keys do not sign, and why; "" if all do
	lost     string // if not "", a key file is missing or unusable: our failure
}

// signingSets is lifecycle.ActiveKeys.For, which waits for DNS, or its method Now.
type signingSets func(name, fallback string) (lifecycle.Found, error)

// now returns signing sets without waiting for DNS.
func (t *table) now(name, fallback string) (lifecycle.Found, error) {
	return t.active.Now(name, fallback), nil
}

// find returns the match for an author, most specific entry first: the whole address, the
// domain, its nearest parent with subdomains, the first pattern that matches, "*". If no key
// signs, the match has no keys, and its rule has the reason. The error is that of sets.
func (t *table) find(author message.Author, sets signingSets, trace *message.Trace) (match, error) {
	domain := author.Domains[0]
	address, found := t.byAddress(author, trace)
	if !found {
		at := t.byDomain(domain, trace)
		active, err := sets(at.set, "")
		if err != nil {
			return match{}, err
		}
		return at.match(active.Own, domain, trace), nil
	}
	active, err := sets(address.set, t.byDomain(domain, nil).set)
	if err != nil {
		return match{}, err
	}
	own := address.match(active.Own, domain, trace)
	if own.signs() {
		return own, nil
	}
	// The entry for the address cannot sign, so the entry for the domain signs.
	c := t.byDomain(domain, trace).match(active.Fallback, domain, trace)
	if c.signs() {
		c.override = strings.TrimPrefix(c.override+"; "+own.rule, "; ")
	} else if c.lost == "" {
		c.lost = own.lost
	}
	return c, nil
}

func (c match) signs() bool { return len(c.keys) > 0 }

// byAddress finds the entry for a whole address. There is none if From has several addresses
// or an address that is not certain.
func (t *table) byAddress(author message.Author, trace *message.Trace) (at target, found bool) {
	if !t.addresses || len(author.Addresses) != 1 {
		return target{}, false
	}
	address := lower(author.Addresses[0].Local) + "@" + author.Addresses[0].Domain
	d := t.lookup(address)
	if d == nil {
		trace.Add(domainsRule, address, "no entry for the address")
		return target{}, false
	}
	trace.Add(domainsRule, address, "an entry for the address")
	e := d.entry()
	return target{entry: e, set: e.signsFor}, true
}

func (t *table) byDomain(author string, trace *message.Trace) target {
	if d := t.exact(author); d != nil {
		trace.Add(domainsRule, author, "its own entry")
		e := d.entry()
		return target{entry: e, set: e.signsFor}
	}
	trace.Add(domainsRule, author, "no entry of its own")
	for name := author; ; {
		_, parent, more := strings.Cut(name, ".")
		if !more {
			break
		}
		d := t.exact(parent)
		covers := d != nil && d.Subdomains
		trace.Add(domainsRule, parent, ofParent(d != nil, covers))
		if covers {
			e := d.entry()
			return target{entry: e, how: " with subdomains", set: e.signsFor}
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
		return target{}
	}
	return t.byMany(*t.any, author, trace)
}

// byMany uses an entry for many domains. Its keys are those of keys_of, else those of the
// domain's own folder, else those of the folder "*".
func (t *table) byMany(e entry, author string, trace *message.Trace) target {
	if e.signsFor != "" {
		return target{entry: e, set: e.signsFor}
	}
	for _, folder := range []string{author, AnyDomain} {
		if t.active.Has(folder) {
			if trace != nil {
				trace.Add(e.rule(""), folder, "has a folder of keys")
			}
			return target{entry: e, set: folder}
		}
	}
	if trace != nil {
		trace.Add(e.rule(""), author, "has no key, and there is none for all domains: not signed")
	}
	return target{entry: e}
}

// match returns the match of a target with its signing set.
func (at target) match(d *lifecycle.SigningSet, author string, trace *message.Trace) match {
	e := at.entry
	switch {
	case e.name == "":
		return match{rule: fmt.Sprintf("author domain %s has no entry in signer.domains; to sign it: signpost keys generate %s SELECTOR, publish the record, add the entry, reload", author, author)}
	case at.set == "":
		return match{rule: fmt.Sprintf("author domain %s comes under %q in signer.domains, but has no key for selector %s; signpost keys generate %s %s makes one, then publish it and reload",
			author, e.name, e.names(), author, e.selectors[0].Selector)}
	}
	rule := e.rule(at.how)
	traceSigningSet(trace, at.set, d)
	switch {
	case d == nil:
		return match{rule: fmt.Sprintf("%s: no key is loaded for selector %s of %s; signpost keys generate makes one, then publish it and reload", rule, e.names(), at.set)}
	case d.Lost != "":
		return match{rule: rule, lost: d.Lost}
	case len(d.Keys) == 0:
		return match{rule: rule + ": " + d.Why + " (or set signer.require_published: false)"}
	}
	sdid := e.sdid
	if sdid == "" {
		sdid = author
	}
	return match{sdid: sdid, keys: d.Keys, rule: rule, override: d.Why}
}

// rule is the entry's name in the log. how says how it was found.
func (e entry) rule(how string) string {
	if strings.Contains(e.name, "*") {
		return domainsRule + ` "` + e.name + `"` + how
	}
	return domainsRule + " " + e.name + how
}

func (e entry) names() string {
	var names []string
	for _, s := range e.selectors {
		names = append(names, s.Selector)
	}
	return strings.Join(names, " or ")
}

// entry returns what the rules need of a valid Domain.
func (d *Domain) entry() entry {
	name, k := d.name()
	e := entry{name: name, signsFor: d.signsFor(), selectors: d.Selectors}
	switch {
	case d.SDID != "":
		e.sdid = e.signsFor
	case k == exactDomain:
		e.sdid = name
	}
	return e
}

// newTable builds the table of valid entries.
func newTable(index *Index, active *lifecycle.ActiveKeys) *table {
	t := &table{Index: index, active: active}
	for i := range index.domains {
		switch d := &index.domains[i]; d.kind() {
		case wholeAddress:
			t.addresses = true
		case domainGlob:
			t.patterns = append(t.patterns, d.entry())
		case anyDomain:
			e := d.entry()
			t.any = &e
		}
	}
	return t
}
