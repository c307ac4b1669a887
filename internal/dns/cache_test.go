package dns_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	wire "github.com/miekg/dns"

	"signpost/internal/dns"
	"signpost/internal/dns/dnstest"
)

// An answer is kept for its TTL, within our limits.
func TestAnswersAreKeptForTheirTTLWithinBounds(t *testing.T) {
	const sec = time.Second
	for _, c := range []struct {
		name string
		ask  string
		ttl  uint32
		want time.Duration
	}{
		{"a TTL is honoured", "example.com", 30, 30 * sec},
		{"a huge TTL is bounded, so that a revoked key is noticed", "example.com", 1_000_000_000, dns.MaxTTL},
		{"no such name, for the SOA's minimum", "absent.example.com", 20, 20 * sec},
		{"no such type, for the SOA's minimum", "null.example.com", 20, 20 * sec},
		{"a huge minimum is bounded, so that a new key is noticed", "absent.example.com", 1_000_000, dns.MaxNegativeTTL},
		{"a chain lasts as long as its shortest link", "alias.example.com", 15, 15 * sec},
	} {
		t.Run(c.name, func(t *testing.T) {
			srv := dnstest.Serve(t, zone(t, everything))
			srv.Behave(dnstest.TTL(c.ttl))
			r := resolver(t, patience, 1, srv.Addr)
			lasts(t, r, srv, c.ask, c.want)
		})
	}
}

// lasts checks that an answer is kept for exactly this time.
func lasts(t *testing.T, r *dns.Resolver, srv *dnstest.Server, name string, want time.Duration) {
	t.Helper()
	var c clock
	r.SetNow(c.now)
	for i, step := range []struct {
		wait    time.Duration
		queries int
	}{{0, 1}, {want - 1, 1}, {1, 2}} {
		c.advance(step.wait)
		_, _ = r.LookupTXT(context.Background(), name)
		if n := srv.Queries(name, "TXT"); n != step.queries {
			t.Fatalf("look-up %d: %d queries, want %d", i+1, n, step.queries)
		}
	}
}

// RFC 1035 §3.2.1: a TTL of 0 is for the transaction in progress; RFC 2308 §5: so is a
// negative answer without an SOA record.
// negative answer that has no SOA record.
func TestAnswersWithoutATimeToLiveAreNotKept(t *testing.T) {
	noSOA := func(_ string, _, m *wire.Msg) *wire.Msg {
		m.Ns = nil
		return m
	}
	for _, c := range []struct {
		name, ask string
		behave    dnstest.Behaviour
	}{
		{"a TTL of 0", "example.com", dnstest.TTL(0)},
		{"a TTL with the highest bit is 0 (RFC 2181 §8)", "example.com", dnstest.TTL(1 << 31)},
		{"a chain with a link of TTL 0", "alias.example.com", dnstest.TTL(0)},
		{"no such name, for an SOA's minimum of 0", "absent.example.com", dnstest.TTL(0)},
		{"no such type, for an SOA's minimum of 0", "null.example.com", dnstest.TTL(0)},
		{"no such name, without an SOA", "absent.example.com", noSOA},
		{"no such type, without an SOA", "null.example.com", noSOA},
	} {
		t.Run(c.name, func(t *testing.T) {
			srv := dnstest.Serve(t, zone(t, everything))
			srv.Behave(c.behave)
			r := resolver(t, patience, 1, srv.Addr)
			var now clock
			r.SetNow(now.now)
			for i := range 3 {
				if _, err := r.LookupTXT(context.Background(), c.ask); err != nil {
					t.Fatal(err)
				}
				if n := srv.Queries(c.ask, "TXT"); n != i+1 {
					t.Fatalf("%d look-ups in one moment made %d queries", i+1, n)
				}
			}
			if entries, _, _ := r.Cached(); entries != 0 {
				t.Errorf("%d entries are kept", entries)
			}
		})
	}
}

func TestFailuresAreRememberedShortly(t *testing.T) {
	srv := dnstest.Serve(t, zone(t, everything))
	lasts(t, resolver(t, patience, 1, srv.Addr), srv, "sick.example.com", dns.ErrorTTL)
}

func TestARevokedKeyIsSeenAfterItsTTL(t *testing.T) {
	const name = "s._domainkey.example.com"
	before, after := dns.NewZone(), dns.NewZone()
	before.AddTXT(name, "v=DKIM1; p=abc")
	after.AddTXT(name, "v=DKIM1; p=")
	srv := dnstest.Serve(t, before)
	r := resolver(t, patience, 1, srv.Addr)
	var c clock
	r.SetNow(c.now)
	ask := func() string {
		t.Helper()
		got, err := r.LookupTXT(context.Background(), name)
		if err != nil {
			t.Fatal(err)
		}
		return strings.Join(got, "|")
	}
	if got := ask(); got != "v=DKIM1; p=abc" {
		t.Errorf("first: %q", got)
	}
	srv.Behave(func(_ string, q, _ *wire.Msg) *wire.Msg { return after.Respond(q) })
	c.advance(dns.MaxTTL)
	if got := ask(); got != "v=DKIM1; p=" {
		t.Errorf("after the longest time that a key is kept: %q", got)
	}
}

func TestTypesAreKeptApart(t *testing.T) {
	srv := dnstest.Serve(t, zone(t, everything))
	r, ctx := resolver(t, patience, 1, srv.Addr), context.Background()
	txt, _ := r.LookupTXT(ctx, "example.com")
	a, _ := r.LookupA(ctx, "example.com")
	if len(txt) != 2 || len(a) != 1 {
		t.Errorf("TXT %q, A %v", txt, a)
	}
	if _, err := r.Exists(ctx, "example.com"); err != nil || srv.Queries("", "") != 2 {
		t.Errorf("the existence of a name with a known address cost a query: %d, %v", srv.Queries("", ""), err)
	}
}

// Concurrent look-ups of one question send one query.
func TestAnAnswerBeyondTheLimitsIsAnError(t *testing.T) {
	z := dns.NewZone()
	for i := range dns.MaxRecords + 1 {
		z.AddTXT("many.example.com", fmt.Sprint(i))
		if i < dns.MaxRecords {
			z.AddTXT("most.example.com", fmt.Sprint(i))
		}
	}
	z.AddTXT("long.example.com", strings.Repeat("x", dns.MaxRecordBytes+1))
	z.AddTXT("longest.example.com", strings.Repeat("x", dns.MaxRecordBytes))
	r := resolver(t, patience, 1, dnstest.Start(t, z))
	for name, want := range map[string]int{"many.example.com": -1, "most.example.com": dns.MaxRecords, "long.example.com": -1, "longest.example.com": 1} {
		got, err := r.LookupTXT(context.Background(), name)
		if want < 0 && err == nil || want >= 0 && (err != nil || len(got) != want) {
			t.Errorf("%s: %d records, %v; want %d", name, len(got), err, want)
		}
	}
}

func BenchmarkCacheHit(b *testing.B) {
	r := resolver(b, patience, 1, dnstest.Start(b, zone(b, everything)))
	ctx := context.Background()
	if _, err := r.LookupTXT(ctx, "example.com"); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if got, err := r.LookupTXT(ctx, "example.com"); err != nil || len(got) != 2 {
			b.Fatal(got, err)
		}
	}
}

// For comparison with a cache hit: the query that it saves, on loopback.
func BenchmarkQuery(b *testing.B) {
	srv := dnstest.Serve(b, zone(b, everything))
	srv.Behave(dnstest.TTL(0))
	r := resolver(b, patience, 1, srv.Addr)
	b.ReportAllocs()
	for b.Loop() {
		if got, err := r.LookupTXT(context.Background(), "example.com"); err != nil || len(got) != 2 {
			b.Fatal(got, err)
		}
	}
}

func TestAHitAllocatesNothing(t *testing.T) {
	r := resolver(t, patience, 1, dnstest.Start(t, zone(t, everything)))
	ctx := context.Background()
	if n := testing.AllocsPerRun(100, func() { _, _ = r.LookupTXT(ctx, "example.com") }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
