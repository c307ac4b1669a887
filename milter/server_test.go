package milter

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	gomilter "github.com/emersion/go-milter"

	"signpost/internal/message"
)

// serve starts a server at unix sockets of its own and stops it with the test.
func serve(t testing.TB, h *handler, change ...func(*Config)) (*Server, *logged) {
	cfg := Defaults()
	cfg.Listen = []Listen{{Address: Address{"unix", filepath.Join(t.TempDir(), "m.sock")}}}
	for _, c := range change {
		c(&cfg)
	}
	log := &logged{}
	s := testServer(cfg, h, log)
	if err := s.Listen(); err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve(context.Background()) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		s.Shutdown(ctx)
		if err := <-served; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	return s, log
}

// call connects to a server.
func call(t testing.TB, s *Server, h *handler, log *logged) *peer {
	t.Helper()
	addr := s.Addrs()[0]
	conn, err := net.Dial(addr.Network(), addr.String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return newPeer(t, conn, h, s, log)
}

func TestServerAtUnixAndTCP(t *testing.T) {
	h := &handler{}
	s, log := serve(t, h, func(c *Config) {
		c.Listen = append(c.Listen, Listen{Address: Address{"tcp", "127.0.0.1:0"}, Role: message.RoleSign})
	})
	for i, role := range []message.Role{message.RoleAuto, message.RoleSign} {
		addr := s.Addrs()[i]
		conn, err := net.Dial(addr.Network(), addr.String())
		if err != nil {
			t.Fatal(err)
		}
		p := newPeer(t, conn, h, s, log)
		p.hello()
		p.message("a@example.com", "text", "From: a@example.com")
		if got := h.last(t).first.Role; got != role {
			t.Errorf("role %q at %s", got, addr)
		}
		if got, want := h.last(t).first.Listener, s.config.Listen[i].Address.String(); got != want {
			t.Errorf("listener %q, want %q as configured", got, want)
		}
		conn.Close()
	}
}

func TestSwapIsForMessagesThatBegin(t *testing.T) {
	first, second := &handler{}, &handler{}
	s, log := serve(t, first)
	p := call(t, s, first, log)
	p.hello()
	p.envelope("a@example.com")
	s.Swap(second.generation())
	p.fields("From: a@example.com")
	p.end()
	p.message("b@example.com", "", "From: b@example.com")
	if first.count() != 1 || second.count() != 1 || !first.letters[0].ended {
		t.Errorf("%d messages for the first generation, %d for the second", first.count(), second.count())
	}
}

func TestShutdownWaitsForMessagesOnly(t *testing.T) {
	release := make(chan struct{})
	h := &handler{end: func(context.Context, message.Envelope, message.Header) message.Outcome {
		<-release
		return message.Outcome{Disposition: message.Accept}
	}}
	s, log := serve(t, h)
	idle, fresh, busy := call(t, s, h, log), call(t, s, h, log), call(t, s, h, log)
	idle.hello()
	busy.hello()
	busy.envelope("a@example.com")
	busy.send(gomilter.CodeEOB)
	fresh.send(gomilter.CodeOptNeg, offer(6, allActions, allSteps))
	fresh.receive()

	stopped := make(chan error, 1)
	go func() { stopped <- s.Shutdown(context.Background()) }()
	for name, p := range map[string]*peer{"idle": idle, "fresh": fresh} {
		if _, err := p.tryReceive(); err == nil {
			t.Errorf("%s: an answer", name)
		}
	}
	if _, err := net.Dial("unix", s.Addrs()[0].String()); err == nil {
		t.Error("it still listens")
	}
	select {
	case <-stopped:
		t.Error("it did not wait for the message")
	default:
	}
	close(release)
	if got := codes(busy.answers()); got != "a" {
		t.Errorf("answers %q", got)
	}
	if _, err := busy.tryReceive(); err == nil {
		t.Error("the connection goes on after its message")
	}
	if err := <-stopped; err != nil {
		t.Errorf("Shutdown: %v", err)
	}
	if strings.Contains(log.String(), "level=WARN") {
		t.Errorf("an orderly end is no problem:\n%s", log)
	}
}

func TestShutdownCutsOffWhenItsTimeIsOver(t *testing.T) {
	h := &handler{end: func(ctx context.Context, _ message.Envelope, _ message.Header) message.Outcome {
		<-ctx.Done()
		return message.Outcome{Disposition: message.Accept}
	}}
	s, log := serve(t, h)
	deciding, slow := call(t, s, h, log), call(t, s, h, log)
	deciding.hello()
	deciding.envelope("a@example.com")
	deciding.send(gomilter.CodeEOB)
	slow.hello()
	slow.envelope("a@example.com")
	eventually(t, "both messages begin", func() bool { return h.count() == 2 })
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := s.Shutdown(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Shutdown: %v", err)
	}
	for _, p := range []*peer{deciding, slow} {
		if got, err := p.tryReceive(); err == nil {
			t.Errorf("answer %q", got.code)
		}
	}
	if err := s.Shutdown(context.Background()); err != nil {
		t.Errorf("a second Shutdown: %v", err)
	}
}

func TestServeEndsWithItsContext(t *testing.T) {
	s := testServer(Defaults(), &handler{}, &logged{})
	if err := s.Serve(context.Background()); err == nil {
		t.Error("served without a listener")
	}
	s.config.Listen[0].Address.Addr = "127.0.0.1:0"
	if err := s.Listen(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := s.Serve(ctx); err != nil {
		t.Error(err)
	}
	if err := s.Serve(context.Background()); err != nil {
		t.Error("a stopped server serves again:", err)
	}
}

// flaky is a listener that fails, as at the limit of descriptors.
type flaky struct {
	net.Listener
	mu    sync.Mutex
	fails int
}

func (f *flaky) Accept() (net.Conn, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.fails > 0 {
		f.fails--
		return nil, &net.OpError{Op: "accept", Err: os.NewSyscallError("accept", syscall.EMFILE)}
	}
	return f.Listener.Accept()
}

func TestAcceptErrorsPass(t *testing.T) {
	h, log := &handler{}, &logged{}
	s := testServer(Defaults(), h, log)
	s.timeouts.backoff = 5 * time.Millisecond
	socket, err := net.Listen("unix", filepath.Join(t.TempDir(), "m.sock"))
	if err != nil {
		t.Fatal(err)
	}
	s.listeners = []listener{{Listener: &flaky{Listener: socket, fails: 5}, role: message.RoleAuto}}
	go s.Serve(context.Background())
	defer s.Shutdown(context.Background())
	p := call(t, s, h, log)
	p.hello()
	if got := codes(p.message("a@example.com", "", "From: a@example.com")); got != "a" {
		t.Errorf("answers %q", got)
	}
	if !strings.Contains(log.String(), "too many open files") {
		t.Errorf("log:\n%s", log)
	}
	p.send(gomilter.CodeQuit)
}

// No more connections than configured; further ones wait their turn.
func TestMaxConnections(t *testing.T) {
	h := &handler{}
	s, log := serve(t, h, func(c *Config) { c.MaxConnections = 2 })
	first, second, third := call(t, s, h, log), call(t, s, h, log), call(t, s, h, log)
	first.hello()
	second.hello()
	third.send(gomilter.CodeOptNeg, offer(6, allActions, allSteps))
	eventually(t, "the limit is told", func() bool { return strings.Contains(log.String(), "max_connections=2") })
	s.mu.Lock()
	if n := len(s.sessions); n != 2 {
		t.Errorf("%d sessions", n)
	}
	s.mu.Unlock()
	first.send(gomilter.CodeQuit)
	if got := third.receive(); got.code != 'O' {
		t.Errorf("answer %q", got.code)
	}
}

// One peer does not take all places; its place is free again at its end.
func TestMaxConnectionsPerPeer(t *testing.T) {
	h, log := &handler{}, &logged{}
	config := Defaults()
	config.MaxConnectionsPerPeer = 2
	s := testServer(config, h, log)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.listeners = []listener{{Listener: l, role: message.RoleAuto}}
	go s.Serve(context.Background())
	defer s.Shutdown(context.Background())
	open := func() net.Conn {
		conn, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		return conn
	}
	first := open()
	open()
	if _, err := open().Read(make([]byte, 1)); err == nil {
		t.Error("a third connection is answered")
	}
	if !strings.Contains(log.String(), "max_connections_per_peer=2") {
		t.Errorf("log:\n%s", log)
	}
	first.Close()
	eventually(t, "there is a place again", func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return len(s.sessions) == 1
	})
	fourth := open()
	fourth.Write(append([]byte{0, 0, 0, 13, 'O'}, offer(6, allActions, allSteps)...))
	if _, err := fourth.Read(make([]byte, 1)); err != nil {
		t.Errorf("the next connection is closed: %v", err)
	}
}

func TestThousandSessionsAtOnce(t *testing.T) {
	h := &handler{}
	s, log := serve(t, h, func(c *Config) { c.MaxConnections = 50 })
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			for range 50 {
				p := call(t, s, h, log)
				p.hello()
				p.message("a@example.com", "text\r\n", "From: a@example.com")
				p.send(gomilter.CodeQuit)
				p.conn.Close()
			}
		})
	}
	all.Wait()
	if n := h.count(); n != 1000 {
		t.Errorf("%d messages", n)
	}
}

// Broken connections leave nothing behind.
func TestBrokenConnectionsLeaveNoGoroutine(t *testing.T) {
	h := &handler{}
	s, log := serve(t, h)
	round := func() {
		for _, talk := range []func(p *peer){
			func(p *peer) {},
			func(p *peer) { p.raw([]byte{0, 0}) },
			func(p *peer) { p.raw([]byte("GET / HTTP/1.1\r\n\r\n")) },
			func(p *peer) { p.hello() },
			func(p *peer) { p.hello(); p.envelope("a@example.com", "b@example.net") },
			func(p *peer) { p.hello(); p.envelope("a@example.com"); p.fields("From: a@example.com") },
			func(p *peer) { p.hello(); p.envelope("a@example.com"); p.raw([]byte{0, 0, 0xff, 0xff, 'B', 'x'}) },
			func(p *peer) { p.hello(); p.message("a@example.com", "text", "From: a@example.com") },
		} {
			p := call(t, s, h, log)
			talk(p)
			p.conn.Close()
		}
	}
	round()
	sessions := func() int {
		s.mu.Lock()
		defer s.mu.Unlock()
		return len(s.sessions)
	}
	eventually(t, "all sessions end", func() bool { return sessions() == 0 })
	before := runtime.NumGoroutine()
	for range 25 {
		round()
	}
	eventually(t, "all sessions end", func() bool { return sessions() == 0 })
	// Some wait for the next connection.
	eventually(t, "their goroutines end", func() bool { return runtime.NumGoroutine() <= before+maxResting })
	for i, l := range h.letters {
		if l.ctx.Err() == nil {
			t.Fatalf("the context of message %d goes on", i)
		}
	}
}
