package epoll

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// More sockets have events than one call of the kernel returns. No event may be lost.
func TestEventsOfManyConnectionsAtOnce(t *testing.T) {
	for _, processors := range []int{1, 4} {
		t.Run(fmt.Sprintf("GOMAXPROCS=%d", processors), func(t *testing.T) {
			defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(processors))
			const connections = 2*len(set{}.events) + 10
			l := listen(t, "unix")
			var theirs []net.Conn
			for range connections {
				conn, err := net.Dial("unix", l.Addr().String())
				if err != nil {
					t.Fatal(err)
				}
				defer conn.Close()
				accepted, err := l.Accept()
				if err != nil {
					t.Fatal(err)
				}
				ours := accepted.(*Conn)
				go func() {
					defer ours.Close()
					io.Copy(struct{ io.Writer }{ours}, struct{ io.Reader }{ours})
				}()
				waits(&ours.socket, &ours.read)
				theirs = append(theirs, conn)
			}
			for round := range 30 {
				for _, conn := range theirs {
					conn.SetDeadline(time.Now().Add(time.Minute))
					conn.Write([]byte{byte(round)})
				}
				for i, conn := range theirs {
					var b [1]byte
					if _, err := conn.Read(b[:]); err != nil || b[0] != byte(round) {
						t.Fatalf("round %d, connection %d: %v", round, i, err)
					}
				}
			}
		})
	}
}

// A reader that always finds data makes only calls that the runtime knows nothing of. All others still get their turn
// on a single processor.
func TestAnEndlessSenderLeavesTheProcessorToOthers(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	busy, other := pairWithFile(t), pairWithFile(t)
	endless := &Conn{}
	fd, err := unix.Open("/dev/zero", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	endless.init(busy.ours.set, fd)
	defer endless.Close()
	// The process sleeps, its monitor thread too, when the first octet comes.
	program := exec.Command("sh", "-c", "sleep 0.2; printf x >&3; head -c 1 <&3 >&4")
	program.ExtraFiles = []*os.File{busy.theirs, other.theirs}
	if err := program.Start(); err != nil {
		t.Fatal(err)
	}
	arrived := make(chan error, 1)
	go func() { arrived <- read(other.ours) }()
	if err := read(busy.ours); err != nil {
		t.Fatal(err)
	}
	busy.ours.Write([]byte("x"))
	b := make([]byte, 4<<10) // a page, for which even a signal makes no short read
	for start := time.Now(); time.Since(start) < 10*time.Second; {
		if _, err := endless.Read(b); err != nil {
			t.Fatal(err)
		}
		select {
		case err := <-arrived:
			if err != nil {
				t.Error(err)
			}
			if err := program.Wait(); err != nil {
				t.Error(err)
			}
			return
		default:
		}
	}
	t.Error("another connection's octet was not read")
}

// withFile is a connection whose other end is a file for another program.
type withFile struct {
	ours   *Conn
	theirs *os.File
}

func pairWithFile(t *testing.T) withFile {
	t.Helper()
	ours, theirs := pair(t, "unix")
	file, err := theirs.(*net.UnixConn).File()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { file.Close() })
	if err := unix.SetNonblock(int(file.Fd()), false); err != nil {
		t.Fatal(err)
	}
	return withFile{ours, file}
}

// shared returns a listener and a second descriptor of its socket, as another process would have it.
func shared(t *testing.T, network string) (l *listener, fd int) {
	t.Helper()
	l = listen(t, network).(*listener)
	fd, err := unix.FcntlInt(uintptr(l.socket.fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	return l, fd
}

func TestAnotherProcessMakesTheListenerBlock(t *testing.T) {
	for _, network := range networks {
		t.Run(network, func(t *testing.T) {
			l, theirs := shared(t, network)
			if err := unix.SetNonblock(theirs, false); err != nil {
				t.Fatal(err)
			}
			for range 2 {
				accepted := inBackground(func() error {
					conn, err := l.Accept()
					if err == nil {
						conn.Close()
					}
					return err
				})
				waits(&l.socket, &l.socket.read) // and not in the kernel
				conn, err := net.Dial(l.Addr().Network(), l.Addr().String())
				if err != nil {
					t.Fatal(err)
				}
				defer conn.Close()
				if err := <-accepted; err != nil {
					t.Error(err)
				}
			}
		})
	}
}

func TestAClosedListenerIsNotWatchedThoughAnotherProcessHasIt(t *testing.T) {
	l, _ := shared(t, "unix")
	waiting := inBackground(func() error { _, err := l.Accept(); return err })
	waits(&l.socket, &l.socket.read)
	line := fmt.Sprintf("tfd: %8d ", l.socket.fd)
	watched := func() bool {
		info, err := os.ReadFile(fmt.Sprintf("/proc/self/fdinfo/%d", l.socket.set.fd))
		if err != nil {
			t.Fatal(err)
		}
		return strings.Contains(string(info), line)
	}
	if !watched() {
		t.Fatalf("no line %q of a listener that waits", line)
	}
	l.Close()
	if err := <-waiting; !errors.Is(err, net.ErrClosed) {
		t.Error(err)
	}
	if watched() {
		t.Error("each new connection of the other process still wakes this one")
	}
}

func TestASocketThatCannotBeWatchedIsForgotten(t *testing.T) {
	set, err := theSet()
	if err != nil {
		t.Fatal(err)
	}
	fd, err := unix.Open("/dev/zero", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	conn := &Conn{}
	conn.init(set, fd)
	conn.mu.Lock()
	err = conn.wait(&conn.read, readEvents)
	conn.mu.Unlock()
	if !errors.Is(err, syscall.EPERM) {
		t.Errorf("%v, want %v", err, syscall.EPERM)
	}
	if err := conn.Close(); err != nil {
		t.Error(err)
	}
	set.mu.Lock()
	defer set.mu.Unlock()
	if set.sockets[int32(fd)] == &conn.socket {
		t.Error("the closed socket is still known")
	}
}

func TestSocketsOfPacketsStayAsTheyAre(t *testing.T) {
	inner, err := net.Listen("unixpacket", filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Fatal(err)
	}
	defer inner.Close()
	if l, err := Listener(inner); err != nil || l != inner {
		t.Errorf("%v, %v", l, err)
	}
}
