package dnstest_test

import (
	"net/netip"
	"testing"
	"time"

	wire "github.com/miekg/dns"

	"signpost/internal/dns"
	"signpost/internal/dns/dnstest"
)

func zone() *dns.Zone {
	z := dns.NewZone()
	z.AddTXT("example.com", "x")
	z.AddTXT("big.example.com", string(make([]byte, 2000)))
	z.AddA("example.com", netip.MustParseAddr("192.0.2.1"))
	z.Fail("sick.example.com", "", dns.ServFail)
	return z
}

func ask(addr, network, name string, rrtype uint16, timeout time.Duration) (*wire.Msg, error) {
	c := wire.Client{Net: network, Timeout: timeout}
	m, _, err := c.Exchange(new(wire.Msg).SetQuestion(wire.Fqdn(name), rrtype), addr)
	return m, err
}

const patience = 20 * time.Second

func TestServerAnswersOverBothTransports(t *testing.T) {
	srv := dnstest.Serve(t, zone())
	for _, c := range []struct {
		network, name string
		rcode, count  int
		truncated     bool
	}{
		{"udp", "Example.com", 0, 1, false},
		{"tcp", "example.com", 0, 1, false},
		{"udp", "big.example.com", 0, 0, true},
		{"tcp", "big.example.com", 0, 1, false},
		{"udp", "absent.example.com", 3, 0, false},
		{"udp", "com", 0, 0, false},
		{"udp", "sick.example.com", 2, 0, false},
	} {
		m, err := ask(srv.Addr, c.network, c.name, wire.TypeTXT, patience)
		if err != nil {
			t.Errorf("%s %s: %v", c.network, c.name, err)
			continue
		}
		if m.Rcode != c.rcode || len(m.Answer) != c.count || m.Truncated != c.truncated {
			t.Errorf("%s %s: rcode %d, %d records, truncated %v", c.network, c.name, m.Rcode, len(m.Answer), m.Truncated)
		}
	}
	for _, c := range []struct {
		name, rrtype string
		want         int
	}{{"EXAMPLE.com", "TXT", 2}, {"example.com", "A", 0}, {"", "TXT", 7}, {"big.example.com", "", 2}, {"", "", 7}} {
		if n := srv.Queries(c.name, c.rrtype); n != c.want {
			t.Errorf("Queries(%q, %q) = %d, want %d", c.name, c.rrtype, n, c.want)
		}
	}
}

func TestBehaviours(t *testing.T) {
	srv := dnstest.Serve(t, zone())
	first := func(b dnstest.Behaviour) *wire.Msg {
		q := new(wire.Msg).SetQuestion("example.com.", wire.TypeTXT)
		return b("udp", q, zone().Respond(q))
	}
	if m := first(dnstest.Truncate); !m.Truncated || len(m.Answer) != 0 {
		t.Errorf("Truncate: %v", m)
	}
	if first(dnstest.Drop) != nil {
		t.Error("Drop answers")
	}
	if m := first(dnstest.TTL(7)); m.Answer[0].Header().Ttl != 7 {
		t.Errorf("TTL: %v", m)
	}
	if m := first(dnstest.Rcode(5)); m.Rcode != 5 {
		t.Errorf("Rcode: %v", m)
	}
	if m := first(dnstest.WrongQuestion); m.Question[0].Name == "example.com." {
		t.Errorf("WrongQuestion: %v", m)
	}
	for _, b := range []dnstest.Behaviour{dnstest.Truncate, dnstest.Drop, dnstest.TTL(1), dnstest.Rcode(1), dnstest.WrongID, dnstest.WrongQuestion} {
		if b("udp", nil, nil) != nil {
			t.Error("a behaviour speaks where the zone is silent")
		}
	}
	srv.Behave(dnstest.Drop)
	if _, err := ask(srv.Addr, "udp", "example.com", wire.TypeTXT, 50*time.Millisecond); err == nil {
		t.Error("Drop: an answer came")
	}
	hold := make(chan struct{})
	close(hold)
	srv.Behave(dnstest.Hold(hold))
	if _, err := ask(srv.Addr, "udp", "example.com", wire.TypeTXT, patience); err != nil {
		t.Errorf("Hold, let go: %v", err)
	}
}
