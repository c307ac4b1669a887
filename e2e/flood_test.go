package e2e

import (
	"fmt"
	"net"
	"net/textproto"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// The domains of a flood are named after the expected result: NUMBER.honest.example and
// NUMBER.forged.example have p=reject, NUMBER.junk.example p=none. Each has an SPF
// record of six includes and unique names, so that no cache answers.
const (
	honestDomains = ".honest.example."
	forgedDomains = ".forged.example."
	junkDomains   = ".junk.example."
	silentDomains = ".silent.example."
)

// floodDNS answers for these domains with a realistic delay, except for the keys of
// junk.
type floodDNS struct{ silent atomic.Int64 }

const floodRoundTrip = 10 * time.Millisecond

func (f *floodDNS) ServeDNS(w dns.ResponseWriter, ask *dns.Msg) {
	name := strings.ToLower(ask.Question[0].Name)
	if strings.HasPrefix(name, "s._domainkey.") {
		f.silent.Add(1)
		return
	}
	<-time.After(floodRoundTrip)
	answer := new(dns.Msg).SetReply(ask)
	if text := floodRecord(name); text != "" && ask.Question[0].Qtype == dns.TypeTXT {
		rr, err := dns.NewRR(strings.TrimSpace(txtLine(strings.TrimSuffix(name, "."), text)))
		if err == nil {
			answer.Answer = []dns.RR{rr}
		}
	}
	w.WriteMsg(answer)
}

// floodRecord is the TXT record of a name.
func floodRecord(name string) string {
	at := strings.TrimSuffix(name, ".")
	switch {
	case strings.HasPrefix(at, "_dmarc.") && strings.Count(at, ".") == 3:
		if strings.HasSuffix(name, junkDomains) {
			return "v=DMARC1; p=none"
		}
		return "v=DMARC1; p=reject"
	case strings.HasPrefix(at, theirKey().at("")) && strings.HasSuffix(name, honestDomains):
		return theirKey().record
	case strings.Count(at, ".") == 2:
		var includes strings.Builder
		for i := range 6 {
			fmt.Fprintf(&includes, " include:i%d.%s", i, at)
		}
		return "v=spf1" + includes.String() + " ip4:" + stranger.addr + " -all"
	case strings.HasPrefix(at, "i") && strings.Count(at, ".") == 3:
		return "v=spf1 ip4:192.0.2.99 -all"
	}
	return ""
}

// junk is a message of eight signatures with keys at silent names: four of its author's
// subdomains, four of other domains.
func junk(number int64) (from, text string) {
	from = fmt.Sprintf("a@%d%s", number, strings.TrimSuffix(junkDomains, "."))
	var b strings.Builder
	for i := range 8 {
		domain := []string{junkDomains, silentDomains}[i%2]
		fmt.Fprintf(&b, "DKIM-Signature: v=1; a=rsa-sha256; d=%d.%d%s; s=s; h=from;\r\n bh=47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=; b=eA==\r\n",
			i, number, strings.TrimSuffix(domain, "."))
	}
	return from, b.String() + "From: <" + from + ">\r\nSubject: junk\r\n\r\nBuy.\r\n"
}

// flood is many sessions that send junk until they are stopped.
type flood struct {
	sessions sync.WaitGroup
	sent     atomic.Int64
	stopped  chan struct{}
}

// startFlood runs this many sessions at once, from so many clients in turn.
func startFlood(addr string, sessions, clients int) *flood {
	f := &flood{stopped: make(chan struct{})}
	for i := range sessions {
		who := &party{addr: fmt.Sprintf("198.51.100.%d", 1+i%clients), name: "unknown", helo: "junk.example"}
		f.sessions.Go(func() {
			for {
				select {
				case <-f.stopped:
					return
				default:
					f.session(addr, who)
				}
			}
		})
	}
	return f
}

// session sends message after message on one connection until that ends.
func (f *flood) session(addr string, who *party) {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return
	}
	ended := make(chan struct{})
	defer close(ended)
	go func() {
		select {
		case <-f.stopped:
		case <-ended:
		}
		conn.Close()
	}()
	text := textproto.NewConn(conn)
	say := func(line string, code int) bool {
		if line != "" && text.PrintfLine("%s", line) != nil {
			return false
		}
		_, _, err := text.ReadResponse(code)
		return err == nil
	}
	if !say("", 220) || !say("EHLO x", 250) || !say("XCLIENT NAME="+who.name+" ADDR="+who.addr, 220) || !say("EHLO "+who.helo, 250) {
		return
	}
	for {
		from, msg := junk(f.sent.Add(1))
		if !say("MAIL FROM:<"+from+">", 250) || !say("RCPT TO:<junk@"+destDomain+">", 250) || !say("DATA", 354) {
			return
		}
		w := text.DotWriter()
		w.Write([]byte(msg))
		if w.Close() != nil {
			return
		}
		if _, _, err := text.ReadResponse(0); err != nil && !strings.HasPrefix(err.Error(), "4") && !strings.HasPrefix(err.Error(), "5") {
			return
		}
	}
}

func (f *flood) stop() {
	close(f.stopped)
	f.sessions.Wait()
}

// rightVerdicts alternates honest mail, which must arrive with dmarc=pass, and forged
// mail of a similar domain, which must be refused. It returns how long each honest
// message took from MAIL to the last answer.
func rightVerdicts(t *testing.T, p *postfix, series string, pairs int) []time.Duration {
	t.Helper()
	var took []time.Duration
	good, bad := dial(t, p.mx, stranger), dial(t, p.mx, other)
	for n := range pairs {
		label := fmt.Sprintf("%s%d", series, n)
		rcpt := label + "@" + destDomain
		l := letter{from: "a@" + label + strings.TrimSuffix(honestDomains, "."), signed: true}
		msg := l.text(t, rcpt)
		begun := time.Now()
		accepted(t, good.send(l.from, []string{rcpt}, msg))
		took = append(took, time.Since(begun))
		if got := verdictsOf(t, p.sink.wait(t, rcpt).Data); got["spf"] != "pass" || got["dkim"] != "pass" || got["dmarc"] != "pass" {
			t.Errorf("honest message %s: %v", label, got)
		}
		l = letter{from: "a@" + label + strings.TrimSuffix(forgedDomains, ".")}
		if r := bad.send(l.from, []string{"forged@" + destDomain}, l.text(t, rcpt)); r.code != 550 {
			t.Errorf("forged message %s: answered %v, want 550", label, r)
		}
	}
	slices.Sort(took)
	return took
}

// Junk whose keys are never answered, in nearly as many sessions as Postfix allows by
// default, does not block DNS for others: honest mail gets its right verdict and forged
// mail is refused, for junk from few clients and from many.
func TestAFloodOfJunkTakesDNSFromNoOne(t *testing.T) {
	want(t)
	const sessions = 96
	moody := &floodDNS{}
	for _, clients := range []int{4, sessions} {
		t.Run(fmt.Sprintf("from %d clients", clients), func(t *testing.T) {
			d := startDaemon(t, config{
				Listen: []string{"inet:" + freeAddr(t)}, Servers: []string{serveDNS(t, moody)}, Timeout: "2s", Mode: "enforce",
				LogLevel: "warn",
			})
			p := startPostfix(t, d.milter(), func(p *postfix) {
				p.main += "default_process_limit = 150\nsmtpd_client_connection_rate_limit = 0\n"
			})
			calm := rightVerdicts(t, p, "calm", 10)
			before := moody.silent.Load()
			f := startFlood(p.mx, sessions, clients)
			// The running look-ups would take until message_timeout.
			defer func() { f.stop(); d.kill(t) }()
			// Four keys of most messages have been queried by now.
			until(t, "the flood has risen", func() bool { return moody.silent.Load()-before > 3*sessions })
			flooded := rightVerdicts(t, p, "flooded", 20)
			t.Logf("honest mail, medians: undisturbed %v, under the flood %v (ratio %.2f; slowest %v); %d messages of junk begun",
				calm[len(calm)/2], flooded[len(flooded)/2], float64(flooded[len(flooded)/2])/float64(calm[len(calm)/2]),
				flooded[len(flooded)-1], f.sent.Load())
		})
	}
}
