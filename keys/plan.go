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

	era   int                    // counts the changes of Servers
	names map[string]listedNames // see listedUnder
}

// ledger is what is known, by key.
type ledger map[Ref]Fact

// members puts together, by duty, the keys that a plan lists, in its order, and behind
// them, with their domain's, those that are only known of. A listed key whose file
// holds another key than before begins anew. only, where it is not nil, are the duties
// that are wanted.
func (p *Plan) members(known ledger, now time.Time, only map[string]bool) map[string][]*candidate {
	type post struct{ domain, selector, duty string }
	size := len(p.Listed)
	if only != nil {
		size = len(only)
	}
	out := make(map[string][]*candidate, size)
	listed := make(map[Ref]bool, size)
	own := p.listedForOwn(only)
	placed := make(map[post]bool, size)
	for _, l := range p.Listed {
		if only != nil && !only[cmp.Or(l.Duty, l.Domain)] {
			continue
		}
		k, ok := p.Store.Lookup(l.Domain, l.Selector)
		ref := l.Ref
		if ok {
			ref = Ref{k.Domain, k.Selector}
		} else if p.Store.Lost(ref) == nil {
			continue
		}
		duty := cmp.Or(l.Duty, ref.Domain)
		at := post{ref.Domain, ref.Selector, duty}
		if placed[at] {
			continue
		}
		placed[at], listed[ref] = true, true
		fact := known[ref].owned(own[ref], now)
		if !ok {
			fact.Domain, fact.Selector = ref.Domain, ref.Selector
			out[duty] = append(out[duty], &candidate{listed: true, activeFrom: l.ActiveFrom, fact: fact, lost: p.Store.Lost(ref)})
			continue
		}
		if print := k.Fingerprint(); fact.Fingerprint != print {
			fact = Fact{Domain: k.Domain, Selector: k.Selector, Algorithm: k.Algorithm, Bits: k.Bits, Fingerprint: print}.owned(own[ref], now)
		}
		out[duty] = append(out[duty], &candidate{listed: true, activeFrom: l.ActiveFrom, fact: fact, key: k})
	}
	var others []Ref
	for ref, f := range known {
		if !own[ref] && (!listed[ref] || f.Own) && (only == nil || only[ref.Domain]) {
			others = append(others, ref)
		}
	}
	slices.SortFunc(others, Ref.Compare)
	for _, ref := range others {
		fact, k := known[ref].owned(false, now), p.Store.spare(ref)
		if k != nil && k.Fingerprint() != fact.Fingerprint {
			k = nil
		}
		out[ref.Domain] = append(out[ref.Domain], &candidate{fact: fact, key: k, elsewhere: listed[ref]})
	}
	return out
}

// listedForOwn are the keys that the entries of their own domains list.
func (p *Plan) listedForOwn(only map[string]bool) map[Ref]bool {
	size := len(p.Listed)
	if only != nil {
		size = len(only)
	}
	own := make(map[Ref]bool, size)
	for _, l := range p.Listed {
		if (l.Duty == "" || l.Duty == l.Domain) && (only == nil || only[l.Domain]) {
			own[l.Ref] = true
		}
	}
	return own
}

// fill writes the roster from what is known at a moment, and returns what is known
// of the keys from then on. Where a question is open, who signs is not settled.
func (p *Plan) fill(known ledger, now time.Time, open map[Ref]*question) ledger {
	duties, next := p.settle(known, now, open, nil)
	p.Roster.duties.Store(&duties)
	return next
}

// refill is fill for some domains and all that has to do with their keys. It returns
// what was known of these keys and what is known from then on.
func (p *Plan) refill(known ledger, now time.Time, open map[Ref]*question, domains []string) (before, after ledger) {
	only := p.connected(domains)
	some, after := p.settle(known, now, open, only)
	before = ledger{}
	for ref, f := range known {
		if only[ref.Domain] {
			before[ref] = f
		}
	}
	duties := maps.Clone(*p.Roster.duties.Load())
	for duty := range only {
		delete(duties, duty)
	}
	maps.Copy(duties, some)
	p.Roster.duties.Store(&duties)
	return before, after
}

// connected are the duties of the domains' keys, the domains of these duties' keys, and
// so on.
func (p *Plan) connected(domains []string) map[string]bool {
	only := make(map[string]bool, len(domains))
	for _, d := range domains {
		only[d] = true
	}
	for size := 0; size != len(only); {
		size = len(only)
		for _, l := range p.Listed {
			if only[l.Domain] || (l.Duty != "" && only[l.Duty]) {
				only[l.Domain], only[cmp.Or(l.Duty, l.Domain)] = true, true
			}
		}
	}
	return only
}

// settle decides who signs for all duties, or for some of them, and what becomes of
// their keys.
func (p *Plan) settle(known ledger, now time.Time, open map[Ref]*question, only map[string]bool) (map[string]*Duty, ledger) {
	size := max(len(known), len(p.Listed))
	if only != nil {
		size = len(only)
	}
	duties := make(map[string]*Duty, size)
	next := make(ledger, size)
	best := make(map[Ref]int, size)
	var lastNeeded map[string]time.Time // made when it is wanted
	for domain, all := range p.members(known, now, only) {
		for _, c := range all {
			if q := open[c.fact.ref()]; q != nil && q.fingerprint == c.fact.Fingerprint && p.asks(c.fact) {
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
			if c.elsewhere {
				continue // what becomes of it is told by the entries that list it
			}
			f := c.fact
			if c.lost == nil {
				place := c.place()
				if !c.listed && !f.Unlisted.IsZero() {
					if lastNeeded == nil {
						lastNeeded = known.lastNeeded(now)
					}
					place.elsewhere, place.lastElsewhere = p.listedUnder()[f.Fingerprint].other(f.ref()), lastNeeded[f.Fingerprint]
				}
				f = f.advanced(place, now, p.Config.QueueTime)
			}
			if stands := standing(c, domain); f.State != Forgotten && f.Fingerprint != "" && stands >= best[f.ref()] {
				best[f.ref()] = stands
				next[f.ref()] = f
			}
		}
	}
	return duties, next
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// standing compares the places that one key has in several duties: what it is, is
// told by the one where it signs, else by that of its domain.
func standing(c *candidate, duty string) int {
	switch {
	case c.signs:
		return 3
	case duty == c.fact.Domain:
		return 2
	case !c.replaced:
		return 1
	}
	return 0
}
