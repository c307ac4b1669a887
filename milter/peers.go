package milter

import (
	"fmt"
	"math"
	"net"
	"net/netip"
	"strings"
	"sync"
	"time"
)

// permits reports whether a client at this address may connect over TCP
// (milter.peers). An IPv4-mapped IPv6 address counts as IPv4.
func (c *Config) permits(peer netip.Addr) bool {
	for _, p := range c.Peers {
		if p.Contains(peer) {
			return true
		}
	}
	return false
}

// connectionsOf is the limit for connections from one address, including those that wait for a slot. Unix sockets and
// loopback have no limit of their own: they are one MTA, whose connections beyond max_connections wait.
func (c *Config) connectionsOf(peer netip.Addr) int {
	switch {
	case !peer.IsValid():
		return math.MaxInt
	case c.MaxConnectionsPerPeer > 0:
		return c.MaxConnectionsPerPeer
	case peer.IsLoopback():
		return math.MaxInt
	}
	return max(1, c.MaxConnections/2)
}

// peersText is milter.peers for the log.
func (c *Config) peersText() string {
	texts := make([]string, len(c.Peers))
	for i, p := range c.Peers {
		texts[i] = p.String()
	}
	return strings.Join(texts, ", ")
}

// peerAddr is the address of the other end. It is invalid for a unix socket, where the mode of the file
// says who may connect.
func peerAddr(conn net.Conn) netip.Addr {
	if tcp, ok := conn.RemoteAddr().(*net.TCPAddr); ok {
		return tcp.AddrPort().Addr().Unmap().WithZone("")
	}
	return netip.Addr{}
}

// admit reports whether a new connection may stay, and counts it for its peer.
func (s *Server) admit(peer netip.Addr, l listener) bool {
	if peer.IsValid() && !s.config.permits(peer) {
		s.observer.Refused(NotAPeer)
		if more, ok := s.notPeerLog.next(); ok {
			s.log.Warn("a connection from an address that milter.peers does not list; it is closed",
				"peer", peer.String(), "listener", l.Addr().String(), "peers", s.config.peersText(), "unlogged", more,
				"remedy", "if this is your MTA, add its address to milter.peers and restart; else close the port to other hosts")
		}
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if most := s.config.connectionsOf(peer); s.peers[peer] >= most {
		s.observer.Refused(TooManyOfPeer)
		if more, ok := s.tooManyLog.next(); ok {
			s.log.Warn("a peer has as many milter connections as it may; further ones are closed",
				"peer", peer.String(), "max_connections_per_peer", most, "unlogged", more)
		}
		return false
	}
	s.peers[peer]++
	return true
}

// leave removes an admitted connection from the count.
func (s *Server) leave(peer netip.Addr) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.peers[peer]--; s.peers[peer] <= 0 {
		delete(s.peers, peer)
	}
}

// logLimiter allows one log line each minute and counts the others. The zero value is ready for
// concurrent use.
type logLimiter struct {
	mu      sync.Mutex
	last    time.Time
	between int
}

// next reports whether a line may be written now, and how many were left out since the last one.
func (s *logLimiter) next() (unlogged int, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	if !s.last.IsZero() && now.Sub(s.last) < time.Minute {
		s.between++
		return 0, false
	}
	unlogged = s.between
	s.last, s.between = now, 0
	return unlogged, true
}

// Warnings describes, for each listener that other hosts can reach, who may connect.
func (c Config) Warnings() []string {
	var all []string
	for i, l := range c.Listen {
		if l.Address.Network != "unix" && !l.Address.isLoopback() {
			all = append(all, fmt.Sprintf("milter.listen[%d]: %s", i, c.exposure(l.Address.String())))
		}
	}
	return all
}

// exposure describes who may connect to an address that other hosts can reach.
func (c *Config) exposure(address string) string {
	for _, p := range c.Peers {
		if !p.Addr().IsLoopback() {
			return fmt.Sprintf("other hosts may reach %s, and milter.peers lets these connect: %s; each may state any client address and any login, "+
				"and so have mail signed: list the addresses of your MTAs alone", address, c.peersText())
		}
	}
	return fmt.Sprintf("other hosts may reach %s, and milter.peers lets this host alone connect: %s; "+
		"add the address of an MTA on another host to milter.peers, or listen at 127.0.0.1", address, c.peersText())
}
