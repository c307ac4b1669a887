package e2e

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/emersion/go-milter"
	"github.com/miekg/dns"
)

const (
	kib = 1 << 10
	mib = 1 << 20
)

// status is a number of /proc/PID/status, in bytes: "VmRSS", and "VmHWM", which is
// the most it ever was.
func (d *daemon) status(t *testing.T, key string) int {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", d.cmd.Process.Pid))
	check(t, err)
	_, rest, _ := strings.Cut(string(text), key+":")
	line, _, _ := strings.Cut(rest, "\n")
	n, err := strconv.Atoi(strings.TrimSuffix(strings.TrimSpace(line), " kB"))
	check(t, err)
	return n * kib
}

// descriptors counts the process's open files.
func (d *daemon) descriptors(t *testing.T) int {
	t.Helper()
	open, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", d.cmd.Process.Pid))
	check(t, err)
	return len(open)
}

// goroutines ends the process with SIGQUIT, at which Go's runtime writes the stack
// of each goroutine into the log, and returns them.
func (d *daemon) goroutines(t *testing.T) []string {
	t.Helper()
	check(t, d.cmd.Process.Signal(syscall.SIGQUIT))
	d.ended(t)
	d.log.wait(t, "the end of the dump", func(line string) bool { return strings.HasPrefix(line, "rflags") || strings.HasPrefix(line, "gs ") })
	var all []string
	lines, _ := d.log.all()
	for i, line := range lines {
		if strings.HasPrefix(line, "goroutine ") {
			where := lines[min(i+1, len(lines)-1)]
			all = append(all, line+" "+where)
		}
	}
	return all
}

// dialMilter connects as an MTA does, by go-milter's client.
func dialMilter(addr string) (*milter.ClientSession, error) {
	c := milter.NewClientWithOptions("tcp", addr, milter.ClientOptions{
		ActionMask: milter.OptAddHeader | milter.OptChangeHeader | milter.OptQuarantine,
		ProtocolMask: milter.OptHeaderLeadingSpace | milter.OptNoConnReply | milter.OptNoHeloReply | milter.OptNoRcptReply |
			milter.OptNoHeaderReply | milter.OptNoEOHReply | milter.OptNoBodyReply,
		ReadTimeout: patience, WriteTimeout: patience,
	})
	return c.Session()
}

// through takes one message from this client through the milter. It has to be
// accepted with one change to its header at least.
func through(s *milter.ClientSession, client, from, msg string, body io.Reader) error {
	steps := []func() (*milter.Action, error){
		func() (*milter.Action, error) { return s.Conn("client.example", milter.FamilyInet, 25, client) },
		func() (*milter.Action, error) { return s.Helo("client.example") },
		func() (*milter.Action, error) { return s.Mail(from, nil) },
		func() (*milter.Action, error) { return s.Rcpt("bob@"+destDomain, nil) },
	}
	header, _, _ := strings.Cut(msg, "\r\n\r\n")
	for _, f := range fields([]byte(header)) {
		steps = append(steps, func() (*milter.Action, error) {
			return s.HeaderField(f.name, strings.ReplaceAll(f.value, "\r\n", "\n"))
		})
	}
	for _, step := range append(steps, s.HeaderEnd) {
		if a, err := step(); err != nil {
			return err
		} else if a.Code != milter.ActContinue {
			return fmt.Errorf("answered %c", a.Code)
		}
	}
	changes, answer, err := s.BodyReadFrom(body)
	if err != nil {
		return err
	}
	if answer.Code != milter.ActAccept || len(changes) == 0 {
		return fmt.Errorf("answered %c with %d changes", answer.Code, len(changes))
	}
	return nil
}

// leakSize is how many messages the leak test sends: SIGNPOST_LEAKS, or few. There
// are a tenth as many broken connections.
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

// TestLeaks sends messages, ours and strangers', over good connections and beside
// them breaks connections in every way, and looks whether descriptors, memory and
// goroutines come back to where they were.
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

	// So many domains that a question is always on its way, though the resolver keeps
	// each answer for a second.
	var strangers atomic.Int64
	nextDomain := func() string { return fmt.Sprintf("strict%d.example", strangers.Add(1)%4000) }

	// round is a tenth of it all. Its connections are closed when it returns.
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
	// What a heap grows to is known after two rounds.
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
	// The runtime's own and those of an idle daemon.
	const usual = 25
	if len(all) == 0 || len(all) > usual {
		t.Errorf("%d goroutines are left, want at most %d:\n%s", len(all), usual, strings.Join(all, "\n"))
	}
}

// everyName is a nameserver that knows SPF, DMARC and a key for every name, for no
// time at all. Some questions it does not answer.
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
		}
		rr := &dns.TXT{Hdr: dns.RR_Header{Name: name, Rrtype: dns.TypeTXT, Class: dns.ClassINET}}
		for part := range slices.Chunk([]byte(text), 255) {
			rr.Txt = append(rr.Txt, string(part))
		}
		answer.Answer = []dns.RR{rr}
	}
	w.WriteMsg(answer)
}

// tenMessages are five of ours and five of strangers, on one connection.
func tenMessages(addr string, nextDomain func() string, inbound, outbound string) error {
	s, err := dialMilter(addr)
	if err != nil {
		return err
	}
	defer s.Close()
	for range 5 {
		domain := nextDomain()
		msg := strings.ReplaceAll(inbound, "strict.example", domain)
		_, body, _ := strings.Cut(msg, "\r\n\r\n")
		if err := through(s, "203.0.113.9", "a@"+domain, msg, strings.NewReader(body)); err != nil {
			return fmt.Errorf("a stranger's message: %w", err)
		}
		_, body, _ = strings.Cut(outbound, "\r\n\r\n")
		if err := through(s, "127.0.0.1", "alice@"+ourDomain, outbound, strings.NewReader(body)); err != nil {
			return fmt.Errorf("our message: %w", err)
		}
	}
	return nil
}

// packet is one of the milter protocol.
func packet(command byte, data string) []byte {
	n := len(data) + 1
	return append([]byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n), command}, data...)
}

// conversation is all that an MTA says for one message, up to its end.
var conversation = bytes.Join([][]byte{
	packet('O', "\x00\x00\x00\x06\x00\x00\x01\xff\x00\x1f\xff\xff"),
	packet('D', "Cj\x00mx.example.com\x00{daemon_name}\x00smtpd\x00"),
	packet('C', "client.example\x004\x00\x19203.0.113.9\x00"),
	packet('H', "client.example\x00"),
	packet('D', "Mi\x004dKx0000\x00{auth_authen}\x00alice\x00"),
	packet('M', "<a@strict.example>\x00SIZE=1000\x00"),
	packet('R', "<bob@dest.example>\x00"),
	packet('T', ""),
	packet('L', "From\x00 a@strict.example\x00"),
	packet('L', "DKIM-Signature\x00 v=1; a=rsa-sha256; d=strict.example; s=sel;\n h=From; bh=eA==; b=eA==\x00"),
	packet('L', "Authentication-Results\x00 mx.example.com; spf=pass\x00"),
	packet('N', ""),
	packet('B', strings.Repeat("Hello.\r\n", 500)),
	packet('B', "Good bye.\r\n"),
	packet('E', ""),
}, nil)

// broken opens a connection and breaks it, in a way and at a place that the number
// chooses: within any packet or between two, by an end, by a reset, by garbage, or
// by a length that no packet has.
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

func TestIdleConnectionsCostLittle(t *testing.T) {
	want(t)
	addr := freeAddr(t)
	d := startDaemon(t, config{Listen: []string{"inet:" + addr}, Zone: ourZone(), LogLevel: "error"})
	const idle, most = 4000, 64 * mib
	var limit syscall.Rlimit
	check(t, syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit))
	if limit.Max < idle+200 {
		t.Skipf("this process may open %d files, the test needs %d", limit.Max, idle+200)
	}
	none := d.descriptors(t)
	for range idle {
		conn, err := net.Dial("tcp", addr)
		check(t, err)
		defer conn.Close()
		// The length of a packet, which does not come.
		_, err = conn.Write([]byte{0, 1, 0, 0})
		check(t, err)
	}
	until(t, "all connections are taken", func() bool { return d.descriptors(t) >= none+idle })
	used := d.status(t, "VmHWM")
	t.Logf("%d connections, %.1f MiB at most", idle, float64(used)/mib)
	if used > most {
		t.Errorf("the process had %d KiB, want %d at most", used/kib, most/kib)
	}
}

func TestOutOfDescriptors(t *testing.T) {
	want(t)
	addr := freeAddr(t)
	d := startDaemon(t, config{Listen: []string{"inet:" + addr}, Zone: ourZone(), Descriptors: 20})
	var idle []net.Conn
	for range 30 {
		conn, err := net.Dial("tcp", addr)
		check(t, err)
		idle = append(idle, conn)
	}
	d.logged(t, "level=ERROR", "accepting", "too many open files", "LimitNOFILE")
	for _, conn := range idle {
		conn.Close()
	}
	s, err := dialMilter(addr)
	check(t, err)
	defer s.Close()
	msg := ourMail("bob@"+destDomain, "after a drought")
	check(t, through(s, "127.0.0.1", "alice@"+ourDomain, msg, strings.NewReader("Good morning.\r\n")))
}

func TestABigMessageCostsNoMoreThanASmallOne(t *testing.T) {
	want(t)
	addr := freeAddr(t)
	d := startDaemon(t, config{Listen: []string{"inet:" + addr}, Zone: ourZone() + strangersZone(), AuthservID: authservID, LogLevel: "error"})
	l := letter{from: "a@strict.example", signed: true}
	line := strings.Repeat("All work and no play makes Jack a dull boy. ", 22) + "\r\n"
	send := func(size int) {
		t.Helper()
		s, err := dialMilter(addr)
		check(t, err)
		defer s.Close()
		body := func() io.Reader { return &repeated{text: line, left: size / len(line)} }
		check(t, through(s, "203.0.113.9", l.from, l.text(t, "bob@"+destDomain), body()))
		check(t, through(s, "127.0.0.1", "alice@"+ourDomain, ourMail("bob@"+destDomain, "big"), body()))
	}
	for range 200 {
		send(2 * kib)
	}
	small := d.status(t, "VmHWM")
	send(149_000_000)
	big := d.status(t, "VmHWM")
	t.Logf("%.1f MiB at most after messages of 2 KiB, %.1f MiB after one of 149 MB", float64(small)/mib, float64(big)/mib)
	if slack := 4 * mib; big > small+slack {
		t.Errorf("%d KiB after small messages, %d KiB after a big one", small/kib, big/kib)
	}
}

// repeated reads a text a number of times.
type repeated struct {
	text string
	left int
	part string
}

func (r *repeated) Read(buf []byte) (int, error) {
	n := 0
	for n < len(buf) {
		if r.part == "" {
			if r.left == 0 {
				break
			}
			r.left--
			r.part = r.text
		}
		copied := copy(buf[n:], r.part)
		r.part = r.part[copied:]
		n += copied
	}
	if n == 0 {
		return 0, io.EOF
	}
	return n, nil
}
