package lifecycle

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"signpost/keys"
)

// candidate is a key that may sign for a domain.
type candidate struct {
	listed     bool
	activeFrom time.Time
	fact       Fact
	before     *Fact     // the known fact; nil: none
	key        *keys.Key // nil: not loaded
	lost       error     // why a listed key is not loaded
	elsewhere  bool      // its own domain no longer lists it, but other entries do
	pending    *lookup   // nil: DNS has answered, or has timed out
	// replaced and signs are set by pickSigners.
	replaced, signs bool
}

func (c *candidate) role() role {
	return role{listed: c.listed, activeFrom: c.activeFrom, replaced: c.replaced, signs: c.signs}
}

// proven reports whether DNS has the key, or need not have it.
func (c *candidate) proven(require bool) bool {
	return !require || c.fact.DNS == keys.Found || c.fact.Domain == keys.AnyDomain
}

func (c *candidate) due(now time.Time) bool { return !c.activeFrom.After(now) }

// ready reports whether a listed key may sign, regardless of the other keys.
func (c *candidate) ready(require bool, now time.Time) bool {
	return c.listed && c.key != nil && c.due(now) && c.proven(require)
}

// pickSigners decides which keys of one domain and algorithm sign:
//
//  1. The listed keys that are due and proven. If some have an active_from, those with the
//     latest.
//  2. Else the proven key that left the configuration last.
//  3. Else the listed keys that are due and without a known record, although DNS was
//     queried.
func pickSigners(slot []*candidate, require bool, now time.Time) {
	var latest time.Time
	any := false
	for _, c := range slot {
		c.replaced, c.signs = false, false
		if c.ready(require, now) {
			any = true
			if c.activeFrom.After(latest) {
				latest = c.activeFrom
			}
		}
	}
	if any {
		for _, c := range slot {
			ready := c.ready(require, now)
			c.signs = ready && c.activeFrom.Equal(latest)
			c.replaced = ready && !c.signs
		}
		return
	}
	if last := lastProven(slot, require); last != nil {
		last.signs = true
		return
	}
	for _, c := range slot {
		c.signs = c.listed && c.key != nil && c.due(now) && c.fact.DNS == keys.NoAnswer && c.pending == nil
	}
}

// lastProven returns the key that signs while no listed key may; nil: none.
func lastProven(slot []*candidate, require bool) *candidate {
	var last *candidate
	for _, c := range slot {
		usable := !c.listed && c.key != nil && c.fact.State != Retired && c.fact.State != Forgotten && c.proven(require)
		if usable && (last == nil || c.neededAfter(last)) {
			last = c
		}
	}
	return last
}

// neededAfter compares when two keys were last needed. A key without a time was needed until
// now.
func (c *candidate) neededAfter(o *candidate) bool {
	a, b := c.neededUntil(), o.neededUntil()
	if a.IsZero() || b.IsZero() {
		return a.IsZero() && !b.IsZero()
	}
	return a.After(b)
}

func (c *candidate) neededUntil() time.Time {
	if c.elsewhere {
		return c.fact.OwnUntil
	}
	return c.fact.Unlisted
}

// pickAllSigners decides which keys of one signing set sign: pickSigners for each algorithm. If no
// key remains, the most recently removed key signs, with any algorithm.
func pickAllSigners(all []*candidate, require bool, now time.Time) {
	listed := func(c *candidate) bool { return c.listed }
	for _, algorithm := range []keys.Algorithm{keys.RSA, keys.Ed25519} {
		var slot []*candidate
		for _, c := range all {
			if c.fact.Algorithm == algorithm {
				slot = append(slot, c)
			}
		}
		// The keys of an algorithm that is no longer listed do not sign.
		if slices.ContainsFunc(slot, listed) {
			pickSigners(slot, require, now)
		}
	}
	if slices.ContainsFunc(all, listed) && !slices.ContainsFunc(all, func(c *candidate) bool { return c.signs }) {
		if last := lastProven(all, require); last != nil {
			last.signs = true
		}
	}
}

// signingSet decides which keys of one signing set sign, and says why others do not. all has the
// listed keys in the order of the configuration, then the others. The result has the memory of
// into for its keys.
func signingSet(all []*candidate, require bool, now time.Time, into []*keys.Key) SigningSet {
	pickAllSigners(all, require, now)
	d := SigningSet{Keys: into[:0], pending: awaitedLookups(all, require, now)}
	var idle, standIns, lost []string
	planned := true
	for _, c := range all {
		switch {
		case c.signs:
			d.Keys = append(d.Keys, c.key)
			if !c.listed {
				standIns = append(standIns, c.fact.Selector)
			}
		case c.listed && !c.replaced:
			idle = append(idle, c.idle(now))
			planned = planned && c.lost == nil && !c.due(now)
			if c.lost != nil {
				lost = append(lost, c.lost.Error())
			}
		}
	}
	if len(d.Keys) == 0 {
		d.Lost = strings.Join(lost, "; ")
	}
	d.Planned = len(idle) > 0 && planned
	d.StandIn = len(standIns) > 0
	d.Why = strings.Join(idle, "; ")
	if d.StandIn {
		goes := " goes on signing"
		if len(standIns) > 1 {
			goes = " go on signing"
		}
		d.Why += "; until then " + strings.Join(standIns, " and ") + goes
	}
	return d
}

// equal reports whether a set is the same as another one.
func (s *SigningSet) equal(o SigningSet) bool {
	return slices.Equal(s.Keys, o.Keys) && s.Why == o.Why && s.Planned == o.Planned && s.StandIn == o.StandIn &&
		s.Lost == o.Lost && slices.Equal(s.pending, o.pending)
}

// awaitedLookups returns the pending lookups whose answers may change which keys sign.
func awaitedLookups(all []*candidate, require bool, now time.Time) []*lookup {
	var open []*lookup
	for _, c := range all {
		if c.pending != nil && c.mayYetSign(all, require, now) {
			open = append(open, c.pending)
		}
	}
	return open
}

// mayYetSign reports whether the candidate could sign for some answers of the pending lookups:
// it is due, or can stand in, and no listed key that is already proven signs instead.
func (c *candidate) mayYetSign(all []*candidate, require bool, now time.Time) bool {
	if c.key == nil || (c.listed && !c.due(now)) {
		return false
	}
	rival := func(o *candidate) bool { return o.fact.Algorithm == c.fact.Algorithm }
	if !slices.ContainsFunc(all, func(o *candidate) bool { return o.listed && rival(o) }) {
		rival = func(*candidate) bool { return true } // not listed: any listed key signs instead
	}
	return !slices.ContainsFunc(all, func(o *candidate) bool {
		sure := o.pending == nil && o.ready(require, now)
		return sure && rival(o) && (!c.listed || o.activeFrom.After(c.activeFrom))
	})
}

// idle says why a listed key does not sign, and what to do.
func (c *candidate) idle(now time.Time) string {
	f := c.fact
	name := f.ref().RecordName()
	mend := fmt.Sprintf("publish what signpost keys record %s %s prints", f.Domain, f.Selector)
	switch {
	case c.lost != nil:
		return fmt.Sprintf("%s does not sign: %v", f.Selector, c.lost)
	case !c.due(now):
		return fmt.Sprintf("%s signs from %s on (active_from)", f.Selector, c.activeFrom.UTC().Format(time.RFC3339))
	case f.DNS == keys.Differs:
		return fmt.Sprintf("%s does not sign: in DNS, %s %s; %s", f.Selector, name, f.Detail, mend)
	case f.DNS == keys.Absent && !f.FirstSeen.IsZero():
		return fmt.Sprintf("%s no longer signs: its record %s is gone from DNS; %s", f.Selector, name, mend)
	case f.DNS == keys.Absent:
		name += hintIn(f.Detail)
		return fmt.Sprintf("%s does not sign yet: DNS has no key at %s; %s", f.Selector, name, mend)
	}
	detail := ""
	if f.Detail != "" {
		detail = " (it " + f.Detail + ")"
	}
	return fmt.Sprintf("%s does not sign yet: not every DNS server has shown %s%s; look with signpost keys check %s %s",
		f.Selector, name, detail, f.Domain, f.Selector)
}
