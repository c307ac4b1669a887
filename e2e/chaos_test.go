package e2e

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// mood is the way a capriciousDNS answers.
type mood int32

const (
	honest     mood = iota
	capricious      // some answers late, some wrong, some missing
	dead            // no answers
)

// capriciousDNS is placed before a nameserver and spoils its answers.
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
		case 1: // no answer
			return
		case 3: // late, though in time
			<-time.After(chaosTimeout / 3)
		case 5: // too late
			<-time.After(chaosTimeout * 5 / 4)
		case 7:
			w.WriteMsg(new(dns.Msg).SetRcode(ask, dns.RcodeServerFailure))
			return
		case 9: // the answer to another question, with a policy that passes everything
			other := new(dns.Msg).SetQuestion("other.example.", ask.Question[0].Qtype)
			other.Id = ask.Id
			answer := new(dns.Msg).SetReply(other)
			answer.Answer = []dns.RR{&dns.TXT{Txt: []string{"v=DMARC1; p=none"},
				Hdr: dns.RR_Header{Name: "other.example.", Rrtype: dns.TypeTXT, Class: dns.ClassINET}}}
			w.WriteMsg(answer)
			return
		case 11: // not a DNS message
			w.Write([]byte("\x00\x01garbage"))
			return
		}
	}
	c.nameserver.ServeDNS(w, ask)
}

// chaosTimeout is how long Signpost waits for one answer.
const chaosTimeout = 200 * time.Millisecond

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

// TestChaos sends mail of every kind while DNS answers badly and Signpost is reloaded,
// with valid and invalid files, and killed. At the end it compares the delivered mail
// with the submitted mail.
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
		// Mail that the milter could not accept stays in maildrop until the next run
		// of pickup.
		p.master = strings.Replace(p.master, "pickup unix n - n 60 1 pickup", "pickup unix n - n 1 1 pickup", 1)
		p.main += "smtpd_client_connection_rate_limit = 0\n"
	})

	mail := mailings(t, size, true)
	outcomes, settled := make(chan mailing), make(chan struct{})
	offers := submitAll(t, mail, p.offer, outcomes, settled)
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
	stir(t, outcomes, settled, max(5, size/100), trouble, false)
	t.Logf("%d messages in %d offers, %d kills, %d reloads, %d DNS questions", size, offers.Load(), kills, reloads, moody.asked.Load())
	moody.mood.Store(int32(honest))
	p.emptied(t)
	account(t, p.sink, mail)
}

func TestReloadsUnderLoadDropNothing(t *testing.T) {
	want(t)
	size := chaosSize(t)
	c := config{Listen: []string{"inet:" + freeAddr(t)}, Zone: chaosZone(size), Mode: "enforce"}
	d := startDaemon(t, c)
	p := startPostfix(t, d.milter())
	mail := mailings(t, size, true)
	outcomes, settled := make(chan mailing), make(chan struct{})
	offers := submitAll(t, mail, p.offer, outcomes, settled)
	stir(t, outcomes, settled, 3, []func(){
		func() { d.reload(t) },
		func() { d.append(t, "nonsense: true\n"); d.reload(t); d.configure(t, c) },
	}, false)
	if offers.Load() != int64(size) {
		t.Errorf("%d messages took %d offers: some were refused for a time", size, offers.Load())
	}
	p.emptied(t)
	account(t, p.sink, mail)
}

// TestKilledBesideSendmail makes the same comparison for Sendmail while Signpost is
// killed.
func TestKilledBesideSendmail(t *testing.T) {
	wantSendmail(t)
	size := chaosSize(t)
	verify, sign := "inet:"+freeAddr(t), "inet:"+freeAddr(t)
	d := startDaemon(t, config{Zone: chaosZone(size), Mode: "enforce", Listen: []string{
		"{address: \"" + verify + "\", role: verify}", "{address: \"" + sign + "\", role: sign}",
	}})
	ours := freeAddr(t)
	s := startSendmail(t, []string{verify, sign},
		fmt.Sprintf("DAEMON_OPTIONS(`Name=MSA, Addr=%s, Port=%s, InputMailFilters=milter1')dnl", host(ours), port(ours)),
		"define(`confINPUT_MAIL_FILTERS', `milter0')dnl")
	mail := mailings(t, size, false)
	outcomes, settled := make(chan mailing), make(chan struct{})
	offer := func(m *mailing) (reply, error) {
		if m.kind == ourSubmission || m.kind == ourSendmail {
			return m.offer(ours)
		}
		return m.offer(s.addr)
	}
	offers := submitAll(t, mail, offer, outcomes, settled)
	kills := 0
	stir(t, outcomes, settled, max(5, size/100), []func(){func() { d.kill(t); d.start(t); kills++ }}, true)
	t.Logf("%d messages in %d offers, %d kills", size, offers.Load(), kills)
	until(t, "the queue is empty", func() bool { return len(s.queued(t, "qf")) == 0 })
	account(t, s.sink, mail)
}
