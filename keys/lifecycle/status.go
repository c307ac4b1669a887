package lifecycle

import (
	"errors"
	"io/fs"
	"slices"
	"strings"
	"time"

	"signpost/keys"
)

// DomainStatus says which keys sign for one domain now, for `keys list`.
type DomainStatus struct {
	// Domain is the domain, or a Listed.SignsFor.
	Domain string
	// Selectors are those of the keys that sign.
	Selectors []string
	// Unknown says that the daemon has not written about these keys yet: it has not queried
	// DNS.
	Unknown bool
	// Lost, StandIn and Why are as in SigningSet.
	Lost    bool
	StandIn bool
	Why     string
}

// DomainStatuses computes which keys sign for each domain from an inventory: what the
// configuration lists, what the daemon has written, and the key files. A key that this process
// may not read, and about which the daemon has written, counts as one that the daemon can
// read. The result is ordered by domain.
func DomainStatuses(cfg keys.Config, listed []Listed, require bool, entries []Status, now time.Time) []DomainStatus {
	listedKeys, standby, lost := map[keys.Ref]*keys.Key{}, map[keys.Ref]*keys.Key{}, map[keys.Ref]error{}
	known := facts{}
	for _, e := range entries {
		if e.Fact.Fingerprint != "" {
			known[e.Ref] = &e.Fact
		}
		k := e.readable()
		switch {
		case k != nil && e.Listed:
			listedKeys[e.Ref] = k
		case k != nil:
			standby[e.Ref] = k
		case e.Listed:
			lost[e.Ref] = e.Err
		}
	}
	plan := &Spec{Config: cfg, Store: keys.NewStore(listedKeys, standby, lost), Listed: listed, Require: require}
	plan.assignAll(known, now, nil)
	var all []DomainStatus
	for domain, d := range plan.Active.sets.Load().all() {
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

// readable returns the private key, or a KnownKey if only this process may not read it.
func (e Status) readable() *keys.Key {
	if e.Key != nil || e.Fact.Fingerprint == "" || !errors.Is(e.Err, fs.ErrPermission) {
		return e.Key
	}
	f := e.Fact
	return keys.KnownKey(f.ref(), f.Algorithm, f.Bits, f.Fingerprint)
}
