package milter

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"sync/atomic"

	"signpost/internal/epoll"
)

// State is what a server does at the moment.
type State struct {
	Listeners []ListenerState
	// Connections are those of all listeners; MaxConnections is their limit.
	Connections, MaxConnections int
	// SlotWaits counts the connections that have waited for a slot since the start.
	SlotWaits uint64
	// HeaderMemory is the memory of the headers of all current messages, in octets, and
	// MaxHeaderMemory its limit.
	HeaderMemory, MaxHeaderMemory int64
}

// ListenerState is the state of one listener.
type ListenerState struct {
	Address     string // as configured, else that of the socket
	Role        string // auto, sign, verify or seal
	Connections int    // open now
	Accepted    uint64 // since the start, without those that were closed at once
	// Problem is why no new connection can come; "" while one can.
	Problem string
}

// traffic counts the connections of a listener.
type traffic struct {
	open     atomic.Int64
	accepted atomic.Uint64
	ended    atomic.Bool            // no more connections are accepted
	failing  atomic.Pointer[string] // the error of accepting, until it passes
}

func (t *traffic) enter() {
	t.open.Add(1)
	t.accepted.Add(1)
}

func (t *traffic) leave() { t.open.Add(-1) }

// Connected reports whether there is a connection. It takes some nanoseconds.
func (s *Server) Connected() bool { return len(s.slots) > 0 }

// State may be called at any time after Listen. It looks at the socket files.
func (s *Server) State() State {
	s.mu.Lock()
	listeners, connections, stopping := s.listeners, len(s.sessions), s.stopping
	s.mu.Unlock()
	st := State{
		Connections: connections, MaxConnections: cap(s.slots), SlotWaits: s.slotWaits.Load(),
		HeaderMemory: s.headers.used.Load(), MaxHeaderMemory: s.headers.most,
	}
	for _, l := range listeners {
		state := l.state()
		if stopping {
			state.Problem = "the daemon is stopping"
		}
		st.Listeners = append(st.Listeners, state)
	}
	return st
}

func (l listener) state() ListenerState {
	st := ListenerState{Address: l.name, Role: string(l.role), Connections: int(l.traffic.open.Load()), Accepted: l.traffic.accepted.Load()}
	if st.Address == "" {
		at := l.Addr()
		st.Address = Address{at.Network(), at.String()}.String()
	}
	switch failing := l.traffic.failing.Load(); {
	case l.traffic.ended.Load():
		st.Problem = "it is closed"
	case failing != nil:
		st.Problem = "accepting a connection: " + *failing
	default:
		st.Problem = l.fileProblem()
	}
	return st
}

// fileProblem says whether the file of a unix socket still leads to it.
func (l listener) fileProblem() string {
	at, ok := l.Addr().(*net.UnixAddr)
	if !ok || l.file == nil {
		return ""
	}
	switch info, err := os.Lstat(at.Name); {
	case errors.Is(err, fs.ErrNotExist):
		return "its socket file is gone"
	case err == nil && !os.SameFile(info, l.file):
		return "another process has replaced its socket file"
	}
	return ""
}

// watched returns the listener with its counts and, for a unix socket, its file. Its connections are those of
// package epoll.
func (l listener) watched() (listener, error) {
	l.traffic, l.content = new(traffic), new(contentWatch)
	if at, ok := l.Addr().(*net.UnixAddr); ok {
		l.file, _ = os.Lstat(at.Name) // without it nothing is said of the file
	}
	socket, err := epoll.Listener(l.Listener)
	if err != nil {
		return l, err
	}
	l.Listener = socket
	return l, nil
}
