package e2e

import (
	"net"
	"strings"
	"testing"

	"github.com/miekg/dns"
)

// A nameserver is a real DNS server on loopback, with its own reading of a zone
// text. A name can be held: its questions wait until it is let go.
type nameserver struct {
	addr    string
	records map[string][]dns.RR // by lower-case name with its final dot
	asked   ledger[string]      // "name. TYPE", as questions came
	held    string              // set before the first question
	gate    chan struct{}
}

// startNameserver answers over UDP and TCP. held may be empty.
func startNameserver(t *testing.T, zone, held string) *nameserver {
	t.Helper()
	n := &nameserver{records: map[string][]dns.RR{}, held: dns.Fqdn(held), gate: make(chan struct{})}
	parser := dns.NewZoneParser(strings.NewReader(zone), ".", "")
	for rr, ok := parser.Next(); ok; rr, ok = parser.Next() {
		name := strings.ToLower(rr.Header().Name)
		n.records[name] = append(n.records[name], rr)
	}
	check(t, parser.Err())
	udp, err := net.ListenPacket("udp", "127.0.0.1:0")
	check(t, err)
	n.addr = udp.LocalAddr().String()
	tcp, err := net.Listen("tcp", n.addr)
	check(t, err)
	for _, s := range []*dns.Server{{PacketConn: udp, Handler: n}, {Listener: tcp, Handler: n}} {
		go s.ActivateAndServe()
		t.Cleanup(func() { s.Shutdown() })
	}
	return n
}

// release lets the held questions go.
func (n *nameserver) release() { close(n.gate) }

func (n *nameserver) ServeDNS(w dns.ResponseWriter, ask *dns.Msg) {
	q := ask.Question[0]
	name := strings.ToLower(q.Name)
	n.asked.add(name + " " + dns.TypeToString[q.Qtype])
	if name == n.held {
		<-n.gate
	}
	answer := new(dns.Msg).SetReply(ask)
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

// exists reports whether there is anything at or below the name.
func (n *nameserver) exists(name string) bool {
	for known := range n.records {
		if known == name || strings.HasSuffix(known, "."+name) {
			return true
		}
	}
	return false
}
