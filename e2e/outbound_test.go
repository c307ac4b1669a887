package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

// Clients that Postfix sees through XCLIENT.
var (
	stranger  = &party{addr: "192.0.2.1", name: "mail.stranger.example", helo: "mail.stranger.example"}
	roaming   = &party{addr: "198.51.100.7", name: "cafe.example.net", helo: "laptop.local"}
	colleague = &party{addr: "10.1.2.3", name: "desk.example.com", helo: "desk"}
)

// ourMail is a plain message of ours to this recipient.
func ourMail(rcpt, subject string) string {
	return "From: Alice <alice@" + ourDomain + ">\r\n" +
		"To: <" + rcpt + ">\r\n" +
		"Subject: " + subject + "\r\n" +
		"Date: Sat, 03 Jan 2026 10:00:00 +0000\r\n" +
		"Message-ID: <" + rcpt + ">\r\n" +
		"\r\n" +
		"Good morning,\r\n\r\nall is well.\r\n"
}

// signatures counts the DKIM-Signature fields of a delivered message.
func signatures(msg []byte) int { return len(named(msg, "DKIM-Signature")) }

// named returns the values of the fields of this name, the top one first.
func named(msg []byte, name string) []string {
	header, _, _ := bytes.Cut(msg, []byte("\r\n\r\n"))
	var values []string
	for _, f := range fields(header) {
		if strings.EqualFold(f.name, name) {
			values = append(values, f.value)
		}
	}
	return values
}

func TestWhatIsOursIsSigned(t *testing.T) {
	want(t)
	d := startDaemon(t, config{Listen: []string{"inet:" + freeAddr(t)}, Zone: ourZone(), Selectors: []string{"rsa", "ed"}})
	p := startPostfix(t, d.milter())
	const alice = "alice@" + ourDomain

	t.Run("submission by SMTP with login", func(t *testing.T) {
		const rcpt = "login@" + destDomain
		c := dial(t, p.submission, roaming)
		c.login("alice")
		accepted(t, c.send(alice, []string{rcpt}, ourMail(rcpt, "by login")))
		signedFor(t, p.sink.wait(t, rcpt).Data, 2)
	})
	t.Run("submission from a network of ours", func(t *testing.T) {
		const rcpt = "network@" + destDomain
		accepted(t, dial(t, p.mx, colleague).send(alice, []string{rcpt}, ourMail(rcpt, "by network")))
		signedFor(t, p.sink.wait(t, rcpt).Data, 2)
	})
	t.Run("submission on the listener that Postfix calls ORIGINATING", func(t *testing.T) {
		const rcpt = "daemon@" + destDomain
		accepted(t, dial(t, p.submission, roaming).send(alice, []string{rcpt}, ourMail(rcpt, "by listener")))
		signedFor(t, p.sink.wait(t, rcpt).Data, 2)
	})
	t.Run("submission by sendmail(1)", func(t *testing.T) {
		const rcpt = "sendmail@" + destDomain
		p.sendmail(t, alice, rcpt, ourMail(rcpt, "by sendmail"))
		signedFor(t, p.sink.wait(t, rcpt).Data, 2)
	})
	t.Run("a bounce that Postfix writes", func(t *testing.T) {
		const rcpt, sender = "gone@" + refusedDomain, "bounced@" + ourDomain
		accepted(t, dial(t, p.mx, colleague).send(sender, []string{rcpt}, ourMail(rcpt, "to nobody")))
		bounce := p.sink.wait(t, sender)
		if bounce.From != "" {
			t.Errorf("the bounce comes from %q, want the null sender", bounce.From)
		}
		signedFor(t, bounce.Data, 2)
	})
	t.Run("a stranger who writes our domain into From is not signed for", func(t *testing.T) {
		const rcpt = "forged@" + destDomain
		accepted(t, dial(t, p.mx, stranger).send("x@stranger.example", []string{rcpt}, ourMail(rcpt, "forged")))
		if got := p.sink.wait(t, rcpt).Data; signatures(got) != 0 {
			t.Errorf("signed:\n%s", head(got))
		}
	})
	t.Run("our client who writes a domain that is not ours is not signed for", func(t *testing.T) {
		const rcpt = "other@" + destDomain
		msg := strings.Replace(ourMail(rcpt, "forwarded"), "alice@"+ourDomain, "carol@elsewhere.example", 1)
		accepted(t, dial(t, p.mx, colleague).send("carol@elsewhere.example", []string{rcpt}, msg))
		if got := p.sink.wait(t, rcpt).Data; signatures(got) != 0 {
			t.Errorf("signed:\n%s", head(got))
		}
		d.logged(t, "elsewhere.example")
	})
	t.Run("two messages on one connection, the second of a subdomain", func(t *testing.T) {
		const one, two = "one@" + destDomain, "two@" + destDomain
		c := dial(t, p.mx, colleague)
		accepted(t, c.send(alice, []string{one}, ourMail(one, "first")))
		accepted(t, c.send("a@sub."+ourDomain, []string{two},
			strings.Replace(ourMail(two, "second"), "alice@", "alice@sub.", 1)))
		signedFor(t, p.sink.wait(t, one).Data, 2)
		signedFor(t, p.sink.wait(t, two).Data, 2)
	})
	t.Run("one rejected recipient among three does not spoil the message", func(t *testing.T) {
		const one, three = "three-1@" + destDomain, "three-3@" + destDomain
		c := dial(t, p.mx, colleague)
		c.must(250, "MAIL FROM:<"+alice+">")
		c.must(250, "RCPT TO:<"+one+">")
		c.must(550, "RCPT TO:<"+unknown+">")
		c.must(250, "RCPT TO:<"+three+">")
		accepted(t, c.data(ourMail(one, "three recipients")))
		got := p.sink.wait(t, three)
		if len(got.To) != 2 {
			t.Errorf("delivered to %q, want two recipients", got.To)
		}
		signedFor(t, got.Data, 2)
	})
}

func accepted(t *testing.T, r reply) {
	t.Helper()
	if r.code != 250 {
		t.Fatalf("the message was answered with %v, want 250", r)
	}
}

// shape is a message of an unusual form.
type shape struct {
	name   string
	params string // on MAIL FROM
	header string // instead of the ordinary Subject
	body   string
}

// shapes are messages whose signatures must survive under either canonicalization.
var shapes = []shape{
	{name: "header fields with no, one and two leading spaces",
		header: "Subject:none\r\nX-One: one\r\nX-Two:  two\r\nCc:  carol@dest.example\r\n"},
	{name: "header fields with tabs", header: "Subject:\ttab\tin\tside\t\r\nReply-To: \t <a@example.com>\r\n"},
	{name: "folded header fields",
		header: "Subject: folded\r\n here\r\n\tand  there\r\nReferences:\r\n <a@example.com>\r\n\t<b@example.com>\r\n"},
	{name: "header fields that end in blanks or are empty", header: "Subject: blanks   \r\nComments:\r\nKeywords: \r\n"},
	{name: "no Subject, no Message-ID, no Date", header: "\r"},
	{name: "8-bit text", header: "Subject: =?utf-8?q?gr=C3=BC=C3=9Fe?=\r\nMIME-Version: 1.0\r\n" +
		"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n", body: "Grüße aus Köln\r\n\xa0\xff\r\n"},
	{name: "UTF-8 in the header", params: "SMTPUTF8", header: "Subject: Grüße  aus Köln\r\n", body: "ß\r\n"},
	{name: "a body of blanks, tabs and empty lines", body: "a  b\t c \r\n \r\n\t\r\nend\t \r\n\r\n \r\n\r\n\r\n"},
	{name: "a body of empty lines only", body: "\r\n\r\n\r\n"},
	{name: "lines that begin with dots", body: ".\r\n..\r\n.a\r\n"},
	{name: "an empty body", body: "-"},
	{name: "bare CR and NUL in the body", body: "a\rb\r\nc\r\r\n\rd\x00e\r\n"},
	{name: "control characters and bytes of no character set in the header", header: "Subject: a\x00b\rc \xff\xfe\r\n"},
	{name: "a blank before the colon", header: "Subject : blank\r\nCc\t: carol@dest.example\r\n"},
	{name: "fields that Postfix takes out", header: "Subject: x\r\nBcc: dave@dest.example\r\nReturn-Path: <x@y.example>\r\n"},
	{name: "a header of 60 KB", header: "Subject: x\r\nReferences:" + strings.Repeat("\r\n <0123456789@example.com>", 2400) + "\r\n"},
	{name: "900 fields", header: "Subject: x\r\n" + strings.Repeat("X-Trace: a\r\n", 900)},
}

func (s shape) message(rcpt string) string {
	header := s.header
	if header == "" {
		header = "Subject: " + s.name + "\r\n"
	}
	body := s.body
	switch body {
	case "":
		body = "Good morning.\r\n"
	case "-":
		body = ""
	}
	if header == "\r" {
		return "From: alice@" + ourDomain + "\r\n\r\n" + body
	}
	return "From:  Alice\t<alice@" + ourDomain + ">\r\n" + header +
		"To:<" + rcpt + ">\r\nDate: Sat, 03 Jan 2026 10:00:00 +0000\r\nMessage-ID: <" + rcpt + ">\r\n\r\n" + body
}

func TestSignaturesVerifyElsewhere(t *testing.T) {
	want(t)
	listen := "inet:" + freeAddr(t)
	p := startPostfix(t, listen)
	for _, canon := range []string{"simple/simple", "simple/relaxed", "relaxed/simple", "relaxed/relaxed"} {
		t.Run(canon, func(t *testing.T) {
			startDaemon(t, config{Listen: []string{listen}, Zone: ourZone(), Selectors: []string{"rsa", "ed"}, Canon: canon})
			tag := strings.ReplaceAll(canon, "/", "-")
			c := dial(t, p.mx, colleague)
			for i, s := range shapes {
				t.Run(s.name, func(t *testing.T) {
					rcpt := fmt.Sprintf("%s-%d@%s", tag, i, destDomain)
					accepted(t, c.sendWith(s.params, "alice@"+ourDomain, []string{rcpt}, s.message(rcpt)))
					signed(t, p.sink.wait(t, rcpt).Data, canon, 2)
				})
			}
			t.Run("no final newline, by BDAT", func(t *testing.T) {
				rcpt := tag + "-bdat@" + destDomain
				c.must(250, "MAIL FROM:<alice@"+ourDomain+">")
				c.must(250, "RCPT TO:<"+rcpt+">")
				accepted(t, c.chunk(strings.TrimSuffix(ourMail(rcpt, "no end"), "\r\n")))
				signed(t, p.sink.wait(t, rcpt).Data, canon, 2)
			})
			t.Run("no final newline, by sendmail(1)", func(t *testing.T) {
				rcpt := tag + "-cut@" + destDomain
				p.sendmail(t, "alice@"+ourDomain, rcpt, strings.TrimSuffix(ourMail(rcpt, "no end"), "\r\n"))
				signed(t, p.sink.wait(t, rcpt).Data, canon, 2)
			})
			t.Run("10 MB", func(t *testing.T) {
				rcpt := tag + "-big@" + destDomain
				line := strings.Repeat("All work  and no play makes Jack a dull boy. ", 10) + "\r\n"
				msg := ourMail(rcpt, "big") + strings.Repeat(line, 10_000_000/len(line)+1)
				accepted(t, c.send("alice@"+ourDomain, []string{rcpt}, msg))
				signed(t, p.sink.wait(t, rcpt).Data, canon, 2)
			})
		})
	}
}

// signed is signedFor with a check of the signatures' canonicalization.
func signed(t *testing.T, msg []byte, canon string, signatures int) {
	t.Helper()
	for _, value := range named(msg, "DKIM-Signature") {
		if !strings.Contains(value, "c="+canon) {
			t.Errorf("the signature is not of %s:%s", canon, value)
		}
	}
	signedFor(t, msg, signatures)
}

func TestTheOtherImplementationsSeeAnAlteration(t *testing.T) {
	want(t)
	d := startDaemon(t, config{Listen: []string{"inet:" + freeAddr(t)}, Zone: ourZone()})
	p := startPostfix(t, d.milter())
	const rcpt = "altered@" + destDomain
	accepted(t, dial(t, p.mx, colleague).send("alice@"+ourDomain, []string{rcpt}, ourMail(rcpt, "hers")))
	good := p.sink.wait(t, rcpt).Data
	for _, altered := range []string{
		strings.Replace(string(good), "Subject: hers", "Subject: his", 1),
		strings.Replace(string(good), "all is well", "all is lost", 1),
		"Subject: another on top\r\n" + string(good),
	} {
		for _, other := range others {
			if got := strings.Join(other.ask(t, []byte(altered)), " "); got == "pass" {
				t.Errorf("%s passes it:\n%s", other.name, head([]byte(altered)))
			}
		}
	}
}

func TestAGeneratedKeySignsAfterAReload(t *testing.T) {
	want(t)
	c := config{Listen: []string{"inet:" + freeAddr(t)}, Zone: ourZone()}
	d := startDaemon(t, c)
	p := startPostfix(t, d.milter())
	for _, kind := range []string{"rsa", "ed25519"} {
		t.Run(kind, func(t *testing.T) {
			selector := "made-" + kind
			out := d.asRoot(t, "keys", "generate", "--json", "--type", kind, ourDomain, selector)
			var made struct {
				Name  string `json:"record_name"`
				Value string `json:"record_value"`
				Line  string `json:"zone_line"`
			}
			check(t, json.Unmarshal([]byte(out), &made))
			publish(t, made.Name, made.Value)
			c.Zone += made.Line + "\n"
			c.Selectors = []string{selector}
			d.configure(t, c)
			d.reload(t)
			rcpt := selector + "@" + destDomain
			accepted(t, dial(t, p.mx, colleague).send("alice@"+ourDomain, []string{rcpt}, ourMail(rcpt, "a new key")))
			got := p.sink.wait(t, rcpt).Data
			if s := selectors(got); s != selector {
				t.Errorf("signed with %q, want %q", s, selector)
			}
			signedFor(t, got, 1)
		})
	}
}
