package lifecycle

import (
	"context"
	"errors"
	"iter"
	"slices"
	"sync/atomic"
	"time"

	"signpost/keys"
)

// Listed is one selector as the configuration lists it. Its Domain is canonical:
// A-labels in lower case, as ActiveKeys.For takes it. The domain "*" stands for the keys
// of the folder "*" only, which are never looked up in DNS.
type Listed struct {
	keys.Ref
	// ActiveFrom is when the key begins to sign; zero: as soon as it may.
	ActiveFrom time.Time
	// SignsFor is the name of the signing set, where that is not the key's domain. It
	// must not be the name of a domain. A key may be listed for several signing sets.
	SignsFor string
}

// SigningSet is the keys that sign for one domain at the moment. It never changes.
type SigningSet struct {
	// Keys sign, in the order of the configuration; none: the domain goes unsigned.
	Keys []*keys.Key
	// Why says which listed keys do not sign, why, and what to do about it. It is ""
	// where exactly the listed keys sign.
	Why string
	// Planned says that Why is only about keys whose active_from is to come.
	Planned bool
	// StandIn says that a key signs which the configuration does not list.
	StandIn bool
	// Lost is not "" where no key signs and the file of a listed key is missing or
	// cannot be used: it says which, and what to do. That is our failure, and no reason
	// to let mail go unsigned.
	Lost string

	pending []*lookup // their answers may change which keys sign
}

// ActiveKeys has the signing set of every domain of one generation of the
// configuration. Its methods may be called by any number of goroutines while a Tracker
// writes it.
type ActiveKeys struct {
	sets atomic.Pointer[signingSets]
}

// signingSets has the signing sets of all names at one time. It never changes: all of one spec
// share the index, and have lists of their own.
type signingSets struct {
	index map[string]int32 // of a name in list
	list  []*SigningSet    // nil: no key of the name is loaded
}

func (s *signingSets) of(name string) *SigningSet {
	if s != nil {
		if i, ok := s.index[name]; ok {
			return s.list[i]
		}
	}
	return nil
}

// all iterates over the sets, in no order.
func (s *signingSets) all() iter.Seq2[string, *SigningSet] {
	return func(yield func(string, *SigningSet) bool) {
		if s == nil {
			return
		}
		for name, i := range s.index {
			if d := s.list[i]; d != nil && !yield(name, d) {
				return
			}
		}
	}
}

// trouble reports whether a set has a reason why it does not sign as listed.
func (s *signingSets) trouble() bool {
	return s != nil && slices.ContainsFunc(s.list, func(d *SigningSet) bool {
		return d != nil && d.Why != ""
	})
}

// Found is the answer of For.
type Found struct {
	// Own is the signing set of the name; nil where no key is listed for it.
	Own *SigningSet
	// Fallback is the signing set of the fallback, where no key of Own signs.
	Fallback *SigningSet
}

// For returns the signing set of a domain, by its A-labels in lower case, or of a
// Listed.SignsFor. If none of its keys sign, it returns that of fallback, too; "" is no
// fallback.
//
// If DNS has not yet answered about keys that could sign, For queries it at once, about
// both sets together, and waits for at most MaxWait or until ctx ends. The error says why
// it is still not known which keys sign: then the message must not leave unsigned.
func (r *ActiveKeys) For(ctx context.Context, name, fallback string) (Found, error) {
	found := r.Now(name, fallback)
	awaited := found.pending()
	if awaited == nil {
		return found, nil
	}
	ctx, cancel := context.WithTimeout(ctx, MaxWait)
	defer cancel()
	for awaited != nil {
		if fallback != "" {
			r.expedite(fallback)
		}
		if err := awaited.wait(ctx); err != nil {
			return Found{}, err
		}
		before := awaited
		found = r.Now(name, fallback)
		if awaited = found.pending(); awaited == before {
			return Found{}, errReplaced
		}
	}
	return found, nil
}

var errReplaced = errors.New("the configuration was replaced while it waited for DNS")

// Now is For without waiting: a key about which DNS has not yet answered does not sign.
func (r *ActiveKeys) Now(name, fallback string) Found {
	found := Found{Own: r.of(name)}
	if d := found.Own; fallback != "" && (d == nil || len(d.pending) == 0 && len(d.Keys) == 0) {
		found.Fallback = r.of(fallback)
	}
	return found
}

// Has reports whether a signing set has this name. It takes one map access.
func (r *ActiveKeys) Has(name string) bool { return r.of(name) != nil }

func (r *ActiveKeys) of(name string) *SigningSet { return r.sets.Load().of(name) }

func (r *ActiveKeys) expedite(name string) {
	if d := r.of(name); d != nil {
		d.expedite()
	}
}

// pending is the set to wait for next; nil: none.
func (f Found) pending() *SigningSet {
	for _, d := range []*SigningSet{f.Own, f.Fallback} {
		if d != nil && len(d.pending) > 0 {
			return d
		}
	}
	return nil
}

// Each calls visit for every signing set, in no order. awaited says that DNS has not yet been
// queried about keys that may sign: the first message asks.
func (r *ActiveKeys) Each(visit func(name string, s *SigningSet, awaited bool)) {
	for name, s := range r.sets.Load().all() {
		visit(name, s, len(s.pending) > 0)
	}
}

// Irregular names the domains whose mail is not signed with exactly the listed keys, in
// order, and says why.
func (r *ActiveKeys) Irregular() []string {
	var lines []string
	for domain, d := range r.sets.Load().all() {
		switch {
		case d.Why == "":
		case d.Lost != "":
			lines = append(lines, domain+" cannot be signed: "+d.Why)
		case len(d.Keys) == 0:
			lines = append(lines, domain+" goes unsigned: "+d.Why)
		default:
			lines = append(lines, domain+": "+d.Why)
		}
	}
	slices.Sort(lines)
	return lines
}
