package milter

import (
	"context"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	gomilter "github.com/emersion/go-milter"

	"signpost/internal/message"
)

// observed is an observer that records its calls.
type observed struct {
	mu       sync.Mutex
	decided  []Decided
	refusals []Refusal
}

func (o *observed) Decided(d Decided) {
	o.mu.Lock()
	defer o.mu.Unlock()
	env := *d.Envelope // it is valid during the call only
	d.Envelope = &env
	o.decided = append(o.decided, d)
}

func (o *observed) Refused(r Refusal) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.refusals = append(o.refusals, r)
}

// take returns the decisions since the last call.
func (o *observed) take() []Decided {
	o.mu.Lock()
	defer o.mu.Unlock()
	all := o.decided
	o.decided = nil
	return all
}

// watched starts a session whose outcomes a test sees.
func watched(t *testing.T, h *handler, change ...func(*Config)) (*peer, *observed) {
	cfg := Defaults()
	for _, c := range change {
		c(&cfg)
	}
	log, o := &logged{}, &observed{}
	s := testServer(cfg, h, log)
	s.Observe(o)
	p := join(t, s, h, log)
	p.hello()
	return p, o
}

func TestEveryOutcomeIsObservedOnce(t *testing.T) {
	limits := func(c *Config) {
		c.MaxMessageBytes, c.MaxHeaderFields, c.MaxHeaderBytes = 64<<10, 50, 16<<10
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
	plain := func(p *peer) []packet { return p.message("a@example.com", "text", "From: a@example.com") }
	boom := &handler{end: func(context.Context, message.Envelope, message.Header) message.Outcome { panic("boom") }}
	held := &handler{end: func(context.Context, message.Envelope, message.Header) message.Outcome {
		return message.Outcome{Disposition: message.Accept, Remove: []int{99}, Results: []message.Result{{Method: "spf", Value: "pass"}}}
	}}
	for _, c := range []struct {
		name        string
		handler     *handler
		config      func(*Config)
		talk        func(p *peer) []packet
		reason      Reason
		disposition message.Disposition
	}{
		{"accepted", nil, limits, plain, "", message.Accept},
		{"too many fields", nil, limits, func(p *peer) []packet {
			return p.message("a@example.com", "", strings.Split(strings.Repeat("X: y,", 51), ",")...)
		}, TooManyFields, message.Reject},
		{"too large a header", nil, limits, func(p *peer) []packet {
			return p.message("a@example.com", "", "X: "+body[:8000], "X: "+body[:8000], "X: "+body[:8000])
		}, HeaderTooBig, message.Reject},
		{"too big, and refused", nil, reject, big, MessageTooBig, message.Reject},
		{"too big, and judged", nil, limits, big, MessageTooBig, message.Accept},
		{"a panic", boom, limits, plain, Panicked, message.Tempfail},
		{"what the MTA cannot be told", held, limits, plain, MTACannot, message.Tempfail},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := c.handler
			if h == nil {
				h = &handler{}
			}
			p, o := watched(t, h, c.config)
			for range 2 {
				c.talk(p)
				got := o.take()
				if len(got) != 1 || got[0].Reason != c.reason || got[0].Outcome.Disposition != c.disposition || got[0].Outbound {
					t.Errorf("observed %+v", got)
				}
				if c.reason == MTACannot && len(got[0].Outcome.Results) != 1 {
					t.Errorf("the results of the checks are lost: %+v", got)
				}
			}
			p.envelope("gone@example.com", "b@example.net")
			p.send(gomilter.CodeAbort)
			h.end = nil
			plain(p)
			if got := o.take(); len(got) != 1 || got[0].Reason != "" {
				t.Errorf("after an abort and a message: %+v", got)
			}
		})
	}
}

func TestTheDirectionIsObserved(t *testing.T) {
	p, o := watched(t, &handler{})
	p.message("a@example.com", "", "From: a@example.com")
	p.send(gomilter.CodeMacro, "M{auth_authen}\x00alice\x00")
	p.message("a@example.com", "", "From: a@example.com")
	if got := o.take(); len(got) != 2 || got[0].Outbound || !got[1].Outbound {
		t.Errorf("observed %+v", got)
	}
}

// Each of two messages on a connection is observed with its own envelope.
func TestTheEnvelopeIsObserved(t *testing.T) {
	p, o := watched(t, &handler{})
	for _, c := range []struct{ sender, queue string }{{"a@example.com", "Q1"}, {"b@example.org", "Q2"}} {
		p.send(gomilter.CodeMacro, "Mi\x00"+c.queue+"\x00")
		p.message(c.sender, "", "From: a@example.com")
		got := o.take()
		if len(got) != 1 || got[0].Envelope.Sender != c.sender || got[0].Envelope.QueueID != c.queue || got[0].Recipients != 1 ||
			len(got[0].Envelope.Recipients) != 1 || got[0].Rule == "" {
			t.Errorf("%s: observed %+v, envelope %+v", c.queue, got, got[0].Envelope)
		}
	}
}

// A handler that comes back after the MTA got its 451 is not counted again, and the log
// says what the MTA got.
func TestADecisionThatComesTooLateIsNotObserved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		h := &handler{end: func(context.Context, message.Envelope, message.Header) message.Outcome {
			<-release
			return message.Outcome{Disposition: message.Accept}
		}}
		p, o := watched(t, h)
		got := p.message("a@example.com", "", "From: a@example.com")
		if last := got[len(got)-1]; last.code != 'y' || !strings.HasPrefix(last.data, "451 4.3.0 ") {
			t.Errorf("answers %q", got)
		}
		if got := o.take(); len(got) != 1 || got[0].Reason != NoDecisionInTime || got[0].Outcome.Disposition != message.Tempfail {
			t.Errorf("observed %+v", got)
		}
		close(release)
		p.closed()
		if got := o.take(); len(got) != 0 {
			t.Errorf("observed again %+v", got)
		}
		p.log.line(t, "msg=message", "disposition=tempfail", "message_timeout")
		if strings.Contains(p.log.String(), "did not take our answer") || strings.Contains(p.log.String(), "given up") {
			t.Errorf("log:\n%s", p.log)
		}
	})
}

func TestRefusedConnectionsAreObserved(t *testing.T) {
	cfg := Defaults()
	cfg.Peers = prefixes("192.0.2.0/24")
	cfg.MaxConnections = 4
	l, h, log := "192.0.2.7", &handler{}, &logged{}
	s := testServer(cfg, h, log)
	o := &observed{}
	s.Observe(o)
	listenFrom(t, s, l, l, l, "127.0.0.1")
	for i, want := range []bool{true, true, false, false} {
		if got := served(t, s); got != want {
			t.Errorf("connection %d is served: %v", i, got)
		}
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.refusals) != 2 || o.refusals[0] != TooManyOfPeer || o.refusals[1] != NotAPeer {
		t.Errorf("observed %v", o.refusals)
	}
}
