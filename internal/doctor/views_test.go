package doctor

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"signpost/internal/dns"
	"signpost/internal/dns/dnstest"
)

// online gives the house DNS by the network: a resolver, and two servers with authority for
// example.com. In the zone of one of these, the records of a name are replaced.
func (h *house) online(where, name string, data []string) *dnstest.Server {
	h.t.Helper()
	zones := map[string]*dns.Zone{}
	for _, of := range []string{"resolver", "one", "two"} {
		zones[of] = h.parsed()
		if of == where {
			zones[of] = h.replaced(name, data...)
		}
	}
	zones["resolver"].AddA("ns1.example.net", netip.MustParseAddr("127.0.0.2"))
	zones["resolver"].AddA("ns2.example.net", netip.MustParseAddr("127.0.0.3"))
	_, port := dnstest.ServeAll(h.t, zones["one"], zones["two"])
	resolver := dnstest.Serve(h.t, zones["resolver"])
	resolver.Behave(dnstest.Delegation("example.com", "ns1.example.net", "ns2.example.net"))
	h.options.authorityPort = port
	h.replace(`zone_file: "@DIR@/zone"`, `servers: ["`+resolver.Addr+`"], timeout: 20s`)
	h.network = true
	return resolver
}

// parsed is the house's zone.
func (h *house) parsed() *dns.Zone {
	h.t.Helper()
	z, err := dns.ParseZone(strings.NewReader(h.zoneText()), "zone")
	if err != nil {
		h.t.Fatal(err)
	}
	return z
}

// replaced is the house's zone with other records at a name.
func (h *house) replaced(name string, data ...string) *dns.Zone {
	h.t.Helper()
	before := h.zone[name]
	h.zone[name] = data
	z := h.parsed()
	h.zone[name] = before
	return z
}

func TestAViewIsNamed(t *testing.T) {
	for name, c := range map[string]struct {
		where string // the zone that differs: resolver, one or two; "" is none
		name  string
		data  func(*house) []string
		want  string
		says  string
	}{
		"all agree":                  {"", "", nil, "", ""},
		"one server has another key": {"two", s1, func(h *house) []string { return []string{txt(h.recordOf("e1"))} }, "key.differs", "seen by ns2.example.net (127.0.0.3"},
		"one server lacks the key":   {"two", s1, nil, "key.not-published", "not by ns1.example.net (127.0.0.2"},
		"one server lacks DMARC":     {"one", "_dmarc.example.com", nil, "dmarc.missing", "seen by ns1.example.net (127.0.0.2"},
		"one server has old SPF":     {"one", "example.com", func(*house) []string { return []string{txt("v=spf1 -all"), txt("v=spf1 mx -all")} }, "spf.several", "seen by ns1.example.net (127.0.0.2"},
		"the resolver fails":         {"resolver", "_dmarc.example.com", func(*house) []string { return []string{"SERVFAIL"} }, "resolver.fails", "delv _dmarc.example.com TXT"},
		"only the cache is old":      {"resolver", s1, nil, "key.not-published", "does not sign with a key that its resolver does not see"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t)
			var data []string
			if c.data != nil {
				data = c.data(h)
			}
			h.online(c.where, c.name, data)
			r := h.run()
			if ids(r) != c.want || !strings.Contains(remedies(r), c.says) {
				t.Errorf("got %s, want %s with %q\n%s", ids(r), c.want, c.says, text(r))
			}
		})
	}
}

func TestFaultsOfTheResolver(t *testing.T) {
	for name, c := range map[string]struct {
		behaviour dnstest.Behaviour
		timeout   string
		want      string
	}{
		"it does not answer": {dnstest.Drop, "500ms", "resolver.down"},
		"it refuses":         {dnstest.Rcode(5), "20s", "resolver.down"},
		"without TCP":        {dnstest.WithoutTCP, "2s", "resolver.no-tcp"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t)
			resolver := h.online("", "", nil)
			h.replace("timeout: 20s", "timeout: "+c.timeout)
			resolver.Behave(c.behaviour)
			h.stopped = true
			if r := h.run(); ids(r) != "daemon.down "+c.want {
				t.Errorf("got %s, want %s\n%s", ids(r), c.want, text(r))
			}
		})
	}
}

func TestASlowResolverIsFound(t *testing.T) {
	h := newHouse(t)
	h.online("", "", nil)
	h.stopped = true
	h.options.SlowDNS = time.Nanosecond
	if r := h.run(); ids(r) != "daemon.down resolver.slow" {
		t.Error(text(r))
	}
}

// A hundred domains and a resolver that never answers: the report comes when the time is up, and
// says what was not looked at.
func TestTheTimeIsLimited(t *testing.T) {
	h := newHouse(t)
	resolver := h.online("", "", nil)
	resolver.Behave(dnstest.Drop)
	h.stopped = true
	for i := range 100 {
		domain := fmt.Sprintf("d%d.example", i)
		h.key(domain, "e1", madeKeys()["e1"])
		h.config = strings.Replace(h.config, "verifier:", "    - {domain: "+domain+", selectors: [e1]}\nverifier:", 1)
	}
	h.options.Limit = 3 * time.Second
	r := h.run()
	if r.Domains != DomainLimit || r.DomainsLeft != 1 || !strings.Contains(text(r), "the time of 3s was up") || len(r.Unseen) > 20 {
		t.Error(text(r))
	}
	h.options.All, h.options.Limit = true, time.Second
	if r := h.look(); r.Domains != 101 || r.DomainsLeft != 0 {
		t.Error(text(r))
	}
}

// With DNS that answers, all domains are looked at.
func TestAHundredDomains(t *testing.T) {
	h := newHouse(t)
	for i := range 99 {
		domain := fmt.Sprintf("d%d.example", i)
		k := h.key(domain, "s2", madeKeys()["s2"])
		h.config = strings.Replace(h.config, "verifier:", "    - {domain: "+domain+", selectors: [s1], keys_of: example.com}\nverifier:", 1)
		h.record("s1._domainkey."+domain, h.zone[s1]...)
		h.record(domain, h.zone["example.com"]...)
		h.record("_dmarc."+domain, txt("v=DMARC1; p=reject; rua=mailto:d@"+domain))
		h.remove("keys/" + domain + "/" + k.Selector + ".pem")
	}
	if r := h.run(); len(r.Findings) > 0 || r.Domains != 100 || r.ExitCode() != 0 {
		t.Error(text(r))
	}
}
