package dns_test

import (
	"context"
	"strings"
	"testing"
	"time"

	wire "github.com/miekg/dns"

	"signpost/internal/dns"
	"signpost/internal/dns/dnstest"
)

func TestTheNextServerIsAskedWhenOneFails(t *testing.T) {
	for name, bad := range map[string]dnstest.Behaviour{
		"silence":         dnstest.Drop,
		"SERVFAIL":        dnstest.Rcode(wire.RcodeServerFailure),
		"REFUSED":         dnstest.Rcode(wire.RcodeRefused),
		"FORMERR":         dnstest.Rcode(wire.RcodeFormatError),
		"an unknown code": dnstest.Rcode(15),
		"a referral": func(_ string, _, m *wire.Msg) *wire.Msg {
			m.Answer, m.Rcode = nil, 0
			m.Ns = []wire.RR{&wire.NS{Hdr: wire.RR_Header{Name: "com.", Rrtype: wire.TypeNS, Class: wire.ClassINET, Ttl: 1}, Ns: "a.example."}}
			return m
		},
	} {
		t.Run(name, func(t *testing.T) {
			first, second := dnstest.Serve(t, zone(t, everything)), dnstest.Serve(t, zone(t, everything))
			first.Behave(bad)
			timeout := patience
			if name == "silence" {
				timeout = time.Second
			}
			r := resolver(t, timeout, 3, first.Addr, second.Addr)
			if got, err := r.LookupA(context.Background(), "example.com"); err != nil || len(got) != 1 {
				t.Errorf("%v, %v", got, err)
			}
			if first.Queries("", "A") == 0 || second.Queries("", "A") != 1 {
				t.Errorf("queries: %d and %d", first.Queries("", "A"), second.Queries("", "A"))
			}
		})
	}
}

func TestASilentServerIsAskedAfterTheOthersForAWhile(t *testing.T) {
	first, second := dnstest.Serve(t, zone(t, everything)), dnstest.Serve(t, zone(t, everything))
	first.Behave(dnstest.Drop)
	r := resolver(t, time.Second, 3, first.Addr, second.Addr)
	var c clock
	r.SetNow(c.now)
	ask := func(name string) {
		t.Helper()
		if _, err := r.LookupA(context.Background(), name); err != nil {
			t.Fatal(err)
		}
	}
	ask("a.example.com")
	ask("b.example.com")
	if n := first.Queries("b.example.com", ""); n != 0 {
		t.Errorf("the silent server was asked again %d times", n)
	}
	first.Behave(nil)
	c.advance(dns.RestTime)
	ask("c.example.com")
	if first.Queries("c.example.com", "") != 1 || second.Queries("c.example.com", "") != 0 {
		t.Error("the first server was not asked first when it had rested")
	}
}

func TestAServerThatAnswersWithAnErrorIsNotAskedAgain(t *testing.T) {
	srv := dnstest.Serve(t, zone(t, everything))
	r := resolver(t, patience, 5, srv.Addr)
	if _, err := r.LookupA(context.Background(), "sick.example.com"); err == nil || !strings.Contains(err.Error(), "SERVFAIL") {
		t.Errorf("err = %v", err)
	}
	if n := srv.Queries("", ""); n != 1 {
		t.Errorf("%d queries", n)
	}
}

func TestTriesAreCounted(t *testing.T) {
	srv := dnstest.Serve(t, zone(t, everything))
	srv.Behave(dnstest.Drop)
	r := resolver(t, 200*time.Millisecond, 3, srv.Addr)
	if _, err := r.LookupA(context.Background(), "example.com"); err == nil || !strings.Contains(err.Error(), srv.Addr) {
		t.Errorf("the error does not name the server: %v", err)
	}
	until(t, func() bool { return srv.Queries("", "") == 3 })
}

func TestAServerWithoutEDNSIsAskedWithoutIt(t *testing.T) {
	srv := dnstest.Serve(t, zone(t, everything))
	srv.Behave(func(_ string, q, m *wire.Msg) *wire.Msg {
		if q.IsEdns0() != nil {
			m.Rcode, m.Answer, m.Extra = wire.RcodeFormatError, nil, nil
		}
		return m
	})
	if got, err := resolver(t, patience, 1, srv.Addr).LookupA(context.Background(), "example.com"); err != nil || len(got) != 1 {
		t.Errorf("%v, %v", got, err)
	}
}
