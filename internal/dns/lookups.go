package dns

import (
	"context"
	"net/netip"

	wire "github.com/miekg/dns"
)

// asker sends the look-ups of one claim to a resolver.
type asker struct {
	resolver *Resolver
	claim    claim
}

func (r *Resolver) asker() asker { return asker{resolver: r} }

// Look-ups by a Resolver's own methods belong to no message: they share the policy
// slots as one additional client.

// LookupTXT returns one string for each record, its character strings joined.
func (r *Resolver) LookupTXT(ctx context.Context, name string) ([]string, error) {
	return r.asker().texts(ctx, name, wire.TypeTXT)
}

// LookupA returns the IPv4 addresses of a name.
func (r *Resolver) LookupA(ctx context.Context, name string) ([]netip.Addr, error) {
	return r.asker().addrs(ctx, name, wire.TypeA)
}

// LookupAAAA returns the IPv6 addresses of a name.
func (r *Resolver) LookupAAAA(ctx context.Context, name string) ([]netip.Addr, error) {
	return r.asker().addrs(ctx, name, wire.TypeAAAA)
}

// LookupMX returns the mail hosts of a name, the most preferred first.
func (r *Resolver) LookupMX(ctx context.Context, name string) ([]string, error) {
	return r.asker().texts(ctx, name, wire.TypeMX)
}

// LookupPTR returns the names of an address. An invalid address has none.
func (r *Resolver) LookupPTR(ctx context.Context, addr netip.Addr) ([]string, error) {
	return r.asker().texts(ctx, reverseName(addr), wire.TypePTR)
}

// Exists is false only for a name that does not exist (NXDOMAIN). An alias exists, for
// any target. It queries type A, which other checks query as well.
func (r *Resolver) Exists(ctx context.Context, name string) (bool, error) {
	return r.asker().exists(ctx, name)
}

func (v *view) LookupTXT(ctx context.Context, name string) ([]string, error) {
	return v.asker().texts(ctx, name, wire.TypeTXT)
}

func (v *view) LookupA(ctx context.Context, name string) ([]netip.Addr, error) {
	return v.asker().addrs(ctx, name, wire.TypeA)
}

func (v *view) LookupAAAA(ctx context.Context, name string) ([]netip.Addr, error) {
	return v.asker().addrs(ctx, name, wire.TypeAAAA)
}

func (v *view) LookupMX(ctx context.Context, name string) ([]string, error) {
	return v.asker().texts(ctx, name, wire.TypeMX)
}

func (v *view) LookupPTR(ctx context.Context, addr netip.Addr) ([]string, error) {
	return v.asker().texts(ctx, reverseName(addr), wire.TypePTR)
}

func (v *view) Exists(ctx context.Context, name string) (bool, error) {
	return v.asker().exists(ctx, name)
}

func (a asker) exists(ctx context.Context, name string) (bool, error) {
	found, err := a.resolver.lookup(ctx, name, wire.TypeA, a.claim)
	if err != nil {
		return false, err
	}
	return !found.absent, nil
}

func (a asker) texts(ctx context.Context, name string, rrtype uint16) ([]string, error) {
	found, err := a.resolver.lookup(ctx, name, rrtype, a.claim)
	if err != nil {
		return nil, err
	}
	return found.texts, nil
}

func (a asker) addrs(ctx context.Context, name string, rrtype uint16) ([]netip.Addr, error) {
	found, err := a.resolver.lookup(ctx, name, rrtype, a.claim)
	if err != nil {
		return nil, err
	}
	return found.addrs, nil
}
