package e2e

import (
	"net"
	"strings"
	"sync"
	"testing"

	"github.com/miekg/dns"
)

// A nameserver is a DNS server on loopback that reads zone text independently of the
// product. Questions for a held name wait until it is released.
type nameserver struct {
	addr    string
	mu      sync.RWMutex        // guards records and broken
	records map[string][]dns.RR // by lower-case name with its final dot
	broken  bool                // answers SERVFAIL to everything
	asked   ledger[string]      // "name. TYPE", as questions came
	held    string              // set before the first question
	gate    chan struct{}
}

// startNameserver answers for the zone. held may be empty.
func startNameserver(t *testing.T, zone, held string) *nameserver {
	t.Helper()
	n := &nameserver{records: map[string][]dns.RR{}, held: dns.Fqdn(held), gate: make(chan struct{})}
	parser := dns.NewZoneParser(strings.NewReader(zone), ".", "")
	for rr, ok := parser.Next(); ok; rr, ok = parser.Next() {
		name := strings.ToLower(rr.Header().Name)
		n.records[name] = append(n.records[name], rr)
	}
	check(t, parser.Err())
	n.addr = serveDNS(t, n)
	return n
}

// serveDNS has the handler answer over UDP and TCP.
func serveDNS(t *testing.T, handler dns.Handler) (addr string) {
	t.Helper()
	var udp net.PacketConn
	var tcp net.Listener
	// A port that is free for one may be in use for the other.
	until(t, "a port is free for UDP and TCP", func() bool {
		var err error
		udp, err = net.ListenPacket("udp", "127.0.0.1:0")
		check(t, err)
		addr = udp.LocalAddr().String()
		if tcp, err = net.Listen("tcp", addr); err != nil {
			udp.Close()
		}
		return err == nil
	})
	for _, s := range []*dns.Server{{PacketConn: udp, Handler: handler}, {Listener: tcp, Handler: handler}} {
		go s.ActivateAndServe()
		t.Cleanup(func() { s.Shutdown() })
	}
	return addr
}

// release answers the held questions.
func (n *nameserver) release() { close(n.gate) }

func (n *nameserver) ServeDNS(w dns.ResponseWriter, ask *dns.Msg) {
	q := ask.Question[0]
	name := strings.ToLower(q.Name)
	n.asked.add(name + " " + dns.TypeToString[q.Qtype])
	if name == n.held {
		<-n.gate
	}
	n.mu.RLock()
	defer n.mu.RUnlock()
	answer := new(dns.Msg).SetReply(ask)
	if n.broken {
		w.WriteMsg(answer.SetRcode(ask, dns.RcodeServerFailure))
		return
	}
	if !n.exists(name) {
		answer.Rcode = dns.RcodeNameError
	}
	for _, rr := range n.records[name] {
		if rr.Header().Rrtype == q.Qtype {
			answer.Answer = append(answer.Answer, rr)
		}
	}
	size := dns.MinMsgSize
	if opt := ask.IsEdns0(); opt != nil {
		size = int(opt.UDPSize())
	}
	if w.LocalAddr().Network() == "udp" {
		answer.Truncate(size)
	}
	w.WriteMsg(answer)
}

// publish sets the only TXT record of a name; without a text it removes the name.
func (n *nameserver) publish(t *testing.T, name string, text ...string) {
	t.Helper()
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.records, dns.Fqdn(name))
	for _, record := range text {
		rr, err := dns.NewRR(strings.TrimSpace(txtLine(name, record)))
		check(t, err)
		n.records[dns.Fqdn(name)] = []dns.RR{rr}
	}
}

// fail makes the server answer SERVFAIL, or ends that.
func (n *nameserver) fail(broken bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.broken = broken
}

// texts are the TXT records of a name at this moment.
func (n *nameserver) texts(name string) ([]string, error) {
	n.mu.RLock()
	defer n.mu.RUnlock()
	var texts []string
	for _, rr := range n.records[strings.ToLower(dns.Fqdn(name))] {
		if txt, ok := rr.(*dns.TXT); ok {
			texts = append(texts, strings.Join(txt.Txt, ""))
		}
	}
	return texts, nil
}

// exists reports whether there are records at or below the name.
func (n *nameserver) exists(name string) bool {
	for known := range n.records {
		if known == name || strings.HasSuffix(known, "."+name) {
			return true
		}
	}
	return false
}
