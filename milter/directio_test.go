package milter

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// directPair returns both ends of a connection; the first one is direct.
func directPair(t *testing.T, network string) (ours, theirs net.Conn) {
	t.Helper()
	address := "127.0.0.1:0"
	if network == "unix" {
		address = filepath.Join(t.TempDir(), "s")
	}
	l, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if theirs, err = net.Dial(network, l.Addr().String()); err != nil {
		t.Fatal(err)
	}
	accepted, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	ours = direct(accepted)
	if _, ok := ours.(*directConn); !ok {
		t.Fatalf("a %s connection is %T", network, ours)
	}
	t.Cleanup(func() { ours.Close(); theirs.Close() })
	return ours, theirs
}

func TestDirectConnBehavesLikeTheConnection(t *testing.T) {
	for _, network := range []string{"unix", "tcp"} {
		t.Run(network, func(t *testing.T) {
			ours, theirs := directPair(t, network)
			// More than the socket takes at once, in both directions at the same time.
			data := bytes.Repeat([]byte("0123456789abcdef"), 1<<18)
			go io.Copy(theirs, theirs)
			failed := make(chan error, 1)
			go func() {
				n, err := ours.Write(data)
				if err == nil && n != len(data) {
					err = io.ErrShortWrite
				}
				failed <- err
			}()
			back := make([]byte, len(data))
			if _, err := io.ReadFull(ours, back); err != nil || !bytes.Equal(back, data) {
				t.Errorf("what came back differs, error %v", err)
			}
			if err := <-failed; err != nil {
				t.Errorf("Write: %v", err)
			}
		})
	}
}

func TestDirectConnErrors(t *testing.T) {
	read := func(c net.Conn) error { _, err := c.Read(make([]byte, 10)); return err }
	for _, network := range []string{"unix", "tcp"} {
		t.Run(network, func(t *testing.T) {
			ours, theirs := directPair(t, network)
			ours.SetReadDeadline(time.Unix(1, 0))
			if err := read(ours); !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("after the deadline: %v", err)
			}
			ours.SetReadDeadline(time.Time{})
			waits := make(chan error)
			go func() { waits <- read(ours) }()
			ours.SetReadDeadline(time.Unix(1, 0))
			if err := <-waits; !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("a deadline that passes while Read waits: %v", err)
			}
			ours.SetReadDeadline(time.Time{})
			theirs.Close()
			if err := read(ours); err != io.EOF {
				t.Errorf("after the other side closed: %v, want EOF itself", err)
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
			ours.Close()
			if err := read(ours); !errors.Is(err, net.ErrClosed) {
				t.Errorf("after our Close: %v", err)
			}
		})
	}
}

func TestDirectConnAllocatesNothing(t *testing.T) {
	ours, theirs := directPair(t, "unix")
	b := make([]byte, 16)
	if n := testing.AllocsPerRun(100, func() {
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
	}); n > 0 {
		t.Errorf("%v allocations for a packet in each direction", n)
	}
}
