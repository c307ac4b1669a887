package dns

import (
	"context"
	"net/netip"

	wire "github.com/miekg/dns"
)

// LookupTXT returns one string for each record, its character strings joined.
func (r *Resolver) LookupTXT(ctx context.Context, name string) ([]string, error) {
	return r.texts(ctx, name, wire.TypeTXT)
}

// LookupA returns the IPv4 addresses of a name.
func (r *Resolver) LookupA(ctx context.Context, name string) ([]netip.Addr, error) {
	return r.addrs(ctx, name, wire.TypeA)
}

// LookupAAAA returns the IPv6 addresses of a name.
func (r *Resolver) LookupAAAA(ctx context.Context, name string) ([]netip.Addr, error) {
	return r.addrs(ctx, name, wire.TypeAAAA)
}

// LookupMX returns the mail hosts of a name, the most preferred first.
func (r *Resolver) LookupMX(ctx context.Context, name string) ([]string, error) {
	return r.texts(ctx, name, wire.TypeMX)
}

// LookupPTR returns the names of an address. An invalid address has none.
func (r *Resolver) LookupPTR(ctx context.Context, addr netip.Addr) ([]string, error) {
	return r.texts(ctx, reverseName(addr), wire.TypePTR)
}

// Exists is false only for a name that does not exist (NXDOMAIN). A name that is
// an alias exists, wherever the alias leads. It asks for type A, which other checks
// ask for as well.
func (r *Resolver) Exists(ctx context.Context, name string) (bool, error) {
	a, err := r.lookup(ctx, name, wire.TypeA)
	if err != nil {
		return false, err
	}
	return !a.absent, nil
}

func (r *Resolver) texts(ctx context.Context, name string, rrtype uint16) ([]string, error) {
	a, err := r.lookup(ctx, name, rrtype)
	if err != nil {
		return nil, err
	}
	return a.texts, nil
}

func (r *Resolver) addrs(ctx context.Context, name string, rrtype uint16) ([]netip.Addr, error) {
	a, err := r.lookup(ctx, name, rrtype)
	if err != nil {
		return nil, err
	}
	return a.addrs, nil
}
