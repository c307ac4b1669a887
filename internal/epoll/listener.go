package epoll

import (
	"encoding/binary"
	"net"
	"net/netip"
	"strconv"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// listener accepts with the epoll set. The net.Listener keeps the descriptor.
type listener struct {
	net.Listener
	socket socket
	tcp    bool
}

// Listener returns a listener whose connections are of type *Conn. It takes l over: only the result is used and
// closed. Other listeners than those of package net for TCP and unix stream sockets are returned as they are. Other
// processes may share the socket, as systemd does.
func Listener(l net.Listener) (net.Listener, error) {
	var tcp bool
	switch l.(type) {
	case *net.TCPListener:
		tcp = true
	case *net.UnixListener:
		if l.Addr().Network() != "unix" {
			return l, nil
		}
	default:
		return l, nil
	}
	set, err := theSet()
	if err != nil {
		return nil, err
	}
	raw, err := l.(syscall.Conn).SyscallConn()
	if err != nil {
		return nil, err
	}
	own := &listener{Listener: l, tcp: tcp}
	err = raw.Control(func(fd uintptr) {
		own.socket.init(set, int(fd))
		acceptBriefly(int(fd))
		if tcp {
			inheritedOptions(int(fd))
		}
	})
	return own, err
}

// acceptBriefly makes accept4 return after a tick of the kernel's clock, some milliseconds, even if the listener
// blocks. A process that shares the listener can change that for all: systemd does when it starts another unit with the
// same socket, unless that says NonBlocking=yes. A raw call that blocks would hold a processor. A listener for
// Multipath TCP ignores it.
func acceptBriefly(fd int) {
	_ = unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Usec: 1})
}

// inheritedOptions sets what package net sets for each connection. Connections have the options of their listener.
func inheritedOptions(fd int) {
	const (
		keepAlive = 15 // seconds
		probes    = 9
	)
	_ = setOption(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
	_ = setOption(fd, unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1)
	_ = setOption(fd, unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, keepAlive)
	_ = setOption(fd, unix.IPPROTO_TCP, unix.TCP_KEEPINTVL, keepAlive)
	_ = setOption(fd, unix.IPPROTO_TCP, unix.TCP_KEEPCNT, probes)
}

// Accept is called by one goroutine at a time.
func (l *listener) Accept() (net.Conn, error) {
	s := &l.socket
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.usable(&s.read); err != nil {
		return nil, err
	}
	for {
		var from syscall.RawSockaddrAny
		fd, errno := acceptSocket(s.fd, &from)
		switch errno {
		case 0:
			c := &Conn{tcp: l.tcp, local: l.Addr(), remote: address(&from)}
			c.init(s.set, fd)
			return c, nil
		case syscall.EINTR, syscall.ECONNABORTED:
		case syscall.EAGAIN:
			if err := s.wait(&s.read, readEvents); err != nil {
				return nil, err
			}
		default:
			return nil, callError("accept4", errno)
		}
	}
}

// Close ends an Accept that waits with net.ErrClosed.
func (l *listener) Close() error {
	return l.socket.end(func() error {
		// Closing alone does not end the watching while another process has the socket open. There is an error
		// if Accept never had to wait.
		_ = epollControl(l.socket.set.fd, unix.EPOLL_CTL_DEL, l.socket.fd, nil)
		return l.Listener.Close()
	})
}

// address is that of a TCP or unix socket. The scope of an IPv6 address is its interface's number.
func address(from *syscall.RawSockaddrAny) net.Addr {
	switch from.Addr.Family {
	case unix.AF_INET:
		in := (*syscall.RawSockaddrInet4)(unsafe.Pointer(from))
		return net.TCPAddrFromAddrPort(netip.AddrPortFrom(netip.AddrFrom4(in.Addr), port(&in.Port)))
	case unix.AF_INET6:
		in := rawInet6(from)
		ip := netip.AddrFrom16(in.Addr)
		if in.Scope_id != 0 {
			ip = ip.WithZone(strconv.Itoa(int(in.Scope_id)))
		}
		return net.TCPAddrFromAddrPort(netip.AddrPortFrom(ip, port(&in.Port)))
	}
	return unnamed
}

var unnamed = &net.UnixAddr{Net: "unix"}

// port is in network order.
func port(p *uint16) uint16 {
	return binary.BigEndian.Uint16((*[2]byte)(unsafe.Pointer(p))[:])
}

func rawInet6(from *syscall.RawSockaddrAny) *syscall.RawSockaddrInet6 {
	return (*syscall.RawSockaddrInet6)(unsafe.Pointer(from))
}
