package dns_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	wire "github.com/miekg/dns"

	"signpost/internal/dns"
	"signpost/internal/dns/dnstest"
)

// patience is a time limit that a passing test never reaches.
const patience = 20 * time.Second

// slowTimeout is the timeout of a query where some queries get no answer, and the others have to get theirs in time
// on a busy machine too.
const slowTimeout = 2 * time.Second

func resolver(t testing.TB, timeout time.Duration, tries int, servers ...string) *dns.Resolver {
	t.Helper()
	r, err := dns.New(dns.Config{Servers: servers, Timeout: timeout, Tries: tries})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close() })
	return r
}

func zone(t testing.TB, text string) *dns.Zone {
	t.Helper()
	z, err := dns.ParseZone(strings.NewReader(text), t.Name())
	if err != nil {
		t.Fatal(err)
	}
	return z
}

// clock is a clock that the test sets.
type clock struct{ offset atomic.Int64 }

func (c *clock) now() time.Time          { return time.Unix(1_700_000_000, c.offset.Load()) }
func (c *clock) advance(d time.Duration) { c.offset.Add(int64(d)) }

var everything = `$TTL 1h
example.com TXT "v=spf1 ip4:" "192.0.2.5 -all"
example.com TXT "second"
example.com A 192.0.2.1
example.com AAAA 2001:db8::1
example.com MX 20 b.example.com
example.com MX 10 A.example.com
null.example.com MX 0 .
1.2.0.192.in-addr.arpa PTR mail.example.com
1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa PTR six.example.com
alias.example.com CNAME other.example.com
other.example.com CNAME example.com
dangling.example.com CNAME nowhere.example.org
loop.example.com CNAME pool.example.com
pool.example.com CNAME loop.example.com
raw.example.com TXT "\255\000\\\"` + "\xc3\xa9" + `"
odd\032na\;me.example.com TXT "odd"
below.there.example.com TXT "x"
sick.example.com SERVFAIL
`

func TestResolverAndZoneAnswerAlike(t *testing.T) {
	z := zone(t, everything)
	z.AddTXT("long.example.com", strings.Repeat("k=", 1500))
	r := resolver(t, patience, 2, dnstest.Start(t, z))
	ctx := context.Background()
	say := func(v any, err error) string {
		if err != nil {
			return "error"
		}
		return fmt.Sprintf("%q", v)
	}
	for _, s := range []dns.Source{z, r} {
		for _, c := range []struct{ name, got, want string }{
			{"records stay apart, strings are joined", say(s.LookupTXT(ctx, "Example.com.")), `["v=spf1 ip4:192.0.2.5 -all" "second"]`},
			{"octets are kept", say(s.LookupTXT(ctx, "raw.example.com")), `["\xff\x00\\\"é"]`},
			{"any octet may be in a name", say(s.LookupTXT(ctx, "odd na;me.example.com")), `["odd"]`},
			{"an answer over 512 octets", say(s.LookupTXT(ctx, "long.example.com")), fmt.Sprintf("[%q]", strings.Repeat("k=", 1500))},
			{"A", say(s.LookupA(ctx, "example.com")), `["192.0.2.1"]`},
			{"AAAA", say(s.LookupAAAA(ctx, "example.com")), `["2001:db8::1"]`},
			{"MX by preference", say(s.LookupMX(ctx, "example.com")), `["a.example.com" "b.example.com"]`},
			{"null MX", say(s.LookupMX(ctx, "null.example.com")), `["."]`},
			{"PTR", say(s.LookupPTR(ctx, netip.MustParseAddr("::ffff:192.0.2.1"))), `["mail.example.com"]`},
			{"PTR of IPv6", say(s.LookupPTR(ctx, netip.MustParseAddr("2001:db8::1"))), `["six.example.com"]`},
			{"PTR of no address", say(s.LookupPTR(ctx, netip.Addr{})), `[]`},
			{"a chain of aliases", say(s.LookupA(ctx, "alias.example.com")), `["192.0.2.1"]`},
			{"an alias to nothing", say(s.LookupA(ctx, "dangling.example.com")), `[]`},
			{"a loop of aliases", say(s.LookupA(ctx, "loop.example.com")), `error`},
			{"no such name", say(s.LookupTXT(ctx, "absent.example.com")), `[]`},
			{"no such type", say(s.LookupTXT(ctx, "null.example.com")), `[]`},
			{"a failing server", say(s.LookupTXT(ctx, "sick.example.com")), `error`},
			{"an empty label", say(s.LookupTXT(ctx, "a..example.com")), `[]`},
			{"a name that exists", say(s.Exists(ctx, "example.com")), "%!q(bool=true)"},
			{"a name that exists without A", say(s.Exists(ctx, "raw.example.com")), "%!q(bool=true)"},
			{"a name between others exists", say(s.Exists(ctx, "there.example.com")), "%!q(bool=true)"},
			{"an alias to nothing exists", say(s.Exists(ctx, "dangling.example.com")), "%!q(bool=true)"},
			{"a name that does not exist", say(s.Exists(ctx, "absent.example.com")), "%!q(bool=false)"},
			{"the existence of a failing name", say(s.Exists(ctx, "sick.example.com")), "error"},
		} {
			if c.got != c.want {
				t.Errorf("%T: %s: %s, want %s", s, c.name, c.got, c.want)
			}
		}
	}
}

// A reply that does not fit UDP comes over TCP.
func TestATruncatedReplyIsAskedForOverTCP(t *testing.T) {
	srv := dnstest.Serve(t, zone(t, everything))
	srv.Behave(dnstest.Truncate)
	got, err := resolver(t, patience, 1, srv.Addr).LookupTXT(context.Background(), "raw.example.com")
	if err != nil || len(got) != 1 {
		t.Errorf("%q, %v", got, err)
	}
	if n := srv.Queries("raw.example.com", "TXT"); n != 2 {
		t.Errorf("%d queries, want one over each transport", n)
	}
}

// A reply that does not match is skipped; the right one after it is used.
func TestForgedRepliesAreIgnored(t *testing.T) {
	for name, forge := range map[string]dnstest.Behaviour{
		"another id":       dnstest.WrongID,
		"another question": dnstest.WrongQuestion,
		"another type": func(_ string, _, m *wire.Msg) *wire.Msg {
			m.Question[0].Qtype = wire.TypeA
			return m
		},
		"a query": func(_ string, _, m *wire.Msg) *wire.Msg {
			m.Response = false
			return m
		},
		"no question": func(_ string, _, m *wire.Msg) *wire.Msg {
			m.Question = nil
			return m
		},
	} {
		t.Run(name, func(t *testing.T) {
			srv := dnstest.Serve(t, zone(t, everything))
			var calls atomic.Int32
			srv.Behave(func(network string, q, m *wire.Msg) *wire.Msg {
				if calls.Add(1) == 1 {
					return forge(network, q, m)
				}
				return m
			})
			r := resolver(t, 200*time.Millisecond, 8, srv.Addr)
			got, err := r.LookupTXT(context.Background(), "raw.example.com")
			if err != nil || len(got) != 1 {
				t.Errorf("%q, %v", got, err)
			}
			if calls.Load() < 2 {
				t.Error("the forged reply was taken")
			}
		})
	}
}

func TestIdsDiffer(t *testing.T) {
	srv := dnstest.Serve(t, zone(t, everything))
	var mu sync.Mutex
	ids := map[uint16]bool{}
	srv.Behave(func(_ string, q, m *wire.Msg) *wire.Msg {
		mu.Lock()
		ids[q.Id] = true
		mu.Unlock()
		return m
	})
	r := resolver(t, patience, 1, srv.Addr)
	for i := range 32 {
		if _, err := r.LookupA(context.Background(), fmt.Sprintf("n%d.example.com", i)); err != nil {
			t.Fatal(err)
		}
	}
	mu.Lock()
	defer mu.Unlock()
	if len(ids) < 30 {
		t.Errorf("32 queries had %d ids", len(ids))
	}
}

// If a server does not follow aliases, or hides the end of the chain, the resolver
// follows them.
func TestAliasesAreFollowedByFurtherQueries(t *testing.T) {
	srv := dnstest.Serve(t, zone(t, everything))
	srv.Behave(func(_ string, _, m *wire.Msg) *wire.Msg {
		if len(m.Answer) > 1 {
			m.Answer, m.Ns, m.Rcode = m.Answer[:1], nil, 0
		}
		return m
	})
	r := resolver(t, patience, 1, srv.Addr)
	if got, err := r.LookupA(context.Background(), "alias.example.com"); err != nil || len(got) != 1 {
		t.Errorf("%v, %v", got, err)
	}
	if srv.Queries("example.com", "A") != 1 || srv.Queries("", "") != 3 {
		t.Errorf("%d queries", srv.Queries("", ""))
	}
}

// A chain of aliases that is too long, or a loop, is an error.
func TestALoopOfAliasesEnds(t *testing.T) {
	srv := dnstest.Serve(t, zone(t, everything))
	loop := func(from, to string) wire.RR {
		return &wire.CNAME{Hdr: wire.RR_Header{Name: from, Rrtype: wire.TypeCNAME, Class: wire.ClassINET, Ttl: 60}, Target: to}
	}
	for name, whole := range map[string]bool{"in one reply": true, "over many": false} {
		t.Run(name, func(t *testing.T) {
			srv.Behave(func(_ string, q, m *wire.Msg) *wire.Msg {
				m.Rcode, m.Ns = 0, nil
				m.Answer = []wire.RR{loop("a.example.", "b.example."), loop("b.example.", "a.example.")}
				if !whole {
					m.Answer = []wire.RR{loop(q.Question[0].Name, "x"+q.Question[0].Name)}
				}
				return m
			})
			r := resolver(t, patience, 1, srv.Addr)
			if _, err := r.LookupA(context.Background(), "a.example"); err == nil || !strings.Contains(err.Error(), "CNAME") {
				t.Errorf("err = %v", err)
			}
			if n := srv.Queries("", ""); n > 10 {
				t.Errorf("%d queries", n)
			}
		})
	}
}

// A caller whose time is over gets an error at once.
func TestACancelledContextEndsALookup(t *testing.T) {
	srv := dnstest.Serve(t, zone(t, everything))
	srv.Behave(dnstest.Drop)
	r := resolver(t, patience, 3, srv.Addr)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() {
		_, err := r.LookupTXT(ctx, "example.com")
		done <- err
	}()
	until(t, func() bool { return srv.Queries("", "") == 1 })
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("err = %v", err)
	}
	if _, _, flights := r.Cached(); flights != 0 {
		t.Error("the query goes on although nobody waits")
	}
	if _, err := r.LookupTXT(ctx, "other.example.com"); !errors.Is(err, context.Canceled) {
		t.Errorf("with a context that has ended: %v", err)
	}
	srv.Behave(nil)
	if got, err := r.LookupTXT(context.Background(), "example.com"); err != nil || len(got) != 2 {
		t.Errorf("the cancellation was remembered: %q, %v", got, err)
	}
}

// Concurrent look-ups of one question send one query.
func TestManyAskersCostOneQuery(t *testing.T) {
	srv := dnstest.Serve(t, zone(t, everything))
	hold := make(chan struct{})
	srv.Behave(dnstest.Hold(hold))
	r := resolver(t, patience, 1, srv.Addr)
	const askers = 100
	leader, giveUp := context.WithCancel(context.Background())
	first := make(chan error)
	go func() {
		_, err := r.LookupTXT(leader, "example.com")
		first <- err
	}()
	until(t, func() bool { return r.Waiting() == 1 })
	var wg sync.WaitGroup
	for range askers {
		wg.Go(func() {
			if got, err := r.LookupTXT(context.Background(), "EXAMPLE.com"); err != nil || len(got) != 2 {
				t.Errorf("%q, %v", got, err)
			}
		})
	}
	until(t, func() bool { return r.Waiting() == askers+1 })
	giveUp()
	if err := <-first; !errors.Is(err, context.Canceled) {
		t.Errorf("the one who gave up: %v", err)
	}
	close(hold)
	wg.Wait()
	if n := srv.Queries("", ""); n != 1 {
		t.Errorf("%d queries", n)
	}
}

func TestCloseEndsWhatIsUnderWay(t *testing.T) {
	srv := dnstest.Serve(t, zone(t, everything))
	r := resolver(t, patience, 1, srv.Addr)
	if _, err := r.LookupA(context.Background(), "example.com"); err != nil {
		t.Fatal(err)
	}
	srv.Behave(dnstest.Drop)
	before := runtime.NumGoroutine()
	var wg sync.WaitGroup
	for i := range 10 {
		wg.Go(func() {
			if _, err := r.LookupA(context.Background(), fmt.Sprintf("n%d.example.com", i)); err == nil {
				t.Error("no error")
			}
		})
	}
	until(t, func() bool { return r.Waiting() == 10 })
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	wg.Wait()
	if _, err := r.LookupA(context.Background(), "more.example.com"); err == nil || !strings.Contains(err.Error(), "closed") {
		t.Errorf("after Close: %v", err)
	}
	if got, err := r.LookupA(context.Background(), "example.com"); err != nil || len(got) != 1 {
		t.Errorf("what is remembered: %v, %v", got, err)
	}
	until(t, func() bool { return runtime.NumGoroutine() <= before })
}

// until waits for an action of another goroutine.
func until(t *testing.T, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !done(); runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Fatal("it did not come about")
		}
	}
}
