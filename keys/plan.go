package keys

import (
	"cmp"
	"maps"
	"slices"
	"time"
)

// Plan is what one generation of the configuration wants of the keys' life.
type Plan struct {
	Config Config
	Store  *Store
	Listed []Listed
	// Require says that only keys seen in DNS sign. Otherwise nobody is asked.
	Require bool
	// Servers are asked one by one. None: nothing becomes known.
	Servers []Server
	// Anew says that the DNS is not the one of the plan before: every key is asked
	// for at once.
	Anew bool
	// Roster is filled by Watch.
	Roster Roster
}

// ledger is what is known, by key.
type ledger map[Ref]Fact

// members puts together, by duty, the keys that a plan lists, in its order, and behind
// them, with their domain's, those that are only known of. A listed key whose file
// holds another key than before begins anew.
func (p *Plan) members(known ledger) map[string][]*candidate {
	out := make(map[string][]*candidate)
	type post struct{ domain, selector, duty string }
	listed := make(map[Ref]bool, len(p.Listed))
	placed := make(map[post]bool, len(p.Listed))
	for _, l := range p.Listed {
		k, ok := p.Store.Lookup(l.Domain, l.Selector)
		if !ok {
			continue
		}
		ref := Ref{k.Domain, k.Selector}
		duty := cmp.Or(l.Duty, k.Domain)
		at := post{ref.Domain, ref.Selector, duty}
		if placed[at] {
			continue
		}
		placed[at], listed[ref] = true, true
		fact := known[ref]
		if print := k.Fingerprint(); fact.Fingerprint != print {
			fact = Fact{Domain: k.Domain, Selector: k.Selector, Algorithm: k.Algorithm, Bits: k.Bits, Fingerprint: print}
		}
		out[duty] = append(out[duty], &candidate{listed: true, activeFrom: l.ActiveFrom, fact: fact, key: k})
	}
	for _, ref := range slices.SortedFunc(maps.Keys(known), compareRefs) {
		if listed[ref] {
			continue
		}
		fact, k := known[ref], p.Store.spare(ref)
		if k != nil && k.Fingerprint() != fact.Fingerprint {
			k = nil
		}
		out[ref.Domain] = append(out[ref.Domain], &candidate{fact: fact, key: k})
	}
	return out
}

// fill writes the roster from what is known at a moment, and returns what is known
// of the keys from then on. Where a question is open, who signs is not settled.
func (p *Plan) fill(known ledger, now time.Time, open map[Ref]*question) ledger {
	duties := make(map[string]*Duty)
	next := make(ledger, len(known))
	best := make(map[Ref]int, len(known))
	for domain, all := range p.members(known) {
		for _, c := range all {
			if q := open[c.fact.ref()]; q != nil && q.fingerprint == c.fact.Fingerprint {
				c.open = q
			}
		}
		duty := dutyOf(all, p.Require, now)
		if slices.ContainsFunc(all, func(c *candidate) bool { return c.listed }) {
			duties[domain] = duty
		}
		for _, c := range all {
			if c.key != nil {
				c.fact.LastUsed = later(c.fact.LastUsed, c.key.lastUsed())
			}
			f := c.fact.advanced(c.place(), now, p.Config.QueueTime)
			if stands := standing(c, domain); f.State != Forgotten && stands >= best[f.ref()] {
				best[f.ref()] = stands
				next[f.ref()] = f
			}
		}
	}
	p.Roster.duties.Store(&duties)
	return next
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
