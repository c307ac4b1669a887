package milter

import (
	"bufio"
	"encoding/binary"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	gomilter "github.com/emersion/go-milter"

	"signpost/internal/message"
)

// packet is one packet of either side.
type packet struct {
	code byte
	data string
}

// peer is an MTA that a test controls packet by packet.
type peer struct {
	t       testing.TB
	conn    net.Conn
	in      *bufio.Reader
	log     *logged
	handler *handler
	server  *Server
	done    chan struct{} // closed when the session has ended

	quietMail bool // MAIL gets no answer
}

func testServer(cfg Config, h *handler, log *logged) *Server {
	return NewServer(cfg, h.generation(), slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug})))
}

// dial starts a session with a server of its own; change may alter the configuration.
func dial(t testing.TB, h *handler, change ...func(*Config)) *peer {
	cfg := Defaults()
	for _, c := range change {
		c(&cfg)
	}
	log := &logged{}
	return join(t, testServer(cfg, h, log), h, log)
}

// join starts a session with a server.
func join(t testing.TB, server *Server, h *handler, log *logged) *peer {
	ours, theirs := net.Pipe()
	p := newPeer(t, theirs, h, server, log)
	s := newSession(server, ours, auto(), "test")
	go func() {
		defer close(p.done)
		s.run()
	}()
	t.Cleanup(func() { theirs.Close(); <-p.done })
	return p
}

func newPeer(t testing.TB, conn net.Conn, h *handler, server *Server, log *logged) *peer {
	e := &eager{conn: conn, more: make(chan struct{}, 1)}
	go e.run()
	return &peer{t: t, conn: conn, in: bufio.NewReader(e), log: log, handler: h, server: server, done: make(chan struct{})}
}

// eager reads ahead, so that neither side of a pipe blocks the other.
type eager struct {
	conn   net.Conn
	mu     sync.Mutex
	more   chan struct{}
	data   []byte
	failed error
}

func (e *eager) run() {
	buf := make([]byte, 32<<10)
	for {
		n, err := e.conn.Read(buf)
		e.mu.Lock()
		e.data = append(e.data, buf[:n]...)
		e.failed = err
		e.mu.Unlock()
		select {
		case e.more <- struct{}{}:
		default:
		}
		if err != nil {
			return
		}
	}
}

func (e *eager) Read(p []byte) (int, error) {
	for {
		e.mu.Lock()
		if len(e.data) > 0 {
			n := copy(p, e.data)
			e.data = e.data[n:]
			e.mu.Unlock()
			return n, nil
		}
		err := e.failed
		e.mu.Unlock()
		if err != nil {
			return 0, err
		}
		<-e.more
	}
}

func encode(code byte, data string) []byte {
	out := binary.BigEndian.AppendUint32(nil, uint32(len(data)+1))
	return append(append(out, code), data...)
}

// send sends one packet.
func (p *peer) send(code gomilter.Code, data ...string) {
	p.t.Helper()
	p.raw(encode(byte(code), strings.Join(data, "")))
}

func (p *peer) raw(data []byte) {
	p.t.Helper()
	if _, err := p.conn.Write(data); err != nil {
		p.t.Fatalf("sending: %v\n%s", err, p.log)
	}
}

// receive returns the next packet of the filter.
func (p *peer) receive() packet {
	p.t.Helper()
	got, err := p.tryReceive()
	if err != nil {
		p.t.Fatalf("receiving: %v\n%s", err, p.log)
	}
	return got
}

func (p *peer) tryReceive() (packet, error) {
	var head [5]byte
	if _, err := io.ReadFull(p.in, head[:]); err != nil {
		return packet{}, err
	}
	data := make([]byte, binary.BigEndian.Uint32(head[:])-1)
	if _, err := io.ReadFull(p.in, data); err != nil {
		return packet{}, err
	}
	return packet{head[4], string(data)}, nil
}

// want receives one packet and holds it to the code.
func (p *peer) want(code gomilter.ActionCode) {
	p.t.Helper()
	if got := p.receive(); got.code != byte(code) {
		p.t.Fatalf("answer %q %q, want %q\n%s", got.code, got.data, code, p.log)
	}
}

// closed waits until the filter closes the connection without another word.
func (p *peer) closed() {
	p.t.Helper()
	if got, err := p.tryReceive(); err == nil {
		p.t.Fatalf("answer %q %q, want none", got.code, got.data)
	}
	<-p.done
}

const (
	allActions = 0x1ff
	allSteps   = 0x1fffff
	// oldSteps are those of version 2.
	oldSteps = 0x7f
)

func offer(version, actions, steps uint32) string {
	b := binary.BigEndian.AppendUint32(nil, version)
	b = binary.BigEndian.AppendUint32(b, actions)
	return string(binary.BigEndian.AppendUint32(b, steps))
}

// hello negotiates and connects as Postfix does.
func (p *peer) hello() {
	p.t.Helper()
	p.send(gomilter.CodeOptNeg, offer(6, allActions, allSteps))
	got := p.receive()
	if got.code != byte(gomilter.CodeOptNeg) {
		p.t.Fatalf("answer to the options: %q", got.code)
	}
	p.quietMail = binary.BigEndian.Uint32([]byte(got.data)[8:])&uint32(gomilter.OptNoMailReply) != 0
	p.connect()
}

func (p *peer) connect() {
	p.t.Helper()
	p.send(gomilter.CodeMacro, "Cj\x00mx.example.net\x00{daemon_name}\x00smtpd\x00")
	p.send(gomilter.CodeConn, "client.example.com\x004\x10\x00192.0.2.1\x00")
	p.send(gomilter.CodeHelo, "client.example.com\x00")
}

// envelope sends MAIL and RCPT.
func (p *peer) envelope(sender string, recipients ...string) {
	p.t.Helper()
	p.send(gomilter.CodeMail, "<"+sender+">\x00")
	if !p.quietMail {
		p.want(gomilter.ActContinue)
	}
	for _, r := range recipients {
		p.send(gomilter.CodeRcpt, "<"+r+">\x00")
	}
}

// fields sends header fields, "Name: value" each, as an MTA that keeps the blank.
func (p *peer) fields(fields ...string) {
	p.t.Helper()
	for _, f := range fields {
		name, value, _ := strings.Cut(f, ":")
		p.send(gomilter.CodeHeader, name, "\x00", value, "\x00")
	}
	p.send(gomilter.CodeEOH)
}

// end sends the end of message and returns the answers up to the final one.
func (p *peer) end() []packet {
	p.t.Helper()
	p.send(gomilter.CodeEOB)
	return p.answers()
}

func (p *peer) answers() []packet {
	p.t.Helper()
	var got []packet
	for {
		one := p.receive()
		got = append(got, one)
		if strings.IndexByte("acdrty", one.code) >= 0 {
			return got
		}
	}
}

// codes are the letters of the packets.
func codes(packets []packet) string {
	var b strings.Builder
	for _, p := range packets {
		b.WriteByte(p.code)
	}
	return b.String()
}

// message sends one whole message and returns the answers.
func (p *peer) message(sender, body string, fields ...string) []packet {
	p.t.Helper()
	p.envelope(sender, "b@example.net")
	p.fields(fields...)
	if body != "" {
		p.send(gomilter.CodeBody, body)
	}
	return p.end()
}

// eventually waits for what another goroutine does.
func eventually(t testing.TB, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !done(); {
		if time.Now().After(deadline) {
			t.Fatal("never: ", what)
		}
		<-time.After(time.Millisecond)
	}
}

// auto is a listener for all purposes, without its socket.
func auto() listener { return listener{role: message.RoleAuto, content: new(contentWatch)} }
