package epoll

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

var networks = []string{"unix", "tcp4", "tcp6"}

// listen returns a listener of this package.
func listen(t testing.TB, network string) net.Listener {
	t.Helper()
	address := map[string]string{"unix": filepath.Join(t.TempDir(), "s"), "tcp4": "127.0.0.1:0", "tcp6": "[::1]:0"}[network]
	var plain net.ListenConfig
	plain.SetMultipathTCP(false)
	inner, err := plain.Listen(t.Context(), network, address)
	if err != nil {
		if network == "tcp6" {
			t.Skipf("no IPv6 here: %v", err)
		}
		t.Fatal(err)
	}
	l, err := Listener(inner)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// pair returns both ends of a connection; the first one is of this package.
func pair(t testing.TB, network string) (ours *Conn, theirs net.Conn) {
	t.Helper()
	l := listen(t, network)
	theirs, err := net.Dial(l.Addr().Network(), l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	accepted, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	ours = accepted.(*Conn)
	t.Cleanup(func() { ours.Close(); theirs.Close() })
	return ours, theirs
}

func onEachNetwork(t *testing.T, test func(t *testing.T, ours *Conn, theirs net.Conn)) {
	for _, network := range networks {
		t.Run(network, func(t *testing.T) {
			ours, theirs := pair(t, network)
			test(t, ours, theirs)
		})
	}
}

// waits returns once a call waits at this side.
func waits(s *socket, side *side) {
	for {
		s.mu.Lock()
		waiting := side.waiting
		s.mu.Unlock()
		if waiting {
			return
		}
		runtime.Gosched()
	}
}

// timerOf is what a side knows of its deadline: whether it is over, and when the timer fires.
func timerOf(s *socket, side *side) (late bool, fires time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return side.late, side.fires
}

func read(c net.Conn) error { _, err := c.Read(make([]byte, 10)); return err }

// inBackground calls f and returns a channel with its result.
func inBackground(f func() error) <-chan error {
	result := make(chan error, 1)
	go func() { result <- f() }()
	return result
}

func TestMoreThanASocketTakesAtOnceInBothDirections(t *testing.T) {
	onEachNetwork(t, func(t *testing.T, ours *Conn, theirs net.Conn) {
		data := make([]byte, 4<<20)
		for i := range len(data) / 4 {
			binary.BigEndian.PutUint32(data[4*i:], uint32(i))
		}
		go io.Copy(theirs, theirs)
		written := inBackground(func() error {
			n, err := ours.Write(data)
			if err == nil && n != len(data) {
				err = io.ErrShortWrite
			}
			return err
		})
		back := make([]byte, len(data))
		if _, err := io.ReadFull(ours, back); err != nil || !bytes.Equal(back, data) {
			t.Errorf("what came back differs, error %v", err)
		}
		if err := <-written; err != nil {
			t.Errorf("Write: %v", err)
		}
	})
}

func TestDeadlines(t *testing.T) {
	onEachNetwork(t, func(t *testing.T, ours *Conn, theirs net.Conn) {
		past, distant := time.Unix(1, 0), time.Now().Add(time.Hour)
		ours.SetReadDeadline(past)
		if err := read(ours); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("after the deadline: %v", err)
		}

		ours.SetReadDeadline(time.Time{})
		waiting := inBackground(func() error { return read(ours) })
		waits(&ours.socket, &ours.read)
		ours.SetReadDeadline(past)
		if err := <-waiting; !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("a past deadline that is set while Read waits: %v", err)
		}

		ours.SetReadDeadline(distant)
		waiting = inBackground(func() error { return read(ours) })
		waits(&ours.socket, &ours.read)
		ours.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
		if err := <-waiting; !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("an earlier deadline that is set while Read waits: %v", err)
		}

		// The timer of the first deadline fires, and the call goes on to the second.
		ours.SetReadDeadline(distant)
		waiting = inBackground(func() error { return read(ours) })
		waits(&ours.socket, &ours.read)
		ours.SetReadDeadline(distant.Add(time.Hour))
		ours.fired(&ours.read)
		if late, fires := timerOf(&ours.socket, &ours.read); late || !fires.Equal(distant.Add(time.Hour)) {
			t.Errorf("after the timer of the first of two deadlines: late %v, the timer fires at %v", late, fires)
		}
		ours.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
		if err := <-waiting; !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("a later deadline that is set while Read waits: %v", err)
		}

		ours.SetReadDeadline(distant)
		waiting = inBackground(func() error { return read(ours) })
		if theirs.Write([]byte("x")); <-waiting != nil {
			t.Error("Read after a deadline that was over, and then moved: no octet")
		}
	})
}

func TestADeadlineEndsAWriteThatWaits(t *testing.T) {
	onEachNetwork(t, func(t *testing.T, ours *Conn, theirs net.Conn) {
		var n int
		waiting := inBackground(func() (err error) { n, err = ours.Write(make([]byte, 64<<20)); return err })
		waits(&ours.socket, &ours.write)
		ours.SetWriteDeadline(time.Now().Add(20 * time.Millisecond))
		if err := <-waiting; !errors.Is(err, os.ErrDeadlineExceeded) || n == 0 {
			t.Fatalf("%d octets, %v", n, err)
		}
		// The other side reads on, and so can be written to again.
		taken := inBackground(func() error {
			got, err := io.ReadFull(theirs, make([]byte, n+1))
			if err != nil {
				return fmt.Errorf("%d of %d octets: %w", got, n+1, err)
			}
			return nil
		})
		ours.SetWriteDeadline(time.Now().Add(time.Minute))
		if _, err := ours.Write([]byte("x")); err != nil {
			t.Errorf("Write after the other side has read: %v", err)
		}
		if err := <-taken; err != nil {
			t.Error(err)
		}
	})
}

func TestTheOtherSideCloses(t *testing.T) {
	onEachNetwork(t, func(t *testing.T, ours *Conn, theirs net.Conn) {
		waiting := inBackground(func() error { return read(ours) })
		waits(&ours.socket, &ours.read)
		theirs.Write([]byte("0123456789last"))
		theirs.Close()
		if err := <-waiting; err != nil {
			t.Errorf("what came before the end: %v", err)
		}
		b := make([]byte, 10)
		if n, err := ours.Read(b); err != nil || string(b[:n]) != "last" {
			t.Errorf("%q, %v", b[:n], err)
		}
		for range 2 {
			if err := read(ours); err != io.EOF {
				t.Errorf("after the end: %v, want EOF itself", err)
			}
		}
		var err error
		for range 1000 {
			if _, err = ours.Write(make([]byte, 1<<16)); err != nil {
				break
			}
		}
		if !errors.Is(err, syscall.EPIPE) && !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("Write after the other side closed: %v", err)
		}
	})
}

func TestTheOtherSideStopsReadingWhileAWriteWaits(t *testing.T) {
	onEachNetwork(t, func(t *testing.T, ours *Conn, theirs net.Conn) {
		waiting := inBackground(func() error { _, err := ours.Write(make([]byte, 64<<20)); return err })
		waits(&ours.socket, &ours.write)
		theirs.Close()
		if err := <-waiting; !errors.Is(err, syscall.EPIPE) && !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("%v", err)
		}
	})
}

func TestCloseEndsCallsThatWait(t *testing.T) {
	onEachNetwork(t, func(t *testing.T, ours *Conn, theirs net.Conn) {
		reading := inBackground(func() error { return read(ours) })
		writing := inBackground(func() error { _, err := ours.Write(make([]byte, 64<<20)); return err })
		waits(&ours.socket, &ours.read)
		waits(&ours.socket, &ours.write)
		if err := ours.Close(); err != nil {
			t.Error(err)
		}
		for name, err := range map[string]error{
			"Read that waited": <-reading, "Write that waited": <-writing, "Read": read(ours), "Close": ours.Close(),
			"SetReadDeadline": ours.SetReadDeadline(time.Now()),
		} {
			if !errors.Is(err, net.ErrClosed) {
				t.Errorf("%s: %v", name, err)
			}
		}
		ours.QuickAck()
	})
}

// A descriptor is another connection's soon after it is closed. No octet and no event may go astray.
func TestManyShortConnections(t *testing.T) {
	onEachListener(t, func(t *testing.T, l net.Listener) {
		const clients, each = 16, 100
		var served sync.WaitGroup
		go func() {
			for {
				conn, err := l.Accept()
				if err != nil {
					return
				}
				served.Go(func() {
					defer conn.Close()
					conn.SetReadDeadline(time.Now().Add(time.Minute))
					io.Copy(conn, conn)
				})
			}
		}()
		var clientsDone sync.WaitGroup
		for client := range clients {
			clientsDone.Go(func() {
				for i := range each {
					conn, err := net.Dial(l.Addr().Network(), l.Addr().String())
					if err != nil {
						t.Error(err)
						return
					}
					conn.SetDeadline(time.Now().Add(time.Minute))
					for round := range 3 {
						want := fmt.Sprintf("client %d, connection %d, round %d", client, i, round)
						got := make([]byte, len(want))
						conn.Write([]byte(want))
						if _, err := io.ReadFull(conn, got); err != nil || string(got) != want {
							t.Errorf("%q, %v, want %q", got, err, want)
						}
					}
					conn.Close()
				}
			})
		}
		clientsDone.Wait()
		served.Wait()
		set, _ := theSet()
		set.mu.Lock()
		defer set.mu.Unlock()
		if len(set.sockets) > 1 { // the listener's
			t.Errorf("%d sockets are still known", len(set.sockets))
		}
	})
}

func onEachListener(t *testing.T, test func(t *testing.T, l net.Listener)) {
	for _, network := range networks {
		t.Run(network, func(t *testing.T) { test(t, listen(t, network)) })
	}
}

func TestClosingAListenerEndsAccept(t *testing.T) {
	onEachListener(t, func(t *testing.T, l net.Listener) {
		accept := func() error { _, err := l.Accept(); return err }
		waiting := inBackground(accept)
		waits(&l.(*listener).socket, &l.(*listener).socket.read)
		if err := l.Close(); err != nil {
			t.Error(err)
		}
		for range 2 {
			if err := <-waiting; !errors.Is(err, net.ErrClosed) {
				t.Error(err)
			}
			waiting = inBackground(accept)
		}
		if _, err := net.Dial(l.Addr().Network(), l.Addr().String()); err == nil {
			t.Error("the address still accepts connections")
		}
	})
}

func TestAcceptWithoutDescriptors(t *testing.T) {
	l := listen(t, "unix")
	theirs, err := net.Dial("unix", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer theirs.Close()
	var limit unix.Rlimit
	unix.Getrlimit(unix.RLIMIT_NOFILE, &limit)
	none := limit
	none.Cur = 3
	unix.Setrlimit(unix.RLIMIT_NOFILE, &none)
	_, err = l.Accept()
	unix.Setrlimit(unix.RLIMIT_NOFILE, &limit)
	if !errors.Is(err, syscall.EMFILE) {
		t.Errorf("%v, want %v", err, syscall.EMFILE)
	}
	conn, err := l.Accept()
	if err != nil {
		t.Fatalf("the connection is accepted once there are descriptors again: %v", err)
	}
	conn.Close()
}

func TestAddresses(t *testing.T) {
	onEachNetwork(t, func(t *testing.T, ours *Conn, theirs net.Conn) {
		if theirs.LocalAddr().Network() == "unix" {
			if got := ours.RemoteAddr().String(); got != "" {
				t.Errorf("from %q", got)
			}
		} else if got, want := ours.RemoteAddr().String(), theirs.LocalAddr().String(); got != want {
			t.Errorf("from %s, want %s", got, want)
		}
		if got, want := ours.LocalAddr().String(), theirs.RemoteAddr().String(); got != want {
			t.Errorf("at %s, want %s", got, want)
		}
	})
	t.Run("IPv4 at an IPv6 socket", func(t *testing.T) {
		from := syscall.RawSockaddrAny{}
		in := rawInet6(&from)
		in.Family, in.Addr, in.Scope_id = unix.AF_INET6, netip.MustParseAddr("::ffff:192.0.2.1").As16(), 0
		if got := address(&from).(*net.TCPAddr).AddrPort().Addr().Unmap().String(); got != "192.0.2.1" {
			t.Error(got)
		}
		in.Addr, in.Scope_id = netip.MustParseAddr("fe80::1").As16(), 7
		if got := address(&from).String(); got != "[fe80::1%7]:0" {
			t.Error(got)
		}
	})
}

func TestOptionsOfATCPConnection(t *testing.T) {
	ours, _ := pair(t, "tcp4")
	for name, option := range map[string][2]int{"TCP_NODELAY": {unix.IPPROTO_TCP, unix.TCP_NODELAY}, "SO_KEEPALIVE": {unix.SOL_SOCKET, unix.SO_KEEPALIVE}} {
		if value, err := unix.GetsockoptInt(ours.fd, option[0], option[1]); err != nil || value == 0 {
			t.Errorf("%s: %d, %v", name, value, err)
		}
	}
	if flags, err := unix.FcntlInt(uintptr(ours.fd), unix.F_GETFD, 0); err != nil || flags&unix.FD_CLOEXEC == 0 {
		t.Errorf("programs that are started inherit the connection: %x, %v", flags, err)
	}
	ours.QuickAck()
}

// A read of the other side is no event for us, unless a write has had to wait.
func TestAConnectionIsNotWatchedForWriting(t *testing.T) {
	ours, theirs := pair(t, "unix")
	for range 3 {
		waiting := inBackground(func() error { return read(ours) })
		waits(&ours.socket, &ours.read)
		theirs.Write([]byte("question"))
		if err := <-waiting; err != nil {
			t.Fatal(err)
		}
		ours.Write([]byte("answer"))
		if err := read(theirs); err != nil {
			t.Fatal(err)
		}
	}
	if ours.watched != readEvents {
		t.Errorf("watched for %x, want %x", ours.watched, uint32(readEvents))
	}
}

func TestOtherListenersStayAsTheyAre(t *testing.T) {
	inner := struct{ net.Listener }{listen(t, "unix")}
	if l, err := Listener(inner); err != nil || l != inner {
		t.Errorf("%v, %v", l, err)
	}
}

func TestAPacketInEachDirectionAllocatesNothing(t *testing.T) {
	ours, theirs := pair(t, "unix")
	b := make([]byte, 16)
	exchange := func() {
		ours.SetReadDeadline(time.Now().Add(time.Minute))
		ours.SetWriteDeadline(time.Now().Add(time.Minute))
		if _, err := theirs.Write(b); err != nil {
			t.Fatal(err)
		}
		if _, err := ours.Read(b); err != nil {
			t.Fatal(err)
		}
		if _, err := ours.Write(b); err != nil {
			t.Fatal(err)
		}
		if _, err := theirs.Read(b); err != nil {
			t.Fatal(err)
		}
	}
	if n := testing.AllocsPerRun(100, exchange); n > 0 {
		t.Errorf("%v allocations", n)
	}
}
