package e2e

import (
	"fmt"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/miekg/dns"
)

// leakSize is the number of messages of the leak test: SIGNPOST_LEAKS, or few. A tenth
// as many connections are broken.
func leakSize(t *testing.T) int {
	t.Helper()
	text := os.Getenv("SIGNPOST_LEAKS")
	if text == "" {
		return 3000
	}
	size, err := strconv.Atoi(text)
	check(t, err)
	return size
}

// TestLeaks sends our own and foreign messages over good connections, breaks other
// connections in every way, and checks that descriptors, memory and goroutines return
// to their initial numbers.
func TestLeaks(t *testing.T) {
	want(t)
	addr, names := freeAddr(t), &everyName{key: theirKey().record}
	d := startDaemon(t, config{
		Listen: []string{"inet:" + addr}, Servers: []string{serveDNS(t, names)}, Timeout: "200ms",
		Selectors: []string{"ed"}, AuthservID: authservID, LogLevel: "error",
	})
	size := leakSize(t)
	l := letter{from: "a@strict.example", signed: true, extra: forgeries}
	inbound, outbound := l.text(t, "bob@"+destDomain), ourMail("bob@"+destDomain, "again and again")

	// So many domains that a query is always running, although the resolver keeps each
	// answer for a second.
	var strangers atomic.Int64
	nextDomain := func() string { return fmt.Sprintf("strict%d.example", strangers.Add(1)%4000) }

	// round is a tenth of the total. Its connections are closed when it returns.
	round := func() {
		t.Helper()
		var all sync.WaitGroup
		for worker := range 4 {
			all.Go(func() {
				for range max(1, size/10/4/10) {
					if err := tenMessages(addr, nextDomain, inbound, outbound); err != nil {
						t.Error(err)
						return
					}
				}
			})
			all.Go(func() {
				for n := range max(1, size/100/4) {
					if err := broken(addr, worker*1_000_003+n*7919); err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
		all.Wait()
	}
	idle := d.descriptors(t)
	settled := func() bool { return d.descriptors(t) <= idle }
	// The heap has reached its size after two rounds.
	round()
	round()
	until(t, "all connections are closed", settled)
	before := d.status(t, "VmRSS")
	for range 8 {
		round()
	}
	until(t, "all connections are closed", settled)
	after := d.status(t, "VmRSS")
	open, all := d.descriptors(t), d.goroutines(t)
	t.Logf("%d messages, %d broken connections, %d DNS questions: %d descriptors, then %d; %.1f MiB resident, then %.1f; %d goroutines",
		size, size/10, names.asked.Load(), idle, open, float64(before)/mib, float64(after)/mib, len(all))
	if slack := 8 * mib; after > before+slack {
		t.Errorf("resident memory grew from %d to %d KiB", before/kib, after/kib)
	}
	// Those of the runtime, of an idle daemon, and those that wait for look-ups and for connections.
	const usual, waiting, resting = 25, 64, 32
	workers, servers := 0, 0
	for _, g := range all {
		switch {
		case strings.Contains(g, "verifier.(*workers).serve"):
			workers++
		case strings.Contains(g, "milter.(*Server).serveAll") && !strings.Contains(g, "serveOne"):
			servers++
		}
	}
	if len(all) == 0 || len(all)-workers-servers > usual || workers > waiting || servers > resting {
		t.Errorf("%d goroutines are left, %d of them for look-ups and %d for connections, want at most %d, %d and %d others:\n%s",
			len(all), workers, servers, waiting, resting, usual, strings.Join(all, "\n"))
	}
}

// everyName is a nameserver that has SPF, DMARC and a key for every name, with a TTL of
// zero. Some questions it does not answer.
type everyName struct {
	key   string
	asked atomic.Int64
}

func (e *everyName) ServeDNS(w dns.ResponseWriter, ask *dns.Msg) {
	if e.asked.Add(1)%997 == 0 {
		return
	}
	name, answer := ask.Question[0].Name, new(dns.Msg).SetReply(ask)
	if ask.Question[0].Qtype == dns.TypeTXT {
		text := "v=spf1 -all"
		switch {
		case strings.HasPrefix(name, "_dmarc."):
			text = "v=DMARC1; p=none"
		case strings.Contains(name, "._domainkey."):
			text = e.key
			for _, k := range ourKeys() {
				if name == k.at(ourDomain)+"." {
					text = k.record
				}
			}
		}
		rr := &dns.TXT{Hdr: dns.RR_Header{Name: name, Rrtype: dns.TypeTXT, Class: dns.ClassINET}}
		for part := range slices.Chunk([]byte(text), 255) {
			rr.Txt = append(rr.Txt, string(part))
		}
		answer.Answer = []dns.RR{rr}
	}
	w.WriteMsg(answer)
}

// broken opens a connection and breaks it, in a way and at a position that the number
// selects: within a packet or between two, by an end, a reset, garbage, or an invalid
// length.
func broken(addr string, number int) error {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	said := append([]byte(nil), conversation[:number%(len(conversation)+1)]...)
	switch number / 7 % 5 {
	case 1:
		conn.(*net.TCPConn).SetLinger(0)
	case 2:
		said = append(said, "GET / HTTP/1.1\r\nHost: mx.example.com\r\n\r\n"...)
	case 3:
		said = append(said, 0xff, 0xff, 0xff, 0xff, 'B')
	case 4: // ABORT in the middle, then another message, then nothing
		said = append(said, packet('A', "")...)
		said = append(said, packet('M', "<b@strict.example>\x00")...)
	}
	conn.Write(said) // the daemon may have closed it by now
	return nil
}
