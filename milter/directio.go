package milter

import (
	"io"
	"net"
	"os"
	"syscall"
)

// directConn reads and writes a socket without telling Go's scheduler of the system call. A milter sleeps between
// the packets of a message. An ordinary system call after such a sleep wakes the runtime's monitor thread, which
// then naps several times for 20 µs before it sleeps again: more thread switches than the packet itself costs.
// The sockets are non-blocking, so no call can hold a processor. Waiting, deadlines and closing are the net
// package's.
type directConn struct {
	net.Conn
	raw   syscall.RawConn
	read  transfer
	write transfer
}

// transfer is one read or write. The function is made once, so that a call allocates nothing.
type transfer struct {
	try  func(fd uintptr) (done bool)
	data []byte
	n    int
	errs syscall.Errno
}

// direct returns the connection itself if it is no socket.
func direct(conn net.Conn) net.Conn {
	socket, ok := conn.(syscall.Conn)
	if !ok {
		return conn
	}
	raw, err := socket.SyscallConn()
	if err != nil {
		return conn
	}
	d := &directConn{Conn: conn, raw: raw}
	d.read.try = func(fd uintptr) bool { return d.read.call(readSocket, fd) }
	d.write.try = func(fd uintptr) bool { return d.write.call(writeSocket, fd) }
	return d
}

// call reports false if the socket is not ready.
func (t *transfer) call(socket func(fd uintptr, data []byte) (int, syscall.Errno), fd uintptr) bool {
	for {
		t.n, t.errs = socket(fd, t.data)
		switch t.errs {
		case 0:
			return true
		case syscall.EINTR:
			continue
		case syscall.EAGAIN:
			return false
		}
		t.n = 0
		return true
	}
}

// Read is called by one goroutine at a time.
func (c *directConn) Read(b []byte) (int, error) {
	t := &c.read
	t.data = b
	err := c.raw.Read(t.try)
	t.data = nil
	switch {
	case err != nil:
		return 0, err
	case t.errs != 0:
		return 0, os.NewSyscallError("read", t.errs)
	case t.n == 0 && len(b) > 0:
		return 0, io.EOF
	}
	return t.n, nil
}

// Write is called by one goroutine at a time.
func (c *directConn) Write(b []byte) (int, error) {
	t := &c.write
	written := 0
	for written < len(b) {
		t.data = b[written:]
		err := c.raw.Write(t.try)
		t.data = nil
		if err == nil && t.errs != 0 {
			err = os.NewSyscallError("write", t.errs)
		}
		if err != nil {
			return written, err
		}
		written += t.n
	}
	return written, nil
}
