package daemon

import (
	"context"
	"encoding/binary"
	"io"
	"log/slog"
	"net"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"signpost/internal/arc"
	"signpost/internal/dns"
	"signpost/internal/dns/dnstest"
	"signpost/internal/message"
	"signpost/keys"
	"signpost/milter"
	"signpost/signer"
)

// The benchmarks here are whole messages of 2 KB through the milter, as Postfix
// sends them on one connection: what they allocate is all that is allocated.

// benchDaemon serves a configuration on a unix socket, with the DNS of one domain
// behind a real resolver.
type benchDaemon struct {
	generation *Generation
	socket     string
}

func startBench(b *testing.B, algorithm keys.Algorithm) *benchDaemon {
	b.Helper()
	dir := b.TempDir()
	zone := dns.NewZone()
	zone.AddTXT("example.net", "v=spf1 include:_spf.example.net -all")
	zone.AddTXT("_spf.example.net", "v=spf1 ip4:198.51.100.0/24 ip4:192.0.2.0/24 -all")
	zone.AddTXT("_dmarc.example.net", "v=DMARC1; p=reject; rua=mailto:dmarc@example.net; adkim=r; aspf=r")
	key, err := keys.Generate(filepath.Join(dir, "keys"), "example.net", "s1", algorithm, 2048)
	if err != nil {
		b.Fatal(err)
	}
	zone.AddTXT(key.RecordName(), key.Record())

	d := &benchDaemon{socket: filepath.Join(dir, "s")}
	c := Defaults()
	var listen milter.Listen
	if err := listen.UnmarshalText([]byte("unix:" + d.socket)); err != nil {
		b.Fatal(err)
	}
	c.Milter.Listen = []milter.Listen{listen}
	c.DNS.Servers = []string{dnstest.Start(b, zone)}
	c.Keys.Dir = filepath.Join(dir, "keys")
	c.Signer.Domains = []signer.Domain{{Domain: "example.net", Selectors: []signer.Selector{{Selector: "s1"}}}}
	c.Signer.RequirePublished = false
	c.Keys.State = filepath.Join(dir, "state.json")
	c.Verifier.AuthservID = "mx.example.org"
	if d.generation, err = Build(c, "", time.Now, nil); err != nil {
		b.Fatal(err)
	}
	s, err := New(d.generation, "", "", slog.New(slog.NewTextHandler(io.Discard, nil)))
	if err != nil {
		b.Fatal(err)
	}
	s.processors.start()
	served := make(chan error, 1)
	go func() { served <- s.server.Serve(context.Background()) }()
	b.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = s.server.Shutdown(ctx)
		<-served
		s.processors.stop()
	})
	return d
}

// benchHeader is a header as mail has it.
var benchHeader = []message.Field{
	{Name: "Received", Value: " from mail.example.net (mail.example.net [192.0.2.10])\r\n\tby mx.example.org (Postfix) with ESMTPS id 4XYZabcdef\r\n\tfor <bob@example.org>; Sat, 21 Nov 2026 10:00:00 +0000 (UTC)"},
	{Name: "Received", Value: " from [198.51.100.7] (client.example.net [198.51.100.7])\r\n\tby mail.example.net (Postfix) with ESMTPSA id 4XYZabc123;\r\n\tSat, 21 Nov 2026 09:59:58 +0000 (UTC)"},
	{Name: "From", Value: " Alice Example <alice@example.net>"},
	{Name: "To", Value: " Bob Example <bob@example.org>"},
	{Name: "Cc", Value: " Carol Example <carol@example.org>, Dan Example <dan@example.com>"},
	{Name: "Subject", Value: " The figures of the third quarter, as we agreed on Tuesday"},
	{Name: "Date", Value: " Sat, 21 Nov 2026 09:59:57 +0000"},
	{Name: "Message-ID", Value: " <20261121095957.4XYZabc123@mail.example.net>"},
	{Name: "References", Value: " <20261120101112.4XYZaaa111@mail.example.org>\r\n <20261120121314.4XYZbbb222@mail.example.net>"},
	{Name: "MIME-Version", Value: " 1.0"},
	{Name: "Content-Type", Value: " text/plain; charset=utf-8"},
	{Name: "Content-Transfer-Encoding", Value: " 8bit"},
	{Name: "User-Agent", Value: " Mutt/2.2.13"},
}

var benchBody = strings.Repeat("a line of text, of sixty-four octets with its line end, and so\r\n", 32)

// packet is one milter packet.
func packet(command byte, data string) []byte {
	return append(append(binary.BigEndian.AppendUint32(nil, uint32(len(data)+1)), command), data...)
}

// session is a message as an MTA that waits for the last answer only sends it.
func (d *benchDaemon) session(h []message.Field) []byte {
	var out []byte
	add := func(command byte, data string) { out = append(out, packet(command, data)...) }
	add('D', "Mi\x004XYZabcdef\x00")
	add('M', "<alice@example.net>\x00SIZE=4096\x00")
	add('R', "<bob@example.org>\x00")
	for _, f := range h {
		add('L', f.Name+"\x00"+strings.ReplaceAll(f.Value, "\r\n", "\n")+"\x00")
	}
	add('N', "")
	add('B', benchBody)
	add('E', "")
	return out
}

// connect opens a session whose client has this address.
func (d *benchDaemon) connect(b *testing.B, client string) net.Conn {
	b.Helper()
	conn, err := net.Dial("unix", d.socket)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { conn.Close() })
	offer := binary.BigEndian.AppendUint32(nil, 6)
	offer = binary.BigEndian.AppendUint32(offer, 0x1ff)    // all changes
	offer = binary.BigEndian.AppendUint32(offer, 0x1fffff) // no answer to any step
	if _, err := conn.Write(packet('O', string(offer))); err != nil {
		b.Fatal(err)
	}
	answer(b, conn, 'O', make([]byte, 1024))
	hello := append(packet('C', "mail.example.net\x004\x00\x19"+client+"\x00"), packet('H', "mail.example.net\x00")...)
	if _, err := conn.Write(hello); err != nil {
		b.Fatal(err)
	}
	return conn
}

// answer reads packets up to the one with this code, and returns all of them, which
// begin in buf.
func answer(b *testing.B, conn net.Conn, last byte, buf []byte) []byte {
	have := 0
	for at := 0; ; {
		for have < at+5 || have < at+4+int(binary.BigEndian.Uint32(buf[at:])) {
			n, err := conn.Read(buf[have:])
			if err != nil {
				b.Fatal(err)
			}
			have += n
		}
		code := buf[at+4]
		at += 4 + int(binary.BigEndian.Uint32(buf[at:]))
		if code == last {
			return buf[:at]
		}
	}
}

func (d *benchDaemon) run(b *testing.B, client string, h []message.Field, want string) {
	conn := d.connect(b, client)
	one := d.session(h)
	buf := make([]byte, 8<<10)
	send := func() []byte {
		if _, err := conn.Write(one); err != nil {
			b.Fatal(err)
		}
		return answer(b, conn, 'a', buf)
	}
	if got := string(send()); !strings.Contains(got, want) {
		b.Fatalf("the answer %q has no %q", got, want)
	}
	b.ReportAllocs()
	for b.Loop() {
		send()
	}
}

func BenchmarkSign(b *testing.B) {
	for _, algorithm := range []keys.Algorithm{keys.RSA, keys.Ed25519} {
		b.Run(string(algorithm), func(b *testing.B) {
			startBench(b, algorithm).run(b, "127.0.0.1", benchHeader, "DKIM-Signature")
		})
	}
}

func BenchmarkVerify(b *testing.B) {
	for _, algorithm := range []keys.Algorithm{keys.RSA, keys.Ed25519} {
		b.Run(string(algorithm), func(b *testing.B) {
			d := startBench(b, algorithm)
			d.run(b, "192.0.2.10", d.signed(), "dmarc=pass")
		})
	}
}

// signed is the header with a signature.
func (d *benchDaemon) signed() message.Header {
	job := d.generation.Signer.Sign(context.Background(), message.Envelope{})
	job.Header(message.Envelope{}, benchHeader)
	job.Body([]byte(benchBody))
	signature := job.End().Insert[0]
	signature.Value = " " + signature.Value
	return append(message.Header{signature}, benchHeader...)
}

// BenchmarkVerifyChain has an ARC chain of three beside one signature: seven signatures are
// verified, and one in BenchmarkVerify.
func BenchmarkVerifyChain(b *testing.B) {
	d := startBench(b, keys.RSA)
	key, ok := d.generation.Store.Lookup("example.net", "s1")
	if !ok {
		b.Fatal("the key is not loaded")
	}
	h := d.signed()
	for i := range 3 {
		judged := arc.Outcome{Result: arc.Pass, Instances: i}
		if i == 0 {
			judged.Result = arc.None
		}
		body := arc.NewBody()
		body.Write([]byte(benchBody))
		fields, err := arc.Seal(h, judged, arc.SealParams{
			Domain: "example.net", Selector: "s1", Key: key.Signer, Time: time.Now(),
			Headers: []string{"From", "To", "Cc", "Subject", "Date", "DKIM-Signature"}, Payload: "mx.example.net; spf=pass smtp.mailfrom=example.net", Body: body,
		})
		if err != nil {
			b.Fatal(err)
		}
		for n := range fields {
			fields[n].Value = " " + fields[n].Value
		}
		h = append(fields, h...)
	}
	d.run(b, "192.0.2.10", h, "header.oldest-pass=0")
}

// BenchmarkSignSessions signs on several connections at once: with -cpu 1 and -cpu 2,
// each in a process of its own, it shows what a second processor is worth.
func BenchmarkSignSessions(b *testing.B) {
	d := startBench(b, keys.RSA)
	one := d.session(benchHeader)
	const perProcessor = 8
	conns := make(chan net.Conn, perProcessor*runtime.GOMAXPROCS(0))
	for range cap(conns) {
		conns <- d.connect(b, "127.0.0.1")
	}
	b.SetParallelism(perProcessor)
	b.RunParallel(func(pb *testing.PB) {
		conn, buf := <-conns, make([]byte, 8<<10)
		for pb.Next() {
			if _, err := conn.Write(one); err != nil {
				b.Error(err)
				return
			}
			answer(b, conn, 'a', buf)
		}
	})
}
