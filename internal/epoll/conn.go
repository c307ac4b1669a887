package epoll

import (
	"errors"
	"io"
	"net"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Conn is an accepted connection. One goroutine reads and one writes at a time; all other methods may be called
// concurrently with these. Errors are net.ErrClosed, os.ErrDeadlineExceeded, io.EOF, or those of the system.
type Conn struct {
	socket
	tcp     bool
	local   net.Addr
	remote  net.Addr
	stretch int  // reads since the last one that had to wait
	drained bool // the last read has left nothing behind
}

// longStretch is how many reads there are without a pause before one is an ordinary system call. That call wakes the
// runtime's monitor thread. While the thread sleeps, nothing takes a processor away from a goroutine that always has
// data. With GOMAXPROCS=1, all others would wait for up to a minute.
const longStretch = 64

// receive is one system call.
func (c *Conn) receive(b []byte) (int, syscall.Errno) {
	c.stretch++
	if c.stretch%longStretch != 0 {
		return readSocket(c.fd, b)
	}
	n, err := syscall.Read(c.fd, b)
	return n, errnoOf(err)
}

// Read returns io.EOF after the other side's last octet.
func (c *Conn) Read(b []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.usable(&c.read); err != nil || len(b) == 0 {
		return 0, err
	}
	for {
		if _, err := c.waitIfDrained(); err != nil {
			return 0, err
		}
		n, errno := c.receive(b)
		switch errno {
		case 0:
			if n == 0 {
				return 0, io.EOF
			}
			c.noteDrained(n < len(b))
			return n, nil
		case syscall.EINTR:
		case syscall.EAGAIN:
			// It waits even after an event of an end or an error. Otherwise this loop could spin.
			c.drained = true
			if err := c.waitToRead(); err != nil {
				return 0, err
			}
		default:
			return 0, callError("read", errno)
		}
	}
}

// Wait waits for the next event and returns true if the last read has emptied the socket. Otherwise it returns false at
// once. So a caller need not hold a buffer while it waits. Errors are those of Read.
func (c *Conn) Wait() (waited bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.usable(&c.read); err != nil {
		return false, err
	}
	return c.waitIfDrained()
}

// noteDrained is called after a read. One that returned less than it had room for has left nothing behind: of what
// comes later, and of the end, there will be an event (epoll(7), "Do I need to continuously read..."). If the event
// of what was read is still to come, the next read finds nothing. Signals, such as those by which Go preempts, cut no
// read short: the kernel looks for one only after it has copied all that has arrived. Urgent data and passed
// descriptors do: an MTA sends none, and a peer that does stalls until its deadline. The caller holds the lock.
func (c *Conn) noteDrained(drained bool) {
	c.drained = drained
	if drained {
		c.read.ready = false
	}
}

// waitIfDrained waits for the next event if all has been read. After the other side's end there will be none. The
// caller holds the lock.
func (c *Conn) waitIfDrained() (waited bool, err error) {
	if !c.drained || c.read.ready || c.ended {
		return false, nil
	}
	return true, c.waitToRead()
}

// waitToRead waits for the next event. The caller holds the lock.
func (c *Conn) waitToRead() error {
	c.stretch = 0
	return c.wait(&c.read, readEvents)
}

// Write writes all of b, or returns an error with the number of octets that were written.
func (c *Conn) Write(b []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.usable(&c.write); err != nil {
		return 0, err
	}
	written := 0
	for written < len(b) {
		n, errno := writeSocket(c.fd, b[written:])
		switch errno {
		case 0:
			written += n
		case syscall.EINTR:
		case syscall.EAGAIN:
			if err := c.wait(&c.write, writeEvents); err != nil {
				return written, err
			}
		default:
			return written, callError("write", errno)
		}
	}
	return written, nil
}

// Close ends calls that wait with net.ErrClosed.
func (c *Conn) Close() error {
	return c.end(func() error {
		if errno := closeSocket(c.fd); errno != 0 {
			return callError("close", errno)
		}
		return nil
	})
}

// QuickAck makes the kernel acknowledge what has arrived over TCP at once. The option does not last. On other
// connections it does nothing.
func (c *Conn) QuickAck() {
	if !c.tcp {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.fd >= 0 {
		_ = setOption(c.fd, unix.IPPROTO_TCP, unix.TCP_QUICKACK, 1) // it only affects speed
	}
}

// LocalAddr is the listener's address.
func (c *Conn) LocalAddr() net.Addr { return c.local }

// RemoteAddr is the other side's address. That of a unix socket has no name.
func (c *Conn) RemoteAddr() net.Addr { return c.remote }

// SetDeadline sets both deadlines.
func (c *Conn) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}

// SetReadDeadline: zero is none. It affects a Read that waits, too. After a deadline that passed while no Read
// waited, a Read may still return data that is there; it does not wait for more.
func (c *Conn) SetReadDeadline(t time.Time) error { return c.setDeadline(&c.read, t) }

// SetWriteDeadline is as SetReadDeadline.
func (c *Conn) SetWriteDeadline(t time.Time) error { return c.setDeadline(&c.write, t) }
