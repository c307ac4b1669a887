package e2e

import (
	"fmt"
	"strings"
	"testing"
)

// withProxyFilter makes the port for other hosts send every message to a filter before
// it is queued, and accept it back at another port with these milters.
func withProxyFilter(t *testing.T, milters string) func(*postfix) {
	t.Helper()
	back := freeAddr(t)
	filter := startFilter(t, back, func(msg []byte) []byte { return append([]byte("X-Filtered: yes\r\n"), msg...) })
	return func(p *postfix) {
		p.master = strings.Replace(p.master, p.mx+" inet n - n - - smtpd\n",
			fmt.Sprintf("%s inet n - n - - smtpd\n  -o smtpd_proxy_filter=%s\n", p.mx, filter), 1)
		p.master += back + ` inet n - n - - smtpd
  -o smtpd_proxy_filter=
  -o smtpd_milters=` + milters + `
  -o mynetworks=127.0.0.0/8
  -o smtpd_relay_restrictions=permit_mynetworks,reject
`
	}
}

// A milter on the port that uses smtpd_proxy_filter sees no content: forged results
// stay in the mail. The log says so once.
func TestAProxyFilterKeepsContentFromMilters(t *testing.T) {
	want(t)
	d := startDaemon(t, config{Listen: []string{"inet:" + freeAddr(t)}, Zone: ourZone() + strangersZone()})
	p := startPostfix(t, d.milter(), withProxyFilter(t, ""))
	const messages = 45
	for i := range messages {
		rcpt := fmt.Sprintf("proxied-%d@%s", i, destDomain)
		l := letter{from: "a@strict.example", signed: true}
		c := dial(t, p.mx, stranger)
		accepted(t, c.send(l.from, []string{rcpt}, l.text(t, rcpt)))
		c.must(221, "QUIT")
	}
	last := fmt.Sprintf("proxied-%d@%s", messages-1, destDomain)
	got := p.sink.wait(t, last).Data
	if len(named(got, "X-Filtered")) != 1 || len(named(got, "Authentication-Results")) != 0 {
		t.Errorf("want one X-Filtered and no Authentication-Results:\n%s", head(got))
	}
	d.logged(t, "level=WARN", "smtpd_proxy_filter", "content_filter", "docs/postfix.md")
	lines := d.log.find(func(line string) bool { return strings.Contains(line, "smtpd_proxy_filter") })
	if len(lines) != 1 {
		t.Errorf("%d lines: %q", len(lines), lines)
	}
}

// Clients that disconnect during DATA do not cause this warning: the message has a
// queue id.
func TestClientsThatBreakOffAreNoProxyFilter(t *testing.T) {
	want(t)
	d := startDaemon(t, config{Listen: []string{"inet:" + freeAddr(t)}, Zone: ourZone() + strangersZone()})
	p := startPostfix(t, d.milter())
	for i := range 30 {
		c := dial(t, p.mx, stranger)
		c.must(250, "MAIL FROM:<a@strict.example>")
		c.must(250, fmt.Sprintf("RCPT TO:<broken-%d@%s>", i, destDomain))
		c.must(354, "DATA")
		c.text.Close()
	}
	const rcpt = "whole@" + destDomain
	l := letter{from: "a@strict.example", signed: true}
	accepted(t, dial(t, p.mx, stranger).send(l.from, []string{rcpt}, l.text(t, rcpt)))
	p.sink.wait(t, rcpt)
	until(t, "all are given up", func() bool {
		return len(d.log.find(func(line string) bool { return strings.Contains(line, "message given up") })) >= 30
	})
	if lines := d.log.find(func(line string) bool { return strings.Contains(line, "smtpd_proxy_filter") }); len(lines) != 0 {
		t.Errorf("lines: %q", lines)
	}
}

// The alternative that works: the milter on the port where the filter returns mail,
// with its own role, since the client there is the filter.
func TestMiltersBehindAProxyFilter(t *testing.T) {
	want(t)
	verify, sign := "inet:"+freeAddr(t), "inet:"+freeAddr(t)
	d := startDaemon(t, config{Zone: ourZone() + strangersZone(), Listen: []string{
		"{address: \"" + verify + "\", role: verify}", "{address: \"" + sign + "\", role: sign}",
	}})
	for _, c := range []struct {
		name, milter string
		check        func(t *testing.T, msg []byte)
	}{
		{"verify", verify, func(t *testing.T, msg []byte) {
			if v := verdictsOf(t, msg); v["dkim"] != "pass" || v["dmarc"] != "pass" {
				t.Errorf("dkim=%s dmarc=%s, want pass and pass", v["dkim"], v["dmarc"])
			}
		}},
		{"sign", sign, func(t *testing.T, msg []byte) { signedFor(t, msg, 1) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := startPostfix(t, "", withProxyFilter(t, c.milter))
			for i := range 2 {
				rcpt := fmt.Sprintf("back-%s-%d@%s", c.name, i, destDomain)
				if c.name == "verify" {
					l := letter{from: "a@strict.example", signed: true}
					accepted(t, dial(t, p.mx, stranger).send(l.from, []string{rcpt}, l.text(t, rcpt)))
				} else {
					accepted(t, dial(t, p.mx, stranger).send("alice@"+ourDomain, []string{rcpt}, ourMail(rcpt, "behind a proxy filter")))
				}
				c.check(t, p.sink.wait(t, rcpt).Data)
			}
		})
	}
	if lines := d.log.find(func(line string) bool { return strings.Contains(line, "smtpd_proxy_filter") }); len(lines) != 0 {
		t.Errorf("lines: %q", lines)
	}
}
