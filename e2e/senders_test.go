package e2e

import (
	"strings"
	"testing"
)

func TestWhoMaySignAsWhom(t *testing.T) {
	want(t)
	d := startDaemon(t, config{Listen: []string{"inet:" + freeAddr(t)}, Zone: ourZone(), Selectors: []string{"ed"}, Signer: `
  self_check: 1
  senders:
    mode: reject
    allow:
      - login: alice
        authors: [alice@` + ourDomain + `]
      - network: 127.0.0.0/8
        authors: ["*"]
`})
	p := startPostfix(t, d.milter())
	const alice, bob = "alice@" + ourDomain, "bob@" + ourDomain
	as := func(from, rcpt string) string { return strings.Replace(ourMail(rcpt, "who is it"), alice, from, 1) }

	t.Run("a login signs as itself", func(t *testing.T) {
		const rcpt = "self@" + destDomain
		c := dial(t, p.submission, roaming)
		c.login("alice")
		accepted(t, c.send(alice, []string{rcpt}, as(alice, rcpt)))
		signedFor(t, p.sink.wait(t, rcpt).Data, 1)
	})
	t.Run("a login does not sign as another, whatever MAIL FROM says", func(t *testing.T) {
		const rcpt = "other@" + destDomain
		c := dial(t, p.submission, roaming)
		c.login("alice")
		for _, sender := range []string{alice, bob} {
			r := c.send(sender, []string{rcpt}, as(bob, rcpt))
			if r.code != 550 || !strings.Contains(r.text, "5.7.1") || !strings.Contains(r.text, "may not send mail as "+bob) {
				t.Errorf("the message is answered with %v", r)
			}
		}
		accepted(t, c.send(alice, []string{rcpt}, as(alice, rcpt))) // on the same connection
		signedFor(t, p.sink.wait(t, rcpt).Data, 1)
	})
	t.Run("a network that is not allowed anything does not sign", func(t *testing.T) {
		const rcpt = "network@" + destDomain
		if r := dial(t, p.mx, colleague).send(alice, []string{rcpt}, as(alice, rcpt)); r.code != 550 {
			t.Errorf("the message is answered with %v", r)
		}
	})
	t.Run("programs on this host are everybody, bounces too", func(t *testing.T) {
		const rcpt = "program@" + destDomain
		p.sendmail(t, bob, rcpt, as(bob, rcpt))
		signedFor(t, p.sink.wait(t, rcpt).Data, 1)
		const sender = "bounced@" + ourDomain
		p.sendmail(t, sender, "gone@"+refusedDomain, as(sender, "gone@"+refusedDomain))
		signedFor(t, p.sink.wait(t, sender).Data, 1)
	})
	t.Run("8-bit mail is signed, with a note where its header does not declare it", func(t *testing.T) {
		const one, two, declared = "eight@" + destDomain, "announced@" + destDomain, "declared@" + destDomain
		c := dial(t, p.submission, roaming)
		c.login("alice")
		accepted(t, c.sendWith("", alice, []string{one}, as(alice, one)+"gr\xc3\xbcn\r\n"))
		signedFor(t, p.sink.wait(t, one).Data, 1)
		d.logged(t, "fragile=", "the body is 8-bit and its header does not say so")
		accepted(t, c.sendWith("BODY=8BITMIME", alice, []string{two}, as(alice, two)+"gr\xc3\xbcn\r\n"))
		signedFor(t, p.sink.wait(t, two).Data, 1)
		mime := "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n"
		accepted(t, c.sendWith("", alice, []string{declared}, mime+as(alice, declared)+"gr\xc3\xbcn\r\n"))
		signedFor(t, p.sink.wait(t, declared).Data, 1)
		noted := d.log.find(func(line string) bool { return strings.Contains(line, "fragile=") })
		if len(noted) != 1 {
			t.Errorf("want one note, for the message that neither declares nor announces 8-bit text: %q", noted)
		}
	})
	d.logged(t, "self-check: a signature of ours verifies")
}
