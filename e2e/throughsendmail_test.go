package e2e

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
)

// loopbackZone is strangersZone and a domain that authorizes the address of all of
// Sendmail's clients here: it has no XCLIENT.
func loopbackZone() string {
	const domain = "loopback.example"
	return strangersZone() + theirKey().line(domain) +
		txtLine(domain, "v=spf1 ip4:127.0.0.1 -all") + txtLine("_dmarc."+domain, "v=DMARC1; p=reject")
}

func TestSendmailJudges(t *testing.T) {
	wantSendmail(t)
	verify := "inet:" + freeAddr(t)
	startDaemon(t, config{
		Listen: []string{"{address: \"" + verify + "\", role: verify}"}, Zone: loopbackZone(),
		Mode: "enforce", OnQuarantine: "quarantine", OnTemperror: "tempfail",
	})
	s := startSendmail(t, []string{verify})
	c := dial(t, s.addr, nil)
	for i, l := range []struct {
		name   string
		letter letter
		answer string
		want   string // spf, dkim, dmarc
	}{
		{"all pass", letter{from: "a@loopback.example", signed: true}, "250", "pass pass pass"},
		{"altered, p=reject", letter{from: "a@strict.example", signed: true, forged: true}, "550 5.7.", ""},
		{"DKIM alone passes, after a refusal", letter{from: "a@strict.example", signed: true}, "250", "fail pass pass"},
		{"the key cannot be asked", letter{from: "a@dkimtemp.example", signed: true}, "451 4.7.", ""},
		{"nothing published, after a temporary refusal", letter{from: "a@silent.example"}, "250", "none none none"},
		{"a null sender", letter{from: "postmaster@good.example", sender: "<>", signed: true}, "250", "none pass pass"},
	} {
		t.Run(l.name, func(t *testing.T) {
			rcpt := fmt.Sprintf("sm-%d@%s", i, destDomain)
			sender := strings.Trim(l.letter.reversePath(), "<>")
			r := c.send(sender, []string{rcpt}, l.letter.text(t, rcpt))
			if !strings.HasPrefix(r.String(), l.answer) {
				t.Fatalf("answered %v, want %s", r, l.answer)
			}
			if r.code != 250 {
				return
			}
			v := verdictsOf(t, s.sink.wait(t, rcpt).Data)
			if has := v["spf"] + " " + v["dkim"] + " " + v["dmarc"]; has != l.want {
				t.Errorf("%s, want %s", has, l.want)
			}
		})
	}
	t.Run("a message given up leaves nothing to the next", func(t *testing.T) {
		const rcpt = "sm-next@" + destDomain
		c.must(250, "MAIL FROM:<a@strict.example>")
		c.must(250, "RCPT TO:<sm-lost@"+destDomain+">")
		c.must(250, "RSET")
		c.must(250, "MAIL FROM:<a@strict.example>")
		c.must(250, "EHLO again.example")
		accepted(t, c.send("a@loopback.example", []string{rcpt}, letter{from: "a@loopback.example"}.text(t, rcpt)))
		if v := verdictsOf(t, s.sink.wait(t, rcpt).Data); v["spf"] != "pass" || v["dkim"] != "none" {
			t.Errorf("spf=%s dkim=%s, want pass and none", v["spf"], v["dkim"])
		}
	})
	t.Run("5 MB that nobody signed", func(t *testing.T) {
		const rcpt = "sm-big@" + destDomain
		body := strings.Repeat(strings.Repeat("x", 98)+"\r\n", 50_000)
		accepted(t, c.send("a@loopback.example", []string{rcpt}, letter{from: "a@loopback.example"}.text(t, rcpt)+body))
		got := s.sink.wait(t, rcpt).Data
		if v := verdictsOf(t, got); v["dmarc"] != "pass" || !strings.HasSuffix(string(got), body) {
			t.Errorf("dmarc=%s, %d octets delivered", v["dmarc"], len(got))
		}
	})
	t.Run("quarantine holds the message", func(t *testing.T) {
		const rcpt = "sm-held@" + destDomain
		l := letter{from: "a@doubt.example", signed: true, forged: true}
		accepted(t, c.send(l.from, []string{rcpt}, l.text(t, rcpt)))
		// hf is the envelope of a held message.
		until(t, "a message is held", func() bool { return len(s.queued(t, "hf")) == 1 })
		if s.sink.has(rcpt) {
			t.Error("the held message was delivered")
		}
		s.command(t, "", "-C"+s.path("sendmail.cf"), "-qQ", "-Q")
		s.command(t, "", "-C"+s.path("sendmail.cf"), "-q")
		if v := verdictsOf(t, s.sink.wait(t, rcpt).Data); v["dmarc"] != "fail" {
			t.Errorf("dmarc=%s after release, want fail", v["dmarc"])
		}
	})
}

// queued lists the files of the queue whose names begin so.
func (s *sendmail) queued(t *testing.T, prefix string) []string {
	t.Helper()
	entries, err := os.ReadDir(s.path("queue"))
	check(t, err)
	var names []string
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), prefix) {
			names = append(names, e.Name())
		}
	}
	return names
}

func TestSendmailSubmits(t *testing.T) {
	wantSendmail(t)
	// Sendmail accepts no socket below a world-writable folder such as /tmp.
	sockets, err := os.MkdirTemp("/run", "spe2e")
	check(t, err)
	t.Cleanup(func() { os.RemoveAll(sockets) })
	uid, gid := ids(t, "nobody", "postfix")
	check(t, os.Chown(sockets, uid, gid))
	check(t, os.Chmod(sockets, 0o755))
	socket := "unix:" + sockets + "/signpost.sock"
	none := freeAddr(t)
	s := startSendmail(t, []string{socket},
		fmt.Sprintf("DAEMON_OPTIONS(`Name=REINJECT, Addr=%s, Port=%s, InputMailFilters=')dnl", host(none), port(none)))
	const alice = "alice@" + ourDomain

	t.Run("without the daemon nothing is taken", func(t *testing.T) {
		const rcpt = "sm-away@" + destDomain
		if r := dial(t, s.addr, nil).send(alice, []string{rcpt}, ourMail(rcpt, "away")); r.code != 451 {
			t.Errorf("answered %v, want 451", r)
		}
	})
	startDaemon(t, config{Listen: []string{socket}, Zone: ourZone(), Selectors: []string{"rsa", "ed"}, Canon: "simple/simple"})
	t.Run("from our network, through a unix socket", func(t *testing.T) {
		const rcpt = "sm-unix@" + destDomain
		accepted(t, dial(t, s.addr, nil).send(alice, []string{rcpt}, ourMail(rcpt, "by a unix socket")))
		signedFor(t, s.sink.wait(t, rcpt).Data, 2)
	})
	line := strings.Repeat("All work  and no play makes Jack a dull boy. ", 10) + "\r\n"
	for i, body := range []struct{ name, text string }{
		{"an empty body", ""},
		{"a body of empty lines only", "\r\n\r\n\r\n"},
		{"a body that ends in blanks and empty lines", "a  b\t c \r\n \r\n\t\r\nend\t \r\n\r\n \r\n\r\n\r\n"},
		{"lines that begin with dots", ".\r\n..\r\n.a\r\n"},
		{"8-bit text", "Grüße aus Köln\r\n\xa0\xff\r\n"},
		{"a line of 998 octets", strings.Repeat("x", 998) + "\r\n"},
		{"5 MB", strings.Repeat(line, 5_000_000/len(line)+1)},
	} {
		t.Run(body.name, func(t *testing.T) {
			rcpt := fmt.Sprintf("sm-body-%d@%s", i, destDomain)
			header, _, _ := strings.Cut(ourMail(rcpt, body.name), "\r\n\r\n")
			accepted(t, dial(t, s.addr, nil).send(alice, []string{rcpt}, header+"\r\n\r\n"+body.text))
			signedFor(t, s.sink.wait(t, rcpt).Data, 2)
		})
	}
	t.Run("by the submission program", func(t *testing.T) {
		const rcpt = "sm-msp@" + destDomain
		s.submit(t, alice, rcpt, ourMail(rcpt, "by sendmail(1)"))
		signedFor(t, s.sink.wait(t, rcpt).Data, 2)
	})
	t.Run("what a content filter hands back at a port without filters is left alone", func(t *testing.T) {
		const rcpt = "sm-back@" + destDomain
		accepted(t, dial(t, none, nil).send("x@stranger.example", []string{rcpt}, ourMail(rcpt, "back")))
		got := s.sink.wait(t, rcpt).Data
		if signatures(got) != 0 || len(named(got, ar)) != 0 {
			t.Errorf("it was seen again:\n%s", head(got))
		}
	})
}

// submit passes a message to the submission program, which passes it to the instance by
// SMTP.
func (s *sendmail) submit(t *testing.T, from, to, msg string) {
	t.Helper()
	// It refuses to run as root.
	uid, gid := ids(t, "mail", "mail")
	check(t, os.Mkdir(s.path("client"), 0o770))
	check(t, os.Chown(s.path("client"), uid, gid))
	check(t, os.Chmod(s.path("client"), 0o770))
	s.compile(t, "submit", strings.NewReplacer("<CF>", sendmailFolder()+"/usr/share/sendmail/cf", "<DIR>", s.dir, "<PORT>", port(s.addr),
		"<NAME>", "mx."+ourDomain).Replace("include(`<CF>/m4/cf.m4')dnl\n"+
		"define(`__OSTYPE__',`')dnl\n"+
		"define(`confDOMAIN_NAME', `<NAME>')dnl\n"+
		"define(`confSERVICE_SWITCH_FILE', `<DIR>/switch')dnl\n"+
		"define(`confRUN_AS_USER', `mail:mail')dnl\n"+
		"define(`MSP_QUEUE_DIR', `<DIR>/client')dnl\n"+
		"define(`STATUS_FILE', `<DIR>/client-status')dnl\n"+
		"define(`RELAY_MAILER_ARGS', `TCP $h <PORT>')dnl\n"+
		"FEATURE(`msp', `[127.0.0.1]')dnl\n"))
	s.command(t, strings.ReplaceAll(msg, "\r\n", "\n"), "-C"+s.path("submit.cf"), "-Ac", "-i", "-f", from, to)
}

// Signpost tells both MTAs that it is still working while DNS is slow, and they wait
// beyond the time for one answer.
func TestBothMTAsWaitForSlowDNS(t *testing.T) {
	wantSendmail(t)
	const held, patient = "_dmarc.strict.example", 6 * time.Second
	ns := startNameserver(t, theirKey().line("strict.example")+txtLine(held, "v=DMARC1; p=reject"), held)
	addr := freeAddr(t)
	startDaemon(t, config{Servers: []string{ns.addr}, Listen: []string{"{address: \"inet:" + addr + "\", role: verify}"}})
	p := startPostfix(t, "inet:"+addr, func(p *postfix) {
		p.main += fmt.Sprintf("milter_content_timeout = %.0fs\nmilter_command_timeout = %.0fs\n", patient.Seconds(), patient.Seconds())
	})
	// E limits the total time; PROGRESS does not extend it.
	s := startSendmail(t, nil, fmt.Sprintf("INPUT_MAIL_FILTER(`signpost', `S=inet:%s@%s, F=T, T=S:%[3]ds;R:%[3]ds;E:5m')dnl",
		port(addr), host(addr), int(patient.Seconds())))
	const rcpt = "slow@" + destDomain
	var waiting []*client
	for _, to := range []string{p.mx, s.addr} {
		c := dial(t, to, nil)
		c.must(250, "MAIL FROM:<a@strict.example>")
		c.must(250, "RCPT TO:<"+rcpt+">")
		c.must(354, "DATA")
		c.put(letter{from: "a@strict.example", signed: true}.text(t, rcpt))
		waiting = append(waiting, c)
	}
	ns.asked.wait(t, "a question for the policy", func(q string) bool { return q == held+". TXT" })
	<-time.After(patient * 3 / 2)
	ns.release()
	for _, c := range waiting {
		accepted(t, c.say(""))
	}
	for _, sink := range []*sink{p.sink, s.sink} {
		if v := verdictsOf(t, sink.wait(t, rcpt).Data); v["dmarc"] != "pass" {
			t.Errorf("dmarc=%s, want pass", v["dmarc"])
		}
	}
}
