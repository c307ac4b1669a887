// Package dnstest serves a zone over UDP and TCP on the loopback interface, for tests
// of programs that query DNS. A Server can imitate the faults of real ones.
package dnstest

import (
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"

	wire "github.com/miekg/dns"

	"signpost/internal/dns"
)

// A Server answers from a zone until the test ends.
type Server struct {
	// Addr is its address, "127.0.0.1:port", with UDP and TCP.
	Addr string

	zone *dns.Zone
	mu   sync.Mutex
	tell Behaviour
	seen map[string]int
}

// Behaviour changes the server's replies. It gets the transport ("udp", "tcp"), the
// query and the zone's reply. It may change and return the reply, or block; nil means
// no reply. The reply is nil if the zone does not answer.
type Behaviour func(network string, query, reply *wire.Msg) *wire.Msg

// Start serves a zone until the test ends and returns the address.
func Start(t testing.TB, zone *dns.Zone) (addr string) {
	t.Helper()
	return Serve(t, zone).Addr
}

// Serve is Start for a test that counts queries or changes the behaviour.
func Serve(t testing.TB, zone *dns.Zone) *Server {
	t.Helper()
	tcp, udp := listen(t, "127.0.0.1:0")
	return serve(t, zone, tcp, udp)
}

// ServeAll serves each zone at an address of its own, 127.0.0.2 and so on, all with the port that
// it returns: as servers with authority for a zone.
func ServeAll(t testing.TB, zones ...*dns.Zone) (servers []*Server, port uint16) {
	t.Helper()
	at := ":0"
	for i, zone := range zones {
		tcp, udp := listen(t, fmt.Sprintf("127.0.0.%d%s", i+2, at))
		servers = append(servers, serve(t, zone, tcp, udp))
		port = tcp.Addr().(*net.TCPAddr).AddrPort().Port()
		at = fmt.Sprintf(":%d", port)
	}
	return servers, port
}

func serve(t testing.TB, zone *dns.Zone, tcp net.Listener, udp net.PacketConn) *Server {
	t.Helper()
	s := &Server{zone: zone, seen: map[string]int{}}
	s.Addr = tcp.Addr().String()
	for network, server := range map[string]*wire.Server{"tcp": {Listener: tcp}, "udp": {PacketConn: udp}} {
		started := make(chan struct{})
		server.NotifyStartedFunc = func() { close(started) }
		server.Handler = wire.HandlerFunc(func(w wire.ResponseWriter, query *wire.Msg) { s.serve(network, w, query) })
		done := make(chan error, 1)
		go func() { done <- server.ActivateAndServe() }()
		select {
		case <-started:
		case err := <-done:
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := server.Shutdown(); err != nil {
				t.Errorf("stop the DNS server: %v", err)
			}
			<-done
		})
	}
	return s
}

// listen finds a port that is free for both transports.
func listen(t testing.TB, at string) (net.Listener, net.PacketConn) {
	t.Helper()
	var err error
	for range 20 {
		var tcp net.Listener
		if tcp, err = net.Listen("tcp", at); err != nil {
			continue
		}
		var udp net.PacketConn
		if udp, err = net.ListenPacket("udp", tcp.Addr().String()); err == nil {
			return tcp, udp
		}
		_ = tcp.Close()
	}
	t.Fatal(err)
	return nil, nil
}

func (s *Server) serve(network string, w wire.ResponseWriter, query *wire.Msg) {
	s.mu.Lock()
	tell := s.tell
	for _, q := range query.Question {
		s.seen[id(q.Name, wire.TypeToString[q.Qtype])]++
	}
	s.mu.Unlock()
	reply := s.zone.Respond(query)
	if tell != nil {
		reply = tell(network, query, reply)
	}
	if reply == nil {
		return
	}
	if network == "udp" {
		size := wire.MinMsgSize
		if opt := query.IsEdns0(); opt != nil {
			size = int(opt.UDPSize())
		}
		reply.Truncate(size)
	}
	_ = w.WriteMsg(reply) // the client may be gone
}

// Behave sets the behaviour from now on; nil is a correct server.
func (s *Server) Behave(b Behaviour) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tell = b
}

// Queries returns the number of queries for a name and type ("TXT") over both
// transports. An empty name means all names, an empty type all types.
func (s *Server) Queries(name, rrtype string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for k, count := range s.seen {
		at, of, _ := strings.Cut(k, " ")
		if (name == "" || at == strings.ToLower(wire.Fqdn(name))) && (rrtype == "" || of == rrtype) {
			n += count
		}
	}
	return n
}

func id(name, rrtype string) string { return strings.ToLower(name) + " " + rrtype }
