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
		return Lookups{v.resolver, v.resolver, v.resolver}
	}
	return v.share(client)
}

// start starts a look-up, which ends with done.
func (t *Verification) start(what func(*Verification, int), i int) {
	t.pending.Add(1)
	lookups.run(lookup{t, what, i})
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

func (t *Verification) runQuery(row int) {
	defer t.done()
	defer t.noteWait(time.Now())
	c := &checks[row]
	found := c.query(t.ctx, t.dns.Policy, t.verifier.cfg, t.queriedOf)
	found.Method = c.method
	t.queried[row] = found
}
