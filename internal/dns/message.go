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
	cached cachedAsker
	run    cachedRun // of cached
}

// Lookups are the Sources for the three purposes of a message's look-ups.
type Lookups struct {
	Policy      Asker // SPF and the author's DMARC record
	AlignedKeys Asker // keys of signatures that could align with the author domain
	OtherKeys   Asker // keys of all other signatures
	Cached      Cached
}

// Cached answers a message's questions from the cache. It never waits and never asks a server:
// a question without an answer in the cache fails, and so do all that follow it in the same run.
// One goroutine uses it at a time.
type Cached interface {
	Asker
	// EndRun ends a run of questions, and reports whether all were answered. If one was not, the
	// caller asks again elsewhere, and none of the run counts as a look-up. The next question
	// begins another run.
	EndRun() (complete bool)
}

// ForMessage returns the look-ups for a message from this client; an invalid address
// means unknown. A zone needs no sharing and no cache, and serves all purposes itself.
func ForMessage(s Source, client netip.Addr) Lookups {
	r, ok := s.(*Resolver)
	if !ok {
		return Lookups{s, s, s, alwaysComplete{s}}
	}
	m := &Message{resolver: r, client: clientOf(client)}
	for p := range m.views {
		m.views[p] = asker{resolver: r, claim: claim{purpose(p), m}}
	}
	m.cached = cachedAsker{asker{resolver: r, run: &m.run}}
	return Lookups{&m.views[policy], &m.views[alignedKeys], &m.views[otherKeys], &m.cached}
}

// alwaysComplete is a source that needs no cache.
type alwaysComplete struct{ Source }

func (alwaysComplete) EndRun() bool { return true }

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

// cachedAsker asks the cache alone. It implements Cached.
type cachedAsker struct{ asker }

func (a *cachedAsker) EndRun() (complete bool) {
	run := *a.run
	*a.run = cachedRun{}
	if !run.missed && run.found > 0 {
		a.resolver.cachedLookups.Add(run.found)
	}
	return !run.missed
}

// cachedRun is what came of a run of questions to the cache.
type cachedRun struct {
	missed bool   // one had no answer, so that all that follow have none
	found  uint64 // answers
}

// lookupCached answers from the cache alone.
func (r *Resolver) lookupCached(name string, rrtype uint16, run *cachedRun) (*answer, error) {
	if !run.missed {
		if a := r.cachedAnswer(name, rrtype); a != nil {
			if a != absentAnswer { // as in lookup, what is no name is none
				run.found++
			}
			return a, a.err
		}
		run.missed = true
	}
	return nil, lookupError(name, rrtype, errNotCached)
}
