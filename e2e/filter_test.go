package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"net/smtp"
	"net/textproto"
	"strings"
	"testing"
)

// startFilter runs a content filter. It changes each message with change and sends it
// to back.
func startFilter(t *testing.T, back string, change func([]byte) []byte) (addr string) {
	t.Helper()
	filter := startSink(t)
	done, ended := make(chan struct{}), make(chan struct{})
	t.Cleanup(func() { close(done); <-ended })
	go func() {
		defer close(ended)
		for n := 0; ; {
			all, more := filter.got.all()
			for ; n < len(all); n++ {
				if err := handBack(back, all[n].From, all[n].To, change(all[n].Data)); err != nil {
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
	return filter.addr
}

// handBack sends a message. An error after the last octet does not count: the message
// may have reached its recipient before the reply to it, and Postfix may have ended
// with the test. Otherwise the test fails while it waits for the message.
func handBack(addr, from string, to []string, msg []byte) error {
	c, err := smtp.Dial(addr)
	if err != nil {
		return err
	}
	defer c.Close()
	if err := c.Mail(from); err != nil {
		return err
	}
	for _, rcpt := range to {
		if err := c.Rcpt(rcpt); err != nil {
			return err
		}
	}
	w, err := c.Data()
	if err != nil {
		return err
	}
	if _, err := w.Write(msg); err != nil {
		return err
	}
	if err := w.Close(); errors.As(err, new(*textproto.Error)) {
		return err
	}
	c.Quit()
	return nil
}

// filterService is the service of master.cf that hands mail to content filters.
const filterService = `scan unix - - n - 4 smtp
  -o disable_mime_output_conversion=yes
`

// noMilters are the two ways of docs/postfix.md to use no milter where a filter returns
// mail.
var noMilters = []string{
	"-o receive_override_options=no_milters,no_unknown_recipient_checks,no_header_body_checks,no_address_mappings",
	"-o smtpd_milters=",
}

// withFilter makes Postfix send every message to a content filter that adds a field at
// the top, and accept it back without milters.
func withFilter(t *testing.T, without string) func(*postfix) {
	t.Helper()
	back := freeAddr(t)
	filter := startFilter(t, back, func(msg []byte) []byte { return append([]byte("X-Filtered: yes\r\n"), msg...) })
	return func(p *postfix) {
		p.main += fmt.Sprintf("content_filter = scan:[%s]:%s\n", host(filter), port(filter))
		p.master += filterService + back + ` inet n - n - - smtpd
  -o content_filter=
  ` + without + `
  -o mynetworks=127.0.0.0/8
  -o smtpd_relay_restrictions=permit_mynetworks,reject
`
	}
}

func TestAContentFilterThatHandsBack(t *testing.T) {
	want(t)
	d := startDaemon(t, config{Listen: []string{"inet:" + freeAddr(t)}, Zone: ourZone() + strangersZone()})
	for _, without := range noMilters {
		t.Run(without, func(t *testing.T) { throughFilter(t, startPostfix(t, d.milter(), withFilter(t, without))) })
	}
}

func throughFilter(t *testing.T, p *postfix) {
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

// A filter that changes outgoing mail would break a signature made before it.
func TestSigningBehindAContentFilter(t *testing.T) {
	want(t)
	sign := "inet:" + freeAddr(t)
	startDaemon(t, config{Listen: []string{"{address: \"" + sign + "\", role: sign}"}, Zone: ourZone()})
	back := freeAddr(t)
	filter := startFilter(t, back, func(msg []byte) []byte {
		return append(bytes.Replace(msg, []byte("Subject: "), []byte("Subject: [scanned] "), 1), "-- \r\nscanned\r\n"...)
	})
	p := startPostfix(t, "", func(p *postfix) {
		p.main += fmt.Sprintf("content_filter = scan:[%s]:%s\n", host(filter), port(filter))
		p.master += filterService + back + ` inet n - n - - smtpd
  -o content_filter=
  -o smtpd_milters=` + sign + `
  -o mynetworks=127.0.0.0/8
  -o smtpd_relay_restrictions=permit_mynetworks,reject
`
	})
	const rcpt = "behind@" + destDomain
	c := dial(t, p.submission, roaming)
	c.login("alice")
	accepted(t, c.send("alice@"+ourDomain, []string{rcpt}, ourMail(rcpt, "to be changed")))
	got := p.sink.wait(t, rcpt).Data
	if !bytes.Contains(got, []byte("Subject: [scanned] ")) || !bytes.HasSuffix(got, []byte("-- \r\nscanned\r\n")) {
		t.Errorf("the filter's changes are missing:\n%s", head(got))
	}
	signedFor(t, got, 1)
}
