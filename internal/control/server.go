package control

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"golang.org/x/net/netutil"

	"signpost/internal/unixsocket"
)

// Limits of the server.
const (
	MaxConnections = 8                  // open at once; further ones wait
	maxStreams     = MaxConnections - 2 // a stream holds its connection: so many are left for answers
	maxRequest     = 64 << 10           // octets of a request's body
	maxHeader      = 16 << 10
	requestTime    = 10 * time.Second // for a request to arrive
	answerTime     = 30 * time.Second // for an answer, or a line of a stream, to be taken
	idleTime       = time.Minute
)

// Server is an open control socket.
type Server struct {
	config Config
	access access
	server *http.Server
	notes  []string
	addr   net.Addr
}

// Serve opens the socket and answers in the background until Close. The error says why there
// is no socket; a daemon goes on without one. Where the group does not exist, or its members
// cannot be let in, Notes says so and only root and the daemon's user may connect.
func Serve(c Config, m *Mux, log *slog.Logger) (*Server, error) {
	s := &Server{config: c, access: ownAccess()}
	socket, err := s.listen(c)
	if err != nil {
		return nil, fmt.Errorf("control.listen: %w", err)
	}
	s.addr = socket.Addr()
	s.server = &http.Server{
		Handler: s.guard(&m.mux), ConnContext: withPeer, MaxHeaderBytes: maxHeader,
		ReadTimeout: requestTime, WriteTimeout: answerTime, IdleTimeout: idleTime,
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}
	go func() {
		if err := s.server.Serve(netutil.LimitListener(identifying{socket}, MaxConnections)); !errors.Is(err, http.ErrServerClosed) {
			log.Error("the control socket is not served any more: restart the daemon", "socket", c.Path(), "error", err.Error())
		}
	}()
	return s, nil
}

// listen makes the socket for the group, or for root and the own user alone.
func (s *Server) listen(c Config) (net.Listener, error) {
	if c.Group == "" {
		return unixsocket.Listen(c.Path(), 0o600, "")
	}
	gid, err := unixsocket.GroupID(c.Group)
	if err != nil {
		s.notes = append(s.notes, fmt.Sprintf("there is no group %s (control.group): only root and the daemon's own user can ask the daemon; "+
			"systemd-sysusers makes the group, and usermod -aG %[1]s USER a member; then restart the daemon", c.Group))
		return unixsocket.Listen(c.Path(), 0o600, "")
	}
	socket, err := unixsocket.Listen(c.Path(), 0o660, c.Group)
	if errors.Is(err, unixsocket.ErrGroup) {
		s.notes = append(s.notes, fmt.Sprintf("control.group: %v; until then only root and the daemon's own user can ask the daemon", err))
		return unixsocket.Listen(c.Path(), 0o600, "")
	}
	if err == nil {
		s.access.group = gid
	}
	return socket, err
}

// Notes says what an administrator should know about the socket.
func (s *Server) Notes() []string { return s.notes }

// Addr is the address of the socket.
func (s *Server) Addr() net.Addr { return s.addr }

// Close ends all answers and removes the socket file. A nil Server is closed already.
func (s *Server) Close() {
	if s != nil {
		_ = s.server.Close()
	}
}

// guard refuses the requests of peers that may not connect.
func (s *Server) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p, known := r.Context().Value(peerKey{}).(peer)
		if !known || !s.access.permits(p) {
			w.Header().Set("Connection", "close")
			e := notPermitted(s.config.Path(), s.config.Group, "USER")
			e.Status = http.StatusForbidden
			writeError(w, e)
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, maxRequest)
		next.ServeHTTP(w, r)
	})
}
