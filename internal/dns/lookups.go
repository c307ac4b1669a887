package dns

import (
	"context"
	"net/netip"

	wire "github.com/miekg/dns"
)

// asker sends the look-ups of one claim to a resolver, or only to its cache. It implements Asker.
type asker struct {
	resolver *Resolver
	claim    claim
	run      *cachedRun // not nil: only to the cache
}

func (a asker) lookup(ctx context.Context, name string, rrtype uint16) (*answer, error) {
	if a.run != nil {
		return a.resolver.lookupCached(name, rrtype, a.run)
	}
	return a.resolver.lookup(ctx, name, rrtype, a.claim)
}

func (a asker) texts(ctx context.Context, name string, rrtype uint16) ([]string, error) {
	found, err := a.lookup(ctx, name, rrtype)
	if err != nil {
		return nil, err
	}
	return found.texts, nil
}

func (a asker) addrs(ctx context.Context, name string, rrtype uint16) ([]netip.Addr, error) {
	found, err := a.lookup(ctx, name, rrtype)
	if err != nil {
		return nil, err
	}
	return found.addrs, nil
}

// LookupTXT returns one string for each record, its character strings joined.
func (a asker) LookupTXT(ctx context.Context, name string) ([]string, error) {
	return a.texts(ctx, name, wire.TypeTXT)
}

// LookupA returns the IPv4 addresses of a name.
func (a asker) LookupA(ctx context.Context, name string) ([]netip.Addr, error) {
	return a.addrs(ctx, name, wire.TypeA)
}

// LookupAAAA returns the IPv6 addresses of a name.
func (a asker) LookupAAAA(ctx context.Context, name string) ([]netip.Addr, error) {
	return a.addrs(ctx, name, wire.TypeAAAA)
}

// LookupMX returns the mail hosts of a name, the most preferred first.
func (a asker) LookupMX(ctx context.Context, name string) ([]string, error) {
	return a.texts(ctx, name, wire.TypeMX)
}

// LookupPTR returns the names of an address. An invalid address has none.
func (a asker) LookupPTR(ctx context.Context, addr netip.Addr) ([]string, error) {
	return a.texts(ctx, reverseName(addr), wire.TypePTR)
}

// Exists is false only for a name that does not exist (NXDOMAIN). An alias exists, for
// any target. It queries type A, which other checks query as well.
func (a asker) Exists(ctx context.Context, name string) (bool, error) {
	found, err := a.lookup(ctx, name, wire.TypeA)
	if err != nil {
		return false, err
	}
	return !found.absent, nil
}

// Look-ups by a Resolver's own methods belong to no message: they share the policy
// slots as one additional client.

func (r *Resolver) asker() asker { return asker{resolver: r} }

// LookupTXT returns one string for each record, its character strings joined.
func (r *Resolver) LookupTXT(ctx context.Context, name string) ([]string, error) {
	return r.asker().LookupTXT(ctx, name)
}

// LookupA returns the IPv4 addresses of a name.
func (r *Resolver) LookupA(ctx context.Context, name string) ([]netip.Addr, error) {
	return r.asker().LookupA(ctx, name)
}

// LookupAAAA returns the IPv6 addresses of a name.
func (r *Resolver) LookupAAAA(ctx context.Context, name string) ([]netip.Addr, error) {
	return r.asker().LookupAAAA(ctx, name)
}

// LookupMX returns the mail hosts of a name, the most preferred first.
func (r *Resolver) LookupMX(ctx context.Context, name string) ([]string, error) {
	return r.asker().LookupMX(ctx, name)
}

// LookupPTR returns the names of an address. An invalid address has none.
func (r *Resolver) LookupPTR(ctx context.Context, addr netip.Addr) ([]string, error) {
	return r.asker().LookupPTR(ctx, addr)
}

// Exists is false only for a name that does not exist (NXDOMAIN).
func (r *Resolver) Exists(ctx context.Context, name string) (bool, error) {
	return r.asker().Exists(ctx, name)
}
