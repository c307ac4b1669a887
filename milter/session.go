package milter

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"runtime/debug"
	"sync"
	"syscall"
	"time"

	gomilter "github.com/emersion/go-milter"

	"signpost/internal/message"
)

// session is one connection of an MTA. One goroutine uses it, but for drain, which the server calls, and tick,
// which a timer calls.
type session struct {
	server   *Server
	role     message.Role
	listener string // its address as configured
	where    string // the connection, for the log
	conn     net.Conn
	reader   reader
	writer   writer

	content *contentWatch // of the listener

	agreed      agreement
	negotiated  bool
	client      client
	macros      macros
	mailMacros  bool // the macros of the next MAIL have arrived
	transaction transaction
	progress    progress
	accounted   int // octets that headerMemory counts for this session

	mu       sync.Mutex
	open     bool // there is a message; for other goroutines
	draining bool
}

func newSession(server *Server, conn net.Conn, l listener, where string) *session {
	s := &session{server: server, role: l.role, listener: l.name, where: where, conn: conn, content: l.content}
	s.reader = reader{conn: conn, ack: acknowledgerOf(conn), max: uint32(server.config.MaxPacketBytes), arm: s.arm}
	s.reader.wait, _ = conn.(waiter)
	s.reader.allow = s.accountWith
	s.reader.buf = s.reader.own[:]
	s.writer.conn = conn
	return s
}

var (
	errDraining      = errors.New("the daemon stops")
	errQuit          = errors.New("the MTA quits")
	errAlreadyLogged = errors.New("the same as with an earlier connection")
	errLate          = errors.New("the MTA got 451 in place of a decision")
)

// run serves the connection to its end and closes it.
func (s *session) run() {
	defer s.conn.Close()
	defer func() {
		// This is reached only if handling a panic panics.
		if cause := recover(); cause != nil {
			s.server.log.Error("panic in a milter connection; please report it", "connection", s.where,
				"panic", fmt.Sprint(cause), "stack", string(debug.Stack()))
		}
	}()
	err := s.serve()
	s.dropTransaction("the connection ended")
	s.stopTimer()
	s.reader.release()
	s.account()
	if err = s.unexpected(err); err != nil {
		s.server.log.Warn("milter connection closed", "connection", s.where, "problem", err.Error())
	}
}

// serve answers commands until there is a reason to stop.
func (s *session) serve() error {
	for {
		command, err := s.reader.next()
		if err != nil {
			return err
		}
		if err := s.step(command); err != nil {
			return err
		}
		if !s.transaction.open {
			s.reader.use(waitingBuffer)
			s.account()
		}
	}
}

// unexpected returns the error if it is worth a line in the log, else nil.
func (s *session) unexpected(err error) error {
	switch {
	case errors.Is(err, errNotTaken):
		return err
	case errors.Is(err, errQuit), errors.Is(err, errAlreadyLogged), errors.Is(err, errLate), errors.Is(err, errDraining), errors.Is(err, io.EOF), errors.Is(err, net.ErrClosed),
		errors.Is(err, syscall.ECONNRESET):
		return nil
	case errors.Is(err, os.ErrDeadlineExceeded) && s.isDraining():
		return nil
	case errors.Is(err, os.ErrDeadlineExceeded):
		return errors.New("nothing came in time: the MTA is stuck, or this is no milter client")
	}
	return err
}

// step handles one command. A panic costs the message, not the connection.
func (s *session) step(command gomilter.Code) (err error) {
	defer func() {
		if cause := recover(); cause != nil {
			err = s.crashed(command, cause)
		}
	}()
	if !s.negotiated && command != gomilter.CodeOptNeg {
		return fmt.Errorf("command %q before the options: this is no milter client", byte(command))
	}
	switch command {
	case gomilter.CodeBody:
		return s.handleBody()
	case gomilter.CodeEOB:
		return s.handleEndOfMessage()
	case gomilter.CodeQuit:
		return errQuit
	case gomilter.CodeHeader:
		if err := s.handleField(); err != nil {
			return err
		}
		return s.replyContinue(gomilter.OptNoHeaderReply)
	case gomilter.CodeMacro:
		data, err := s.reader.head(maxMacroBytes + 1)
		s.handleMacros(data)
		return err
	default:
		if s.reader.left > maxCommand {
			return fmt.Errorf("command %q with %d octets, %d are possible: this is no milter client",
				byte(command), s.reader.left, maxCommand)
		}
	}
	data, err := s.reader.data()
	if err != nil {
		return err
	}
	return s.handle(command, data)
}

// handle handles a command whose data has arrived completely.
func (s *session) handle(command gomilter.Code, data []byte) error {
	switch command {
	case gomilter.CodeOptNeg:
		return s.handleOptions(data)
	case gomilter.CodeConn:
		return s.handleConnect(data)
	case gomilter.CodeHelo:
		return s.handleHelo(data)
	case gomilter.CodeMail:
		return s.handleMail(data)
	case gomilter.CodeRcpt:
		return s.handleRcpt(data)
	case gomilter.CodeData:
		s.handleData()
		return s.replyContinue(gomilter.OptNoDataReply)
	case gomilter.CodeEOH:
		if s.transaction.open {
			s.endHeader()
		}
		return s.replyContinue(gomilter.OptNoEOHReply)
	case codeUnknown:
		return s.replyContinue(gomilter.OptNoUnknownReply)
	case gomilter.CodeAbort:
		s.dropTransaction("the MTA aborts")
		s.macros.clearFrom(stageMail)
		return nil
	case gomilter.CodeQuitNewConn:
		s.dropTransaction("the MTA quits")
		s.macros.clearFrom(stageConnect)
		s.client = client{}
		return nil
	}
	return fmt.Errorf("command %q is none of the protocol: this is no milter client", byte(command))
}

// crashed logs a panic and refuses the message with 451.
func (s *session) crashed(command gomilter.Code, cause any) error {
	s.server.log.Error("panic while a message was handled; please report it",
		"connection", s.where, "command", string(rune(command)), "panic", fmt.Sprint(cause), "stack", string(debug.Stack()))
	if !s.transaction.open {
		return fmt.Errorf("panic outside of a message: %v", cause)
	}
	s.writer.out = s.writer.out[:0]
	s.transaction.fail("panic: "+fmt.Sprint(cause), Panicked)
	s.transaction.headerDone = true
	switch command {
	case gomilter.CodeEOB:
		return s.handleEndOfMessage()
	case gomilter.CodeBody:
		return s.handleBody()
	case gomilter.CodeMail:
		return s.replyContinue(gomilter.OptNoMailReply)
	case gomilter.CodeHeader:
		return s.replyContinue(gomilter.OptNoHeaderReply)
	case gomilter.CodeEOH:
		return s.replyContinue(gomilter.OptNoEOHReply)
	}
	return fmt.Errorf("panic at command %q: %v", byte(command), cause)
}

// arm sets the deadline of the next read.
func (s *session) arm(idle bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.draining && idle && !s.open {
		return errDraining
	}
	wait := s.server.timeouts.packet
	if idle && s.negotiated {
		wait = s.server.config.IdleTimeout
	}
	return s.conn.SetReadDeadline(time.Now().Add(wait))
}

func (s *session) setOpen(open bool) {
	s.mu.Lock()
	s.open, s.transaction.open = open, open
	s.mu.Unlock()
}

func (s *session) isDraining() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.draining
}

// drain ends the session as soon as it has no message. Other goroutines call it.
func (s *session) drain() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.draining = true
	if !s.open {
		s.conn.SetReadDeadline(time.Unix(1, 0))
	}
}
