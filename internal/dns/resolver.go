package dns

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	wire "github.com/miekg/dns"
)

const (
	// maxInFlight bounds the sockets that are open at once.
	maxInFlight = 512
	// restTime is how long a server that did not answer is asked after the others.
	restTime = 30 * time.Second
)

// Resolver asks recursive resolvers over the network and remembers what they say.
// One question is on its way once, however many wait for its answer. Its methods
// may be used concurrently; it holds no socket while nobody asks.
//
// It does not validate DNSSEC: that is the work of the resolver it asks, over a
// path that nobody else writes to, best of all on the same machine.
type Resolver struct {
	servers []*server
	timeout time.Duration
	tries   int
	now     func() time.Time

	cache   cache
	slots   chan struct{}
	life    context.Context
	end     context.CancelFunc
	flights sync.WaitGroup
}

// server is one resolver and its health.
type server struct {
	addr  netip.AddrPort
	rests atomic.Int64 // Unix nanoseconds until which the others are asked first
}

// New returns a resolver for the servers of the section, or those of the system
// where it names none. It asks nobody yet.
func New(c Config) (*Resolver, error) {
	var problems []error
	c.Validate(func(path, problem string) {
		problems = append(problems, fmt.Errorf("dns: %s: %s", path, problem))
	})
	if len(problems) > 0 {
		return nil, errors.Join(problems...)
	}
	addrs, err := systemServers(resolvConf)
	if len(c.Servers) > 0 {
		addrs, err = nil, nil
		for _, s := range c.Servers {
			addr, _ := parseServer(s)
			addrs = append(addrs, addr)
		}
	}
	if err != nil {
		return nil, err
	}
	r := &Resolver{timeout: c.Timeout, tries: c.Tries, now: time.Now, slots: make(chan struct{}, maxInFlight)}
	for _, addr := range addrs {
		r.servers = append(r.servers, &server{addr: addr})
	}
	r.cache.init()
	r.life, r.end = context.WithCancel(context.Background())
	return r, nil
}

// Close ends the queries that are under way and waits for them to be gone. Look-ups
// that are not in the cache then fail.
func (r *Resolver) Close() error {
	r.end()
	for i := range r.cache.shards { // whoever holds a lock may be about to start one
		r.cache.shards[i].mu.Lock()
		r.cache.shards[i].mu.Unlock()
	}
	r.flights.Wait()
	return nil
}

var (
	absentAnswer = &answer{absent: true}
	errClosed    = errors.New("the resolver has been closed")
)

func (r *Resolver) closed() error {
	if r.life.Err() != nil {
		return errClosed
	}
	return nil
}

// lookup answers from the cache or by a query, of its own or one that is under way.
func (r *Resolver) lookup(ctx context.Context, name string, rrtype uint16) (*answer, error) {
	name, ok := canonical(name)
	if !ok {
		return absentAnswer, nil
	}
	k := key{name, rrtype}
	s := r.cache.shard(k)
	s.mu.Lock()
	if a := s.get(k, r.now()); a != nil {
		s.mu.Unlock()
		return a, a.err
	}
	if err := cmp.Or(ctx.Err(), r.closed()); err != nil {
		s.mu.Unlock()
		return nil, lookupError(name, rrtype, err)
	}
	f := s.flights[k]
	if f == nil {
		f = r.start(s, k)
	}
	f.waiters++
	s.mu.Unlock()
	select {
	case <-f.done:
		return f.answer, f.answer.err
	case <-ctx.Done():
		s.leave(k, f)
		return nil, lookupError(name, rrtype, ctx.Err())
	}
}

// start sends a question on its way, on a context of its own: the asker who came
// first is one of many. The caller holds the shard's lock.
func (r *Resolver) start(s *shard, k key) *flight {
	k.name = strings.Clone(k.name) // the asker's may be a slice of a whole header
	budget := time.Duration(r.tries+1) * r.timeout
	ctx, cancel := context.WithTimeout(r.life, budget)
	f := &flight{done: make(chan struct{}), cancel: cancel}
	s.flights[k] = f
	r.flights.Add(1)
	go func() {
		defer r.flights.Done()
		defer cancel()
		a := r.fly(ctx, k)
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.flights[k] == f {
			delete(s.flights, k)
			s.put(k, a, r.now())
		}
		f.answer = a
		close(f.done)
	}()
	return f
}

// leave is for an asker who waits no longer. The last one ends the flight.
func (s *shard) leave(k key, f *flight) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if f.waiters--; f.waiters == 0 && s.flights[k] == f {
		delete(s.flights, k)
		f.cancel()
	}
}

// fly finds the answer to a question, along CNAMEs that the servers did not follow.
func (r *Resolver) fly(ctx context.Context, k key) *answer {
	failed := func(err error) *answer {
		return &answer{err: lookupError(k.name, k.rrtype, err), ttl: errorTTL}
	}
	select {
	case r.slots <- struct{}{}:
		defer func() { <-r.slots }()
	case <-ctx.Done():
		return failed(errors.New("too many look-ups are under way"))
	}
	at, ttl, aliases, failures := k, maxTTL, 0, 0
	for {
		st, err := r.ask(ctx, at, &failures)
		if err != nil {
			return failed(err)
		}
		ttl = min(ttl, st.ttl)
		if aliases += st.aliases; aliases > maxCNAMEs {
			return failed(errAliases)
		}
		a, name, ok := st.answer, "", true
		if a == nil {
			if name, ok = canonical(st.alias); !ok {
				a = &answer{} // the root has no records that anybody asks for
			}
		}
		if a != nil {
			a.absent = a.absent && at == k // an alias exists
			a.ttl = max(ttl, minTTL)
			return a
		}
		at.name = name
	}
}

// ask puts one question to the servers in turn until one has an answer, as long as
// there are tries left of those for the whole look-up. A server that has said that
// it cannot answer is not asked again.
func (r *Resolver) ask(ctx context.Context, k key, failures *int) (step, error) {
	order := r.order()
	var last error
	for i := 0; *failures < r.tries && len(order) > 0; *failures++ {
		i %= len(order)
		srv := order[i]
		m, err := exchange(ctx, srv.addr, k, r.timeout)
		if ctx.Err() != nil {
			return step{}, cmp.Or(r.closed(), last, errTimeout)
		}
		if err != nil {
			srv.rests.Store(r.now().Add(restTime).UnixNano())
			last = fmt.Errorf("%s: %w", srv.addr, err)
			i++
			continue
		}
		srv.rests.Store(0)
		st, err := judge(m, k)
		if err == nil {
			return st, nil
		}
		last = fmt.Errorf("%s: %w", srv.addr, err)
		order = slices.Delete(order, i, i+1)
	}
	return step{}, cmp.Or(last, errTimeout)
}

// judge reads a reply, if it is one that answers.
func judge(m *wire.Msg, k key) (step, error) {
	if m.Rcode != wire.RcodeSuccess && m.Rcode != wire.RcodeNameError {
		return step{}, fmt.Errorf("the server answered %s", rcodeText(m.Rcode))
	}
	return readReply(m, k.name, k.rrtype)
}

func rcodeText(rcode int) string {
	if s, ok := wire.RcodeToString[rcode]; ok {
		return s
	}
	return fmt.Sprintf("with rcode %d", rcode)
}

// order returns the servers: as configured, but those that rest at the end, the one
// that has rested longest first.
func (r *Resolver) order() []*server {
	now := r.now().UnixNano()
	rest := func(s *server) int64 {
		if until := s.rests.Load(); until > now {
			return until
		}
		return 0
	}
	out := slices.Clone(r.servers)
	slices.SortStableFunc(out, func(a, b *server) int {
		switch x, y := rest(a), rest(b); {
		case x < y:
			return -1
		case x > y:
			return 1
		}
		return 0
	})
	return out
}
