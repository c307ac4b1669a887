package control

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/user"
	"slices"
	"strconv"
	"unsafe"

	"golang.org/x/sys/unix"
)

// peer has the credentials of the process at the other end, as they were when it connected.
type peer struct {
	uid    uint32
	groups []uint32 // the primary group and the supplementary ones
}

// access says who may connect.
type access struct {
	own   uint32 // the daemon's user
	group int    // -1: no group
}

func ownAccess() access { return access{own: uint32(os.Geteuid()), group: -1} }

func (a access) permits(p peer) bool {
	if p.uid == 0 || p.uid == a.own {
		return true
	}
	return a.group >= 0 && slices.Contains(p.groups, uint32(a.group))
}

// peerOf asks the kernel for the credentials of a connection. It records them when the peer
// connects, so a process that changes its user later, or another one that gets the same id, is
// not taken for it. That is why /proc is not read; the unit hides it (ProtectProc) as well.
func peerOf(conn net.Conn) (peer, error) {
	c, ok := conn.(*net.UnixConn)
	if !ok {
		return peer{}, fmt.Errorf("%T is no unix socket", conn)
	}
	raw, err := c.SyscallConn()
	if err != nil {
		return peer{}, err
	}
	var p peer
	var failed error
	err = raw.Control(func(fd uintptr) { p, failed = credentials(int(fd)) })
	if err != nil {
		return peer{}, err
	}
	return p, failed
}

func credentials(fd int) (peer, error) {
	c, err := unix.GetsockoptUcred(fd, unix.SOL_SOCKET, unix.SO_PEERCRED)
	if err != nil {
		return peer{}, fmt.Errorf("asking who connects: %w", err)
	}
	groups, err := peerGroups(fd)
	if err != nil { // before Linux 4.13
		groups = databaseGroups(c.Uid)
	}
	return peer{uid: c.Uid, groups: append(groups, c.Gid)}, nil
}

// mostGroups is the most supplementary groups of a process (NGROUPS_MAX).
const mostGroups = 65536

// peerGroups returns the supplementary groups of the peer (SO_PEERGROUPS).
func peerGroups(fd int) ([]uint32, error) {
	groups := make([]uint32, 64)
	for {
		size := uint32(len(groups) * 4)
		_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(fd), unix.SOL_SOCKET, unix.SO_PEERGROUPS,
			uintptr(unsafe.Pointer(&groups[0])), uintptr(unsafe.Pointer(&size)), 0)
		switch {
		case errno == 0:
			return groups[:size/4], nil
		case errno == unix.ERANGE && len(groups) < mostGroups:
			groups = make([]uint32, mostGroups)
		default:
			return nil, errno
		}
	}
}

// databaseGroups returns the groups of a user in the user database.
func databaseGroups(uid uint32) []uint32 {
	u, err := user.LookupId(strconv.FormatUint(uint64(uid), 10))
	if err != nil {
		return nil
	}
	names, err := u.GroupIds()
	if err != nil {
		return nil
	}
	var groups []uint32
	for _, name := range names {
		if n, err := strconv.ParseUint(name, 10, 32); err == nil {
			groups = append(groups, uint32(n))
		}
	}
	return groups
}

// identifying is a listener whose connections have the credentials of the peer as their
// remote address, so that they pass through any listener around it.
type identifying struct{ net.Listener }

func (l identifying) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	p, err := peerOf(conn)
	if err != nil {
		return conn, nil // without credentials it is refused
	}
	return identified{conn, p}, nil
}

type identified struct {
	net.Conn
	peer peer
}

func (c identified) RemoteAddr() net.Addr { return peerAddr{c.peer} }

type peerAddr struct{ peer }

func (peerAddr) Network() string  { return "unix" }
func (a peerAddr) String() string { return fmt.Sprintf("uid %d", a.uid) }

// peerKey is the key of the peer in a request's context.
type peerKey struct{}

// withPeer adds the credentials of the peer to the context of a connection's requests.
func withPeer(ctx context.Context, conn net.Conn) context.Context {
	if a, ok := conn.RemoteAddr().(peerAddr); ok {
		return context.WithValue(ctx, peerKey{}, a.peer)
	}
	return ctx
}
