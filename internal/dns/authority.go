package dns

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	wire "github.com/miekg/dns"
)

// DNSPort is the port of DNS servers (RFC 1035 §4.2).
const DNSPort = 53

// maxAuthorities limits the servers of one zone that are asked.
const maxAuthorities = 8

// Authorities finds the servers that have authority for names, and asks them directly: what
// they answer, no cache has changed. Its methods may be used concurrently.
type Authorities struct {
	resolver *Resolver
	port     uint16

	mu     sync.Mutex
	silent map[netip.AddrPort]int // how often a server did not answer
}

// NewAuthorities finds servers by a source. port is theirs, DNSPort but in tests. A zone file has
// no servers: nil, whose methods find none.
func NewAuthorities(s Source, port uint16) *Authorities {
	r, ok := s.(*Resolver)
	if !ok {
		return nil
	}
	return &Authorities{resolver: r, port: port, silent: map[netip.AddrPort]int{}}
}

// Of returns the servers of the zone that contains a name, in the order of their names. None and
// no error: the resolver knows of no zone below the top-level domains. The servers of a zone may
// not be reachable from here.
func (a *Authorities) Of(ctx context.Context, name string) ([]Server, error) {
	if a == nil {
		return nil, nil
	}
	name, ok := canonical(name)
	if !ok {
		return nil, nil
	}
	for ; strings.Contains(name, "."); name = parent(name) {
		hosts, err := a.resolver.asker().texts(ctx, name, wire.TypeNS)
		var failed rcodeError
		if err != nil && !errors.As(err, &failed) { // a zone above may still be found
			return nil, err
		}
		if len(hosts) > 0 {
			return a.servers(ctx, hosts)
		}
	}
	return nil, nil
}

// servers looks up the addresses of name servers: IPv4, or IPv6 where there is no other.
func (a *Authorities) servers(ctx context.Context, hosts []string) ([]Server, error) {
	var all []Server
	hosts = slices.Sorted(slices.Values(hosts))
	for _, host := range slices.Compact(hosts) {
		addrs, err := a.resolver.LookupA(ctx, host)
		if err == nil && len(addrs) == 0 {
			addrs, err = a.resolver.LookupAAAA(ctx, host)
		}
		if err != nil && ctx.Err() != nil {
			return nil, err
		}
		for _, addr := range addrs {
			if len(all) < maxAuthorities {
				all = append(all, a.server(host, netip.AddrPortFrom(addr.Unmap(), a.port)))
			}
		}
	}
	return all, nil
}

func (a *Authorities) server(host string, at netip.AddrPort) Server {
	return authority{
		of: a, host: host,
		direct: &upstream{servers: []*server{{addr: at}}, timeout: min(a.resolver.timeout, 2*time.Second), tries: 2, now: a.resolver.now, life: a.resolver.life},
	}
}

// authority is one server of a zone.
type authority struct {
	of     *Authorities
	host   string
	direct *upstream
}

func (s authority) String() string {
	addr := s.direct.servers[0].addr
	if addr.Port() == DNSPort {
		return fmt.Sprintf("%s (%s)", s.host, addr.Addr())
	}
	return fmt.Sprintf("%s (%s)", s.host, addr)
}

func (s authority) Acquire(context.Context) (done func(), err error) { return func() {}, nil }

// maxSilence is how many questions in vain a server gets before no more is asked: it cannot be
// reached from here.
const maxSilence = 3

// LookupTXT asks the server. An alias that leads to another zone is followed by the resolver.
func (s authority) LookupTXT(ctx context.Context, name string) ([]string, error) {
	name, ok := canonical(name)
	if !ok {
		return nil, nil
	}
	addr := s.direct.servers[0].addr
	s.of.mu.Lock()
	silent := s.of.silent[addr] >= maxSilence
	s.of.mu.Unlock()
	if silent {
		return nil, lookupError(name, wire.TypeTXT, &serverError{addr, errTimeout})
	}
	failures := 0
	st, err := s.direct.ask(ctx, key{name, wire.TypeTXT}, &failures)
	if s.direct.servers[0].rests.Load() != 0 && ctx.Err() == nil {
		s.of.mu.Lock()
		s.of.silent[addr]++
		s.of.mu.Unlock()
	}
	switch {
	case err != nil:
		return nil, lookupError(name, wire.TypeTXT, err)
	case st.aliases == 0 || st.answer != nil && len(st.answer.texts) > 0:
		return st.answer.texts, st.answer.err
	}
	return s.of.resolver.LookupTXT(ctx, name)
}

// Health is what a question to one server showed.
type Health struct {
	// Took is the time of an answer, Err why there was none.
	Took time.Duration
	Err  error
	// TCP is the error of the same question over TCP.
	TCP error
}

// Probe asks a server of Each for the text records of a name, once over UDP, and once over TCP.
// An answer without records is an answer. A zone file has no TCP.
func Probe(ctx context.Context, s Server, name string) Health {
	u, ok := s.(uncached)
	if !ok {
		_, err := s.LookupTXT(ctx, name)
		return Health{Err: err}
	}
	name, _ = canonical(name)
	k := key{name, wire.TypeTXT}
	q := &query{server: u.servers[0], key: k, msg: newQuery(k), timeout: u.timeout}
	begun := time.Now()
	m, err := q.overUDP(ctx)
	h := Health{Took: time.Since(begun), Err: err}
	if err == nil {
		_, h.Err = judge(m, k)
	}
	m, h.TCP = q.overTCP(ctx)
	if h.TCP == nil {
		_, h.TCP = judge(m, k)
	}
	return h
}
