package verifier

import (
	"net/netip"
	"time"

	"signpost/internal/dkim"
)

// Lookups are the resolvers for one message, by the use of their answers. They may be the
// same resolver.
type Lookups struct {
	Policy      Resolver      // SPF and the author's DMARC record
	AlignedKeys dkim.Resolver // keys of signatures that could align with the author domain
	OtherKeys   dkim.Resolver // keys of all other signatures
	// Cached has the answers that are there at once; nil: none.
	Cached CachedResolver
}

// CachedResolver answers from memory. It never waits: a question that it cannot answer fails.
// One goroutine uses it at a time.
type CachedResolver interface {
	Resolver
	// EndRun reports whether all questions since its last call were answered.
	EndRun() (complete bool)
}

// WithSharing returns the verifier with a function that gives each message its share of
// look-ups, so that one client cannot use up the DNS of all. An unknown address is
// invalid. Without this function, all messages ask the resolver directly.
func (v *Verifier) WithSharing(share func(client netip.Addr) Lookups) *Verifier {
	with := *v
	with.share = share
	return &with
}

func (v *Verifier) lookups(client netip.Addr) Lookups {
	if v.share == nil {
		return Lookups{Policy: v.resolver, AlignedKeys: v.resolver, OtherKeys: v.resolver}
	}
	return v.share(client)
}

// task is a part of the work on a message that looks something up. i is its index where there are several of a
// kind.
type task func(t *Verification, from Lookups, i int)

// start does a task at once if all answers that it needs are in the cache, as for most mail: to wake another
// goroutine takes longer. Otherwise the task begins again in the background, where it may wait. So a task must
// leave nothing behind that a second run does not replace.
func (t *Verification) start(what task, i int) {
	if c := t.dns.Cached; c != nil {
		t.pending.Add(1)
		t.do(what, Lookups{Policy: c, AlignedKeys: c, OtherKeys: c}, i)
		if c.EndRun() {
			return
		}
	}
	t.pending.Add(1)
	lookups.run(lookup{t, what, i})
}

// do does a task. A panic in it counts as a failure of ours: the message gets a temporary error.
func (t *Verification) do(what task, from Lookups, i int) {
	defer t.pending.Done()
	defer t.recovered()
	what(t, from, i)
}

// startQuery starts a check that is one function.
func (t *Verification) startQuery(row int) {
	if t.queried == nil {
		t.queried = make([]Finding, len(checks))
		t.queriedOf = t.env // Header writes the other one meanwhile
	}
	t.start((*Verification).runQuery, row)
}

// noteWait is called at the end of a look-up that began with the envelope.
func (t *Verification) noteWait(began time.Time) {
	// From the cache it takes microseconds.
	if time.Since(began) > time.Millisecond {
		t.envelopeWaited.Store(true)
	}
}

func (t *Verification) runQuery(from Lookups, row int) {
	defer t.noteWait(time.Now())
	c := &checks[row]
	found := c.query(t.ctx, from.Policy, t.verifier.cfg, t.queriedOf)
	found.Method = c.method
	t.queried[row] = found
}
