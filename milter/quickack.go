package milter

import (
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// quickAck has the kernel acknowledge what arrives on a TCP connection at once.
// Postfix sends a message's commands in small pieces and waits for no answer to most
// of them, as agreed; with Nagle's algorithm on its side each piece waits for the
// acknowledgement of the one before, which ours would delay by some 40 ms. The
// kernel forgets the wish, so it is said after every read.
type quickAck struct{ raw syscall.RawConn }

func newQuickAck(conn net.Conn) quickAck {
	tcp, ok := conn.(*net.TCPConn)
	if !ok {
		return quickAck{}
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return quickAck{}
	}
	return quickAck{raw}
}

// ask is of no effect on other connections.
func (q quickAck) ask() {
	if q.raw != nil {
		_ = q.raw.Control(setQuickAck) // it is about speed alone
	}
}

func setQuickAck(fd uintptr) {
	_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_QUICKACK, 1)
}
