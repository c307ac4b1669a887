package control

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// open serves a mux in a folder that every user can enter, until the test ends.
func open(t *testing.T, group string, m *Mux) (*Server, Config) {
	t.Helper()
	dir, err := os.MkdirTemp("", "control")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	c := Config{Listen: "unix:" + filepath.Join(dir, "control.sock"), Group: group}
	s, err := Serve(c, m, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s, c
}

// hello is a mux with one answer.
func hello() *Mux {
	m := NewMux()
	m.Answer("GET /hello", func(r *http.Request) (any, error) { return map[string]string{"hello": r.FormValue("name")}, nil })
	return m
}

func get(t *testing.T, c Config, path string) (map[string]string, error) {
	t.Helper()
	client, err := Dial(t.Context(), c)
	if err != nil {
		return nil, err
	}
	defer client.Close()
	var got map[string]string
	err = client.Get(t.Context(), path, &got)
	return got, err
}

func TestTheOwnUserAsks(t *testing.T) {
	_, c := open(t, "", hello())
	for range 2 {
		if got, err := get(t, c, "/hello?name=x"); err != nil || got["hello"] != "x" {
			t.Errorf("%v, %v", got, err)
		}
	}
}

func TestWhoMayConnect(t *testing.T) {
	for _, c := range []struct {
		name   string
		access access
		peer   peer
		want   bool
	}{
		{"root", access{own: 999, group: 500}, peer{uid: 0}, true},
		{"the daemon's user", access{own: 999, group: -1}, peer{uid: 999, groups: []uint32{999}}, true},
		{"a member by its primary group", access{own: 999, group: 500}, peer{uid: 1000, groups: []uint32{500}}, true},
		{"a member by a supplementary group", access{own: 999, group: 500}, peer{uid: 1000, groups: []uint32{4, 500, 1000}}, true},
		{"another user", access{own: 999, group: 500}, peer{uid: 1000, groups: []uint32{1000}}, false},
		{"a member of root's group", access{own: 999, group: -1}, peer{uid: 1000, groups: []uint32{0, 4294967295}}, false},
		{"the daemon's group alone", access{own: 999, group: 500}, peer{uid: 1000, groups: []uint32{999}}, false},
	} {
		if got := c.access.permits(c.peer); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}

// Where the kernel does not tell the groups, the user database does.
func TestTheUserDatabaseHasTheGroupsOfAUser(t *testing.T) {
	if got := databaseGroups(0); !slices.Contains(got, 0) {
		t.Errorf("groups of root: %v", got)
	}
	if got := databaseGroups(4_000_000_000); got != nil {
		t.Errorf("groups of no user: %v", got)
	}
}

// A request beyond the limits is refused, and the next one is answered.
func TestRequestsAreBounded(t *testing.T) {
	_, c := open(t, "", hello())
	_, err := get(t, c, "/hello?name="+strings.Repeat("x", 3*maxHeader))
	var e *Error
	if !errors.As(err, &e) || e.Status != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("%v", err)
	}
	if got, err := get(t, c, "/hello?name=z"); err != nil || got["hello"] != "z" {
		t.Errorf("%v, %v", got, err)
	}
}

// connectAs connects as another user. The credentials are those of one thread, which ends with
// its goroutine.
func connectAs(t *testing.T, path string, uid, gid int, groups ...uint32) (net.Conn, error) {
	t.Helper()
	type result struct {
		fd  int
		err error
	}
	done := make(chan result)
	go func() {
		runtime.LockOSThread() // and never unlocked
		fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err == nil {
			err = becomeAndConnect(fd, path, uid, gid, groups)
		}
		done <- result{fd, err}
	}()
	r := <-done
	if r.err != nil {
		unix.Close(r.fd)
		return nil, r.err
	}
	f := os.NewFile(uintptr(r.fd), "peer")
	defer f.Close()
	return net.FileConn(f)
}

func becomeAndConnect(fd int, path string, uid, gid int, groups []uint32) error {
	// The raw calls change one thread; those of package syscall change all.
	groups = append(groups, uint32(gid))
	for _, call := range [][4]uintptr{
		{unix.SYS_SETGROUPS, uintptr(len(groups)), uintptr(unsafe.Pointer(&groups[0])), 0},
		{unix.SYS_SETRESGID, uintptr(gid), uintptr(gid), uintptr(gid)},
		{unix.SYS_SETRESUID, uintptr(uid), uintptr(uid), uintptr(uid)},
	} {
		if _, _, errno := syscall.RawSyscall(call[0], call[1], call[2], call[3]); errno != 0 {
			return errno
		}
	}
	return unix.Connect(fd, &unix.SockaddrUnix{Name: path})
}

// statusOver is the HTTP status of a request over a connection.
func statusOver(t *testing.T, conn net.Conn) (int, string) {
	t.Helper()
	client := http.Client{Transport: &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) { return conn, nil }}}
	r, err := client.Get("http://signpost/hello")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	text := make([]byte, 1000)
	n, _ := r.Body.Read(text)
	return r.StatusCode, string(text[:n])
}

func TestMembersOfTheGroupAskAndOthersDoNot(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root can connect as another user")
	}
	const group, stranger = 54321, 54399
	_, c := open(t, "54321", hello())
	for _, p := range []struct {
		name   string
		gid    int
		groups []uint32
	}{{"by the primary group", group, nil}, {"by a supplementary group", stranger, []uint32{7, group}}, {"by the last of many", stranger, many(group)}} {
		conn, err := connectAs(t, c.Path(), stranger, p.gid, p.groups...)
		if err != nil {
			t.Fatal(p.name, err)
		}
		if code, _ := statusOver(t, conn); code != 200 {
			t.Errorf("a member %s gets %d", p.name, code)
		}
	}
	if _, err := connectAs(t, c.Path(), stranger, stranger); !errors.Is(err, unix.EACCES) {
		t.Errorf("the mode of the file lets a stranger connect: %v", err)
	}
	// A wrong mode opens nothing.
	if err := os.Chmod(c.Path(), 0o666); err != nil {
		t.Fatal(err)
	}
	conn, err := connectAs(t, c.Path(), stranger, stranger)
	if err != nil {
		t.Fatal(err)
	}
	if code, text := statusOver(t, conn); code != 403 || !strings.Contains(text, "usermod -aG 54321 USER") {
		t.Errorf("a stranger gets %d %s", code, text)
	}
}

// many is a list of supplementary groups that is longer than the first try of peerGroups.
func many(last uint32) []uint32 {
	var groups []uint32
	for i := range uint32(300) {
		groups = append(groups, 60000+i)
	}
	return append(groups, last)
}

func TestWithoutTheGroupOnlyRootAndTheOwnUserMayConnect(t *testing.T) {
	s, c := open(t, "nosuchgroup", hello())
	if len(s.Notes()) != 1 || !strings.Contains(s.Notes()[0], "nosuchgroup") {
		t.Errorf("notes %q", s.Notes())
	}
	if info, err := os.Stat(c.Path()); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	if _, err := get(t, c, "/hello"); err != nil {
		t.Error(err)
	}
}

func TestAnErrorOfAClientSaysWhatToDo(t *testing.T) {
	dir := t.TempDir()
	stale := filepath.Join(dir, "stale.sock")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: stale, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	l.Close()
	_, running := open(t, "", hello())
	for _, c := range []struct {
		name, want string
		config     Config
		path       string
	}{
		{"off", "write control: {listen:", Config{}, "/hello"},
		{"down", "systemctl status signpost", Config{Listen: filepath.Join(dir, "none.sock")}, "/hello"},
		{"killed", "systemctl start signpost", Config{Listen: "unix:" + stale}, "/hello"},
		{"another version", "of another version than this command", running, "/nothing"},
	} {
		_, err := get(t, c.config, c.path)
		var e *Error
		if !errors.As(err, &e) || !strings.Contains(e.Remedy, c.want) || e.Problem == "" {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	if e := unreachable("/run/x.sock", "signpost-admin", &net.OpError{Op: "dial", Err: os.NewSyscallError("connect", unix.EACCES)}); !strings.Contains(e.Error(), "usermod -aG signpost-admin ") {
		t.Error(e)
	}
}

func TestAnswersTellErrors(t *testing.T) {
	m := NewMux()
	m.Answer("GET /bad", func(*http.Request) (any, error) {
		return nil, &Error{Status: 404, Problem: "no such message", Remedy: "look at tail"}
	})
	m.Answer("GET /worse", func(*http.Request) (any, error) { return nil, errors.New("broken") })
	m.Stream("GET /never", func(*http.Request, *Stream) error { return &Error{Status: 400, Problem: "wrong", Remedy: "right"} })
	_, c := open(t, "", m)
	for path, want := range map[string]string{"/bad": "no such message; look at tail", "/worse": "broken", "/never": "wrong; right"} {
		if _, err := get(t, c, path); err == nil || err.Error() != want {
			t.Errorf("%s: %v", path, err)
		}
	}
}

func TestAStreamGoesOnUntilTheReaderOrTheServerEnds(t *testing.T) {
	m := NewMux()
	ended := make(chan struct{}, 2)
	m.Stream("GET /count", func(r *http.Request, s *Stream) error {
		defer func() { ended <- struct{}{} }()
		for i := 0; i < 3; i++ {
			if err := s.Send(i); err != nil {
				return err
			}
		}
		<-r.Context().Done()
		return nil
	})
	server, c := open(t, "", m)
	client, err := Dial(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var lines []string
	err = client.Lines(ctx, "/count", func(line []byte) error {
		if lines = append(lines, string(line)); len(lines) == 3 {
			cancel()
		}
		return nil
	})
	if err != nil || strings.Join(lines, " ") != "0 1 2" {
		t.Errorf("%q, %v", lines, err)
	}
	<-ended
	err = client.Lines(t.Context(), "/count", func(line []byte) error {
		if string(line) == "2" {
			server.Close()
		}
		return nil
	})
	if err == nil || !strings.Contains(err.Error(), "run the command again") {
		t.Error(err)
	}
	<-ended
}

func TestStreamsLeaveConnectionsForAnswers(t *testing.T) {
	m := hello()
	m.Stream("GET /wait", func(r *http.Request, s *Stream) error {
		s.Begin()
		<-r.Context().Done()
		return nil
	})
	_, c := open(t, "", m)
	for range maxStreams {
		client, err := Dial(t.Context(), c)
		if err != nil {
			t.Fatal(err)
		}
		body, err := client.ask(t.Context(), "/wait")
		if err != nil {
			t.Fatal(err)
		}
		defer body.Close()
	}
	if _, err := get(t, c, "/wait"); err == nil || !strings.Contains(err.Error(), "6 readers") {
		t.Error(err)
	}
	if got, err := get(t, c, "/hello?name=y"); err != nil || got["hello"] != "y" {
		t.Errorf("%v, %v", got, err)
	}
}

func TestAClientThatAsksNothingLeavesNoConnection(t *testing.T) {
	c := Config{Listen: "unix:" + filepath.Join(t.TempDir(), "c.sock")}
	socket, err := net.Listen("unix", c.Path())
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	client, err := Dial(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := socket.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	client.Close()
	if n, err := conn.Read(make([]byte, 1)); n != 0 || err != io.EOF {
		t.Errorf("%d octets, %v", n, err)
	}
}

func TestTheSection(t *testing.T) {
	for _, c := range []struct {
		config Config
		want   string // in the problem; "" for none
	}{
		{Defaults(), ""},
		{Config{}, ""},
		{Config{Listen: "/run/x.sock", Group: "0"}, ""},
		{Config{Listen: "127.0.0.1:80"}, "is not a unix socket"},
		{Config{Listen: "unix:relative"}, "is not a unix socket"},
		{Config{Listen: "unix:/" + strings.Repeat("x", 107)}, "at most 107"},
		{Config{Listen: "unix:/a\x00b"}, "no NUL"},
		{Config{Listen: "/x", Group: "a b"}, "name or number of a group"},
	} {
		var got []string
		c.config.Validate(func(path, problem string) { got = append(got, path+": "+problem) })
		if (c.want == "") != (len(got) == 0) || !strings.Contains(strings.Join(got, "\n"), c.want) {
			t.Errorf("%+v: %q", c.config, got)
		}
	}
}
