package dns_test

import (
	"context"
	"net/netip"
	"testing"
	"time"

	wire "github.com/miekg/dns"

	"signpost/internal/dns"
	"signpost/internal/dns/dnstest"
)

func TestEachQueryIsTold(t *testing.T) {
	for name, c := range map[string]struct {
		behave   dnstest.Behaviour
		answered bool
		fails    bool
	}{
		"an answer": {nil, true, false},
		"SERVFAIL":  {dnstest.Rcode(wire.RcodeServerFailure), true, true},
		"silence":   {dnstest.Drop, false, true},
	} {
		t.Run(name, func(t *testing.T) {
			srv := dnstest.Serve(t, zone(t, everything))
			if c.behave != nil {
				srv.Behave(c.behave)
			}
			timeout := patience
			if !c.answered {
				timeout = 50 * time.Millisecond
			}
			r := resolver(t, timeout, 1, srv.Addr)
			told := make(chan dns.Query, 10)
			dns.Observe(r, func(q dns.Query) { told <- q })
			// A busy machine may use up the time before the query is sent.
			query := func(lookup func(context.Context, string) ([]string, error)) dns.Query {
				for {
					_, _ = lookup(context.Background(), "example.com")
					select {
					case q := <-told:
						return q
					default:
					}
				}
			}
			if q := query(r.LookupTXT); q.Server.String() != srv.Addr || q.Answered != c.answered || (q.Err != nil) != c.fails || q.Took <= 0 {
				t.Errorf("%+v", q)
			}
			if q := query(dns.Each(r)[0].LookupTXT); q.Answered != c.answered || (q.Err != nil) != c.fails {
				t.Errorf("uncached: %+v", q)
			}
			if got := dns.Addresses(r); len(got) != 1 || got[0].String() != srv.Addr {
				t.Errorf("servers %v", got)
			}
		})
	}
}

// A check with a missing answer is done again: no look-up of it counts twice.
func TestLookupsThatAreRepeatedCountOnce(t *testing.T) {
	srv := dnstest.Serve(t, zone(t, everything))
	r := resolver(t, patience, 1, srv.Addr)
	if _, err := r.LookupTXT(t.Context(), "example.com"); err != nil {
		t.Fatal(err)
	}
	m := dns.ForMessage(r, netip.MustParseAddr("192.0.2.1"))
	before := dns.Stats{Lookups: 1}
	for _, c := range []struct {
		what     string
		names    []string
		complete bool
		want     dns.Stats
	}{
		{"an answer, and one that is missing", []string{"example.com", "example.org"}, false, before},
		{"two answers", []string{"example.com", "example.com"}, true, dns.Stats{Lookups: 3, CacheHits: 2}},
		{"no question", nil, true, dns.Stats{Lookups: 3, CacheHits: 2}},
		{"what is no name", []string{"not..a.name"}, true, dns.Stats{Lookups: 3, CacheHits: 2}},
	} {
		for _, name := range c.names {
			_, _ = m.Cached.LookupTXT(t.Context(), name)
		}
		if m.Cached.EndRun() != c.complete {
			t.Errorf("%s: complete is not %v", c.what, c.complete)
		}
		if got := dns.StatsOf(r); got != c.want {
			t.Errorf("%s: %+v, want %+v", c.what, got, c.want)
		}
	}
}

func TestLookupsCacheHitsAndWaitsAreCounted(t *testing.T) {
	srv := dnstest.Serve(t, zone(t, everything))
	r := resolver(t, patience, 1, srv.Addr)
	for range 3 {
		if _, err := r.LookupTXT(t.Context(), "example.com"); err != nil {
			t.Fatal(err)
		}
	}
	if got := dns.StatsOf(r); got != (dns.Stats{Lookups: 3, CacheHits: 2}) {
		t.Errorf("%+v", got)
	}
	srv.Behave(silentBelow("silent.example."))
	r.SetSlots(1)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go r.LookupTXT(ctx, "1.silent.example")
	until(t, func() bool { return r.UnderWay() == 1 })
	go r.LookupTXT(ctx, "2.silent.example")
	until(t, func() bool { return dns.StatsOf(r).SlotWaits >= 1 })
	if got := dns.StatsOf(zone(t, everything)); got != (dns.Stats{}) {
		t.Errorf("of a zone: %+v", got)
	}
}
