package milter

import (
	"context"
	"fmt"
	"strings"
	"testing"

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
		{"deletions, then insertions, the topmost last", message.Outcome{
			Disposition: message.Accept, Remove: []int{1},
			Insert: []message.Field{{Name: "A", Value: "top"}, {Name: "B", Value: "below\r\n folded"}},
		}, []packet{
			{'m', "\x00\x00\x00\x01To\x00\x00"},
			{'i', "\x00\x00\x00\x00B\x00 below\n folded\x00"},
			{'i', "\x00\x00\x00\x00A\x00 top\x00"},
			{'a', ""},
		}},
		{"quarantine is an action beside the acceptance", message.Outcome{
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

// An action that the MTA cannot do is never skipped silently.
func TestAnActionThatWasNotOfferedBecomes451(t *testing.T) {
	for _, c := range []struct {
		name    string
		actions uint32
		outcome message.Outcome
		word    string
	}{
		{"a deletion", 0x21, message.Outcome{Disposition: message.Accept, Remove: []int{0}}, "SMFIF_CHGHDRS"},
		{"a quarantine", 0x11, message.Outcome{Disposition: message.Quarantine}, "SMFIF_QUARANTINE"},
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
	for range 3 {
		p := join(t, server, h, log)
		p.send(gomilter.CodeOptNeg, offer(6, 0x10, allSteps))
		p.closed()
	}
	log.line(t, "milter connection closed", "MTA does not let us add header fields")
}

// A message beyond the limit is still decided, without the rest of its body: otherwise a
// sender could avoid the check with a large message.
func TestABigMessageIsCutAndDecided(t *testing.T) {
	body := strings.Repeat("0123456789abcdef", 1024)
	send := func(p *peer) []packet {
		p.hello()
		p.envelope("a@example.com", "b@example.net")
		p.fields("From: a@example.com")
		for range 5 {
			p.send(gomilter.CodeBody, body)
		}
		return p.end()
	}
	limit := func(c *Config) { c.MaxMessageBytes = 64 << 10 }
	h := &handler{}
	p := dial(t, h, limit)
	if got := codes(send(p)); got != "a" {
		t.Errorf("answers %q", got)
	}
	if l := h.last(t); !l.cut || !l.ended || len(l.text) > 64<<10 {
		t.Errorf("cut %v, ended %v, %d octets of the body handed over", l.cut, l.ended, len(l.text))
	}
	p.log.line(t, "msg=message", "max_message_bytes", "level=WARN")

	ours := &handler{ours: func(message.Envelope) (bool, string) { return true, "" }}
	send(dial(t, ours, limit))
	if l := ours.last(t); l.cut || !l.ended || len(l.text) != 5*len(body) {
		t.Errorf("ours: cut %v, ended %v, %d octets of the body handed over", l.cut, l.ended, len(l.text))
	}
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
		{"a big message is refused if so configured", reject, big, "552 5.3.4 ", []string{"max_message_bytes", "disposition=reject"}},
		{"too many fields are refused", limits, func(p *peer) []packet {
			return p.message("a@example.com", "", strings.Split(strings.Repeat("X: y,", 51), ",")...)
		}, "552 5.3.4 ", []string{"max_header_fields"}},
		{"too large a header is refused", limits, func(p *peer) []packet {
			return p.message("a@example.com", "", "X: "+body[:8000], "X: "+body[:8000], "X: "+body[:8000])
		}, "552 5.3.4 ", []string{"max_header_bytes"}},
		{"one field larger than all may be is refused", limits, func(p *peer) []packet {
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

// A panic costs the message, not the daemon, nor the connection.
func TestAPanicBecomes451(t *testing.T) {
	boom := func() { panic("boom") }
	for _, c := range []struct {
		name    string
		handler *handler
	}{
		{"in Outbound", &handler{ours: func(message.Envelope) (bool, string) { boom(); return false, "" }}},
		{"in Verify", &handler{begin: func(context.Context, message.Envelope) { boom() }}},
		{"in Header", &handler{header: func(message.Envelope, message.Header) bool { boom(); return false }}},
		{"in Body", &handler{body: func([]byte) bool { boom(); return false }}},
		{"in End", &handler{end: func(context.Context, message.Envelope, message.Header) message.Outcome { boom(); panic("") }}},
	} {
		for _, steps := range []uint32{allSteps, 0} {
			t.Run(fmt.Sprintf("%s, steps %#x", c.name, steps), func(t *testing.T) {
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
