package dns

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"slices"
	"sync/atomic"
	"time"

	wire "github.com/miekg/dns"
)

// restTime is how long a server that did not answer is tried after the others.
const restTime = 30 * time.Second

// server is one resolver and its health.
type server struct {
	addr  netip.AddrPort
	rests atomic.Int64 // Unix nanoseconds until which the others are tried first

	distant    bool         // not on this machine, where others cannot forge replies
	echoes     atomic.Bool  // it has been seen to keep the case of letters
	plainUntil atomic.Int64 // Unix nanoseconds until which it gets lower case
}

func newServer(addr netip.AddrPort) *server {
	return &server{addr: addr, distant: !addr.Addr().IsLoopback()}
}

// upstream is some servers, which it asks without a cache.
type upstream struct {
	servers []*server
	timeout time.Duration // of one try
	tries   int           // for one question, at all servers together
	now     func() time.Time
	watch   *watch          // nil: nothing is told
	life    context.Context // when it ends, so do the look-ups
}

func (u *upstream) closed() error {
	if u.life.Err() != nil {
		return errClosed
	}
	return nil
}

// follow finds the answer to a question. It follows CNAMEs that the servers did not
// follow.
func (u *upstream) follow(ctx context.Context, k key) *answer {
	at, ttl, aliases, failures := k, maxTTL, 0, 0
	for {
		if err := u.closed(); err != nil {
			return k.failed(err)
		}
		st, err := u.ask(ctx, at, &failures)
		if err != nil {
			return k.failed(err)
		}
		ttl = min(ttl, st.ttl)
		if aliases += st.aliases; aliases > maxCNAMEs {
			return k.failed(errAliases)
		}
		a, name, ok := st.answer, "", true
		if a == nil {
			if name, ok = canonical(st.alias); !ok {
				a = &answer{} // the root has no records for us
			}
		}
		if a != nil {
			a.absent = a.absent && at == k // an alias exists
			a.ttl = ttl
			return a
		}
		at.name = name
	}
}

// ask sends one question to the servers in turn until one answers or the look-up has
// used up its tries. A server that has reported a failure is not asked again.
func (u *upstream) ask(ctx context.Context, k key, failures *int) (step, error) {
	order := u.order()
	var last error
	for i := 0; *failures < u.tries && len(order) > 0; *failures++ {
		i %= len(order)
		srv := order[i]
		// Capital letters may be the reason for the silence: the last try has none.
		plainly := *failures > 0 && *failures == u.tries-1
		began := time.Now()
		m, err := exchange(ctx, srv, k, u.timeout, u.now(), plainly)
		took := time.Since(began)
		if ctx.Err() != nil {
			return step{}, cmp.Or(u.closed(), last, errTimeout)
		}
		if err != nil && local(err) {
			return step{}, &serverError{srv.addr, err}
		}
		if err != nil {
			u.watch.tell(Query{Server: srv.addr, Took: took, Err: err})
			srv.rests.Store(u.now().Add(restTime).UnixNano())
			last = &serverError{srv.addr, err}
			i++
			continue
		}
		srv.rests.Store(0)
		st, err := judge(m, k)
		u.watch.tell(Query{Server: srv.addr, Took: took, Answered: true, Err: err})
		if err == nil {
			return st, nil
		}
		last = &serverError{srv.addr, err}
		order = slices.Delete(order, i, i+1)
	}
	return step{}, cmp.Or(last, errTimeout)
}

// judge reads a reply.
func judge(m *wire.Msg, k key) (step, error) {
	if m.Rcode != wire.RcodeSuccess && m.Rcode != wire.RcodeNameError {
		return step{}, rcodeError(m.Rcode)
	}
	return readReply(m, k.name, k.rrtype)
}

// rcodeError is a reply that reports a failure.
type rcodeError int

func (e rcodeError) Error() string { return "the server answered " + rcodeText(int(e)) }

func rcodeText(rcode int) string {
	if s, ok := wire.RcodeToString[rcode]; ok {
		return s
	}
	return fmt.Sprintf("with rcode %d", rcode)
}

// order returns the servers as configured, the resting ones last, and of these the one
// that has rested longest first.
func (u *upstream) order() []*server {
	now := u.now().UnixNano()
	rest := func(s *server) int64 {
		if until := s.rests.Load(); until > now {
			return until
		}
		return 0
	}
	out := slices.Clone(u.servers)
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
