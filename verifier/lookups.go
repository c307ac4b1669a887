package verifier

import (
	"net/netip"

	"signpost/internal/dkim"
	"signpost/internal/dmarc"
	"signpost/internal/spf"
)

// Lookups are the resolvers for one message, by what depends on the answers. They may be
// one and the same.
type Lookups struct {
	Policy      Resolver      // SPF and the author's DMARC record
	AlignedKeys dkim.Resolver // keys of signatures that could align with the author domain
	OtherKeys   dkim.Resolver // keys of all other signatures
}

// WithSharing returns the verifier with a function that gives each message its look-ups,
// so that a client cannot take the DNS from others. The address is invalid where it is
// unknown. Without one, all messages ask the resolver itself.
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

// startLookups starts what the header asks of DNS: the author's policy first, then the
// keys that could make it pass.
func (t *Verification) startLookups() {
	t.pending.Add(t.dkim.Keys() + len(t.discoveries))
	for i := range t.discoveries {
		lookups.run(lookup{t, (*Verification).discover, i})
	}
	for _, aligned := range []bool{true, false} {
		for i := range t.dkim.Keys() {
			if t.dkim.KeyMayAlign(i) == aligned {
				lookups.run(lookup{t, (*Verification).lookupKey, i})
			}
		}
	}
}

// The look-ups run beside each other and end with done.

func (t *Verification) checkHost(int) {
	defer t.done()
	t.spf = spf.CheckHost(t.ctx, t.dns.Policy, t.query)
}

func (t *Verification) lookupKey(i int) {
	defer t.done()
	resolver := t.dns.OtherKeys
	if t.dkim.KeyMayAlign(i) {
		resolver = t.dns.AlignedKeys
	}
	t.dkim.LookupKey(t.ctx, i, resolver)
}

func (t *Verification) discover(i int) {
	defer t.done()
	t.discoveries[i] = dmarc.Discover(t.ctx, t.dns.Policy, t.author.Domains[i], t.verifier.cfg.DMARC.Discovery)
}
