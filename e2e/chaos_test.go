package e2e

import (
	"errors"
	"fmt"
	"net"
	"net/textproto"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// mood is how a capriciousDNS answers.
type mood int32

const (
	honest     mood = iota
	capricious      // some answers late, some wrong, some not at all
	dead            // none
)

// capriciousDNS stands before a nameserver and spoils its answers.
type capriciousDNS struct {
	*nameserver
	mood  atomic.Int32
	asked atomic.Uint64
}

func (c *capriciousDNS) ServeDNS(w dns.ResponseWriter, ask *dns.Msg) {
	n := c.asked.Add(1)
	switch mood(c.mood.Load()) {
	case dead:
		return
	case capricious:
		switch n % 13 {
		case 1: // not at all
			return
		case 3: // late, though in time
			<-time.After(chaosTimeout / 3)
		case 5: // too late
			<-time.After(chaosTimeout * 5 / 4)
		case 7:
			w.WriteMsg(new(dns.Msg).SetRcode(ask, dns.RcodeServerFailure))
			return
		case 9: // the answer to another question, with a policy that lets all pass
			other := new(dns.Msg).SetQuestion("other.example.", ask.Question[0].Qtype)
			other.Id = ask.Id
			answer := new(dns.Msg).SetReply(other)
			answer.Answer = []dns.RR{&dns.TXT{Txt: []string{"v=DMARC1; p=none"},
				Hdr: dns.RR_Header{Name: "other.example.", Rrtype: dns.TypeTXT, Class: dns.ClassINET}}}
			w.WriteMsg(answer)
			return
		case 11: // no DNS message
			w.Write([]byte("\x00\x01garbage"))
			return
		}
	}
	c.nameserver.ServeDNS(w, ask)
}

// chaosTimeout is how long Signpost waits for one answer.
const chaosTimeout = 200 * time.Millisecond

// strangersDomain is the domain of message number n, if a stranger's or forged. Each
// has its own, so that no cache answers for the nameserver.
func strangersDomain(n int) string { return fmt.Sprintf("chaos%d.example", n) }

// chaosZone publishes our keys, and for each of so many domains of strangers what
// lets their mail pass and forgeries fail.
func chaosZone(size int) string {
	var zone strings.Builder
	zone.WriteString(ourZone())
	for n := range size {
		domain := strangersDomain(n)
		zone.WriteString(txtLine(domain, "v=spf1 ip4:192.0.2.1 -all") + theirKey().line(domain) +
			txtLine("_dmarc."+domain, "v=DMARC1; p=reject"))
	}
	return zone.String()
}

// kindOfMail is what chaos makes of a message by its number.
type kindOfMail int

const (
	ourSubmission kindOfMail = iota // signed, whatever happens
	ourSendmail                     // by sendmail(1), signed as well
	genuine                         // a stranger's, with dmarc=pass
	forgery                         // never delivered
)

var kindsOfMail = []kindOfMail{
	ourSubmission, genuine, ourSubmission, forgery, ourSendmail, genuine, ourSubmission, forgery, ourSubmission, genuine,
}

// a mailing is one message on its way, which its sender offers until it is taken or
// refused.
type mailing struct {
	number int
	kind   kindOfMail
	rcpt   string
	from   string
	client *party
	text   string
	last   reply
	err    error
}

func newMailing(t *testing.T, number int) *mailing {
	m := &mailing{number: number, kind: kindsOfMail[number%len(kindsOfMail)], rcpt: fmt.Sprintf("chaos-%d@%s", number, destDomain)}
	author := "a@" + strangersDomain(number)
	claim := ar + ": " + authservID + "; dmarc=pass header.from=" + strangersDomain(number) + "\r\n"
	switch m.kind {
	case ourSubmission, ourSendmail:
		m.client, m.from = colleague, "alice@"+ourDomain
		m.text = ourMail(m.rcpt, "in chaos")
	case genuine:
		l := letter{from: author, signed: true, extra: []string{claim}}
		m.client, m.from, m.text = other, l.from, l.text(t, m.rcpt)
		if number%2 == 0 { // SPF alone
			l.signed = false
			m.client, m.text = stranger, l.text(t, m.rcpt)
		}
	case forgery:
		l := letter{from: author, signed: true, forged: true, extra: []string{claim}}
		m.client, m.from, m.text = other, l.from, l.text(t, m.rcpt)
	}
	return m
}

// offer tries once, on a connection of its own. An error is one after which nobody
// knows whether the message was taken, which must not be.
func (m *mailing) offer(addr string) (reply, error) {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return reply{421, err.Error()}, nil
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(4 * patience))
	text := textproto.NewConn(conn)
	for _, step := range []struct {
		say  string
		want int
	}{
		{"", 220}, {"EHLO xclient.test", 250}, {"XCLIENT NAME=" + m.client.name + " ADDR=" + m.client.addr, 220},
		{"EHLO " + m.client.helo, 250}, {"MAIL FROM:<" + m.from + ">", 250}, {"RCPT TO:<" + m.rcpt + ">", 250}, {"DATA", 354},
	} {
		if step.say != "" {
			text.PrintfLine("%s", step.say)
		}
		code, said, err := text.ReadResponse(step.want)
		if err != nil {
			return reply{max(code, 421), said}, nil
		}
	}
	w := text.DotWriter()
	w.Write([]byte(m.text))
	w.Close()
	code, said, err := text.ReadResponse(0)
	var refused *textproto.Error
	if err != nil && !errors.As(err, &refused) {
		return reply{}, fmt.Errorf("no answer to the message: %w", err)
	}
	return reply{code, said}, nil
}

// chaosSize is how many messages go through chaos: SIGNPOST_CHAOS, or few.
func chaosSize(t *testing.T) int {
	t.Helper()
	text := os.Getenv("SIGNPOST_CHAOS")
	if text == "" {
		return 60
	}
	size, err := strconv.Atoi(text)
	check(t, err)
	return size
}

// TestChaos sends mail of every kind while DNS answers badly, Signpost is reloaded,
// with good files and bad ones, and killed. At the end, what was submitted and what
// was delivered are compared.
func TestChaos(t *testing.T) {
	want(t)
	size := chaosSize(t)
	moody := &capriciousDNS{nameserver: startNameserver(t, chaosZone(size), "")}
	sockets := folder(t)
	uid, gid := ids(t, "nobody", "postfix")
	check(t, os.Chown(sockets, uid, gid))
	c := config{
		Listen: []string{"unix:" + sockets + "/signpost.sock"}, Servers: []string{serveDNS(t, moody)}, Timeout: chaosTimeout.String(),
		Mode: "enforce", OnTemperror: "tempfail",
	}
	d := startDaemon(t, c)
	p := startPostfix(t, d.milter(), func(p *postfix) {
		// What the milter could not take stays in maildrop until pickup looks again.
		p.master = strings.Replace(p.master, "pickup unix n - n 60 1 pickup", "pickup unix n - n 1 1 pickup", 1)
		p.main += "smtpd_client_connection_rate_limit = 0\n"
	})

	outcomes, settled := make(chan mailing), make(chan struct{})
	offers := submitAll(t, p, size, outcomes, settled)
	kills, reloads := 0, 0
	trouble := []func(){
		func() { moody.mood.Store(int32(capricious)) },
		func() { d.reload(t); reloads++ },
		func() { d.kill(t); d.start(t); kills++ },
		func() { moody.mood.Store(int32(dead)) },
		func() { d.reload(t); reloads++ },
		func() { d.kill(t); d.start(t); kills++ },
		func() { moody.mood.Store(int32(honest)) },
		func() { d.terminate(t); d.start(t) },
		func() { d.append(t, "nonsense: true\n"); d.reload(t); d.configure(t, c); reloads++ },
		func() { d.kill(t); d.start(t); kills++ },
	}
	stir(t, outcomes, settled, max(5, size/100), trouble)
	t.Logf("%d messages in %d offers, %d kills, %d reloads, %d DNS questions", size, offers.Load(), kills, reloads, moody.asked.Load())
	moody.mood.Store(int32(honest))
	account(t, p, size)
}

// stir makes the next trouble after every so many answers, until all is settled.
// Trouble comes by the count of answers, so that it comes among messages.
func stir(t *testing.T, outcomes <-chan mailing, settled <-chan struct{}, every int, trouble []func()) {
	t.Helper()
	for answers, next := 1, 0; ; answers++ {
		select {
		case m := <-outcomes:
			if m.err != nil {
				t.Errorf("message %d: %v", m.number, m.err)
			}
		case <-settled:
			return
		}
		if answers%every == 0 {
			trouble[next%len(trouble)]()
			next++
		}
	}
}

func TestReloadsUnderLoadDropNothing(t *testing.T) {
	want(t)
	size := chaosSize(t)
	c := config{Listen: []string{"inet:" + freeAddr(t)}, Zone: chaosZone(size), Mode: "enforce"}
	d := startDaemon(t, c)
	p := startPostfix(t, d.milter())
	outcomes, settled := make(chan mailing), make(chan struct{})
	offers := submitAll(t, p, size, outcomes, settled)
	stir(t, outcomes, settled, 3, []func(){
		func() { d.reload(t) },
		func() { d.append(t, "nonsense: true\n"); d.reload(t); d.configure(t, c) },
	})
	if offers.Load() != int64(size) {
		t.Errorf("%d messages took %d offers: some were refused for a time", size, offers.Load())
	}
	account(t, p, size)
}

// submitAll offers all messages, several at a time, each until it is settled. Every
// answer goes to outcomes; settled closes when there is nothing left to offer.
func submitAll(t *testing.T, p *postfix, size int, outcomes chan<- mailing, settled chan<- struct{}) *atomic.Int64 {
	const senders = 8
	todo := make(chan *mailing, size)
	var open sync.WaitGroup
	open.Add(size)
	for n := range size {
		todo <- newMailing(t, n)
	}
	var offers atomic.Int64
	for range senders {
		go func() {
			for m := range todo {
				offers.Add(1)
				if m.kind == ourSendmail {
					m.last = reply{code: 250}
					m.err = p.submit(m.from, m.rcpt, m.text)
				} else {
					m.last, m.err = m.offer(p.mx)
				}
				outcomes <- *m
				switch {
				case m.err == nil && m.last.code/100 == 4:
					todo <- m
				default:
					if m.err == nil && (m.last.code == 250) == (m.kind == forgery) {
						t.Errorf("message %d was answered %v", m.number, m.last)
					}
					open.Done()
				}
			}
		}()
	}
	go func() {
		open.Wait()
		close(todo)
		close(settled)
	}()
	return &offers
}

// account compares what was submitted with what was delivered.
func account(t *testing.T, p *postfix, size int) {
	t.Helper()
	for n := range size {
		m := newMailing(t, n)
		if m.kind == forgery {
			continue
		}
		got := p.sink.wait(t, m.rcpt).Data
		switch m.kind {
		case ourSubmission, ourSendmail:
			if said := strings.Join(askMsgauth(t, got), " "); said != "pass" {
				t.Errorf("message %d of ours has the signatures %q, want one that passes\n%s", n, said, head(got))
			}
		case genuine:
			if v := verdictsOf(t, got); v["dmarc"] != "pass" {
				t.Errorf("message %d, which is genuine, has dmarc=%s\n%s", n, v["dmarc"], head(got))
			}
		}
	}
	for _, queue := range []string{"maildrop", "incoming", "active", "deferred", "hold"} {
		until(t, "the queue "+queue+" is empty", func() bool { return len(p.queued(t, queue)) == 0 })
	}
	times := map[string]int{}
	all, _ := p.sink.got.all()
	for _, d := range all {
		for _, rcpt := range d.To {
			times[rcpt]++
		}
	}
	for n := range size {
		rcpt, wanted := fmt.Sprintf("chaos-%d@%s", n, destDomain), 1
		if kindsOfMail[n%len(kindsOfMail)] == forgery {
			wanted = 0
		}
		if times[rcpt] != wanted {
			t.Errorf("message %d was delivered %d times, want %d", n, times[rcpt], wanted)
		}
		delete(times, rcpt)
	}
	for rcpt := range times {
		t.Errorf("%s got what nobody submitted", rcpt)
	}
}
