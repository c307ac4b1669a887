package e2e

import (
	"errors"
	"fmt"
	"net"
	"net/textproto"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// strangersDomain is the domain of message number n, if it is foreign or forged. Each
// message has its own, so that no cache answers for the nameserver.
func strangersDomain(n int) string { return fmt.Sprintf("chaos%d.example", n) }

// chaosZone publishes our keys, and for each foreign domain the records with which its
// mail passes and forgeries fail.
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

// kindOfMail is the kind of a message; its number decides it.
type kindOfMail int

const (
	ourSubmission kindOfMail = iota // always signed
	ourSendmail                     // by sendmail(1), signed as well
	genuine                         // a stranger's, with dmarc=pass
	forgery                         // never delivered
)

var kindsOfMail = []kindOfMail{
	ourSubmission, genuine, ourSubmission, forgery, ourSendmail, genuine, ourSubmission, forgery, ourSubmission, genuine,
}

// A mailing is one message that its sender offers until it is accepted or refused.
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

// newMailing makes a message. Without XCLIENT all clients are 127.0.0.1.
func newMailing(t *testing.T, number int, xclient bool) *mailing {
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
		if spf := number%2 == 0; spf && xclient {
			l.signed = false
			m.client, m.text = stranger, l.text(t, m.rcpt)
		}
	case forgery:
		l := letter{from: author, signed: true, forged: true, extra: []string{claim}}
		m.client, m.from, m.text = other, l.from, l.text(t, m.rcpt)
	}
	if !xclient {
		m.client = nil
	}
	return m
}

// offer tries once, on its own connection. An error means that the sender does not know
// whether the message was accepted; this must not happen.
func (m *mailing) offer(addr string) (reply, error) {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return reply{421, err.Error()}, nil
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(4 * patience))
	text := textproto.NewConn(conn)
	type step struct {
		say  string
		want int
	}
	steps := []step{{"", 220}, {"EHLO client.example", 250}}
	if m.client != nil {
		steps = append(steps, step{"XCLIENT NAME=" + m.client.name + " ADDR=" + m.client.addr, 220}, step{"EHLO " + m.client.helo, 250})
	}
	for _, step := range append(steps, step{"MAIL FROM:<" + m.from + ">", 250}, step{"RCPT TO:<" + m.rcpt + ">", 250}, step{"DATA", 354}) {
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

// stir causes the next disturbance after every so many answers, until all messages are
// settled. It counts answers so that disturbances occur between messages. With progress, it
// counts from the first answer on that settles a message: the answers that came while the
// daemon was down would end it again before it can work.
func stir(t *testing.T, outcomes <-chan mailing, settled <-chan struct{}, every int, trouble []func(), progress bool) {
	t.Helper()
	works := !progress
	for answers, next := 0, 0; ; {
		select {
		case m := <-outcomes:
			if m.err != nil {
				t.Errorf("message %d: %v", m.number, m.err)
			}
			works = works || m.err != nil || m.last.code/100 != 4
		case <-settled:
			return
		}
		if works {
			answers++
		}
		if answers == every {
			answers, works = 0, !progress
			trouble[next%len(trouble)]()
			next++
		}
	}
}

// submitAll offers all messages, several at a time, each until it is settled. Every
// answer goes to outcomes; settled is closed when no message is left.
func submitAll(t *testing.T, mail []*mailing, offer func(*mailing) (reply, error), outcomes chan<- mailing, settled chan<- struct{}) *atomic.Int64 {
	const senders = 8
	todo := make(chan *mailing, len(mail))
	var open sync.WaitGroup
	open.Add(len(mail))
	for _, m := range mail {
		todo <- m
	}
	var offers atomic.Int64
	for range senders {
		go func() {
			for m := range todo {
				offers.Add(1)
				m.last, m.err = offer(m)
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

// mailings makes all messages.
func mailings(t *testing.T, size int, xclient bool) []*mailing {
	t.Helper()
	var all []*mailing
	for n := range size {
		all = append(all, newMailing(t, n, xclient))
	}
	return all
}

// offer submits a message in the way of its kind.
func (p *postfix) offer(m *mailing) (reply, error) {
	if m.kind == ourSendmail {
		return reply{code: 250}, p.submit(m.from, m.rcpt, m.text)
	}
	return m.offer(p.mx)
}

// emptied waits until all queues are empty.
func (p *postfix) emptied(t *testing.T) {
	t.Helper()
	for _, queue := range []string{"maildrop", "incoming", "active", "deferred", "hold"} {
		until(t, "the queue "+queue+" is empty", func() bool { return len(p.queued(t, queue)) == 0 })
	}
}

// account compares the delivered messages with the submitted ones.
func account(t *testing.T, s *sink, mail []*mailing) {
	t.Helper()
	for _, m := range mail {
		if m.kind == forgery {
			continue
		}
		got := s.wait(t, m.rcpt).Data
		switch m.kind {
		case ourSubmission, ourSendmail:
			if said := strings.Join(askMsgauth(t, got), " "); said != "pass" {
				t.Errorf("message %d of ours has the signatures %q, want one that passes\n%s", m.number, said, head(got))
			}
		case genuine:
			if v := verdictsOf(t, got); v["dmarc"] != "pass" {
				t.Errorf("message %d, which is genuine, has dmarc=%s\n%s", m.number, v["dmarc"], head(got))
			}
		}
	}
	times := map[string]int{}
	all, _ := s.got.all()
	for _, d := range all {
		for _, rcpt := range d.To {
			times[rcpt]++
		}
	}
	for _, m := range mail {
		wanted := 1
		if m.kind == forgery {
			wanted = 0
		}
		if times[m.rcpt] != wanted {
			t.Errorf("message %d was delivered %d times, want %d", m.number, times[m.rcpt], wanted)
		}
		delete(times, m.rcpt)
	}
	for rcpt := range times {
		t.Errorf("%s got what nobody submitted", rcpt)
	}
}
