package milter

import (
	"bytes"
	"context"
	"crypto/sha256"
	"io"
	"log/slog"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"

	gomilter "github.com/emersion/go-milter"

	"signpost/internal/message"
)

// feed is a connection that delivers a recorded stream in pieces and forgets what
// is written to it.
type feed struct {
	net.Conn
	data  []byte
	piece int
	out   bytes.Buffer
}

func (f *feed) Read(p []byte) (int, error) {
	if len(f.data) == 0 {
		return 0, io.EOF
	}
	n := copy(p, f.data[:min(f.piece, len(f.data))])
	f.data = f.data[n:]
	return n, nil
}

func (f *feed) Write(p []byte) (int, error)      { return f.out.Write(p) }
func (f *feed) Close() error                     { return nil }
func (f *feed) SetReadDeadline(time.Time) error  { return nil }
func (f *feed) SetWriteDeadline(time.Time) error { return nil }

func quietServer(h *handler) *Server {
	return NewServer(Defaults(), h.generation(), slog.New(slog.DiscardHandler))
}

// It makes no difference how the stream is cut, on the wire and into
// packets.
func TestAnyCutOfTheStreamIsTheSame(t *testing.T) {
	body := strings.Repeat("a line of text \t \r\n\r\n", 10_000)
	var want [32]byte
	for i, chunk := range []int{65535, 1, 2, 3, 1000} {
		text := body
		if chunk < 100 {
			text = body[:4000]
		}
		stream := encode('O', offer(6, allActions, allSteps))
		for range 2 {
			stream = append(stream, encode('M', "<a@example.com>\x00")...)
			stream = append(stream, encode('R', "<b@example.net>\x00")...)
			stream = append(stream, encode('L', "From\x00 a@example.com\x00")...)
			stream = append(stream, encode('L', "X-Long\x00 "+strings.Repeat("x", 90_000)+"\x00")...)
			stream = append(stream, encode('N', "")...)
			for rest := text; rest != ""; {
				n := min(chunk, len(rest))
				stream = append(stream, encode('B', rest[:n])...)
				rest = rest[n:]
			}
			stream = append(stream, encode('E', "")...)
		}
		stream = append(stream, encode('Q', "")...)
		for _, piece := range []int{1, 2, 3, 7, 511, 512, 513, 4096, 65535, 1 << 20} {
			h := &handler{}
			f := &feed{data: bytes.Clone(stream), piece: piece}
			newSession(quietServer(h), f, auto(), "test").run()
			if h.count() != 2 || !h.letters[0].ended || !h.letters[1].ended {
				t.Fatalf("chunks of %d in pieces of %d: %d messages", chunk, piece, h.count())
			}
			for _, l := range h.letters {
				if string(l.text) != text || len(l.head) != 2 || len(l.head[1].Value) != 90_001 {
					t.Fatalf("chunks of %d in pieces of %d: %d octets of body, %d fields", chunk, piece, len(l.text), len(l.head))
				}
			}
			got := sha256.Sum256(f.out.Bytes())
			if chunk == 65535 && piece == 1 {
				want = got
			}
			if got != want && i == 0 {
				t.Errorf("chunks of %d in pieces of %d: other answers", chunk, piece)
			}
		}
	}
}

// A length alone costs nothing, however large.
func TestALengthAloneCostsNothing(t *testing.T) {
	for _, command := range []byte("DLBEM") {
		s := newSession(quietServer(&handler{}), &feed{data: append(encode('O', offer(6, allActions, allSteps)), 0, 0x0f, 0xff, 0xff, command), piece: 1000}, auto(), "test")
		s.reader.arm = func(bool) error { return nil }
		s.serve()
		if len(s.reader.buf) > bodyBuffer {
			t.Errorf("%q: a buffer of %d", command, len(s.reader.buf))
		}
	}
}

func TestTheLargestFieldArrives(t *testing.T) {
	h := &handler{}
	p := dial(t, h, func(c *Config) { c.MaxHeaderBytes = 4 << 20 })
	p.hello()
	p.envelope("a@example.com")
	value := strings.Repeat("v", defaultPacketBytes-100)
	p.send(gomilter.CodeHeader, "X\x00"+value+"\x00")
	p.end()
	if got := h.last(t).head[0].Value; got != value {
		t.Errorf("%d octets", len(got))
	}
}

// A packet beyond the limit ends the connection, and the log names the key.
func TestAPacketBeyondTheLimitEndsTheConnection(t *testing.T) {
	p := dial(t, &handler{}, func(c *Config) { c.MaxPacketBytes = 128 << 10 })
	p.hello()
	p.envelope("a@example.com")
	p.raw([]byte{0, 2, 0, 1, 'L'}) // one octet more than 128 KiB
	p.closed()
	p.log.line(t, "max_packet_bytes")
}

// A body streams through.
func TestABodyStreamsThrough(t *testing.T) {
	h := &handler{}
	p := dial(t, &handler{}, func(c *Config) { c.MaxMessageBytes = 1 << 40 })
	n := 0
	p.server.Swap(&Generation{Signer: h, Verifier: counter{&n}})
	p.hello()
	p.envelope("a@example.com")
	p.fields("From: a@example.com")
	chunk := encode('B', strings.Repeat("x", 65535))
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	const chunks = 1000
	for range chunks {
		p.raw(chunk)
	}
	p.end()
	runtime.ReadMemStats(&after)
	if n != chunks*65535 {
		t.Errorf("%d octets arrived", n)
	}
	if grown := after.TotalAlloc - before.TotalAlloc; grown > 1<<20 {
		t.Errorf("%d octets allocated for %d of body", grown, n)
	}
}

// counter is a verifier that counts the body.
type counter struct{ n *int }

func (c counter) Verify(context.Context, message.Envelope) message.Transaction { return c }
func (c counter) Header(message.Envelope, message.Header) (wanted bool)        { return true }
func (c counter) Cut()                                                         {}
func (c counter) Body(chunk []byte) (more bool)                                { *c.n += len(chunk); return true }
func (c counter) End() message.Outcome                                         { return message.Outcome{Disposition: message.Accept} }

// 4,000 connections that wait, and have sent the beginning of a packet, stay below
// 64 MiB.
func TestWaitingConnectionsAreSmall(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector has memory of its own")
	}
	const connections = 4000
	server := quietServer(&handler{})
	memory := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapInuse + m.StackInuse
	}
	before := memory()
	peers := make([]net.Conn, connections)
	done := make(chan struct{}, connections)
	for i := range peers {
		ours, theirs := net.Pipe()
		peers[i] = theirs
		go func() {
			newSession(server, ours, auto(), "test").run()
			done <- struct{}{}
		}()
		theirs.Write([]byte{0, 0x0f, 0xff, 0xff})
	}
	if each := (memory() - before) / connections; each > 16<<10 {
		t.Errorf("%d octets for each connection", each)
	}
	for _, p := range peers {
		p.Close()
	}
	for range peers {
		<-done
	}
}

// awaited is a feed that notes the largest buffer while a session waits for octets, by Wait or by a Read.
type awaited struct {
	feed
	session *session
	ready   bool
	largest int
}

func (a *awaited) note() { a.largest = max(a.largest, len(a.session.reader.buf)) }

func (a *awaited) Wait() (waited bool, err error) {
	a.note()
	a.ready = true
	return true, nil
}

func (a *awaited) Read(p []byte) (int, error) {
	if !a.ready {
		a.note()
	}
	a.ready = false
	return a.feed.Read(p)
}

// A packet that has only begun holds a small buffer until more of it comes.
func TestAPacketThatHasBegunHoldsLittle(t *testing.T) {
	talk := append(encode('O', offer(6, allActions, allSteps)), encode('C', "x\x004\x00\x19192.0.2.1\x00")...)
	talk = append(talk, encode('H', strings.Repeat("x", 300)+"\x00")...)
	for _, piece := range []int{1, 4, 5, 100} {
		conn := &awaited{feed: feed{data: talk, piece: piece}}
		conn.session = newSession(quietServer(&handler{}), conn, auto(), "test")
		conn.session.run()
		if conn.largest != waitingBuffer || conn.session.client.name == "" {
			t.Errorf("in pieces of %d: %d octets are held, want %d; the client is %+v", piece, conn.largest, waitingBuffer, conn.session.client)
		}
	}
}

// FuzzSession feeds arbitrary octets, cut arbitrarily, behind a proper beginning or
// not. It ends, without a panic and without undue memory, and what it answers is made
// of whole packets.
func FuzzSession(f *testing.F) {
	talk := func(packets ...packet) []byte {
		var b []byte
		for _, p := range packets {
			b = append(b, encode(p.code, p.data)...)
		}
		return b
	}
	whole := talk(packet{'D', "Cj\x00mx\x00"}, packet{'C', "x\x004\x00\x19192.0.2.1\x00"}, packet{'H', "x\x00"}, packet{'M', "<a@b>\x00"},
		packet{'R', "<c@d>\x00"}, packet{'L', "From\x00 a\x00"}, packet{'N', ""}, packet{'B', "body\r\n"}, packet{'E', "end"})
	f.Add(whole, uint32(allActions), uint32(allSteps), 3, true)
	f.Add(append(whole, whole...), uint32(0x01), uint32(0), 7, true)
	f.Add(talk(packet{'M', ""}, packet{'E', ""}, packet{'A', ""}, packet{'K', ""}, packet{'T', ""}, packet{'U', "x\x00"}, packet{'Q', ""}), uint32(0x31), uint32(0x400), 1, true)
	f.Add([]byte("\xff\xff\xff\xffD"), uint32(0), uint32(0), 100, false)
	f.Fuzz(func(t *testing.T, data []byte, actions, steps uint32, piece int, negotiated bool) {
		if negotiated {
			data = append(encode('O', offer(6, actions, steps)), data...)
		}
		h := &handler{end: func(_ context.Context, _ message.Envelope, h message.Header) message.Outcome {
			o := message.Outcome{Disposition: message.Accept, Insert: []message.Field{{Name: "X", Value: "y"}}}
			for i := range h {
				o.Remove = append(o.Remove, i)
			}
			return o
		}}
		conn := &feed{data: data, piece: max(1, piece&0xfff)}
		server, seen := quietServer(h), &observed{}
		server.Observe(seen)
		s := newSession(server, conn, auto(), "fuzz")
		s.run()
		if used := server.headers.used.Load(); used != 0 {
			t.Fatalf("%d octets of header memory stay counted", used)
		}
		if answers := conn.finals(); len(seen.take()) > answers {
			t.Fatalf("more outcomes are observed than the %d answers", answers)
		}
		if cap(s.reader.buf) > waitingBuffer || s.reader.borrowed != nil {
			t.Fatal("a buffer was not given back")
		}
		for _, l := range h.letters {
			if l.ctx.Err() == nil {
				t.Fatal("a context goes on")
			}
		}
		for out := conn.out.Bytes(); len(out) > 0; {
			if len(out) < 5 {
				t.Fatalf("half a packet %q", out)
			}
			n := 4 + int(out[0])<<24 + int(out[1])<<16 + int(out[2])<<8 + int(out[3])
			if n < 5 || n > len(out) || !strings.ContainsRune("Ocasyimq", rune(out[4])) {
				t.Fatalf("packet %q", out)
			}
			out = out[n:]
		}
	})
}

// finals counts the final answers that were written.
func (f *feed) finals() (n int) {
	for out := f.out.Bytes(); len(out) >= 5; {
		if strings.ContainsRune("ay", rune(out[4])) {
			n++
		}
		out = out[min(len(out), 4+int(out[0])<<24+int(out[1])<<16+int(out[2])<<8+int(out[3])):]
	}
	return n
}
