package milter

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"strconv"
	"syscall"

	"github.com/coreos/go-systemd/v22/activation"

	"signpost/internal/message"
	"signpost/internal/unixsocket"
)

// Listen opens every socket of the configuration and those that systemd passes. It opens all or none.
//
// A systemd socket at a configured address replaces that listener and has its role. At any other
// address its name is the role (FileDescriptorName=sign or verify).
func (s *Server) Listen() error {
	passed, err := activation.ListenersWithNames()
	if err != nil {
		return fmt.Errorf("sockets from systemd: %w", err)
	}
	var open []listener
	for _, l := range s.config.Listen {
		opened, err := s.openOne(l, passed)
		if err != nil {
			closeAll(open)
			return err
		}
		open = append(open, opened)
	}
	for name, sockets := range passed {
		for _, socket := range sockets {
			if socket != nil {
				open = append(open, listener{Listener: socket, role: roleOfName(name)})
			}
		}
	}
	if len(open) == 0 {
		return errors.New("nothing to listen at: set milter.listen, or pass a socket from systemd")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range open {
		if open[i], err = open[i].watched(); err != nil {
			closeAll(open)
			return err
		}
	}
	s.listeners = open
	s.logListening(open)
	return nil
}

func closeAll(open []listener) {
	for _, l := range open {
		l.Close()
	}
}

// logListening logs each listener, for TCP with the permitted peers.
func (s *Server) logListening(open []listener) {
	for i, l := range open {
		tcp, ok := l.Addr().(*net.TCPAddr)
		if !ok {
			s.log.Info("listening", "address", l.Addr().String(), "role", string(l.role))
			continue
		}
		s.log.Info("listening", "address", l.Addr().String(), "role", string(l.role), "peers", s.config.peersText())
		// Config.Warnings has the others.
		if i >= len(s.config.Listen) && !tcp.IP.IsLoopback() {
			s.log.Warn(s.config.exposure("the socket from systemd at " + l.Addr().String()))
		}
	}
}

func roleOfName(name string) message.Role {
	switch role := message.Role(name); role {
	case message.RoleSign, message.RoleVerify, message.RoleSeal:
		return role
	}
	return message.RoleAuto
}

// openOne uses the systemd socket at a configured address, or opens it.
func (s *Server) openOne(l Listen, passed map[string][]net.Listener) (listener, error) {
	role := l.Role
	if role == "" {
		role = message.RoleAuto
	}
	for _, sockets := range passed {
		for i, socket := range sockets {
			if socket != nil && sameAddress(socket.Addr(), l.Address) {
				sockets[i] = nil
				return listener{Listener: socket, role: role, name: l.Address.String()}, nil
			}
		}
	}
	if l.Address.Network == "unix" {
		socket, err := s.openUnix(l.Address.Addr)
		return listener{Listener: socket, role: role, name: l.Address.String()}, err
	}
	socket, err := openTCP(l.Address)
	if err != nil {
		return listener{}, fmt.Errorf("listening at %s: %w%s", l.Address, err, inetHint(err))
	}
	return listener{Listener: socket, role: role, name: l.Address.String()}, nil
}

// openTCP listens at an address: 0.0.0.0 is all of IPv4 and no IPv6, [::] all of IPv6 and no IPv4
// (IPV6_V6ONLY). Without a host it is both. A host name is looked up once; its first IPv4 address is
// used, else its first IPv6 address.
func openTCP(a Address) (net.Listener, error) {
	at, err := net.ResolveTCPAddr(a.Network, a.Addr)
	if err != nil {
		return nil, err
	}
	network := a.Network
	switch {
	case at.IP == nil:
	case at.IP.To4() != nil:
		network = "tcp4"
	default:
		network = "tcp6"
	}
	// Package net's default is Multipath TCP, whose listeners ignore options that package epoll sets. No MTA speaks it.
	var plain net.ListenConfig
	plain.SetMultipathTCP(false)
	return plain.Listen(context.Background(), network, at.String())
}

// sameAddress reports whether a socket has a configured address. For a port without a host, systemd
// binds [::], which takes IPv4 as well.
func sameAddress(have net.Addr, want Address) bool {
	switch a := have.(type) {
	case *net.UnixAddr:
		return want.Network == "unix" && a.Name == want.Addr
	case *net.TCPAddr:
		if want.Network == "unix" {
			return false
		}
		host, port, _ := net.SplitHostPort(want.Addr)
		if strconv.Itoa(a.Port) != port {
			return false
		}
		if host == "" {
			return a.IP.IsUnspecified()
		}
		addr, err := netip.ParseAddr(host)
		return err == nil && addr.Unmap() == a.AddrPort().Addr().Unmap()
	}
	return false
}

func inetHint(err error) string {
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return ": another process has this port; is the daemon running already?"
	case errors.Is(err, fs.ErrPermission):
		return ": ports below 1024 are root's; take a higher one"
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return ": the machine does not have this address"
	}
	return ""
}

// openUnix makes a socket file with the configured mode and group.
func (s *Server) openUnix(path string) (net.Listener, error) {
	socket, err := unixsocket.Listen(path, s.config.SocketMode.Perm(), s.config.SocketGroup)
	if errors.Is(err, unixsocket.ErrGroup) {
		return nil, fmt.Errorf("milter.socket_group %q: %w; the group of the MTA is shown by: id postfix", s.config.SocketGroup, err)
	}
	return socket, err
}
