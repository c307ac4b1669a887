package milter

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"testing"

	gomilter "github.com/emersion/go-milter"

	"signpost/internal/message"
)

// bigHeaders are headers of nearly 1 MiB, in fields of different sizes.
var bigHeaders = []struct {
	name         string
	fields, size int
}{
	{"one field", 1, 1<<20 - 100},
	{"fields as long as Postfix lets them be", 10, 102_000},
	{"fields a little longer than half a block", 31, 33_500},
	{"fields a little longer than a page", 110, 8_300},
	{"as many fields as there may be", 2000, 510},
}

func longFields(n, size int) []string {
	all := make([]string, n)
	for i := range all {
		name := fmt.Sprintf("X-%d", i)
		all[i] = name + ":" + strings.Repeat("x", size-len(name)-len(":\r\n"))
	}
	return all
}

// heap is the memory in use when all garbage is gone.
func heap() int64 {
	var m runtime.MemStats
	for range 3 { // the second round empties the pools
		runtime.GC()
	}
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// A connection with a header of 1 MB costs little more than the header, before and after
// its end; and nothing when the message is through.
func TestMemoryOfAHeader(t *testing.T) {
	const connections = 16
	for _, c := range bigHeaders {
		t.Run(c.name, func(t *testing.T) {
			h, log := &handler{}, &logged{}
			s := testServer(Defaults(), h, log)
			var peers []*peer
			for range connections {
				p := join(t, s, h, log)
				p.hello()
				p.message("a@example.com", "", "From: a@example.com")
				peers = append(peers, p)
			}
			h.forget()
			fields := longFields(c.fields, c.size)
			total := float64(connections * c.fields * c.size)
			before := heap()
			cost := func(when string) {
				t.Helper()
				if got := float64(heap()-before) / total; got > 1.3 {
					t.Errorf("%s: the heap grew by %.2f times the headers", when, got)
				}
			}
			for _, p := range peers {
				p.send(gomilter.CodeMacro, "Mi\x00q\x00")
				p.envelope("a@example.com", "b@example.net")
				for _, f := range fields {
					name, value, _ := strings.Cut(f, ":")
					p.send(gomilter.CodeHeader, name, "\x00", value, "\x00")
				}
				p.settle()
			}
			cost("before the end of the header")
			for _, p := range peers {
				p.send(gomilter.CodeEOH)
				p.send(gomilter.CodeBody, "text")
				p.settle()
			}
			cost("after the end of the header")
			for _, p := range peers {
				if got := codes(p.end()); got != "a" {
					t.Errorf("answers %q", got)
				}
			}
			h.forget()
			if got := float64(heap()-before) / total; got > 0.1 {
				t.Errorf("idle: the heap holds %.2f times the headers", got)
			}
			for _, p := range peers {
				if got := codes(p.message("n@example.com", "", "From: n@example.com")); got != "a" {
					t.Errorf("the next message: answers %q", got)
				}
			}
		})
	}
}

// settle waits until the session has taken all that was sent: net.Pipe hands a packet
// over only when it is read, and this one needs a read of its own.
func (p *peer) settle() {
	p.t.Helper()
	for range 2 {
		p.send(codeUnknown, "NOOP\x00")
	}
}

// forget removes the messages that the handler recorded.
func (h *handler) forget() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.letters = nil
}

// used is the server's count for all headers.
func (p *peer) used() int64 { return p.server.headers.used.Load() }

// What is counted is what is held: at most 1.3 times the text, all of it, and nothing when
// the message is through.
func TestHeaderMemoryIsCounted(t *testing.T) {
	for _, c := range bigHeaders {
		t.Run(c.name, func(t *testing.T) {
			h := &handler{}
			p := dial(t, h)
			p.hello()
			text := int64(c.fields * c.size)
			for range 2 {
				p.envelope("a@example.com", "b@example.net")
				var highest int64
				for _, f := range longFields(c.fields, c.size) {
					name, value, _ := strings.Cut(f, ":")
					p.send(gomilter.CodeHeader, name, "\x00", value, "\x00")
					highest = max(highest, p.used())
				}
				p.settle()
				highest = max(highest, p.used())
				p.send(gomilter.CodeEOH)
				p.settle()
				after := p.used()
				if float64(highest) > 1.3*float64(text) || float64(after) > 1.3*float64(text) {
					t.Errorf("counted are %d before and %d after the end of a header of %d octets", highest, after, text)
				}
				if after < text-int64(3*c.fields) || after < int64(len(h.last(t).head.String())-3*c.fields) {
					t.Errorf("counted are %d, and the header has %d octets", after, text)
				}
				p.end()
				p.settle()
				if got := p.used(); got != 0 {
					t.Errorf("%d are counted when the message is through", got)
				}
			}
		})
	}
}

// Beyond max_header_memory a message comes again, others go on, and the next one has its
// chance.
func TestBeyondTheHeaderMemoryAMessageComesAgain(t *testing.T) {
	for _, c := range bigHeaders {
		t.Run(c.name, func(t *testing.T) {
			h, log, o := &handler{}, &logged{}, &observed{}
			cfg := Defaults()
			cfg.MaxHeaderMemory = 3 << 20 / 2
			s := testServer(cfg, h, log)
			s.Observe(o)
			first, second, third := join(t, s, h, log), join(t, s, h, log), join(t, s, h, log)
			for _, p := range []*peer{first, second, third} {
				p.hello()
			}
			fields := longFields(c.fields, c.size)
			first.envelope("first@example.com", "b@example.net")
			first.fields(fields...)
			first.settle()
			for range 2 {
				got := second.message("second@example.com", "text", fields...)
				if len(got) != 1 || !strings.HasPrefix(got[0].data, "451 4.3.2 ") {
					t.Fatalf("answers %q", got)
				}
				if l := h.last(t); l.ended || l.ctx.Err() == nil {
					t.Error("the handler went on")
				}
				if got := o.take(); len(got) != 1 || got[0].Reason != OutOfMemory {
					t.Errorf("observed %+v", got)
				}
			}
			if n := strings.Count(log.String(), "max_header_memory"); n != 2 {
				t.Errorf("%d lines name max_header_memory:\n%s", n, log)
			}
			if got := codes(third.message("third@example.com", "text", "From: a@example.com")); got != "a" {
				t.Errorf("a small message beside them: answers %q", got)
			}
			if got := codes(first.end()); got != "a" {
				t.Errorf("the first message: answers %q", got)
			}
			first.settle()
			if got := codes(second.message("second@example.com", "text", fields...)); got != "a" {
				t.Errorf("when the first is through: answers %q", got)
			}
		})
	}
}

// However a message ends, nothing stays counted.
func TestHeaderMemoryIsGivenBack(t *testing.T) {
	big := longFields(9, 100_000)
	begin := func(p *peer, n int) {
		p.envelope("a@example.com", "b@example.net")
		for _, f := range big[:n] {
			name, value, _ := strings.Cut(f, ":")
			p.send(gomilter.CodeHeader, name, "\x00", value, "\x00")
		}
	}
	boom := func() { panic("boom") }
	for _, c := range []struct {
		name    string
		handler *handler
		talk    func(p *peer)
		ends    bool // the connection does
	}{
		{"ABORT in the header", nil, func(p *peer) { begin(p, 5); p.send(gomilter.CodeAbort) }, false},
		{"ABORT in the body", nil, func(p *peer) {
			begin(p, 5)
			p.send(gomilter.CodeBody, "text")
			p.send(gomilter.CodeAbort)
		}, false},
		{"HELO again", nil, func(p *peer) { begin(p, 5); p.send(gomilter.CodeHelo, "x\x00") }, false},
		{"the next MAIL", nil, func(p *peer) { begin(p, 5); p.message("n@example.com", "", "From: n@example.com") }, false},
		{"a new client", nil, func(p *peer) { begin(p, 5); p.send(gomilter.CodeQuitNewConn) }, false},
		{"too large a header", nil, func(p *peer) {
			begin(p, 9)
			p.send(gomilter.CodeHeader, "X\x00", strings.Repeat("x", 900_000), "\x00")
			p.settle()
			if p.used() > 32<<10 { // what the builder keeps for the next message
				t.Errorf("%d are counted of a header that is refused", p.used())
			}
			p.end()
		}, false},
		{"a panic at the end of the header", &handler{header: func(message.Envelope, message.Header) bool { boom(); return false }},
			func(p *peer) { begin(p, 5); p.end() }, false},
		{"a panic in the body", &handler{body: func([]byte) bool { boom(); return false }},
			func(p *peer) { begin(p, 5); p.send(gomilter.CodeBody, "x"); p.end() }, false},
		{"a panic at the end", &handler{end: func(context.Context, message.Envelope, message.Header) message.Outcome { boom(); panic("") }},
			func(p *peer) { begin(p, 5); p.end() }, false},
		{"the MTA quits in the header", nil, func(p *peer) { begin(p, 5); p.send(gomilter.CodeQuit) }, true},
		{"the connection ends in the header", nil, func(p *peer) { begin(p, 5); p.conn.Close() }, true},
		{"the connection ends in a field", nil, func(p *peer) {
			begin(p, 2)
			p.raw(encode('L', "X\x00"+strings.Repeat("x", 800_000))[:400_000])
			if p.used() < 400_000 {
				t.Errorf("%d are counted while a field arrives", p.used())
			}
			p.conn.Close()
		}, true},
		{"garbage in the header", nil, func(p *peer) { begin(p, 5); p.send('z') }, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := &handler{}
			if c.handler != nil {
				h = c.handler
			}
			p := dial(t, h)
			p.hello()
			c.talk(p)
			if c.ends {
				p.closed()
			} else {
				p.settle()
			}
			if got := p.used(); got != 0 {
				t.Errorf("%d stay counted", got)
			}
			if !c.ends {
				h.header, h.body, h.end = nil, nil, nil
				if got := codes(p.message("n@example.com", "", "From: n@example.com")); got != "a" {
					t.Errorf("the next message: answers %q", got)
				}
			}
		})
	}
}

// A packet takes memory as it arrives, and not for the length that it claims.
func TestTheLengthOfAPacketTakesNoHeaderMemory(t *testing.T) {
	p := dial(t, &handler{})
	p.hello()
	p.envelope("a@example.com")
	p.raw(encode('L', "X\x00"+strings.Repeat("x", 900_000))[:1000])
	if got := p.used(); got > 100_000 {
		t.Errorf("%d are counted for 1000 octets that arrived", got)
	}
	p.conn.Close()
	p.closed()
}

// Macros beyond the limit are skipped, and the connection continues.
func TestLargeMacrosAreSkipped(t *testing.T) {
	h := &handler{}
	p := dial(t, h)
	p.hello()
	for range 2 {
		p.send(gomilter.CodeMacro, "M{auth_authen}\x00alice\x00x\x00", strings.Repeat("x", 900_000), "\x00")
		if got := codes(p.message("a@example.com", "", "From: a@example.com")); got != "a" || h.last(t).signed {
			t.Errorf("answers %q, signed %v", got, h.last(t).signed)
		}
	}
}
