package dns

import (
	"context"
	"time"

	wire "github.com/miekg/dns"
)

// Server is one of the servers behind a Source, used alone: its answers are not cached,
// and no other server replaces it. Its methods may be used concurrently.
type Server interface {
	// Acquire waits until one more look-up may run, or until ctx ends; then the server
	// was not asked. Call it before LookupTXT, and done after that.
	Acquire(ctx context.Context) (done func(), err error)
	LookupTXT(ctx context.Context, name string) ([]string, error)
	// String is the server's address, or its name in messages.
	String() string
}

// Each returns the servers behind a source in the configured order: those of the
// network, or the one zone. Their look-ups fail when the source is closed.
func Each(s Source) []Server {
	switch s := s.(type) {
	case *Resolver:
		return s.each()
	case *Zone:
		return []Server{zoneServer{s}}
	}
	return nil
}

type zoneServer struct{ *Zone }

func (zoneServer) Acquire(context.Context) (done func(), err error) { return func() {}, nil }

func (zoneServer) String() string { return "the zone file" }

// uncached is one server.
type uncached struct {
	*upstream
	slots chan struct{}
}

// maxUncached limits the open sockets of uncached look-ups to one server.
const maxUncached = 64

func (r *Resolver) each() []Server {
	var out []Server
	for _, s := range r.servers {
		out = append(out, uncached{&upstream{
			servers: []*server{{addr: s.addr, distant: s.distant}}, timeout: r.timeout, tries: r.tries, now: r.now, watch: r.watch, life: r.life,
		}, make(chan struct{}, r.uncached)})
	}
	return out
}

func (d uncached) String() string { return d.servers[0].addr.String() }

func (d uncached) Acquire(ctx context.Context) (done func(), err error) {
	select {
	case d.slots <- struct{}{}:
		return func() { <-d.slots }, nil
	case <-ctx.Done():
		return nil, errNoSlot
	}
}

// LookupTXT asks this server only. It does not acquire a slot.
func (d uncached) LookupTXT(ctx context.Context, name string) ([]string, error) {
	name, ok := canonical(name)
	if !ok {
		return nil, nil
	}
	ctx, cancel := context.WithTimeout(ctx, time.Duration(d.tries+1)*d.timeout)
	defer cancel()
	defer context.AfterFunc(d.life, cancel)()
	if err := d.closed(); err != nil {
		return nil, lookupError(name, wire.TypeTXT, err)
	}
	a := d.follow(ctx, key{name, wire.TypeTXT})
	return a.texts, a.err
}
