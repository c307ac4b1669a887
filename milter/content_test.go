package milter

import (
	"strings"
	"testing"

	gomilter "github.com/emersion/go-milter"
)

// A transaction of Postfix with smtpd_proxy_filter: commands, the macros of DATA,
// ABORT. queue is the queue id at DATA, if there is one.
func (p *peer) withoutContent(queue string) {
	p.envelope("a@example.com", "b@example.net")
	macros := "T"
	if queue != "" {
		macros += "i\x00" + queue + "\x00"
	}
	p.send(gomilter.CodeMacro, macros)
	p.send(gomilter.CodeAbort)
}

func TestMessagesWithoutContentAreTold(t *testing.T) {
	many := func(n int, one func(p *peer)) func(p *peer) {
		return func(p *peer) {
			for range n {
				one(p)
			}
		}
	}
	none := func(p *peer) { p.withoutContent("") }
	plain := func(p *peer) { p.message("a@example.com", "text", "From: a@example.com") }
	for _, c := range []struct {
		name  string
		talk  func(p *peer)
		lines int
	}{
		{"nineteen", many(19, none), 0},
		{"twenty", many(20, none), 1},
		{"it is told once", many(100, none), 1},
		{"a message with content between", func(p *peer) { many(19, none)(p); plain(p); many(19, none)(p) }, 0},
		{"the command DATA itself", many(20, func(p *peer) {
			p.envelope("a@example.com", "b@example.net")
			p.send(gomilter.CodeData)
			p.send(gomilter.CodeAbort)
		}), 1},
		{"without ABORT", many(21, func(p *peer) {
			p.envelope("a@example.com", "b@example.net")
			p.send(gomilter.CodeMacro, "T")
		}), 1},
		{"clients that go away during DATA have a queue id", many(40, func(p *peer) { p.withoutContent("4F0000") }), 0},
		{"clients that go away before DATA", many(40, func(p *peer) {
			p.envelope("a@example.com", "b@example.net")
			p.send(gomilter.CodeAbort)
		}), 0},
		{"clients that go away in the header", many(40, func(p *peer) {
			p.envelope("a@example.com", "b@example.net")
			p.send(gomilter.CodeMacro, "T")
			p.send(gomilter.CodeHeader, "From\x00 a@example.com\x00")
			p.send(gomilter.CodeAbort)
		}), 0},
		{"messages with content", many(40, func(p *peer) {
			p.envelope("a@example.com", "b@example.net")
			p.send(gomilter.CodeMacro, "T")
			p.fields("From: a@example.com")
			p.end()
		}), 0},
		{"empty messages", many(40, func(p *peer) {
			p.envelope("a@example.com", "b@example.net")
			p.send(gomilter.CodeMacro, "T")
			p.end()
		}), 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := &handler{}
			p := dial(t, h)
			p.hello()
			c.talk(p)
			plain(p)
			if got := strings.Count(p.log.String(), "smtpd_proxy_filter"); got != c.lines {
				t.Errorf("%d lines, want %d:\n%s", got, c.lines, p.log)
			}
		})
	}
}

// The count is the listener's: each SMTP client has a connection of its own.
func TestMessagesWithoutContentAreCountedOfAListener(t *testing.T) {
	h := &handler{}
	s, log := serve(t, h)
	for range missingContentLimit {
		p := call(t, s, h, log)
		p.hello()
		p.withoutContent("")
		p.send(gomilter.CodeQuit)
		if _, err := p.tryReceive(); err == nil {
			t.Error("an answer to QUIT")
		}
	}
	log.line(t, "level=WARN", "smtpd_proxy_filter", "connection=", "m.sock")
}
