package lifecycle

import (
	"errors"
	"io/fs"
	"slices"
	"strings"
	"time"

	"signpost/keys"
)

// DomainStatus is who signs for one domain at the moment, for people.
type DomainStatus struct {
	// Domain is the domain, or what Listed.SignsFor says.
	Domain string
	// Selectors are those of the keys that sign.
	Selectors []string
	// Unknown says that the daemon has written nothing of these keys yet: who signs is
	// known when it has asked DNS.
	Unknown bool
	// Lost, StandIn and Why are as in SigningSet.
	Lost    bool
	StandIn bool
	Why     string
}

// DomainStatuses says who signs for each domain, as far as can be told from a inventory: from
// what the configuration lists, what the daemon has written, and the key files. A key
// that this process may not read, and of which the daemon has written, counts as one
// that the daemon can read. The signings are in order of their domains.
func DomainStatuses(cfg keys.Config, listed []Listed, require bool, entries []Status, now time.Time) []DomainStatus {
	listedKeys, spares, lost := map[keys.Ref]*keys.Key{}, map[keys.Ref]*keys.Key{}, map[keys.Ref]error{}
	known := facts{}
	for _, e := range entries {
		if e.Fact.Fingerprint != "" {
			known[e.Ref] = e.Fact
		}
		k := e.readable()
		switch {
		case k != nil && e.Listed:
			listedKeys[e.Ref] = k
		case k != nil:
			spares[e.Ref] = k
		case e.Listed:
			lost[e.Ref] = e.Err
		}
	}
	plan := &Spec{Config: cfg, Store: keys.NewStore(listedKeys, spares, lost), Listed: listed, Require: require}
	plan.assignAll(known, now, nil)
	var all []DomainStatus
	for domain, d := range *plan.Active.sets.Load() {
		s := DomainStatus{Domain: domain, Lost: d.Lost != "", StandIn: d.StandIn, Why: d.Why}
		for _, k := range d.Keys {
			s.Selectors = append(s.Selectors, k.Selector)
			_, written := known[k.Ref()]
			s.Unknown = s.Unknown || (require && k.Domain != keys.AnyDomain && !written)
		}
		all = append(all, s)
	}
	slices.SortFunc(all, func(a, b DomainStatus) int { return strings.Compare(a.Domain, b.Domain) })
	return all
}

// readable is the private key, or what stands for it where only its reader lacks the
// permission.
func (e Status) readable() *keys.Key {
	if e.Key != nil || e.Fact.Fingerprint == "" || !errors.Is(e.Err, fs.ErrPermission) {
		return e.Key
	}
	f := e.Fact
	return keys.KnownKey(f.ref(), f.Algorithm, f.Bits, f.Fingerprint)
}
