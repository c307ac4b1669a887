package milter

import (
	"context"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"

	"signpost/internal/message"
)

// from is a listener whose connections come from addresses that a test chooses, one
// after the other; the last one is used again.
type from struct {
	net.Listener
	mu    sync.Mutex
	addrs []string
}

type connFrom struct {
	net.Conn
	remote net.Addr
}

func (c connFrom) RemoteAddr() net.Addr { return c.remote }

func (f *from) Accept() (net.Conn, error) {
	conn, err := f.Listener.Accept()
	if err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	remote := net.TCPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(f.addrs[0]), 40000))
	if len(f.addrs) > 1 {
		f.addrs = f.addrs[1:]
	}
	return connFrom{conn, remote}, nil
}

// serveFrom starts a server whose connections seem to come from these addresses.
func serveFrom(t *testing.T, cfg Config, addrs ...string) (*Server, *handler, *logged) {
	t.Helper()
	h, log := &handler{}, &logged{}
	s := testServer(cfg, h, log)
	listenFrom(t, s, addrs...)
	return s, h, log
}

// listenFrom has a server serve until the test ends.
func listenFrom(t *testing.T, s *Server, addrs ...string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.listeners = []listener{{Listener: &from{Listener: l, addrs: addrs}, role: message.RoleAuto}}
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.Serve(context.Background())
	}()
	t.Cleanup(func() {
		s.Shutdown(context.Background())
		<-done
	})
}

// served reports whether a new connection is answered, and keeps it open.
func served(t *testing.T, s *Server) bool {
	t.Helper()
	conn, err := net.Dial("tcp", s.Addrs()[0].String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	conn.Write(append([]byte{0, 0, 0, 13, 'O'}, offer(6, allActions, allSteps)...))
	_, err = conn.Read(make([]byte, 1))
	return err == nil
}

func prefixes(texts ...string) []netip.Prefix {
	var all []netip.Prefix
	for _, text := range texts {
		all = append(all, netip.MustParsePrefix(text))
	}
	return all
}

func TestOnlyPeersMayConnectOverTCP(t *testing.T) {
	for _, c := range []struct {
		name  string
		peers []netip.Prefix // nil: the default
		from  string
		ok    bool
	}{
		{"loopback", nil, "127.0.0.1", true},
		{"another loopback address", nil, "127.9.9.9", true},
		{"IPv6 loopback", nil, "::1", true},
		{"IPv4-mapped loopback", nil, "::ffff:127.0.0.1", true},
		{"a remote address", nil, "192.0.2.7", false},
		{"a remote IPv6 address", nil, "2001:db8::7", false},
		{"an IPv4-mapped remote address", nil, "::ffff:192.0.2.7", false},
		{"a link-local address", nil, "fe80::1%eth0", false},
		{"a listed network", prefixes("192.0.2.0/24"), "192.0.2.7", true},
		{"an IPv4-mapped address of a listed network", prefixes("192.0.2.0/24"), "::ffff:192.0.2.7", true},
		{"beside a listed network", prefixes("192.0.2.0/24"), "198.51.100.1", false},
		{"a listed link-local network", prefixes("fe80::/10"), "fe80::1%eth0", true},
		{"loopback that is not listed", prefixes("192.0.2.0/24"), "127.0.0.1", false},
		{"all of IPv6 does not hold IPv4", prefixes("::/0"), "::ffff:192.0.2.7", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg := Defaults()
			if c.peers != nil {
				cfg.Peers = c.peers
			}
			s, h, log := serveFrom(t, cfg, c.from)
			for range 2 {
				if got := served(t, s); got != c.ok {
					t.Errorf("served: %v, want %v\n%s", got, c.ok, log)
				}
			}
			if !c.ok {
				// One line, although two were closed.
				log.line(t, "level=WARN", "milter.peers", "remedy=", netip.MustParseAddr(c.from).Unmap().WithZone("").String())
				return
			}
			conn, err := net.Dial("tcp", s.Addrs()[0].String())
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			p := newPeer(t, conn, h, s, log)
			p.hello()
			for range 2 {
				if got := codes(p.message("a@example.com", "text", "From: a@example.com")); got != "a" {
					t.Errorf("answers %q", got)
				}
			}
		})
	}
}

// A closed connection takes no place: strangers at the port do not keep the MTA out.
func TestAClosedPeerTakesNoPlace(t *testing.T) {
	cfg := Defaults()
	cfg.MaxConnections = 1
	s, _, log := serveFrom(t, cfg, "127.0.0.1", "192.0.2.7")
	if !served(t, s) {
		t.Fatalf("loopback is not served\n%s", log)
	}
	if served(t, s) {
		t.Error("a stranger is served")
	}
	log.line(t, "milter.peers")
}

func TestARemotePeerCannotTakeAllConnections(t *testing.T) {
	for _, c := range []struct {
		name    string
		perPeer int // 0: the default
		from    string
		most    int // connections that are served, of 8 and one for another
	}{
		{"a remote address has half", 0, "192.0.2.7", 4},
		{"written as IPv4-mapped too", 0, "::ffff:192.0.2.7", 4},
		{"loopback has all", 0, "127.0.0.1", 8},
		{"IPv4-mapped loopback has all", 0, "::ffff:127.0.0.1", 8},
		{"a number of its own", 3, "192.0.2.7", 3},
		{"a number is for loopback too", 3, "127.0.0.1", 3},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg := Defaults()
			cfg.Peers = prefixes("127.0.0.0/8", "192.0.2.0/24")
			cfg.MaxConnections, cfg.MaxConnectionsPerPeer = 8, c.perPeer
			var addrs []string
			for range 8 {
				addrs = append(addrs, c.from)
			}
			s, _, log := serveFrom(t, cfg, append(addrs, "192.0.2.99")...)
			n := 0
			for range 8 {
				if served(t, s) {
					n++
				}
			}
			if n != c.most {
				t.Errorf("%d of 8 are served, want %d\n%s", n, c.most, log)
			}
			if c.most == 8 {
				return
			}
			log.line(t, "level=WARN", "max_connections_per_peer", "peer="+netip.MustParseAddr(c.from).Unmap().String())
			if !served(t, s) {
				t.Error("another peer is not served")
			}
		})
	}
}

// Loopback is one MTA: its connections beyond max_connections wait, and none is closed.
func TestLoopbackWaitsForAPlace(t *testing.T) {
	cfg := Defaults()
	cfg.MaxConnections = 2
	s, h, log := serveFrom(t, cfg, "127.0.0.1")
	var all []*peer
	for range 3 {
		conn, err := net.Dial("tcp", s.Addrs()[0].String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		all = append(all, newPeer(t, conn, h, s, log))
	}
	all[0].hello()
	all[1].hello()
	eventually(t, "the third connection waits", func() bool {
		return strings.Contains(log.String(), "further ones wait") && strings.Contains(log.String(), "max_connections=2")
	})
	all[0].conn.Close()
	all[2].hello()
}

func TestAnAddressBindsWhatItSays(t *testing.T) {
	if l, err := net.Listen("tcp6", "[::1]:0"); err != nil {
		t.Skip("this system has no IPv6: ", err)
	} else {
		l.Close()
	}
	for _, c := range []struct {
		address            string
		overIPv4, overIPv6 bool
	}{
		{"inet:0.0.0.0:0", true, false},
		{"inet:0@0.0.0.0", true, false},
		{"0.0.0.0:0", true, false},
		{"inet:[::ffff:0.0.0.0]:0", true, false},
		{"inet:[::]:0", false, true},
		{"inet6:[::]:0", false, true},
		{"inet6:0", false, true},
		{"inet4:0", true, false},
		{"inet:127.0.0.1:0", true, false},
		{"inet:[::1]:0", false, true},
		{"inet:localhost:0", true, false}, // one address of a name, IPv4 before IPv6
		{"inet:*:0", true, true},
		{"inet:0", true, true},
	} {
		t.Run(c.address, func(t *testing.T) {
			cfg := Defaults()
			a, err := ParseAddress(c.address)
			if err != nil {
				t.Fatal(err)
			}
			cfg.Listen = []Listen{{Address: a}}
			s := testServer(cfg, &handler{}, &logged{})
			if err := s.Listen(); err != nil {
				t.Fatal(err)
			}
			defer s.stopListening()
			_, port, _ := net.SplitHostPort(s.Addrs()[0].String())
			for host, want := range map[string]bool{"127.0.0.1": c.overIPv4, "::1": c.overIPv6} {
				conn, err := net.Dial("tcp", net.JoinHostPort(host, port))
				if err == nil {
					conn.Close()
				}
				if (err == nil) != want {
					t.Errorf("connecting to %s, port of %s: %v", host, s.Addrs()[0], err)
				}
			}
		})
	}
}

func TestAnAddressOfTheOtherFamilyIsAMistake(t *testing.T) {
	for _, text := range []string{"inet4:[::]:8891", "inet4:[::1]:8891", "inet6:127.0.0.1:8891", "inet6:0.0.0.0:8891"} {
		if a, err := ParseAddress(text); err == nil || !strings.Contains(err.Error(), "IPv") {
			t.Errorf("%s: %v, %v", text, a, err)
		}
	}
}

func TestWarningsAboutListeners(t *testing.T) {
	for _, c := range []struct {
		name   string
		listen string
		peers  []netip.Prefix
		words  []string // of one warning; none: no warning
	}{
		{"loopback", "inet:127.0.0.1:8891", nil, nil},
		{"IPv6 loopback", "inet:[::1]:8891", nil, nil},
		{"localhost", "inet:localhost:8891", nil, nil},
		{"a unix socket", "unix:/run/m.sock", prefixes("0.0.0.0/0"), nil},
		{"all of IPv4, and loopback peers", "inet:0.0.0.0:8891", nil, []string{"inet:0.0.0.0:8891", "milter.peers", "this host alone", "127.0.0.0/8, ::1/128"}},
		{"all of IPv6", "inet:[::]:8891", nil, []string{"inet:[::]:8891", "milter.peers"}},
		{"no host", "inet:8891", nil, []string{"inet::8891", "milter.peers"}},
		{"one address of the network", "inet:192.0.2.1:8891", prefixes("127.0.0.0/8", "192.0.2.0/24"), []string{"192.0.2.1:8891", "milter.peers", "192.0.2.0/24", "login"}},
		{"a name", "inet:mx.example.net:8891", nil, []string{"mx.example.net", "milter.peers"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg := Defaults()
			a, err := ParseAddress(c.listen)
			if err != nil {
				t.Fatal(err)
			}
			cfg.Listen = []Listen{{Address: a}}
			if c.peers != nil {
				cfg.Peers = c.peers
			}
			got := cfg.Warnings()
			if len(got) != min(1, len(c.words)) {
				t.Fatalf("warnings %q", got)
			}
			for _, w := range c.words {
				if !strings.Contains(got[0], w) {
					t.Errorf("no %q in %q", w, got[0])
				}
			}
		})
	}
}

func TestTCPWithoutPeersIsAMistake(t *testing.T) {
	for listen, mistakes := range map[string]int{"inet:127.0.0.1:8891": 1, "unix:/run/m.sock": 0} {
		cfg := Defaults()
		a, _ := ParseAddress(listen)
		cfg.Listen, cfg.Peers = []Listen{{Address: a}}, nil
		var got []string
		cfg.Validate(func(path, problem string) { got = append(got, path+": "+problem) })
		if len(got) != mistakes || (mistakes == 1 && !strings.HasPrefix(got[0], "peers: ")) {
			t.Errorf("%s: mistakes %q", listen, got)
		}
	}
}

// The listening line says who may connect, where that is not for a file's mode to say.
func TestTheListeningLineNamesThePeers(t *testing.T) {
	_, log := serve(t, &handler{}, func(c *Config) {
		c.Listen = append(c.Listen, Listen{Address: Address{"tcp", "127.0.0.1:0"}})
	})
	log.line(t, "msg=listening", "address=127.0.0.1:", `peers="127.0.0.0/8, ::1/128"`)
	if line := log.line(t, "msg=listening", "m.sock"); strings.Contains(line, "peers=") {
		t.Error(line)
	}
}

// A socket from systemd that is not in the configuration is named at the start, if other
// hosts may reach it.
func TestASocketFromSystemdThatOthersMayReachIsTold(t *testing.T) {
	for addr, lines := range map[string]int{"0.0.0.0:0": 1, "127.0.0.1:0": 0} {
		l, err := net.Listen("tcp4", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		cfg, log := Defaults(), &logged{}
		cfg.Listen = nil
		testServer(cfg, &handler{}, log).logListening([]listener{{Listener: l}})
		if got := strings.Count(log.String(), "level=WARN"); got != lines || strings.Contains(log.String(), "milter.peers") != (lines == 1) {
			t.Errorf("%s: %d warnings, want %d:\n%s", addr, got, lines, log)
		}
	}
}
