package milter

import (
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// quickAck makes the kernel acknowledge data on a TCP connection at once. Postfix sends a message's commands
// in small pieces and waits for no answer to most of them. With Nagle's algorithm each piece waits for the
// acknowledgement of the previous one, which the kernel would delay by some 40 ms. The option does not last,
// so it is set after every read.
type quickAck struct{ raw syscall.RawConn }

func newQuickAck(conn net.Conn) quickAck {
	if d, ok := conn.(*directConn); ok {
		conn = d.Conn
	}
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

// ask does nothing on other connections.
func (q quickAck) ask() {
	if q.raw != nil {
		_ = q.raw.Control(setQuickAck) // it only affects speed
	}
}

func setQuickAck(fd uintptr) {
	_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_QUICKACK, 1)
}
