package e2e

import (
	"fmt"
	"net/smtp"
	"strings"
	"testing"
)

// withFilter has Postfix hand every message to a content filter, which hands it back
// at a service that knows no milters, as deploy/postfix shows it.
func withFilter(t *testing.T) func(*postfix) {
	filter, back := startSink(t), freeAddr(t)
	done := make(chan struct{})
	t.Cleanup(func() { close(done) })
	go func() {
		for n := 0; ; {
			all, more := filter.got.all()
			for ; n < len(all); n++ {
				d := all[n]
				filtered := append([]byte("X-Filtered: yes\r\n"), d.Data...)
				if err := smtp.SendMail(back, nil, d.From, d.To, filtered); err != nil {
					t.Errorf("the content filter could not hand a message back: %v", err)
				}
			}
			select {
			case <-more:
			case <-done:
				return
			}
		}
	}()
	return func(p *postfix) {
		p.main += fmt.Sprintf("content_filter = scan:[%s]:%s\n", host(filter.addr), port(filter.addr))
		p.master += `scan unix - - n - 4 smtp
  -o disable_mime_output_conversion=yes
` + back + ` inet n - n - - smtpd
  -o content_filter=
  -o smtpd_milters=
  -o mynetworks=127.0.0.0/8
  -o smtpd_authorized_xclient_hosts=
  -o receive_override_options=no_unknown_recipient_checks
`
	}
}

func TestAContentFilterThatHandsBack(t *testing.T) {
	want(t)
	d := startDaemon(t, config{Listen: []string{"inet:" + freeAddr(t)}, Zone: ourZone() + strangersZone()})
	p := startPostfix(t, d.milter(), withFilter(t))
	const alice = "alice@" + ourDomain
	filtered := func(t *testing.T, msg []byte) {
		t.Helper()
		if len(named(msg, "X-Filtered")) != 1 {
			t.Fatalf("the message did not pass through the filter once\n%s", head(msg))
		}
	}
	t.Run("what is ours is signed once", func(t *testing.T) {
		const rcpt = "out-filtered@" + destDomain
		c := dial(t, p.submission, roaming)
		c.login("alice")
		accepted(t, c.send(alice, []string{rcpt}, ourMail(rcpt, "through a filter")))
		got := p.sink.wait(t, rcpt).Data
		filtered(t, got)
		signedFor(t, got, 1)
	})
	t.Run("what sendmail(1) submits is signed once", func(t *testing.T) {
		const rcpt = "local-filtered@" + destDomain
		p.sendmail(t, alice, rcpt, ourMail(rcpt, "through a filter"))
		got := p.sink.wait(t, rcpt).Data
		filtered(t, got)
		signedFor(t, got, 1)
	})
	t.Run("what is not ours is judged once", func(t *testing.T) {
		const rcpt = "in-filtered@" + destDomain
		l := letter{from: "a@strict.example", signed: true}
		accepted(t, dial(t, p.mx, stranger).send(l.from, []string{rcpt}, l.text(t, rcpt)))
		got := p.sink.wait(t, rcpt).Data
		filtered(t, got)
		// The filter's own field is above ours.
		_, below, _ := strings.Cut(string(got), "Authentication-Results:")
		if v := verdictsOf(t, []byte("Authentication-Results:"+below)); v["dkim"] != "pass" || v["dmarc"] != "pass" {
			t.Errorf("dkim=%s dmarc=%s, want pass and pass", v["dkim"], v["dmarc"])
		}
	})
	t.Run("a stranger who writes our domain into From is not ours on the way back", func(t *testing.T) {
		const rcpt = "forged-filtered@" + destDomain
		accepted(t, dial(t, p.mx, stranger).send("x@stranger.example", []string{rcpt}, ourMail(rcpt, "forged")))
		got := p.sink.wait(t, rcpt).Data
		filtered(t, got)
		if signatures(got) != 0 {
			t.Errorf("signed:\n%s", head(got))
		}
	})
}
