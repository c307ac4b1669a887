package keys

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"
)

// Server is one DNS server, asked for itself and without a cache. Turn waits until it
// may be asked, or until ctx ends; done comes after the look-up. An error of LookupTXT
// means that it gave no answer; no record is an empty answer.
type Server interface {
	Turn(ctx context.Context) (done func(), err error)
	LookupTXT(ctx context.Context, name string) ([]string, error)
	String() string
}

// maxAsking bounds how many keys are asked for at once.
const maxAsking = 32

// target is one key to ask for.
type target struct {
	ref         Ref
	fingerprint string
}

// observation is what each server said of one key, once.
type observation struct {
	target
	era      int       // of the plan it was asked for
	findings []Finding // by server
	detail   string
}

func (o observation) answers() []Answer {
	answers := make([]Answer, len(o.findings))
	for i, f := range o.findings {
		answers[i] = f.Answer
	}
	return answers
}

// settled reports whether there is nothing to wait for.
func (o observation) settled() bool {
	return !slices.ContainsFunc(o.findings, func(f Finding) bool { return f.Answer != Found })
}

// patience is how long DNS is waited for, until ctx ends at the latest.
type patience struct {
	ctx context.Context
	// turn is for a look-up to begin, and look is for an answer from then on; 0: as
	// long as the server takes.
	turn, look time.Duration
}

func bounded(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	if d == 0 {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, d)
}

// askAgain is when a server that fails at once is asked again, such as a resolver of
// this machine that is still starting.
const askAgain = 500 * time.Millisecond

// pause waits, and returns false if ctx ended meanwhile.
func pause(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

// ask puts the question for each target to every server. Targets that were not
// asked for, or not to the end, are left out: of these nothing is heard, not even that
// DNS is silent.
func ask(p patience, plan *Plan, targets []target) []observation {
	slots := make(chan struct{}, maxAsking)
	out := make([]observation, len(targets))
	heard := make([]bool, len(targets))
	var wg sync.WaitGroup
	turn, cancel := bounded(p.ctx, p.turn)
	defer cancel()
	for i, t := range targets {
		select {
		case slots <- struct{}{}:
		case <-turn.Done():
		}
		if turn.Err() != nil {
			break
		}
		wg.Go(func() {
			defer func() { <-slots }()
			out[i], heard[i] = p.askOne(turn, plan.Servers, t)
			out[i].era = plan.era
		})
	}
	wg.Wait()
	n := 0
	for i, o := range out {
		if heard[i] {
			out[n] = o
			n++
		}
	}
	return out[:n]
}

// askOne asks for one key. heard reports whether every server was asked and had its
// time; its turn is to come before turn ends.
func (p patience) askOne(turn context.Context, servers []Server, t target) (o observation, heard bool) {
	o = observation{target: t, findings: make([]Finding, len(servers))}
	hears := make([]bool, len(servers))
	var wg sync.WaitGroup
	for i, s := range servers {
		wg.Go(func() { o.findings[i], hears[i] = p.find(turn, s, t) })
	}
	wg.Wait()
	o.detail = describe(servers, o.findings)
	return o, !slices.Contains(hears, false)
}

// find is askOne for one server.
func (p patience) find(turn context.Context, s Server, t target) (f Finding, heard bool) {
	silent := func(err error) Finding { return Finding{Answer: NoAnswer, Detail: "gets no answer", Err: err} }
	done, err := s.Turn(turn)
	if err != nil {
		return silent(err), false
	}
	defer done()
	look, cancel := bounded(p.ctx, p.look)
	defer cancel()
	records, err := s.LookupTXT(look, t.ref.recordName())
	for err != nil && p.look > 0 && pause(look, askAgain) { // a failure is not yet silence
		records, err = s.LookupTXT(look, t.ref.recordName())
	}
	if err != nil {
		return silent(err), p.ctx.Err() == nil
	}
	return Examine(t.fingerprint, records), true
}

// describe says what the servers found wrong, the gravest first.
func describe(servers []Server, findings []Finding) string {
	var parts []string
	add := func(i int, text string) {
		if len(servers) > 1 {
			text += ", says " + servers[i].String()
		}
		if !slices.Contains(parts, text) {
			parts = append(parts, text)
		}
	}
	for _, answer := range []Answer{Differs, Absent, NoAnswer} {
		for i, f := range findings {
			if f.Answer == answer {
				add(i, f.Detail)
			}
		}
	}
	for i, f := range findings {
		for _, w := range f.Warnings {
			add(i, w)
		}
	}
	return strings.Join(parts, "; ")
}
