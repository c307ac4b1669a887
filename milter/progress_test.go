package milter

import (
	"context"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	gomilter "github.com/emersion/go-milter"

	"signpost/internal/message"
)

// The MTA hears from us while we wait, more often than Sendmail's
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
				t.Errorf("answers %q", codes(got))
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

// The budget ends the context, and the handler answers with its results so far.
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
			t.Errorf("took %s, cause %v", took, cause)
		}
	})
}

// Even a handler that does not come back does not keep the MTA.
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

// A client that goes away while we wait ends the work.
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

// deaf is an MTA that is gone by the time it gets an answer to a message.
type deaf struct {
	feed
	hears int
}

func (d *deaf) Write(p []byte) (int, error) {
	if d.hears--; d.hears < 0 {
		return 0, os.ErrDeadlineExceeded
	}
	return len(p), nil
}

func TestAnAnswerThatIsNotTakenIsTold(t *testing.T) {
	log, h := &logged{}, &handler{}
	stream := encode('O', offer(6, allActions, allSteps))
	for _, one := range []packet{{'D', "Mi\x00QUEUE7\x00"}, {'M', "<a@example.com>\x00"}, {'E', ""}, {'A', ""}} {
		stream = append(stream, encode(one.code, one.data)...)
	}
	conn := &deaf{feed: feed{data: stream, piece: 1000}, hears: 2}
	newSession(testServer(Defaults(), h, log), conn, auto(), "test").run()
	log.line(t, "milter connection closed", "message QUEUE7: the MTA did not take our answer")
}
