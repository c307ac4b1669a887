package milter

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// listenUnix listens at one socket, until the test ends.
func listenUnix(t *testing.T, path string, change ...func(*Config)) (*Server, error) {
	t.Helper()
	cfg := Defaults()
	cfg.Listen = []Listen{{Address: Address{"unix", path}}}
	for _, c := range change {
		c(&cfg)
	}
	s := testServer(cfg, &handler{}, &logged{})
	err := s.Listen()
	if err == nil {
		t.Cleanup(s.stopListening)
	}
	return s, err
}

func TestUnixSockets(t *testing.T) {
	dir := t.TempDir()

	t.Run("mode and group", func(t *testing.T) {
		path := filepath.Join(dir, "mode.sock")
		_, err := listenUnix(t, path, func(c *Config) { c.SocketMode = 0o620; c.SocketGroup = strconv.Itoa(os.Getgid()) })
		if err != nil {
			t.Fatal(err)
		}
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o620 {
			t.Errorf("%v, %v", info.Mode(), err)
		}
	})
	t.Run("a group that does not exist", func(t *testing.T) {
		path := filepath.Join(dir, "group.sock")
		if _, err := listenUnix(t, path, func(c *Config) { c.SocketGroup = "nosuchgroup" }); err == nil || !strings.Contains(err.Error(), "no such group") {
			t.Error(err)
		}
		if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
			t.Error("the socket file stays:", err)
		}
	})
	t.Run("the socket of a dead process is replaced", func(t *testing.T) {
		path := filepath.Join(dir, "stale.sock")
		old, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
		if err != nil {
			t.Fatal(err)
		}
		old.SetUnlinkOnClose(false)
		old.Close()
		if _, err := listenUnix(t, path); err != nil {
			t.Error(err)
		}
	})
	t.Run("the socket of a living process is left alone", func(t *testing.T) {
		path := filepath.Join(dir, "live.sock")
		if _, err := listenUnix(t, path); err != nil {
			t.Fatal(err)
		}
		if _, err := listenUnix(t, path); err == nil || !strings.Contains(err.Error(), "running already") {
			t.Error(err)
		}
		if conn, err := net.Dial("unix", path); err != nil {
			t.Error("the first one is gone:", err)
		} else {
			conn.Close()
		}
	})
	t.Run("a file that is no socket is left alone", func(t *testing.T) {
		path := filepath.Join(dir, "file")
		if err := os.WriteFile(path, []byte("precious"), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := listenUnix(t, path); err == nil || !strings.Contains(err.Error(), "no socket") {
			t.Error(err)
		}
		if text, err := os.ReadFile(path); err != nil || string(text) != "precious" {
			t.Error("the file is gone:", err)
		}
	})
}

func TestUnixSocketsThatCannotBe(t *testing.T) {
	dir := t.TempDir()
	t.Run("a directory that does not exist is named", func(t *testing.T) {
		if _, err := listenUnix(t, filepath.Join(dir, "no", "such", "m.sock")); err == nil || !strings.Contains(err.Error(), filepath.Join(dir, "no", "such")+" does not exist") {
			t.Error(err)
		}
	})
	t.Run("a directory that may not be written is named with its mode", func(t *testing.T) {
		if os.Getuid() == 0 {
			t.Skip("root may write everywhere; package unixsocket has the test for it")
		}
		if _, err := listenUnix(t, "/proc/m.sock"); err == nil || !strings.Contains(err.Error(), "/proc has mode 0555") {
			t.Error(err)
		}
	})
	t.Run("the file goes with the server", func(t *testing.T) {
		path := filepath.Join(dir, "gone.sock")
		s, err := listenUnix(t, path)
		if err != nil {
			t.Fatal(err)
		}
		s.Shutdown(context.Background())
		if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
			t.Error(err)
		}
	})
}

func TestTCPListenersAreNotOfMultipathTCP(t *testing.T) {
	l, err := openTCP(Address{"tcp", "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	raw, err := l.(*net.TCPListener).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	raw.Control(func(fd uintptr) {
		if protocol, err := unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_PROTOCOL); err != nil || protocol != unix.IPPROTO_TCP {
			t.Errorf("protocol %d, %v", protocol, err)
		}
	})
}

func TestListenOpensAllOrNone(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	path := filepath.Join(t.TempDir(), "m.sock")
	cfg := Defaults()
	cfg.Listen = []Listen{{Address: Address{"unix", path}}, {Address: Address{"tcp", taken.Addr().String()}}}
	s := testServer(cfg, &handler{}, &logged{})
	if err := s.Listen(); err == nil || !strings.Contains(err.Error(), "another process has this port") {
		t.Errorf("Listen: %v", err)
	}
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Error("the first socket stays:", err)
	}
	cfg.Listen = nil
	if err := testServer(cfg, &handler{}, &logged{}).Listen(); err == nil || !strings.Contains(err.Error(), "milter.listen") {
		t.Errorf("Listen: %v", err)
	}
}

// A socket from systemd takes the place of the configured address that it stands at.
func TestSameAddress(t *testing.T) {
	tcp := func(text string) net.Addr {
		a, err := net.ResolveTCPAddr("tcp", text)
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	for _, c := range []struct {
		have net.Addr
		want string
		same bool
	}{
		{tcp("127.0.0.1:8891"), "inet:127.0.0.1:8891", true},
		{tcp("127.0.0.1:8891"), "inet:127.0.0.1:8892", false},
		{tcp("127.0.0.1:8891"), "inet:127.0.0.2:8891", false},
		{tcp("127.0.0.1:8891"), "inet:8891", false},
		{tcp("[::]:8891"), "inet:8891", true}, // ListenStream=8891
		{tcp("[::]:8891"), "inet:*:8891", true},
		{tcp("[::]:8891"), "inet:[::]:8891", true},
		{tcp("0.0.0.0:8891"), "inet:0.0.0.0:8891", true},
		{tcp("0.0.0.0:8891"), "inet4:8891", true},
		{tcp("[::]:8891"), "inet:0.0.0.0:8891", false},
		{tcp("[::1]:8891"), "inet6:8891@::1", true},
		{tcp("127.0.0.1:8891"), "unix:/run/m.sock", false},
		{&net.UnixAddr{Name: "/run/m.sock", Net: "unix"}, "unix:/run/m.sock", true},
		{&net.UnixAddr{Name: "/run/m.sock", Net: "unix"}, "inet:8891", false},
	} {
		a, err := ParseAddress(c.want)
		if err != nil {
			t.Fatal(err)
		}
		if got := sameAddress(c.have, a); got != c.same {
			t.Errorf("%s and %s: %v, want %v", c.have, c.want, got, c.same)
		}
	}
}
