package milter

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	gomilter "github.com/emersion/go-milter"

	"signpost/internal/message"
)

func TestOutcomesOnTheWire(t *testing.T) {
	for _, c := range []struct {
		name    string
		outcome message.Outcome
		want    []packet
	}{
		{"accept as it is", message.Outcome{Disposition: message.Accept}, []packet{{'a', ""}}},
		{"MIL-005 MIL-009 deletions, then insertions, the topmost last", message.Outcome{
			Disposition: message.Accept, Remove: []int{1},
			Insert: []message.Field{{Name: "A", Value: "top"}, {Name: "B", Value: "below\r\n folded"}},
		}, []packet{
			{'m', "\x00\x00\x00\x01To\x00\x00"},
			{'i', "\x00\x00\x00\x00B\x00 below\n folded\x00"},
			{'i', "\x00\x00\x00\x00A\x00 top\x00"},
			{'a', ""},
		}},
		{"MIL-028 quarantine is an action beside the acceptance", message.Outcome{
			Disposition: message.Quarantine, QuarantineReason: "DMARC policy of example.com",
			Insert: []message.Field{{Name: "A", Value: "v"}},
		}, []packet{
			{'i', "\x00\x00\x00\x00A\x00 v\x00"}, {'q', "DMARC policy of example.com\x00"}, {'a', ""},
		}},
		{"a refusal changes nothing", message.Outcome{
			Disposition: message.Reject, Reply: message.Reply{Code: 550, Enhanced: "5.7.1", Text: "DMARC says no"},
			Insert: []message.Field{{Name: "A", Value: "v"}}, Remove: []int{0},
		}, []packet{{'y', "550 5.7.1 DMARC says no\x00"}}},
		{"come again", message.Outcome{
			Disposition: message.Tempfail, Reply: message.Reply{Code: 451, Enhanced: "4.7.5", Text: "DNS"},
		}, []packet{{'y', "451 4.7.5 DNS\x00"}}},
		{"a disposition that is none is our failure", message.Outcome{Disposition: "delete"},
			[]packet{{'y', "451 4.3.0 internal error, try again later\x00"}}},
		{"an index that is none is our failure", message.Outcome{Disposition: message.Accept, Remove: []int{7}},
			[]packet{{'y', "451 4.3.0 internal error, try again later\x00"}}},
		{"a field too large for the MTA is our failure", message.Outcome{
			Disposition: message.Accept, Insert: []message.Field{{Name: "A", Value: strings.Repeat("x", 70_000)}},
		}, []packet{{'y', "451 4.3.0 internal error, try again later\x00"}}},
		{"a field name that is none is our failure", message.Outcome{
			Disposition: message.Accept, Remove: []int{0}, Insert: []message.Field{{Name: "A:b", Value: "x"}},
		}, []packet{{'y', "451 4.3.0 internal error, try again later\x00"}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := &handler{end: func(context.Context, message.Envelope, message.Header) message.Outcome { return c.outcome }}
			p := dial(t, h)
			p.hello()
			for range 2 {
				got := p.message("a@example.com", "text", "From: a@example.com", "To: b@example.net")
				if fmt.Sprintf("%q", got) != fmt.Sprintf("%q", c.want) {
					t.Errorf("answers\n%q, want\n%q", got, c.want)
				}
			}
		})
	}
}

// AR-008, MIL-001: what the MTA cannot do is never left undone in silence.
func TestAnActionThatWasNotOfferedBecomes451(t *testing.T) {
	for _, c := range []struct {
		name    string
		actions uint32
		outcome message.Outcome
		word    string
	}{
		{"AR-008 a deletion", 0x21, message.Outcome{Disposition: message.Accept, Remove: []int{0}}, "SMFIF_CHGHDRS"},
		{"MIL-001 a quarantine", 0x11, message.Outcome{Disposition: message.Quarantine}, "SMFIF_QUARANTINE"},
	} {
		t.Run(c.name, func(t *testing.T) {
			outcome := c.outcome
			h := &handler{end: func(context.Context, message.Envelope, message.Header) message.Outcome { return outcome }}
			p := dial(t, h)
			p.send(gomilter.CodeOptNeg, offer(6, c.actions, allSteps))
			p.receive()
			p.log.line(t, "the MTA does not offer", c.word)
			if got := p.message("a@example.com", "", "From: a@example.com"); codes(got) != "y" || !strings.HasPrefix(got[0].data, "451 4.3.0 ") {
				t.Errorf("answers %q", got)
			}
			p.log.line(t, "msg=message", "disposition=tempfail", c.word)
			// A message that needs nothing of the kind goes through.
			outcome = message.Outcome{Disposition: message.Accept, Insert: []message.Field{{Name: "A", Value: "v"}}}
			if got := p.message("a@example.com", "", "From: a@example.com"); codes(got) != "ia" {
				t.Errorf("answers %q", got)
			}
		})
	}
}

func TestWhatIsMissingIsToldOnce(t *testing.T) {
	log, h := &logged{}, &handler{}
	server := testServer(Defaults(), h, log)
	for range 3 {
		p := join(t, server, h, log)
		p.send(gomilter.CodeOptNeg, offer(2, 1, 0))
		p.receive()
	}
	log.line(t, "the MTA does not offer", "SMFIF_CHGHDRS", "SMFIF_QUARANTINE")
}

func TestMessagesBeyondTheLimits(t *testing.T) {
	limits := func(c *Config) {
		c.MaxMessageBytes = 64 << 10
		c.MaxHeaderFields = 50
		c.MaxHeaderBytes = 16 << 10
	}
	reject := func(c *Config) { limits(c); c.OnTooBig = TooBigReject }
	body := strings.Repeat("0123456789abcdef", 1024)
	big := func(p *peer) []packet {
		p.envelope("a@example.com", "b@example.net")
		p.fields("From: a@example.com")
		for range 5 {
			p.send(gomilter.CodeBody, body)
		}
		return p.end()
	}
	for _, c := range []struct {
		name   string
		config func(*Config)
		talk   func(p *peer) []packet
		want   string
		log    []string
	}{
		{"a big message passes unjudged, with a line in the log", limits, big, "a", []string{"passed on unjudged", "max_message_bytes", "level=WARN"}},
		{"a big message is refused if so configured", reject, big, "552 5.3.4 ", []string{"max_message_bytes", "disposition=reject"}},
		{"LIM-002 ATK-067 ERR-015 too many fields are refused", limits, func(p *peer) []packet {
			return p.message("a@example.com", "", strings.Split(strings.Repeat("X: y,", 51), ",")...)
		}, "552 5.3.4 ", []string{"max_header_fields"}},
		{"LIM-002 too large a header is refused", limits, func(p *peer) []packet {
			return p.message("a@example.com", "", "X: "+body[:8000], "X: "+body[:8000], "X: "+body[:8000])
		}, "552 5.3.4 ", []string{"max_header_bytes"}},
		{"LIM-002 one field larger than all may be is refused", limits, func(p *peer) []packet {
			return p.message("a@example.com", "", "X: "+strings.Repeat(body, 8))
		}, "552 5.3.4 ", []string{"max_header_bytes"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := &handler{}
			p := dial(t, h, c.config)
			p.hello()
			got := c.talk(p)
			if len(got) != 1 || (got[0].code != 'a' && !strings.HasPrefix(got[0].data, c.want)) || (got[0].code == 'a') != (c.want == "a") {
				t.Errorf("answers %q", got)
			}
			if l := h.last(t); l.ended || l.ctx.Err() == nil {
				t.Errorf("the handler went on: ended %v, context %v", l.ended, l.ctx.Err())
			}
			p.log.line(t, append([]string{"msg=message"}, c.log...)...)
			if got := codes(p.message("n@example.com", "", "From: n@example.com")); got != "a" || !h.last(t).ended {
				t.Errorf("the next message: answers %q", got)
			}
		})
	}
}

// LIM-010, ATK-047: a panic costs the message, not the daemon, nor the connection.
func TestAPanicBecomes451(t *testing.T) {
	boom := func() { panic("boom") }
	for _, c := range []struct {
		name    string
		handler *handler
	}{
		{"in Ours", &handler{ours: func(message.Envelope) (bool, string) { boom(); return false, "" }}},
		{"in Verify", &handler{begin: func(context.Context, message.Envelope) { boom() }}},
		{"in Header", &handler{header: func(message.Envelope, message.Header) bool { boom(); return false }}},
		{"in Body", &handler{body: func([]byte) bool { boom(); return false }}},
		{"in End", &handler{end: func(context.Context, message.Envelope, message.Header) message.Outcome { boom(); panic("") }}},
	} {
		for _, steps := range []uint32{allSteps, 0} {
			t.Run(fmt.Sprintf("LIM-010 ATK-047 %s, steps %#x", c.name, steps), func(t *testing.T) {
				h := &handler{ours: c.handler.ours, begin: c.handler.begin, header: c.handler.header, body: c.handler.body, end: c.handler.end}
				p := dial(t, h)
				p.send(gomilter.CodeOptNeg, offer(6, allActions, steps))
				p.receive()
				talk := func() []packet {
					p.send(gomilter.CodeMail, "<a@example.com>\x00")
					p.want(gomilter.ActContinue)
					for _, one := range []packet{{'L', "From\x00 a@example.com\x00"}, {'N', ""}, {'B', "text"}} {
						p.send(gomilter.Code(one.code), one.data)
						if steps == 0 {
							if got := p.receive(); got.code != 'c' {
								t.Errorf("answer to %q: %q", one.code, got)
							}
						}
					}
					return p.end()
				}
				if got := talk(); codes(got) != "y" || !strings.HasPrefix(got[0].data, "451 4.3.0 ") {
					t.Errorf("answers %q", got)
				}
				p.log.line(t, "level=ERROR", "panic=boom", "stack=")
				h.ours, h.begin, h.header, h.body, h.end = nil, nil, nil, nil, nil
				if got := codes(talk()); got != "a" {
					t.Errorf("the next message: answers %q", got)
				}
			})
		}
	}
}

// MIL-016, ATK-077: the MTA hears from us while we wait, more often than Sendmail's
// 10 seconds.
func TestProgressWhileADecisionWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &handler{end: func(context.Context, message.Envelope, message.Header) message.Outcome {
			<-time.After(25 * time.Second)
			return message.Outcome{Disposition: message.Accept, Insert: []message.Field{{Name: "A", Value: "v"}}}
		}}
		p := dial(t, h)
		p.hello()
		for range 2 {
			before := time.Now()
			got := p.message("a@example.com", "", "From: a@example.com")
			if codes(got) != "ppppppia" {
				t.Errorf("MIL-016 ATK-077 answers %q", codes(got))
			}
			if took := time.Since(before); took != 25*time.Second {
				t.Errorf("took %s", took)
			}
		}
		if n := strings.Count(p.log.String(), " ms=25000\n"); n != 2 {
			t.Errorf("%d lines with the duration:\n%s", n, p.log)
		}
	})
}

// MIL-017: the budget ends the context, and the handler answers with what it has.
func TestTheBudgetEndsTheContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var cause error
		h := &handler{end: func(ctx context.Context, _ message.Envelope, _ message.Header) message.Outcome {
			<-ctx.Done()
			cause = context.Cause(ctx)
			return message.Outcome{Disposition: message.Accept}
		}}
		p := dial(t, h)
		p.hello()
		// However long the client takes to deliver the message: the budget begins at
		// its end.
		p.envelope("a@example.com", "b@example.net")
		<-time.After(time.Hour)
		before := time.Now()
		if got := codes(p.end()); got != "ppppppppa" {
			t.Errorf("answers %q", got)
		}
		if took := time.Since(before); took != 30*time.Second || cause != context.DeadlineExceeded {
			t.Errorf("MIL-017 took %s, cause %v", took, cause)
		}
	})
}

// MIL-017: even a handler that does not come back does not keep the MTA.
func TestAStuckHandlerBecomes451(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		h := &handler{end: func(context.Context, message.Envelope, message.Header) message.Outcome {
			<-release
			return message.Outcome{Disposition: message.Accept}
		}}
		p := dial(t, h)
		p.hello()
		got := p.message("a@example.com", "", "From: a@example.com")
		if last := got[len(got)-1]; last.code != 'y' || !strings.HasPrefix(last.data, "451 4.3.0 ") {
			t.Errorf("answers %q", got)
		}
		p.log.line(t, "level=ERROR", "no decision")
		close(release)
		p.closed()
	})
}

// ATK-077: a client that goes away while we wait ends the work.
func TestAnMTAThatGoesAwayEndsTheWork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &handler{end: func(ctx context.Context, _ message.Envelope, _ message.Header) message.Outcome {
			<-ctx.Done()
			return message.Outcome{Disposition: message.Tempfail}
		}}
		p := dial(t, h)
		p.hello()
		before := time.Now()
		p.envelope("a@example.com")
		p.send(gomilter.CodeEOB)
		p.conn.Close()
		<-p.done
		if took := time.Since(before); took > 5*time.Second {
			t.Errorf("took %s", took)
		}
	})
}

func TestDeadlinesOfAConnection(t *testing.T) {
	for _, c := range []struct {
		name string
		talk func(p *peer)
		want time.Duration
	}{
		{"no options", func(*peer) {}, time.Minute},
		{"one octet a second of the options, then silence", func(p *peer) {
			for _, b := range encode('O', offer(6, allActions, allSteps))[:10] {
				p.raw([]byte{b})
				<-time.After(time.Second)
			}
		}, time.Minute},
		{"half a packet", func(p *peer) { p.hello(); p.raw([]byte{0, 0, 1, 0, 'D'}) }, time.Minute},
		{"half a length", func(p *peer) { p.hello(); p.raw([]byte{0, 0}) }, time.Minute},
		{"half a piece of the body", func(p *peer) { p.hello(); p.envelope("a@b.example"); p.raw([]byte{0, 0, 1, 0, 'B', 'x'}) }, time.Minute},
		{"silence between messages", func(p *peer) { p.hello() }, 2 * time.Hour},
		{"silence within a message", func(p *peer) { p.hello(); p.envelope("a@b.example") }, 2 * time.Hour},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := dial(t, &handler{})
				before := time.Now()
				c.talk(p)
				p.closed()
				if took := time.Since(before).Round(20 * time.Second); took != c.want {
					t.Errorf("closed after %s, want %s", took, c.want)
				}
				p.log.line(t, "milter connection closed", "nothing came in time")
			})
		})
	}
}

// LIM-015, ATK-076: foreign text stays within its place in the log.
func TestTheLogLine(t *testing.T) {
	h := &handler{end: func(context.Context, message.Envelope, message.Header) message.Outcome {
		return message.Outcome{
			Disposition: message.Reject,
			Reply:       message.Reply{Code: 450, Enhanced: "x", Text: "no\nmore"},
			Log:         []message.Note{{Key: "spf", Value: "fail"}, {Key: "author", Value: "e\u202Eve\x1b[2J" + strings.Repeat("x", 9000)}},
		}
	}}
	p := dial(t, h)
	p.hello()
	p.send(gomilter.CodeMacro, "Mi\x00Q\nlevel=ERROR forged\x00")
	p.message("a\x1b\r\n@example.com", "", "From: a@example.com")
	line := p.log.line(t, "msg=message")
	for _, want := range []string{
		"client=192.0.2.1", "helo=client.example.com", "rcpts=1", "ours=false", "spf=fail", "disposition=reject",
		`reply="550 5.7.1 no?more"`, "queue=\"Q?level=ERROR forged\"", "from=a???@example.com", "e?ve?[2J", "ms=",
	} {
		if !strings.Contains(line, want) {
			t.Errorf("LIM-015 ATK-076 no %s in %s", want, line)
		}
	}
	if len(line) > 4000 {
		t.Errorf("LIM-015 a line of %d octets", len(line))
	}
}

func TestAMessageGivenUpIsADebugLine(t *testing.T) {
	p := dial(t, &handler{})
	p.hello()
	p.envelope("a@example.com")
	p.send(gomilter.CodeAbort)
	p.send(gomilter.CodeQuit)
	p.closed()
	if line := p.log.line(t, "message given up"); !strings.Contains(line, "level=DEBUG") || !strings.Contains(line, "from=a@example.com") {
		t.Error(line)
	}
	if strings.Contains(p.log.String(), "closed") {
		t.Errorf("an orderly end is no problem:\n%s", p.log)
	}
}
