package lifecycle

import (
	"cmp"
	"maps"
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
	// Active is written by the Tracker.
	Active ActiveKeys

	epoch     int                    // counts the changes of Servers
	names     map[string]listedNames // see listedUnder
	previewed facts                  // of Preview, for a Begin at the start
}

// facts are the known facts, by key. A Fact is never changed, only replaced: several maps share
// most of theirs, which matters with a hundred thousand keys.
type facts map[keys.Ref]*Fact

// of returns the fact of a key; without one, an empty fact.
func (l facts) of(ref keys.Ref) Fact {
	if f := l[ref]; f != nil {
		return *f
	}
	return Fact{}
}

// share returns the map's own copy of an equal fact, else a new one.
func (l facts) share(f Fact) *Fact {
	if old := l[f.ref()]; old != nil && *old == f {
		return old
	}
	return &f
}

// candidates groups the keys by signing set: first the listed keys in the order of the spec,
// then, in the set of their domain, the keys that are known but not listed. A listed key whose
// file holds another key than before starts with an empty fact. If only is not nil, it names
// the signing sets that are wanted.
func (p *Spec) candidates(known facts, now time.Time, only map[string]bool) map[string][]*candidate {
	type post struct{ domain, selector, set string }
	size := len(p.Listed)
	if only != nil {
		size = len(only)
	}
	out := make(map[string][]*candidate, size)
	listed := make(map[keys.Ref]bool, size)
	own := p.listedForOwn(only)
	placed := make(map[post]bool, size)
	for _, l := range p.Listed {
		if only != nil && !only[cmp.Or(l.SignsFor, l.Domain)] {
			continue
		}
		k, ok := p.Store.Lookup(l.Domain, l.Selector)
		ref := l.Ref
		if ok {
			ref = k.Ref()
		} else if p.Store.Lost(ref) == nil {
			continue
		}
		set := cmp.Or(l.SignsFor, ref.Domain)
		at := post{ref.Domain, ref.Selector, set}
		if placed[at] {
			continue
		}
		placed[at], listed[ref] = true, true
		fact := known.of(ref).owned(own[ref], now)
		if !ok {
			fact.Domain, fact.Selector = ref.Domain, ref.Selector
			out[set] = append(out[set], &candidate{listed: true, activeFrom: l.ActiveFrom, fact: fact, lost: p.Store.Lost(ref)})
			continue
		}
		if print := k.Fingerprint(); fact.Fingerprint != print {
			fact = Fact{Domain: k.Domain, Selector: k.Selector, Algorithm: k.Algorithm, Bits: k.Bits, Fingerprint: print}.owned(own[ref], now)
		}
		out[set] = append(out[set], &candidate{listed: true, activeFrom: l.ActiveFrom, fact: fact, key: k})
	}
	var others []keys.Ref
	for ref, f := range known {
		if !own[ref] && (!listed[ref] || f.Own) && (only == nil || only[ref.Domain]) {
			others = append(others, ref)
		}
	}
	slices.SortFunc(others, keys.Ref.Compare)
	for _, ref := range others {
		fact, k := known.of(ref).owned(false, now), p.Store.Standby(ref)
		if k != nil && k.Fingerprint() != fact.Fingerprint {
			k = nil
		}
		out[ref.Domain] = append(out[ref.Domain], &candidate{fact: fact, key: k, elsewhere: listed[ref]})
	}
	return out
}

// listedForOwn returns the keys that the entries of their own domains list.
func (p *Spec) listedForOwn(only map[string]bool) map[keys.Ref]bool {
	size := len(p.Listed)
	if only != nil {
		size = len(only)
	}
	own := make(map[keys.Ref]bool, size)
	for _, l := range p.Listed {
		if (l.SignsFor == "" || l.SignsFor == l.Domain) && (only == nil || only[l.Domain]) {
			own[l.Ref] = true
		}
	}
	return own
}

// assignAll writes all active keys for the time now, and returns the facts from then on. While
// a lookup in open is pending, the keys of its set may not be final.
func (p *Spec) assignAll(known facts, now time.Time, open map[keys.Ref]*lookup) facts {
	sets, next := p.assign(known, now, open, nil)
	p.Active.sets.Store(&sets)
	return next
}

// reassign is assignAll for some domains and all that share keys with them. It returns the
// facts of these keys before and after.
func (p *Spec) reassign(known facts, now time.Time, open map[keys.Ref]*lookup, domains []string) (before, after facts) {
	only := p.connected(domains)
	some, after := p.assign(known, now, open, only)
	before = facts{}
	for ref, f := range known {
		if only[ref.Domain] {
			before[ref] = f
		}
	}
	sets := maps.Clone(*p.Active.sets.Load())
	for set := range only {
		delete(sets, set)
	}
	maps.Copy(sets, some)
	p.Active.sets.Store(&sets)
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

// assign decides which keys sign in all signing sets, or in those of only, and computes the
// next fact of each key.
func (p *Spec) assign(known facts, now time.Time, open map[keys.Ref]*lookup, only map[string]bool) (map[string]*SigningSet, facts) {
	size := max(len(known), len(p.Listed))
	if only != nil {
		size = len(only)
	}
	sets := make(map[string]*SigningSet, size)
	next := make(facts, size)
	best := make(map[keys.Ref]int, size)
	var lastNeeded map[string]time.Time // computed at the first need
	for domain, all := range p.candidates(known, now, only) {
		for _, c := range all {
			if q := open[c.fact.ref()]; q != nil && q.fingerprint == c.fact.Fingerprint && p.needsDNS(c.fact) {
				c.pending = q
			}
		}
		set := signingSet(all, p.Require, now)
		if slices.ContainsFunc(all, func(c *candidate) bool { return c.listed }) {
			sets[domain] = set
		}
		for _, c := range all {
			if c.key != nil {
				c.fact.LastUsed = later(c.fact.LastUsed, c.key.LastUsed())
			}
			if c.elsewhere {
				continue // the entries that list it decide its state
			}
			f := c.fact
			if c.lost == nil {
				place := c.role()
				if !c.listed && !f.Unlisted.IsZero() {
					if lastNeeded == nil {
						lastNeeded = known.lastNeeded(now)
					}
					place.elsewhere, place.lastElsewhere = p.listedUnder()[f.Fingerprint].other(f.ref()), lastNeeded[f.Fingerprint]
				}
				f = f.advanced(place, now, p.Config.QueueTime)
			}
			if stands := rank(c, domain); f.State != Forgotten && f.Fingerprint != "" && stands >= best[f.ref()] {
				best[f.ref()] = stands
				next[f.ref()] = known.share(f)
			}
		}
	}
	return sets, next
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
