package milter

import (
	"context"
	"encoding/binary"
	"net/netip"
	"strings"
	"testing"

	gomilter "github.com/emersion/go-milter"

	"signpost/internal/message"
)

func TestAMessageReachesTheHandlerWhole(t *testing.T) {
	h := &handler{}
	p := dial(t, h)
	p.hello()
	p.send(gomilter.CodeMail, "<a@example.com>\x00SIZE=1000\x00BODY=8BITMIME\x00smtputf8\x00AUTH=<>\x00")
	p.want(gomilter.ActContinue)
	p.send(gomilter.CodeRcpt, "<b@example.net>\x00NOTIFY=NEVER\x00")
	p.send(gomilter.CodeRcpt, "c@example.net\x00")
	p.send(gomilter.CodeMacro, "Ti\x00QUEUE1\x00")
	p.fields("From: a@example.com", "Subject:  two\n blanks")
	p.send(gomilter.CodeBody, "hello\r\n")
	p.send(gomilter.CodeEOB, "last\r\n")
	if got := codes(p.answers()); got != "a" {
		t.Errorf("answers %q", got)
	}
	l := h.last(t)
	want := message.Envelope{
		ClientAddr: netip.MustParseAddr("192.0.2.1"), ClientName: "client.example.com", Helo: "client.example.com",
		Sender: "a@example.com", Recipients: []string{"b@example.net", "c@example.net"}, DaemonName: "smtpd",
		MTAName: "mx.example.net", QueueID: "QUEUE1", SMTPUTF8: true, EightBit: true, Role: message.RoleAuto,
	}
	if strings.Join(l.env.Recipients, " ") != strings.Join(want.Recipients, " ") {
		t.Errorf("recipients %q", l.env.Recipients)
	}
	l.env.Recipients, want.Recipients = nil, nil
	if !equalEnvelope(l.env, want) {
		t.Errorf("envelope\n%+v, want\n%+v", l.env, want)
	}
	if got := l.head.String(); got != "From: a@example.com\r\nSubject:  two\r\n blanks\r\n" {
		t.Errorf("header %q", got)
	}
	if string(l.text) != "hello\r\nlast\r\n" {
		t.Errorf("body %q", l.text)
	}
	if l.ctx.Err() == nil {
		t.Error("the context goes on after the message")
	}
}

func equalEnvelope(a, b message.Envelope) bool {
	return a.ClientAddr == b.ClientAddr && a.ClientName == b.ClientName && a.Helo == b.Helo && a.Sender == b.Sender &&
		a.AuthType == b.AuthType && a.AuthAuthen == b.AuthAuthen && a.DaemonName == b.DaemonName &&
		a.MTAName == b.MTAName && a.QueueID == b.QueueID && a.SMTPUTF8 == b.SMTPUTF8 && a.EightBit == b.EightBit && a.BlanksGuessed == b.BlanksGuessed && a.Role == b.Role &&
		strings.Join(a.Recipients, "\n") == strings.Join(b.Recipients, "\n")
}

// Nothing of a message leaks into the next, however it ended.
func TestTheNextMessageStartsAfresh(t *testing.T) {
	for _, c := range []struct {
		name  string
		first func(p *peer)
	}{
		{"after one that was decided", func(p *peer) {
			p.message("x@example.com", "old body", "From: x@example.com", "X-Old: 1")
		}},
		{"after one that was refused", func(p *peer) {
			p.handler.end = func(context.Context, message.Envelope, message.Header) message.Outcome {
				return message.Outcome{Disposition: message.Reject}
			}
			p.message("x@example.com", "old body", "X-Old: 1")
			p.handler.end = nil
		}},
		{"after an abort at MAIL", func(p *peer) {
			p.envelope("x@example.com")
			p.send(gomilter.CodeAbort)
		}},
		{"after an abort at RCPT", func(p *peer) {
			p.envelope("x@example.com", "old@example.net")
			p.send(gomilter.CodeAbort)
		}},
		{"after an abort amid the header", func(p *peer) {
			p.envelope("x@example.com", "old@example.net")
			p.send(gomilter.CodeHeader, "X-Old\x00 1\x00")
			p.send(gomilter.CodeAbort)
		}},
		{"after an abort at end of header", func(p *peer) {
			p.envelope("x@example.com", "old@example.net")
			p.fields("X-Old: 1")
			p.send(gomilter.CodeAbort)
		}},
		{"after an abort amid the body", func(p *peer) {
			p.envelope("x@example.com", "old@example.net")
			p.fields("X-Old: 1")
			p.send(gomilter.CodeBody, "old body")
			p.send(gomilter.CodeAbort)
		}},
		{"after one that just stops, without abort", func(p *peer) {
			p.send(gomilter.CodeMacro, "M{auth_authen}\x00eve\x00i\x00OLD\x00")
			p.envelope("x@example.com", "old@example.net")
			p.fields("X-Old: 1")
			p.send(gomilter.CodeBody, "old body")
		}},
		{"after HELO in the middle of it", func(p *peer) {
			p.envelope("x@example.com", "old@example.net")
			p.send(gomilter.CodeHelo, "client.example.com\x00")
		}},
		{"after QUIT_NC", func(p *peer) {
			p.envelope("x@example.com", "old@example.net")
			p.fields("X-Old: 1")
			p.send(gomilter.CodeQuitNewConn)
			p.connect()
		}},
		{"after two aborts", func(p *peer) {
			p.envelope("x@example.com", "old@example.net")
			p.send(gomilter.CodeAbort)
			p.send(gomilter.CodeAbort)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := &handler{}
			p := dial(t, h)
			p.hello()
			c.first(p)
			if got := codes(p.message("a@example.com", "new body", "From: a@example.com")); got != "a" {
				t.Errorf("answers %q", got)
			}
			l := h.last(t)
			if h.count() != 2 || h.letters[0].ctx.Err() == nil {
				t.Errorf("%d messages begun; the first one's context: %v", h.count(), h.letters[0].ctx.Err())
			}
			if l.head.String() != "From: a@example.com\r\n" || string(l.text) != "new body" ||
				l.env.Sender != "a@example.com" || len(l.env.Recipients) != 1 || l.env.AuthAuthen != "" || l.env.QueueID != "" {
				t.Errorf("header %q body %q envelope %+v", l.head, l.text, l.env)
			}
			// What belongs to the connection stays.
			if l.env.Helo != "client.example.com" || l.env.MTAName != "mx.example.net" || !l.env.ClientAddr.IsValid() {
				t.Errorf("envelope %+v", l.env)
			}
		})
	}
}

func TestQuitNCForgetsTheConnection(t *testing.T) {
	h := &handler{}
	p := dial(t, h)
	p.hello()
	p.message("x@example.com", "", "From: x@example.com")
	p.send(gomilter.CodeQuitNewConn)
	p.send(gomilter.CodeConn, "other.example.com\x00U")
	p.message("a@example.com", "", "From: a@example.com")
	env := h.last(t).env
	if env.ClientAddr.IsValid() || env.ClientName != "other.example.com" || env.Helo != "" || env.MTAName != "" || env.DaemonName != "" {
		t.Errorf("envelope %+v", env)
	}
}

// Who logged in is known from the MTA alone, and for one message only.
func TestMacrosOfALogin(t *testing.T) {
	h := &handler{}
	p := dial(t, h)
	p.hello()
	p.send(gomilter.CodeMacro, "M{auth_authen}\x00user\x00{auth_type}\x00PLAIN\x00{mail_addr}\x00a@x\x00i\x00QA\x00")
	p.message("a@example.com", "", "From: a@example.com", "X-Auth: {auth_authen}=eve")
	if l := h.last(t); !l.signed || l.first.AuthAuthen != "user" || l.first.AuthType != "PLAIN" || l.first.QueueID != "QA" {
		t.Errorf("with a login: signed %v, envelope %+v", l.signed, l.first)
	}
	p.message("a@example.com", "", "From: a@example.com")
	if l := h.last(t); l.signed || l.first.AuthAuthen != "" {
		t.Errorf("the next message without one: signed %v, envelope %+v", l.signed, l.first)
	}
	p.log.line(t, "ours=true", `rule="login user"`, "queue=QA")
}

// A bounce of the MTA's own has the null sender, and may be ours.
func TestTheNullSenderReachesTheSigner(t *testing.T) {
	h := &handler{ours: func(env message.Envelope) (bool, string) { return env.ClientAddr.IsLoopback(), "network" }}
	p := dial(t, h)
	p.hello()
	p.send(gomilter.CodeConn, "localhost\x004\x00\x00127.0.0.1\x00")
	p.message("", "", "From: MAILER-DAEMON@example.com")
	if l := h.last(t); !l.signed || l.env.Sender != "" || l.env.ClientName != "localhost" {
		t.Errorf("signed %v, envelope %+v", l.signed, l.env)
	}
}

// The queue id may come late.
func TestQueueIDIsReadAtTheEnd(t *testing.T) {
	h := &handler{}
	p := dial(t, h)
	p.hello()
	p.envelope("a@example.com", "b@example.net")
	p.fields("From: a@example.com")
	p.send(gomilter.CodeMacro, "Ei\x00LATE1\x00")
	p.end()
	p.log.line(t, "msg=message", "queue=LATE1")
}

// oddConversations violate the protocol as some MTAs do.
var oddConversations = []struct {
	name    string
	talk    func(p *peer)
	answers string // to the end of message; "" if the connection closes
	check   func(t *testing.T, h *handler)
}{
	{"no end of header", func(p *peer) {
		p.envelope("a@example.com", "b@example.net")
		p.send(gomilter.CodeHeader, "From\x00 a@example.com\x00")
		p.send(gomilter.CodeBody, "text")
		p.send(gomilter.CodeEOB)
	}, "a", func(t *testing.T, h *handler) {
		if l := h.last(t); l.head.Count("From") != 1 || string(l.text) != "text" {
			t.Errorf("header %q body %q", l.head, l.text)
		}
	}},
	{"nothing but an envelope", func(p *peer) {
		p.envelope("", "b@example.net")
		p.send(gomilter.CodeEOB)
	}, "a", func(t *testing.T, h *handler) {
		if l := h.last(t); len(l.head) != 0 || !l.ended || l.env.Sender != "" {
			t.Errorf("header %q, ended %v", l.head, l.ended)
		}
	}},
	{"a field after the end of header is not part of it", func(p *peer) {
		p.envelope("", "b@example.net")
		p.fields("From: a@example.com")
		p.send(gomilter.CodeHeader, "X-Late\x00 1\x00")
		p.send(gomilter.CodeEOB)
	}, "a", func(t *testing.T, h *handler) {
		if l := h.last(t); len(l.head) != 1 {
			t.Errorf("header %q", l.head)
		}
	}},
	{"all without MAIL", func(p *peer) {
		p.send(gomilter.CodeRcpt, "<b@example.net>\x00")
		p.fields("From: a@example.com")
		p.send(gomilter.CodeBody, "text")
		p.send(gomilter.CodeEOB)
	}, "c", nil},
	{"unknown and DATA are passed over", func(p *peer) {
		p.send(codeUnknown, "XFOO bar\x00")
		p.envelope("", "b@example.net")
		p.send(gomilter.CodeData)
		p.send(gomilter.CodeEOB)
	}, "a", nil},
	{"MAIL without brackets", func(p *peer) {
		p.send(gomilter.CodeMail, "a@example.com\x00")
		p.want(gomilter.ActContinue)
		p.send(gomilter.CodeEOB)
	}, "a", func(t *testing.T, h *handler) {
		if l := h.last(t); l.env.Sender != "a@example.com" {
			t.Errorf("sender %q", l.env.Sender)
		}
	}},
	{"bare CR, bare LF and NUL in the body are left as they are", func(p *peer) {
		p.envelope("", "b@example.net")
		p.fields("From: a@example.com")
		p.send(gomilter.CodeBody, "a\rb\nc\x00d\r\n")
		p.send(gomilter.CodeEOB)
	}, "a", func(t *testing.T, h *handler) {
		if l := h.last(t); string(l.text) != "a\rb\nc\x00d\r\n" {
			t.Errorf("body %q", l.text)
		}
	}},
	{"a field without the second NUL", func(p *peer) {
		p.envelope("", "b@example.net")
		p.send(gomilter.CodeHeader, "From\x00 a@example.com")
		p.send(gomilter.CodeHeader, "Alone")
		p.send(gomilter.CodeHeader)
		p.send(gomilter.CodeEOB)
	}, "a", func(t *testing.T, h *handler) {
		if l := h.last(t); l.head.String() != "From: a@example.com\r\nAlone:\r\n:\r\n" {
			t.Errorf("header %q", l.head)
		}
	}},
	{"a macro without value", func(p *peer) {
		p.send(gomilter.CodeMacro, "Cj\x00")
		p.send(gomilter.CodeMacro)
		p.send(gomilter.CodeMacro, "C")
		p.send(gomilter.CodeMacro, "zz\x00z\x00")
		p.envelope("", "b@example.net")
		p.send(gomilter.CodeEOB)
	}, "a", nil},
	{"an unknown packet", func(p *peer) { p.send('z', "?") }, "", nil},
	{"options twice", func(p *peer) { p.send(gomilter.CodeOptNeg, offer(6, allActions, allSteps)) }, "", nil},
	{"CONNECT cut short", func(p *peer) { p.send(gomilter.CodeConn, "client") }, "", nil},
	{"CONNECT cut in the port", func(p *peer) { p.send(gomilter.CodeConn, "client\x004\x00") }, "", nil},
	{"a packet of no length", func(p *peer) { p.raw([]byte{0, 0, 0, 0}) }, "", nil},
	{"a packet of absurd length", func(p *peer) { p.raw([]byte{0xff, 0xff, 0xff, 0xff}) }, "", nil},
}

func TestOddConversations(t *testing.T) {
	for _, c := range oddConversations {
		t.Run(c.name, func(t *testing.T) {
			h := &handler{}
			p := dial(t, h)
			p.hello()
			c.talk(p)
			if c.answers == "" {
				p.closed()
				p.log.line(t, "milter connection closed", "problem=")
				return
			}
			if got := codes(p.answers()); got != c.answers {
				t.Errorf("answers %q, want %q", got, c.answers)
			}
			if c.check != nil {
				c.check(t, h)
			}
			if got := codes(p.message("n@example.com", "", "From: n@example.com")); got != "a" {
				t.Errorf("the next message: answers %q", got)
			}
		})
	}
}

func TestGarbageInsteadOfOptionsClosesTheConnection(t *testing.T) {
	for name, data := range map[string]string{
		"an HTTP request":         "GET / HTTP/1.1\r\nHost: x\r\n\r\n",
		"a command first":         "\x00\x00\x00\x01E",
		"options cut short":       "\x00\x00\x00\x07O\x00\x00\x00\x06\x00\x00",
		"version 1":               "\x00\x00\x00\x0dO" + offer(1, 0x3f, 0x7f),
		"no adding of fields":     "\x00\x00\x00\x0dO" + offer(6, 0x1fe, allSteps),
		"no action at all":        "\x00\x00\x00\x0dO" + offer(2, 0, 0),
		"quit before the options": "\x00\x00\x00\x01Q",
	} {
		t.Run(name, func(t *testing.T) {
			p := dial(t, &handler{})
			go p.conn.Write([]byte(data))
			p.closed()
			p.log.line(t, "milter connection closed", "problem=")
		})
	}
}

func TestRecipientsBeyondTheLimitAreCountedOnly(t *testing.T) {
	h := &handler{}
	p := dial(t, h, func(c *Config) { c.MaxRecipients = 2 })
	p.hello()
	p.envelope("a@example.com", "1@example.net", "2@example.net", "3@example.net")
	p.end()
	if got := h.last(t).env.Recipients; len(got) != 2 {
		t.Errorf("recipients %q", got)
	}
	p.log.line(t, "msg=message", "rcpts=3")
}

func TestACommandThatNoSMTPLineIsAsLongAsClosesTheConnection(t *testing.T) {
	for _, command := range "CHMRTU" {
		t.Run(string(command), func(t *testing.T) {
			p := dial(t, &handler{})
			p.hello()
			packet := binary.BigEndian.AppendUint32(nil, maxCommand+2)
			packet = append(packet, byte(command))
			go p.conn.Write(append(packet, strings.Repeat("a", maxCommand+1)...))
			p.closed()
			p.log.line(t, "milter connection closed", "problem=", "no milter client")
		})
	}
}

func TestLongRecipientsAreRememberedUpToASize(t *testing.T) {
	h := &handler{}
	p := dial(t, h, func(c *Config) { c.MaxRecipients = 4 })
	p.hello()
	long := strings.Repeat("a", 3*usualPath)
	p.envelope("a@example.com", long, long, "1@example.net", "2@example.net")
	p.end()
	if got := h.last(t).env.Recipients; len(got) != 3 || got[1] != "1@example.net" {
		t.Errorf("%d recipients are remembered, want the first and the two short ones", len(got))
	}
	p.log.line(t, "msg=message", "rcpts=4")
}

func TestAHandlerThatKeepsTheEnvelopeIsNotDisturbed(t *testing.T) {
	h := &handler{}
	p := dial(t, h)
	p.hello()
	p.envelope("a@example.com", "first@example.net")
	p.end()
	p.envelope("b@example.com", "second@example.net")
	p.end()
	if got := h.letters[0].env.Recipients[0]; got != "first@example.net" {
		t.Errorf("recipient of the first message: %q", got)
	}
}
