package dns_test

import (
	"context"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	wire "github.com/miekg/dns"
)

// rawServer passes each packet to answer, together with a function that sends packets
// back.
func rawServer(t *testing.T, answer func(query []byte, send func([]byte), from net.Addr)) string {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		buf := make([]byte, 4096)
		for {
			n, from, err := conn.ReadFrom(buf)
			if err != nil {
				return
			}
			answer(buf[:n], func(p []byte) { _, _ = conn.WriteTo(p, from) }, from)
		}
	}()
	t.Cleanup(func() {
		_ = conn.Close()
		<-done
	})
	return conn.LocalAddr().String()
}

func reply(t *testing.T, query []byte, change func(m *wire.Msg)) []byte {
	q, m := new(wire.Msg), new(wire.Msg)
	if err := q.Unpack(query); err != nil {
		t.Error(err)
	}
	m.SetReply(q)
	rr, err := wire.NewRR(q.Question[0].Name + " 60 IN TXT right")
	if err != nil {
		t.Error(err)
	}
	m.Answer = []wire.RR{rr}
	change(m)
	packet, err := m.Pack()
	if err != nil {
		t.Error(err)
	}
	return packet
}

func right(*wire.Msg) {}

// One query gets many wrong replies, then the right one.
func TestWhatDoesNotMatchIsPassedOverWithinATry(t *testing.T) {
	var queries atomic.Int32
	addr := rawServer(t, func(q []byte, send func([]byte), _ net.Addr) {
		queries.Add(1)
		evil := func(m *wire.Msg) { m.Answer[0].(*wire.TXT).Txt = []string{"evil"} }
		for _, change := range []func(*wire.Msg){
			func(m *wire.Msg) { m.Id ^= 1 },
			func(m *wire.Msg) { m.Question[0].Name = "evil.example." },
			func(m *wire.Msg) { m.Question[0].Qclass = wire.ClassCHAOS },
			func(m *wire.Msg) { m.Opcode = wire.OpcodeNotify },
			func(m *wire.Msg) { m.Response = false },
		} {
			send(reply(t, q, func(m *wire.Msg) { evil(m); change(m) }))
		}
		send([]byte("not DNS at all"))
		send(nil)
		send(reply(t, q, right))
	})
	got, err := resolver(t, patience, 1, addr).LookupTXT(context.Background(), "example.com")
	if err != nil || strings.Join(got, "|") != "right" {
		t.Errorf("%q, %v", got, err)
	}
	if n := queries.Load(); n != 1 {
		t.Errorf("%d queries", n)
	}
}

// Each query uses a port of its own.
func TestPortsDiffer(t *testing.T) {
	var mu sync.Mutex
	ports := map[string]bool{}
	addr := rawServer(t, func(q []byte, send func([]byte), from net.Addr) {
		mu.Lock()
		ports[from.String()] = true
		mu.Unlock()
		send(reply(t, q, right))
	})
	r := resolver(t, patience, 1, addr)
	const queries = 32
	for i := range queries {
		if _, err := r.LookupTXT(context.Background(), fmt.Sprintf("n%d.example.com", i)); err != nil {
			t.Fatal(err)
		}
	}
	mu.Lock()
	defer mu.Unlock()
	if len(ports) < queries-4 {
		t.Errorf("%d queries came from %d ports", queries, len(ports))
	}
}

// The reply to another question is ignored.
func TestAReplyFromAnotherAddressIsNotSeen(t *testing.T) {
	other, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	addr := rawServer(t, func(q []byte, send func([]byte), from net.Addr) {
		forged := reply(t, q, func(m *wire.Msg) { m.Answer[0].(*wire.TXT).Txt = []string{"evil"} })
		if _, err := other.WriteTo(forged, from); err != nil {
			t.Error(err)
		}
		send(reply(t, q, right))
	})
	got, err := resolver(t, patience, 1, addr).LookupTXT(context.Background(), "example.com")
	if err != nil || strings.Join(got, "|") != "right" {
		t.Errorf("%q, %v", got, err)
	}
}

// The number of wrong replies to one query is limited.
func TestAFloodOfForgedRepliesEndsTheTry(t *testing.T) {
	addr := rawServer(t, func(q []byte, send func([]byte), _ net.Addr) {
		forged := reply(t, q, func(m *wire.Msg) { m.Id ^= 1 })
		for range 200 {
			send(forged)
		}
	})
	_, err := resolver(t, patience, 1, addr).LookupTXT(context.Background(), "example.com")
	if err == nil || !strings.Contains(err.Error(), "forged") {
		t.Errorf("err = %v", err)
	}
}

func TestACutReplyLeadsToTCPAndItsFailureIsAnError(t *testing.T) {
	addr := rawServer(t, func(q []byte, send func([]byte), _ net.Addr) {
		whole := reply(t, q, func(m *wire.Msg) { m.Truncated = true })
		send(whole[:len(whole)-3])
	})
	_, err := resolver(t, patience, 1, addr).LookupTXT(context.Background(), "example.com")
	if err == nil || !strings.Contains(err.Error(), "refused") {
		t.Errorf("err = %v; want that nobody listens on TCP", err)
	}
}

func TestAPortOnWhichNobodyListensFailsAtOnce(t *testing.T) {
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := conn.LocalAddr().String()
	_ = conn.Close()
	ctx, cancel := context.WithTimeout(context.Background(), patience/2)
	defer cancel()
	_, err = resolver(t, patience, 3, addr).LookupTXT(ctx, "example.com")
	if want := `look up TXT "example.com": ` + addr + ": connection refused"; err == nil || err.Error() != want || ctx.Err() != nil {
		t.Errorf("err = %v, want %s", err, want)
	}
}

// A server accepts the connection and then sends nothing, or stops in the middle.
func TestASilentTCPServerEndsWithTheTimeout(t *testing.T) {
	for name, says := range map[string][]byte{"nothing": nil, "half a length": {0}, "half a reply": {0, 99, 1}, "an empty reply": {0, 0}} {
		t.Run(name, func(t *testing.T) {
			ln, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			udp, err := net.ListenPacket("udp", ln.Addr().String())
			if err != nil {
				t.Skip(err)
			}
			done := make(chan struct{}, 2)
			var open net.Conn
			go func() {
				defer func() { done <- struct{}{} }()
				if open, err = ln.Accept(); err == nil {
					_, _ = open.Write(says)
				}
			}()
			go func() {
				defer func() { done <- struct{}{} }()
				buf := make([]byte, 4096)
				if n, from, err := udp.ReadFrom(buf); err == nil {
					_, _ = udp.WriteTo(reply(t, buf[:n], func(m *wire.Msg) { m.Truncated = true }), from)
				}
			}()
			if _, err := resolver(t, 200*time.Millisecond, 1, ln.Addr().String()).LookupTXT(context.Background(), "example.com"); err == nil {
				t.Error("no error")
			}
			_, _ = ln.Close(), udp.Close()
			<-done
			<-done
			if open != nil {
				_ = open.Close()
			}
		})
	}
}
