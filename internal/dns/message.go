package dns

import (
	"container/list"
	"net/netip"
)

// Message is the DNS for the checks of one message: at most messageShare of its
// look-ups run at once, and they count towards the share of the client that sent it. It
// is safe for concurrent use.
type Message struct {
	resolver *Resolver
	client   netip.Prefix

	// Guarded by slots.mu.
	admitted [purposes]int32
	backlog  [purposes]*list.List // of *ticket: look-ups beyond messageShare; nil until needed

	views  [purposes]asker
	cached cachedView
}

// Lookups are the Sources for the three purposes of a message's look-ups.
type Lookups struct {
	Policy      Asker // SPF and the author's DMARC record
	AlignedKeys Asker // keys of signatures that could align with the author domain
	OtherKeys   Asker // keys of all other signatures
	Cached      Cached
}

// Cached answers a message's questions from the cache. It never waits and never asks a server:
// a question without an answer in the cache fails. One goroutine uses it at a time.
type Cached interface {
	Asker
	// Missed reports whether a question has failed so since the last call. If one has, the
	// caller asks everything again, and none of the answers counts as a look-up.
	Missed() bool
}

// ForMessage returns the look-ups for a message from this client; an invalid address
// means unknown. A zone needs no sharing and no cache, and serves all purposes itself.
func ForMessage(s Source, client netip.Addr) Lookups {
	r, ok := s.(*Resolver)
	if !ok {
		return Lookups{s, s, s, neverMissing{s}}
	}
	m := &Message{resolver: r, client: clientOf(client)}
	for p := range m.views {
		m.views[p] = asker{resolver: r, claim: claim{purpose(p), m}}
	}
	m.cached.asker = asker{resolver: r, cached: &m.cached}
	return Lookups{&m.views[policy], &m.views[alignedKeys], &m.views[otherKeys], &m.cached}
}

// neverMissing is a source that needs no cache.
type neverMissing struct{ Source }

func (neverMissing) Missed() bool { return false }

// clientOf returns the network that counts as one client: an IPv4 address, or the 64
// bits of IPv6 that one host can use (RFC 4291 §2.5.1).
func clientOf(addr netip.Addr) netip.Prefix {
	addr = addr.Unmap().WithZone("")
	bits := 32
	if addr.Is6() {
		bits = 64
	}
	p, _ := addr.Prefix(bits) // the error is of an invalid address, whose prefix is too
	return p
}

// admit counts one more look-up of the message; on nil it does nothing. The caller
// holds slots.mu.
func (m *Message) admit(p purpose) {
	if m != nil {
		m.admitted[p]++
	}
}

// cachedView is what the resolver of a message has in its cache.
type cachedView struct {
	asker
	missed bool
	found  uint64 // answers since the last call of Missed
}

func (v *cachedView) Missed() bool {
	missed := v.missed
	if !missed && v.found > 0 {
		v.resolver.cachedLookups.Add(v.found)
	}
	v.missed, v.found = false, 0
	return missed
}

// find fails once an answer was missing, even for others that are there: the caller repeats
// everything.
func (v *cachedView) find(name string, rrtype uint16) (*answer, error) {
	if !v.missed {
		if a := v.resolver.cachedAnswer(name, rrtype); a != nil {
			if a != absentAnswer { // as in lookup, what is no name is none
				v.found++
			}
			return a, a.err
		}
		v.missed = true
	}
	return nil, lookupError(name, rrtype, errNotCached)
}
