package milter

import (
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"

	gomilter "github.com/emersion/go-milter"

	"signpost/internal/message"
)

// null is a handler that wants all and does nothing.
type null struct{ outcome message.Outcome }

func (n null) Outbound(message.Envelope) (bool, string)                     { return false, "" }
func (n null) Sign(context.Context, message.Envelope) message.Transaction   { return n }
func (n null) Verify(context.Context, message.Envelope) message.Transaction { return n }
func (n null) Header(message.Envelope, message.Header) (wantBody bool)      { return true }
func (n null) Cut()                                                         {}
func (n null) Body([]byte) (more bool)                                      { return true }
func (n null) End() message.Outcome                                         { return n.outcome }

// counted counts the system calls of a connection.
type counted struct {
	net.Conn
	reads, writes int
}

func (c *counted) Read(p []byte) (int, error)  { c.reads++; return c.Conn.Read(p) }
func (c *counted) Write(p []byte) (int, error) { c.writes++; return c.Conn.Write(p) }

// socketPair is a connection of an MTA on the same machine.
func socketPair(tb testing.TB) (net.Conn, net.Conn) {
	tb.Helper()
	var conns [2]net.Conn
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: tb.TempDir() + "/s", Net: "unix"})
	if err != nil {
		tb.Fatal(err)
	}
	defer l.Close()
	if conns[0], err = net.Dial("unix", l.Addr().String()); err != nil {
		tb.Fatal(err)
	}
	if conns[1], err = l.Accept(); err != nil {
		tb.Fatal(err)
	}
	return conns[0], conns[1]
}

// batches are the packets of one message, cut where the MTA waits for an answer.
func batches(a agreement, body string) [][]byte {
	var all [][]byte
	var one []byte
	add := func(code gomilter.Code, flag gomilter.OptProtocol, data string) {
		one = append(one, encode(byte(code), data)...)
		if flag == 0 || !a.has(flag) {
			all = append(all, one)
			one = nil
		}
	}
	one = append(one, encode('D', "M{auth_type}\x00\x00i\x00\x00")...)
	add(gomilter.CodeMail, gomilter.OptNoMailReply, "<alice@example.com>\x00SIZE=2048\x00")
	add(gomilter.CodeRcpt, gomilter.OptNoRcptReply, "<bob@example.net>\x00")
	one = append(one, encode('D', "Ti\x004XYZabcdef\x00")...)
	if !a.has(gomilter.OptNoData) {
		add(gomilter.CodeData, gomilter.OptNoDataReply, "")
	}
	for i := range 25 {
		add(gomilter.CodeHeader, gomilter.OptNoHeaderReply, fmt.Sprintf("X-Field-%d\x00 a value of some fifty octets, as they are in mail\x00", i))
	}
	add(gomilter.CodeEOH, gomilter.OptNoEOHReply, "")
	for ; body != ""; body = body[min(len(body), 65535):] {
		add(gomilter.CodeBody, gomilter.OptNoBodyReply, body[:min(len(body), 65535)])
	}
	one = append(one, encode('D', "Ei\x004XYZabcdef\x00")...)
	add(gomilter.CodeEOB, 0, "")
	return all
}

// drive sends messages over the connection, as an MTA does. final is the length of
// the answer to the end of a message.
func drive(tb testing.TB, mta net.Conn, batches [][]byte, final int) {
	answer := make([]byte, max(final, 5))
	for i, b := range batches {
		if _, err := mta.Write(b); err != nil {
			tb.Fatal(err)
		}
		n := 5
		if i == len(batches)-1 {
			n = final
		}
		if _, err := io.ReadFull(mta, answer[:n]); err != nil {
			tb.Fatal(err)
		}
	}
}

func benchmarkSession(b *testing.B, steps uint32, body string) {
	n := null{message.Outcome{Disposition: message.Accept, Insert: []message.Field{{Name: "DKIM-Signature", Value: "v=1; " + strings.Repeat("x", 300)}}}}
	out, err := appendOutcome(nil, bothKinds, nil, &n.outcome)
	if err != nil {
		b.Fatal(err)
	}
	final := len(out)
	if steps&uint32(gomilter.OptHeaderLeadingSpace) == 0 {
		final--
	}
	server := NewServer(Defaults(), &Generation{Signer: n, Verifier: n}, quietServer(&handler{}).log)
	mta, ours := socketPair(b)
	conn := &counted{Conn: ours}
	session := newSession(server, conn, auto(), "bench")
	done := make(chan struct{})
	go func() { defer close(done); session.run() }()

	if _, err := mta.Write(encode('O', offer(6, allActions, steps))); err != nil {
		b.Fatal(err)
	}
	a, _ := negotiate([]byte(offer(6, allActions, steps)), true)
	if _, err := io.ReadFull(mta, make([]byte, len(a.appendTo(nil)))); err != nil {
		b.Fatal(err)
	}
	all := batches(a, body)
	drive(b, mta, all, final)
	conn.reads, conn.writes = 0, 0
	b.ReportAllocs()
	b.SetBytes(int64(len(body)))
	for b.Loop() {
		drive(b, mta, all, final)
	}
	b.StopTimer()
	mta.Close()
	<-done
	b.ReportMetric(float64(conn.reads)/float64(b.N), "reads/op")
	b.ReportMetric(float64(conn.writes)/float64(b.N), "writes/op")
}

var twoKilobytes = strings.Repeat("a line of text, of sixty-four octets with its line end, and so\r\n", 32)

func BenchmarkSession2KBQuiet(b *testing.B) { benchmarkSession(b, allSteps, twoKilobytes) }
func BenchmarkSession2KBBodyReply(b *testing.B) {
	benchmarkSession(b, allSteps&^uint32(gomilter.OptNoBodyReply), twoKilobytes)
}
func BenchmarkSession2KBAllReplies(b *testing.B) { benchmarkSession(b, 0, twoKilobytes) }
func BenchmarkSession5MBQuiet(b *testing.B) {
	benchmarkSession(b, allSteps, strings.Repeat(twoKilobytes, 2500))
}
func BenchmarkSession5MBBodyReply(b *testing.B) {
	benchmarkSession(b, allSteps&^uint32(gomilter.OptNoBodyReply), strings.Repeat(twoKilobytes, 2500))
}
