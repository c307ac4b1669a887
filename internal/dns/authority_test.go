package dns_test

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"signpost/internal/dns"
	"signpost/internal/dns/dnstest"
)

// authorities serves two zones for example.com, and a resolver that knows where.
func authorities(t *testing.T, one, two, all *dns.Zone) (*dns.Resolver, *dns.Authorities, []*dnstest.Server) {
	t.Helper()
	servers, port := dnstest.ServeAll(t, one, two)
	all.AddA("ns1.example.net", netip.MustParseAddr("127.0.0.2"))
	all.AddA("ns2.example.net", netip.MustParseAddr("127.0.0.3"))
	recursive := dnstest.Serve(t, all)
	recursive.Behave(dnstest.Delegation("example.com", "ns2.example.net", "ns1.example.net"))
	c := dns.Defaults()
	c.Servers, c.Timeout = []string{recursive.Addr}, 10*time.Second
	r, err := dns.New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r, dns.NewAuthorities(r, port), servers
}

func TestServersWithAuthorityAreAskedByThemselves(t *testing.T) {
	one, two, all := dns.NewZone(), dns.NewZone(), dns.NewZone()
	one.AddTXT("s1._domainkey.example.com", "old")
	two.AddTXT("s1._domainkey.example.com", "new")
	one.AddCNAME("s2._domainkey.example.com", "s2.provider.example")
	all.AddCNAME("s2._domainkey.example.com", "s2.provider.example")
	all.AddTXT("s2.provider.example", "elsewhere")
	_, a, _ := authorities(t, one, two, all)
	servers, err := a.Of(t.Context(), "S1._domainkey.example.com.")
	if err != nil || len(servers) != 2 {
		t.Fatalf("%v, %v", servers, err)
	}
	if !strings.HasPrefix(servers[0].String(), "ns1.example.net (127.0.0.2") {
		t.Errorf("the first server is %s", servers[0])
	}
	for i, want := range []string{"old", "new"} {
		if got, err := servers[i].LookupTXT(t.Context(), "s1._domainkey.example.com"); err != nil || len(got) != 1 || got[0] != want {
			t.Errorf("%s: %q, %v", servers[i], got, err)
		}
	}
	// An alias into another zone is followed by the resolver.
	if got, err := servers[0].LookupTXT(t.Context(), "s2._domainkey.example.com"); err != nil || len(got) != 1 || got[0] != "elsewhere" {
		t.Errorf("an alias: %q, %v", got, err)
	}
	if servers, err := a.Of(t.Context(), "s1._domainkey.example.org"); err != nil || len(servers) != 0 {
		t.Errorf("a zone without servers: %v, %v", servers, err)
	}
}

func TestAServerThatDoesNotAnswerIsGivenUp(t *testing.T) {
	zone := dns.NewZone()
	_, a, direct := authorities(t, zone, dns.NewZone(), dns.NewZone())
	direct[0].Behave(dnstest.Rcode(5)) // refused
	servers, err := a.Of(t.Context(), "example.com")
	if err != nil {
		t.Fatal(err)
	}
	for range 5 {
		if _, err := servers[0].LookupTXT(t.Context(), "example.com"); err == nil {
			t.Error("no error from a server that refuses")
		}
	}
	if n := direct[0].Queries("", ""); n < 5 {
		t.Errorf("a server that answers at all was asked %d times, want 5", n)
	}
	if servers, err := dns.NewAuthorities(zone, 53).Of(t.Context(), "example.com"); err != nil || servers != nil {
		t.Errorf("a zone file has servers: %v, %v", servers, err)
	}
}

func TestProbeTellsUDPFromTCP(t *testing.T) {
	for name, c := range map[string]struct {
		behaviour dnstest.Behaviour
		udp, tcp  bool
	}{
		"a good server":  {nil, true, true},
		"without TCP":    {dnstest.WithoutTCP, true, false},
		"a failing one":  {dnstest.Rcode(2), false, false},
		"one that drops": {dnstest.Drop, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := dnstest.Serve(t, dns.NewZone())
			s.Behave(c.behaviour)
			conf := dns.Defaults()
			conf.Servers, conf.Timeout = []string{s.Addr}, time.Second
			if c.udp {
				conf.Timeout = 10 * time.Second
			}
			if name == "without TCP" {
				conf.Timeout = time.Second
			}
			r, err := dns.New(conf)
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			h := dns.Probe(t.Context(), dns.Each(r)[0], "example.com")
			if (h.Err == nil) != c.udp || (h.TCP == nil) != c.tcp {
				t.Errorf("UDP: %v; TCP: %v", h.Err, h.TCP)
			}
		})
	}
	zone := dns.NewZone()
	zone.Fail("example.com", "", dns.ServFail)
	if h := dns.Probe(t.Context(), dns.Each(zone)[0], "example.com"); h.Err == nil || h.TCP != nil {
		t.Errorf("a zone: %+v", h)
	}
}
