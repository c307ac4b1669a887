package lifecycle

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"signpost/keys"
)

// Spec is what one generation of the configuration wants of the keys' life.
type Spec struct {
	Config keys.Config
	Store  *keys.Store
	Listed []Listed
	// Require says that only keys seen in DNS sign. Otherwise nobody is asked.
	Require bool
	// Servers are asked one by one. None: nothing becomes known.
	Servers []Server
	// ServersChanged says that the DNS is not the one of the spec before: every key is asked
	// for at once.
	ServersChanged bool
	// ActiveKeys is filled by Tracker.
	Active ActiveKeys

	epoch int                    // counts the changes of Servers
	names map[string]listedNames // see listedUnder
}

// facts is what is known, by key.
type facts map[keys.Ref]Fact

// candidates puts together, by signing set, the keys that a spec lists, in its order, and behind
// them, with their domain's, those that are only known of. A listed key whose file
// holds another key than before begins anew. only, where it is not nil, are the signing sets
// that are wanted.
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
		fact := known[ref].owned(own[ref], now)
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
		fact, k := known[ref].owned(false, now), p.Store.Standby(ref)
		if k != nil && k.Fingerprint() != fact.Fingerprint {
			k = nil
		}
		out[ref.Domain] = append(out[ref.Domain], &candidate{fact: fact, key: k, elsewhere: listed[ref]})
	}
	return out
}

// listedForOwn are the keys that the entries of their own domains list.
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

// assignAll writes the active keys from what is known at a moment, and returns what is known
// of the keys from then on. Where a pending lookup is open, who signs is not settled.
func (p *Spec) assignAll(known facts, now time.Time, open map[keys.Ref]*lookup) facts {
	sets, next := p.assign(known, now, open, nil)
	p.Active.sets.Store(&sets)
	return next
}

// reassign is fill for some domains and all that has to do with their keys. It returns
// what was known of these keys and what is known from then on.
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

// connected are the signing sets of the domains' keys, the domains of these signing sets' keys, and
// so on.
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

// assign decides who signs for all signing sets, or for some of them, and what becomes of
// their keys.
func (p *Spec) assign(known facts, now time.Time, open map[keys.Ref]*lookup, only map[string]bool) (map[string]*SigningSet, facts) {
	size := max(len(known), len(p.Listed))
	if only != nil {
		size = len(only)
	}
	sets := make(map[string]*SigningSet, size)
	next := make(facts, size)
	best := make(map[keys.Ref]int, size)
	var lastNeeded map[string]time.Time // made when it is wanted
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
				continue // what becomes of it is told by the entries that list it
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
				next[f.ref()] = f
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

// rank compares the places that one key has in several signing sets: what it is, is
// told by the one where it signs, else by that of its domain.
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
