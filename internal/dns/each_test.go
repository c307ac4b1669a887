package dns_test

import (
	"context"
	"testing"
	"time"

	"signpost/internal/dns"
	"signpost/internal/dns/dnstest"
)

func TestEachServerIsAskedForItselfAndWithoutTheCache(t *testing.T) {
	one, two := dns.NewZone(), dns.NewZone()
	one.AddTXT("s1._domainkey.example.com", "first")
	two.Fail("s1._domainkey.example.com", "", dns.ServFail)
	a, b := dnstest.Serve(t, one), dnstest.Serve(t, two)
	c := dns.Defaults()
	c.Servers, c.Timeout = []string{a.Addr, b.Addr}, 20*time.Second
	r, err := dns.New(c)
	if err != nil {
		t.Fatal(err)
	}
	servers := dns.Each(r)
	if len(servers) != 2 || servers[0].String() != a.Addr || servers[1].String() != b.Addr {
		t.Fatalf("the servers are %v, want %s and %s", servers, a.Addr, b.Addr)
	}
	for range 2 {
		if got, err := servers[0].LookupTXT(t.Context(), "S1._domainkey.example.com."); err != nil || len(got) != 1 || got[0] != "first" {
			t.Errorf("the first server: %q, %v", got, err)
		}
	}
	if n := a.Queries("s1._domainkey.example.com", "TXT"); n != 2 {
		t.Errorf("two look-ups made %d queries, want 2", n)
	}
	if got, err := servers[1].LookupTXT(t.Context(), "s1._domainkey.example.com"); err == nil {
		t.Errorf("the second server, which fails, answers %q", got)
	}
	if got, err := servers[1].LookupTXT(t.Context(), "s2._domainkey.example.com"); err != nil || len(got) != 0 {
		t.Errorf("a name that does not exist: %q, %v", got, err)
	}
	one.AddTXT("s1._domainkey.example.com", "second")
	if got, err := servers[0].LookupTXT(t.Context(), "s1._domainkey.example.com"); err != nil || len(got) != 2 {
		t.Errorf("after a change: %q, %v", got, err)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := servers[0].LookupTXT(t.Context(), "s1._domainkey.example.com"); err == nil {
		t.Error("a server answers after its resolver was closed")
	}
}

func TestAServerIsAskedInTurn(t *testing.T) {
	c := dns.Defaults()
	c.Servers = []string{"192.0.2.1"}
	r, err := dns.New(c)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	server := dns.Each(r)[0]
	var last func()
	for range dns.MaxUncached {
		if last, err = server.Acquire(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	over, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := server.Acquire(over); err == nil {
		t.Error("there is no end of turns")
	}
	last()
	if _, err := server.Acquire(t.Context()); err != nil {
		t.Errorf("after one was done: %v", err)
	}
}

func TestTheOneServerOfAZoneIsTheZone(t *testing.T) {
	z := dns.NewZone()
	z.AddTXT("example.com", "x")
	servers := dns.Each(z)
	if len(servers) != 1 || servers[0].String() != "the zone file" {
		t.Fatalf("the servers are %v", servers)
	}
	if got, err := servers[0].LookupTXT(t.Context(), "example.com"); err != nil || len(got) != 1 {
		t.Errorf("%q, %v", got, err)
	}
}
