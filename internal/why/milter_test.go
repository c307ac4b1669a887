//go:build why

package why

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/textproto"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/emersion/go-milter"
)

// recorder is a milter that notes what go-milter's Server tells it.
type recorder struct {
	milter.NoOpMilter
	connected  bool
	mailMacros map[string]string
	headers    textproto.MIMEHeader
}

func (r *recorder) Connect(string, string, uint16, net.IP, *milter.Modifier) (milter.Response, error) {
	r.connected = true
	return milter.RespContinue, nil
}

func (r *recorder) MailFrom(_ string, m *milter.Modifier) (milter.Response, error) {
	r.mailMacros = m.Macros
	return milter.RespContinue, nil
}

func (r *recorder) Headers(h textproto.MIMEHeader, _ *milter.Modifier) (milter.Response, error) {
	r.headers = h
	return milter.RespContinue, nil
}

// Body answers "continue": after a final reply the Server makes a new milter.
func (r *recorder) Body(*milter.Modifier) (milter.Response, error) {
	return milter.RespContinue, nil
}

// oneConnection is a listener with one connection. After it, Accept returns the
// error, or blocks where there is none.
type oneConnection struct {
	conns chan net.Conn
	err   error
}

func (l *oneConnection) Accept() (net.Conn, error) {
	if c, ok := <-l.conns; ok {
		return c, nil
	}
	return nil, l.err
}

func (l *oneConnection) Close() error   { return nil }
func (l *oneConnection) Addr() net.Addr { return &net.UnixAddr{Name: "test", Net: "unix"} }

// mta is the MTA's end of a connection with go-milter's Server.
type mta struct {
	t    testing.TB
	conn net.Conn
}

func serve(t testing.TB, s *milter.Server) *mta {
	ours, theirs := net.Pipe()
	l := &oneConnection{conns: make(chan net.Conn, 1), err: net.ErrClosed}
	l.conns <- theirs
	close(l.conns)
	go s.Serve(l)
	t.Cleanup(func() { ours.Close() })
	return &mta{t, ours}
}

func packet(code byte, data string) []byte {
	p := binary.BigEndian.AppendUint32(nil, uint32(len(data)+1))
	return append(append(p, code), data...)
}

func (m *mta) send(code byte, data string) {
	m.t.Helper()
	if _, err := m.conn.Write(packet(code, data)); err != nil {
		m.t.Fatal(err)
	}
}

func (m *mta) answer() []byte {
	m.t.Helper()
	var length uint32
	if err := binary.Read(m.conn, binary.BigEndian, &length); err != nil {
		m.t.Fatal(err)
	}
	answer := make([]byte, length)
	if _, err := io.ReadFull(m.conn, answer); err != nil {
		m.t.Fatal(err)
	}
	return answer
}

func (m *mta) ask(code byte, data string) []byte {
	m.t.Helper()
	m.send(code, data)
	return m.answer()
}

func words(w ...uint32) string {
	var b []byte
	for _, v := range w {
		b = binary.BigEndian.AppendUint32(b, v)
	}
	return string(b)
}

const connect = "mx.example.org\x004\x00\x19192.0.2.1\x00"

// message sends one message and returns the answer to its end.
func (m *mta) message(subject string) []byte {
	m.ask('M', "<a@example.org>\x00")
	m.ask('R', "<b@example.org>\x00")
	m.ask('L', "Subject\x00"+subject+"\x00")
	m.ask('N', "")
	return m.ask('E', "")
}

// The MTA offers version 6 and every step; the Server answers version 2. The
// leading space of field values (SMFIP_HDR_LEADSPC), without which simple header
// canonicalization cannot be exact, belongs to version 6.
func TestMilterServerAnswersVersion2(t *testing.T) {
	m := serve(t, &milter.Server{NewMilter: func() milter.Milter { return &recorder{} }})
	got := m.ask('O', words(6, 0x1ff, 0x1fffff))
	if v := binary.BigEndian.Uint32(got[1:]); v != 2 {
		mended(t, "go-milter's Server negotiates the protocol version")
	}
}

// An action that the MTA did not offer must not be asked for: Postfix drops the
// milter for it.
func TestMilterServerIgnoresTheOffer(t *testing.T) {
	m := serve(t, &milter.Server{
		NewMilter: func() milter.Milter { return &recorder{} },
		Actions:   milter.OptAddHeader | milter.OptQuarantine,
	})
	got := m.ask('O', words(6, uint32(milter.OptAddHeader), 0))
	if a := binary.BigEndian.Uint32(got[5:]); milter.OptAction(a)&milter.OptQuarantine == 0 {
		mended(t, "go-milter's Server asks only for actions that were offered")
	}
}

// accepting ends each message with a final reply.
type accepting struct{ *recorder }

func (accepting) Body(*milter.Modifier) (milter.Response, error) { return milter.RespAccept, nil }

func TestMilterServerForgetsTheClientAfterTheFirstFinalReply(t *testing.T) {
	var made []*recorder
	m := serve(t, &milter.Server{NewMilter: func() milter.Milter {
		made = append(made, &recorder{})
		return accepting{made[len(made)-1]}
	}})
	m.ask('C', connect)
	m.message("one")
	m.message("two")
	if len(made) < 2 || made[1].connected {
		mended(t, "go-milter's Server tells the milter of the second message who the client is")
	}
}

func TestMilterServerReplacesMacrosAtEachStage(t *testing.T) {
	r := &recorder{}
	m := serve(t, &milter.Server{NewMilter: func() milter.Milter { return r }})
	m.send('D', "C{client_addr}\x00192.0.2.1\x00")
	m.ask('C', connect)
	m.send('D', "M{auth_authen}\x00ann\x00")
	m.ask('M', "<a@example.org>\x00")
	if r.mailMacros["{auth_authen}"] != "ann" {
		t.Fatalf("macros at MAIL FROM are %v: the test is wrong", r.mailMacros)
	}
	if r.mailMacros["{client_addr}"] != "" {
		mended(t, "go-milter's Server keeps the macros of earlier stages")
	}
}

func TestMilterServerKeepsTheHeaderBetweenMessages(t *testing.T) {
	r := &recorder{}
	m := serve(t, &milter.Server{NewMilter: func() milter.Milter { return r }})
	m.ask('C', connect)
	m.message("one")
	m.message("two")
	if len(r.headers["Subject"]) != 2 {
		mended(t, "go-milter's Server begins each message with an empty header")
	}
}

func TestMilterServerEndsOnOneAcceptError(t *testing.T) {
	l := &oneConnection{conns: make(chan net.Conn), err: &net.OpError{Op: "accept", Err: syscall.ECONNABORTED}}
	close(l.conns)
	ended := make(chan error, 1)
	go func() {
		ended <- (&milter.Server{NewMilter: func() milter.Milter { return &recorder{} }}).Serve(l)
	}()
	select {
	case err := <-ended:
		if !errors.Is(err, syscall.ECONNABORTED) {
			t.Errorf("Serve returned %v", err)
		}
	case <-time.After(5 * time.Second):
		mended(t, "go-milter's Server goes on after an error of accept(2)")
	}
}

// Four octets announce a packet of 1 MiB; the Server allocates it at once.
func TestMilterServerAllocatesWhatAnIdleConnectionAnnounces(t *testing.T) {
	const conns = 50
	var before, now runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	s := &milter.Server{NewMilter: func() milter.Milter { return &recorder{} }}
	for range conns {
		m := serve(t, s)
		if _, err := m.conn.Write(binary.BigEndian.AppendUint32(nil, 1<<20)); err != nil {
			t.Fatal(err)
		}
	}
	for end := time.Now().Add(5 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		runtime.GC()
		runtime.ReadMemStats(&now)
		if now.HeapAlloc-before.HeapAlloc > conns<<20*3/4 {
			return
		}
	}
	mended(t, "go-milter's Server allocates a packet as its octets arrive")
}

// A message of 25 fields and 2 KB. The Server allocated 423 times for it, the
// smallest possible loop over the same packets 33 times.
func TestMilterServerAllocatesForEachPacket(t *testing.T) {
	m := serve(t, &milter.Server{NewMilter: func() milter.Milter { return &recorder{} }})
	m.ask('C', connect)
	field := packet('L', "X-Field\x00value\x00")
	body := packet('B', string(bytes.Repeat([]byte("x"), 2048)))
	var answer [64]byte
	send := func(p []byte) {
		if _, err := m.conn.Write(p); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(m.conn, answer[:5]); err != nil {
			t.Fatal(err)
		}
	}
	got := testing.AllocsPerRun(20, func() {
		send(packetMail)
		for range 25 {
			send(field)
		}
		send(packetEOH)
		send(body)
		send(packetEnd)
		m.conn.Write(packetAbort) // empties the header map
	})
	t.Logf("%.0f allocations a message", got)
	if got < 200 {
		mended(t, "go-milter's Server allocates less")
	}
}

var (
	packetMail  = packet('M', "<a@example.org>\x00")
	packetEOH   = packet('N', "")
	packetEnd   = packet('E', "")
	packetAbort = packet('A', "")
)
