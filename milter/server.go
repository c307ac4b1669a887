package milter

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"signpost/internal/message"
)

// Server accepts the connections of MTAs. It is safe for concurrent use.
type Server struct {
	config     Config
	log        *slog.Logger
	observer   Observer
	timeouts   timeouts
	generation atomic.Pointer[Generation]

	running context.Context // parent of every message's context; Shutdown ends it
	halt    context.CancelCauseFunc
	stopped chan struct{} // closed when the server stops to accept
	slots   chan struct{} // one for each connection
	work    chan work     // to goroutines that have served a connection before
	resting atomic.Int32  // how many of these wait
	logged  sync.Map      // keys of once

	headers   headerMemory
	early     earlyEnvelope
	slotWaits atomic.Uint64 // connections that waited for a slot

	notPeerLog logLimiter // log lines about peers that may not connect
	tooManyLog logLimiter // log lines about peers with too many connections

	mu        sync.Mutex
	listeners []listener
	sessions  map[*session]struct{}
	peers     map[netip.Addr]int // connections by address; unix sockets have the invalid one
	stopping  bool
	accepting sync.WaitGroup
	serving   sync.WaitGroup
}

// listener is an open socket and the role of its connections.
type listener struct {
	net.Listener
	role    message.Role
	name    string // the configured address, "" for a socket of systemd at another one
	content *contentWatch
	traffic *traffic
	file    fs.FileInfo // of a unix socket, when it was opened
}

// timeouts are not configurable.
type timeouts struct {
	packet   time.Duration // for a packet after its first octet, and for the first packet
	progress time.Duration // between two PROGRESS
	grace    time.Duration // after message_timeout, for a handler to return
	backoff  time.Duration // the longest pause after an accept error
}

// Sendmail waits at most 10 s for an answer or PROGRESS.
var defaultTimeouts = timeouts{
	packet:   time.Minute,
	progress: 4 * time.Second,
	grace:    10 * time.Second,
	backoff:  time.Second,
}

// NewServer makes a server that does not listen yet. The configuration must be valid; gen and its parts must
// not be nil.
func NewServer(cfg Config, gen *Generation, log *slog.Logger) *Server {
	s := &Server{
		config:   cfg,
		log:      log,
		observer: noObserver{},
		headers:  headerMemory{most: int64(cfg.MaxHeaderMemory)},
		timeouts: defaultTimeouts,
		stopped:  make(chan struct{}),
		slots:    make(chan struct{}, cfg.MaxConnections),
		work:     make(chan work),
		sessions: map[*session]struct{}{},
		peers:    map[netip.Addr]int{},
	}
	s.running, s.halt = context.WithCancelCause(context.Background())
	s.generation.Store(gen)
	s.early.init()
	return s
}

// Swap makes gen the generation of every message that starts from now on.
func (s *Server) Swap(gen *Generation) { s.generation.Store(gen) }

// Addrs returns the listening addresses: those of the configuration in order, then those of systemd. For port 0
// it is the port that the system chose.
func (s *Server) Addrs() []net.Addr {
	s.mu.Lock()
	defer s.mu.Unlock()
	addrs := make([]net.Addr, len(s.listeners))
	for i, l := range s.listeners {
		addrs[i] = l.Addr()
	}
	return addrs
}

var errNotListening = errors.New("serve before listen")

// Serve accepts connections on the sockets of Listen until ctx ends or Shutdown is called. Current messages
// continue after that; Shutdown waits for them.
func (s *Server) Serve(ctx context.Context) error {
	s.mu.Lock()
	if len(s.listeners) == 0 {
		s.mu.Unlock()
		return errNotListening
	}
	if !s.stopping {
		for i, l := range s.listeners {
			if l.traffic == nil { // not from Listen
				var err error
				if l, err = l.watched(); err != nil {
					s.mu.Unlock()
					return err
				}
				s.listeners[i] = l
			}
			s.accepting.Add(1)
			go s.accept(l)
		}
	}
	s.mu.Unlock()

	defer context.AfterFunc(ctx, s.stopListening)()
	s.accepting.Wait()
	return nil
}

// accept accepts connections from one listener until it is closed.
func (s *Server) accept(l listener) {
	defer s.accepting.Done()
	defer l.traffic.ended.Store(true)
	pause := time.Duration(0)
	for {
		conn, err := l.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			problem := err.Error()
			l.traffic.failing.Store(&problem)
			// Most likely the process is out of descriptors, which passes.
			pause = min(max(2*pause, 5*time.Millisecond), s.timeouts.backoff)
			if pause >= s.timeouts.backoff || s.once("accept: "+err.Error()) {
				s.log.Error("accepting a milter connection", "listener", l.Addr().String(), "error", err.Error(),
					"remedy", "raise LimitNOFILE or lower max_connections")
			}
			if !s.sleep(pause) {
				return
			}
			continue
		}
		pause = 0
		l.traffic.failing.Store(nil)
		peer := peerAddr(conn)
		if !s.admit(peer, l) {
			conn.Close()
			continue
		}
		if !s.acquireSlot(l) {
			conn.Close()
			s.leave(peer)
			return
		}
		s.start(conn, peer, l)
	}
}

// sleep reports false if the server stops meanwhile.
func (s *Server) sleep(d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-s.stopped:
		return false
	}
}

// acquireSlot waits until there are fewer than max_connections.
func (s *Server) acquireSlot(l listener) bool {
	select {
	case s.slots <- struct{}{}:
		return true
	default:
	}
	s.slotWaits.Add(1)
	if s.once("max_connections") {
		s.log.Warn("as many milter connections as there may be; further ones wait",
			"listener", l.Addr().String(), "max_connections", s.config.MaxConnections)
	}
	select {
	case s.slots <- struct{}{}:
		return true
	case <-s.stopped:
		return false
	}
}

// start serves a connection that has a slot.
func (s *Server) start(conn net.Conn, peer netip.Addr, l listener) {
	where := l.Addr().String()
	if from := conn.RemoteAddr().String(); from != "" && from != "@" {
		where += " from " + from
	}
	session := newSession(s, conn, l, where)
	s.mu.Lock()
	if s.stopping {
		session.drain()
	}
	s.sessions[session] = struct{}{}
	s.serving.Add(1)
	s.mu.Unlock()
	l.traffic.enter()
	w := work{session: session, peer: peer, traffic: l.traffic}
	select {
	case s.work <- w:
	default:
		go s.serveAll(w)
	}
}

// work is a connection that is to be served.
type work struct {
	session *session
	peer    netip.Addr
	traffic *traffic
}

// maxResting limits the goroutines that wait for their next connection.
const maxResting = 32

// serveAll serves a connection, and further ones after it: its stack has grown to what a message needs, which costs
// as much as a good part of the message's own work.
func (s *Server) serveAll(w work) {
	for {
		s.serveOne(w)
		if s.resting.Add(1) > maxResting {
			s.resting.Add(-1)
			return
		}
		select {
		case w = <-s.work:
			s.resting.Add(-1)
		case <-s.stopped:
			return
		}
	}
}

func (s *Server) serveOne(w work) {
	defer s.serving.Done()
	defer func() {
		s.mu.Lock()
		delete(s.sessions, w.session)
		s.mu.Unlock()
		w.traffic.leave()
		s.leave(w.peer)
		<-s.slots
	}()
	w.session.run()
}

// stopListening closes the listeners with the socket files that we made, and the connections without a
// message.
func (s *Server) stopListening() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopping {
		return
	}
	s.stopping = true
	close(s.stopped)
	for _, l := range s.listeners {
		l.Close()
	}
	for session := range s.sessions {
		session.drain()
	}
}

// Shutdown stops listening, closes the connections without a message, and waits for the others to finish theirs.
// If ctx ends first, it closes those and returns the context's error; their MTAs then use milter_default_action.
func (s *Server) Shutdown(ctx context.Context) error {
	s.stopListening()
	done := make(chan struct{})
	go func() {
		s.accepting.Wait()
		s.serving.Wait()
		close(done)
	}()
	select {
	case <-done:
		s.halt(nil)
		return nil
	case <-ctx.Done():
	}
	// Connections are closed first, so that a cancelled message gets no answer that follows from cancelling.
	s.mu.Lock()
	for session := range s.sessions {
		session.conn.Close()
	}
	s.mu.Unlock()
	s.halt(context.Cause(ctx))
	return ctx.Err()
}

// once reports true for the first call with a key.
func (s *Server) once(key string) bool {
	_, before := s.logged.LoadOrStore(key, true)
	return !before
}
