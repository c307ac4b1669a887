package dns

import (
	"context"
	"errors"
	"net/netip"

	wire "github.com/miekg/dns"
)

// maxCNAMEs limits the aliases followed for one question. DNS has no such limit;
// resolvers stop between 8 and 16 (RFC 1034 §5.2.2 recommends a limit).
const maxCNAMEs = 8

// found is a zone's result for one question.
type found struct {
	aliases []string // the targets of the CNAMEs on the way, in order
	set     *rrset   // nil if there are no records of the type
	absent  bool     // the last name does not exist
	failure Failure
	loop    bool // too many aliases
}

// find answers a question for a canonical name.
func (z *Zone) find(name string, rrtype uint16) found {
	z.mu.RLock()
	defer z.mu.RUnlock()
	var f found
	for {
		n := z.match(name)
		if n == nil {
			f.absent = true
			return f
		}
		if how, ok := n.failures[rrtype]; ok {
			f.failure = how
			return f
		}
		if f.set = n.sets[rrtype]; f.set != nil {
			return f
		}
		alias := n.sets[wire.TypeCNAME]
		if alias == nil {
			f.failure = n.failures[anyType]
			f.absent = f.failure == NXDomain
			return f
		}
		if len(f.aliases) == maxCNAMEs {
			f.loop = true
			return f
		}
		name = alias.texts[0]
		f.aliases = append(f.aliases, name)
	}
}

// match finds the node for a name: its own, or the wildcard of the closest existing
// name above it (RFC 1034 §4.3.3, RFC 4592 §3.3.1). nil: no such name.
func (z *Zone) match(name string) *node {
	if n := z.nodes[name]; n != nil {
		return n
	}
	for up := name; up != ""; {
		up = parent(up)
		if z.nodes[up] == nil {
			continue
		}
		if up == "" {
			return z.nodes["*"]
		}
		return z.nodes["*."+up]
	}
	return nil
}

// records looks up one type; nil without an error means that there are none.
func (z *Zone) records(ctx context.Context, name string, rrtype uint16) (*rrset, error) {
	if err := ctx.Err(); err != nil {
		return nil, lookupError(name, rrtype, err)
	}
	name, ok := canonical(name)
	if !ok {
		return nil, nil
	}
	f := z.find(name, rrtype)
	switch {
	case f.loop:
		return nil, lookupError(name, rrtype, errAliases)
	case f.failure == Timeout:
		return nil, lookupError(name, rrtype, errTimeout)
	case f.failure == ServFail:
		return nil, lookupError(name, rrtype, errServFail)
	}
	return f.set, nil
}

var (
	errAliases  = errors.New("the CNAMEs form a loop or a chain that is too long")
	errTimeout  = errors.New("no server answered in time")
	errServFail = errors.New("the server answered SERVFAIL")
)

func (z *Zone) texts(ctx context.Context, name string, rrtype uint16) ([]string, error) {
	set, err := z.records(ctx, name, rrtype)
	if set == nil {
		return nil, err
	}
	return set.texts, err
}

func (z *Zone) addrs(ctx context.Context, name string, rrtype uint16) ([]netip.Addr, error) {
	set, err := z.records(ctx, name, rrtype)
	if set == nil {
		return nil, err
	}
	return set.addrs, err
}

// LookupTXT returns one string for each record, its character strings joined.
func (z *Zone) LookupTXT(ctx context.Context, name string) ([]string, error) {
	return z.texts(ctx, name, wire.TypeTXT)
}

// LookupA returns the IPv4 addresses of a name.
func (z *Zone) LookupA(ctx context.Context, name string) ([]netip.Addr, error) {
	return z.addrs(ctx, name, wire.TypeA)
}

// LookupAAAA returns the IPv6 addresses of a name.
func (z *Zone) LookupAAAA(ctx context.Context, name string) ([]netip.Addr, error) {
	return z.addrs(ctx, name, wire.TypeAAAA)
}

// LookupMX returns the mail hosts of a name, the most preferred first.
func (z *Zone) LookupMX(ctx context.Context, name string) ([]string, error) {
	return z.texts(ctx, name, wire.TypeMX)
}

// LookupPTR returns the names of an address. An invalid address has none.
func (z *Zone) LookupPTR(ctx context.Context, addr netip.Addr) ([]string, error) {
	return z.texts(ctx, reverseName(addr), wire.TypePTR)
}

// Exists is false only for a name that does not exist (NXDOMAIN). An alias exists, for
// any target.
func (z *Zone) Exists(ctx context.Context, name string) (bool, error) {
	if _, err := z.records(ctx, name, wire.TypeA); err != nil {
		return false, err
	}
	name, ok := canonical(name)
	if !ok {
		return false, nil
	}
	f := z.find(name, wire.TypeA)
	return !f.absent || len(f.aliases) > 0, nil
}

// Close does nothing: a zone has no sockets.
func (z *Zone) Close() error { return nil }
