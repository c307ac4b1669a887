package lifecycle

import (
	"cmp"
	"slices"
	"time"

	"signpost/keys"
)

// Spec is the input of one generation of the configuration: the keys that it lists,
// those that are loaded, and the DNS servers to query.
type Spec struct {
	Config keys.Config
	Store  *keys.Store
	Listed []Listed
	// Require says that only keys that DNS has shown may sign. Otherwise DNS is not queried.
	Require bool
	// Servers are queried each by itself. Without any, nothing becomes known of a record.
	Servers []Server
	// ServersChanged says that Servers differ from those of the spec before: every key is
	// queried at once.
	ServersChanged bool
	// GiveWay is called now and then by a Begin at a reload, without a lock, and may pause; nil: no pauses.
	GiveWay func()
	// Active is written by the Tracker.
	Active ActiveKeys

	epoch int // counts the changes of Servers
	// onlyListed says that the known keys are exactly the listed ones, each listed once, in the set of its own
	// domain, and without an active_from. While DNS says the same, only their times of use change.
	onlyListed bool
	grouped    *layout                // see layout
	names      map[string]listedNames // see listedUnder
	previewed  *decision              // of Preview, for a Begin at the start
}

// facts are the known facts, by key. A Fact in it has no name, and is never changed, only
// replaced: the many names of one private key have one Fact in common while it is the same for
// them, and several maps share theirs.
type facts map[keys.Ref]*Fact

// of returns the fact of a key; without one, an empty fact.
func (l facts) of(ref keys.Ref) Fact {
	if f := l[ref]; f != nil {
		return f.named(ref)
	}
	return Fact{}
}

// named returns the fact with the name of its key.
func (f *Fact) named(ref keys.Ref) Fact {
	named := *f
	named.Domain, named.Selector = ref.Domain, ref.Selector
	return named
}

// decision is the result of a decision on all keys.
type decision struct {
	facts facts // from then on
	// changed says that a fact is not the one that was known. If it is false, facts is the map
	// that was known.
	changed bool
}

// assignAll writes all active keys for the time now. While a lookup in open is pending, the keys
// of its set may not be final.
func (p *Spec) assignAll(known facts, now time.Time, open map[keys.Ref]*lookup) decision {
	return p.assignGivingWay(known, now, open, func() {})
}

// assignGivingWay is assignAll with a call of giveWay for each key.
func (p *Spec) assignGivingWay(known facts, now time.Time, open map[keys.Ref]*lookup, giveWay func()) decision {
	l := p.layout()
	list := make([]*SigningSet, len(l.ends))
	if sets := p.Active.sets.Load(); sets != nil {
		copy(list, sets.list)
	}
	next := p.assign(known, now, open, nil, list, giveWay)
	p.Active.sets.Store(&signingSets{l.index, list})
	return next
}

// reassign is assignAll for some domains and all that share keys with them. It returns the
// facts of these keys before and after.
func (p *Spec) reassign(known facts, now time.Time, open map[keys.Ref]*lookup, domains []string) (before, after facts) {
	only := p.connected(domains)
	sets := p.Active.sets.Load()
	list := slices.Clone(sets.list)
	after = p.assign(known, now, open, only, list, func() {}).facts
	p.Active.sets.Store(&signingSets{sets.index, list})
	before = facts{}
	for ref, f := range known {
		if only[ref.Domain] {
			before[ref] = f
		}
	}
	return before, after
}

// connected returns the domains with the signing sets of their keys, the domains of the keys in
// these sets, and so on.
func (p *Spec) connected(domains []string) map[string]bool {
	only := make(map[string]bool, len(domains))
	for _, d := range domains {
		only[d] = true
	}
	for size := 0; size != len(only); {
		size = len(only)
		for _, l := range p.Listed {
			if only[l.Domain] || (l.SignsFor != "" && only[l.SignsFor]) {
				only[l.Domain], only[cmp.Or(l.SignsFor, l.Domain)] = true, true
			}
		}
	}
	return only
}

// assign decides which keys sign in all signing sets, or in those of only, writes the sets
// into the list of the layout's index, and computes the next fact of each key.
func (p *Spec) assign(known facts, now time.Time, open map[keys.Ref]*lookup, only map[string]bool, sets []*SigningSet, giveWay func()) decision {
	l, size := p.layout(), max(len(known), len(p.Listed))
	if only != nil {
		size = len(only)
	}
	a := &assignment{
		spec: p, layout: l, known: known, now: now, open: open, giveWay: giveWay,
		next: make([]knownKey, 0, size), best: map[keys.Ref]int{}, latest: map[string]*Fact{},
	}
	was, others := a.before(only)
	alone := len(others) == 0
	for i := range l.ends {
		giveWay()
		listed := l.set(i)
		if name := listed[0].set(); only == nil || only[name] {
			sets[i] = a.decide(name, listed, was[l.begin(i):l.ends[i]], ofDomain(others, name), sets[i])
		}
	}
	for len(others) > 0 {
		domain := others[0].Domain
		its := ofDomain(others, domain)
		others = others[len(its):]
		if _, listed := l.index[domain]; !listed {
			a.decide(domain, nil, nil, its, nil)
		}
	}
	if only != nil {
		return decision{a.facts(), true}
	}
	p.onlyListed = l.eachOnce && !l.timed && alone && len(a.next) == len(l.listed)
	if l.eachOnce && !a.changed && len(a.next) == len(known) {
		return decision{known, false} // no key is in next twice
	}
	return decision{a.facts(), true}
}

// assignment is one decision on many signing sets.
type assignment struct {
	spec   *Spec
	layout *layout
	known  facts
	now    time.Time
	open   map[keys.Ref]*lookup

	giveWay func() // for each key

	next       []knownKey           // in the order of the decisions: the last one for a key counts
	changed    bool                 // a fact is not the one of known
	best       map[keys.Ref]int     // of the keys in several sets, the highest rank so far
	lastNeeded map[string]time.Time // computed at the first need
	latest     map[string]*Fact     // the last fact in next, by fingerprint

	// Memory for one set.
	candidates []candidate
	all        []*candidate
	signing    []*keys.Key
}

// knownKey is a key with its fact.
type knownKey struct {
	ref  keys.Ref
	fact *Fact
}

// before returns the known fact of each listed key, nil where there is none, and the known keys that
// are not listed. If only is not nil, it names the signing sets that are wanted.
func (a *assignment) before(only map[string]bool) (was []*Fact, others []keys.Ref) {
	was = make([]*Fact, len(a.layout.listed))
	found := 0
	for i, p := range a.layout.listed {
		a.giveWay()
		if only != nil && !only[p.set()] {
			continue
		}
		if was[i] = a.known[p.ref()]; was[i] != nil {
			found++
		}
	}
	if a.layout.eachOnce && found == len(a.known) {
		return was, nil
	}
	return was, a.layout.unlisted(a.known, only)
}

// facts returns the facts from now on.
func (a *assignment) facts() facts {
	next := make(facts, len(a.next))
	for _, k := range a.next {
		next[k.ref] = k.fact
	}
	return next
}

// decide decides on one signing set: the listed keys, then, in the set of their domain, the
// keys that are known but not listed. It returns nil where no key is listed, and before where
// the set has not changed.
func (a *assignment) decide(set string, listed []listedKey, was []*Fact, others []keys.Ref, before *SigningSet) (d *SigningSet) {
	all := a.gather(listed, was, others)
	if len(all) > 0 && all[0].listed {
		next := signingSet(all, a.spec.Require, a.now, a.signing)
		a.signing = next.Keys
		if d = before; d == nil || !d.equal(next) {
			d = new(next)
			d.Keys = slices.Clone(next.Keys)
		}
	}
	for _, c := range all {
		if c.key != nil {
			c.fact.LastUsed = later(c.fact.LastUsed, c.key.LastUsed())
		}
		if c.elsewhere {
			continue // the entries that list it decide its state
		}
		if c.lost == nil {
			c.fact = c.fact.advanced(a.role(c), a.now, a.spec.Config.QueueTime)
		}
		if c.fact.State != Forgotten && c.fact.Fingerprint != "" {
			a.keep(c, set)
		}
	}
	return d
}

// gather returns the keys of one signing set. A listed key whose file holds another key
// than before starts with an empty fact. The next call overwrites the result.
func (a *assignment) gather(listed []listedKey, was []*Fact, others []keys.Ref) []*candidate {
	a.candidates = a.candidates[:0]
	for i, p := range listed {
		ref := p.ref()
		c := candidate{listed: true, activeFrom: p.ActiveFrom, key: p.key, before: was[i]}
		if p.key == nil {
			c.lost = a.spec.Store.Lost(ref)
		}
		twice := slices.ContainsFunc(listed[:i], func(o listedKey) bool { return o.ref() == ref })
		if twice || c.key == nil && c.lost == nil {
			continue
		}
		own := p.own() || a.layout.owns(ref)
		if c.before != nil {
			c.fact = c.before.owned(own, a.now)
		}
		c.fact.Domain, c.fact.Selector = ref.Domain, ref.Selector
		if k := p.key; k != nil && k.Fingerprint() != c.fact.Fingerprint {
			c.fact = Fact{Domain: k.Domain, Selector: k.Selector, Algorithm: k.Algorithm, Bits: k.Bits, Fingerprint: k.Fingerprint()}.owned(own, a.now)
		}
		a.candidates = append(a.candidates, c)
	}
	for _, ref := range others {
		before := a.known[ref]
		fact, k := before.named(ref).owned(false, a.now), a.spec.Store.Standby(ref)
		if k != nil && k.Fingerprint() != fact.Fingerprint {
			k = nil
		}
		a.candidates = append(a.candidates, candidate{fact: fact, before: before, key: k, elsewhere: a.layout.elsewhere[ref]})
	}
	a.all = a.all[:0]
	for i := range a.candidates {
		c := &a.candidates[i]
		ref := c.fact.ref()
		if q := a.open[ref]; q != nil && q.fingerprint == c.fact.Fingerprint && a.spec.needsDNS(ref, &c.fact) {
			c.pending = q
		}
		a.all = append(a.all, c)
	}
	return a.all
}

// role is what was decided about a key.
func (a *assignment) role(c *candidate) role {
	r := c.role()
	if f := c.fact; !c.listed && !f.Unlisted.IsZero() {
		if a.lastNeeded == nil {
			a.lastNeeded = a.known.lastNeeded(a.now)
		}
		r.elsewhere, r.lastElsewhere = a.spec.listedUnder()[f.Fingerprint].other(f.ref()), a.lastNeeded[f.Fingerprint]
	}
	return r
}

// keep makes the fact one of next, unless that of another signing set counts.
func (a *assignment) keep(c *candidate, set string) {
	ref := c.fact.ref()
	if a.layout.elsewhere[ref] {
		stands := rank(c, set)
		if stands < a.best[ref] {
			return
		}
		a.best[ref] = stands
	}
	c.fact.Domain, c.fact.Selector = "", ""
	print := c.fact.Fingerprint
	fact := a.latest[print]
	switch {
	case fact != nil && *fact == c.fact:
	case c.before != nil && *c.before == c.fact:
		fact = c.before
		a.latest[print] = fact
	default:
		f := c.fact
		fact = &f
		a.latest[print] = fact
	}
	a.changed = a.changed || fact != c.before
	a.next = append(a.next, knownKey{ref, fact})
}

// copyLastUsed replaces the facts of the keys that have signed since.
func (p *Spec) copyLastUsed(known facts) {
	latest := map[string]*Fact{} // by fingerprint
	for _, l := range p.layout().listed {
		if l.key == nil {
			continue
		}
		used := l.key.LastUsed()
		if used.IsZero() {
			continue
		}
		ref := l.key.Ref()
		f := known[ref]
		if f == nil || f.Fingerprint != l.key.Fingerprint() || !used.After(f.LastUsed) {
			continue
		}
		next := *f
		next.LastUsed = used
		if same := latest[f.Fingerprint]; same == nil || *same != next {
			latest[f.Fingerprint] = &next
		}
		known[ref] = latest[f.Fingerprint]
	}
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// rank orders the signing sets that one key is in. The set with the highest rank decides the
// key's state: one where it signs, else that of its domain.
func rank(c *candidate, set string) int {
	switch {
	case c.signs:
		return 3
	case set == c.fact.Domain:
		return 2
	case !c.replaced:
		return 1
	}
	return 0
}
