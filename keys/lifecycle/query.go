package lifecycle

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"signpost/keys"
)

// Server is one DNS server, asked for itself and without a cache. Turn waits until it
// may be asked, or until ctx ends; done comes after the look-up. An error of LookupTXT
// means that it gave no answer; no record is an empty answer.
type Server interface {
	Acquire(ctx context.Context) (done func(), err error)
	LookupTXT(ctx context.Context, name string) ([]string, error)
	String() string
}

// maxQueries bounds how many keys are asked for at once.
const maxQueries = 32

// target is one key to ask for.
type target struct {
	ref         keys.Ref
	fingerprint string
}

// observation is what each server said of one key, once.
type observation struct {
	target
	epoch    int            // of the spec it was asked for
	findings []keys.Finding // by server
	detail   string
}

func (o observation) answers() []keys.Answer {
	answers := make([]keys.Answer, len(o.findings))
	for i, f := range o.findings {
		answers[i] = f.Answer
	}
	return answers
}

// settled reports whether there is nothing to wait for.
func (o observation) settled() bool {
	return !slices.ContainsFunc(o.findings, func(f keys.Finding) bool { return f.Answer != keys.Found })
}

// timeouts is how long DNS is waited for, until ctx ends at the latest.
type timeouts struct {
	ctx context.Context
	// turn is for a look-up to begin, and look is for an answer from then on; 0: as
	// long as the server takes.
	acquire, lookup time.Duration
}

func bounded(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	if d == 0 {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, d)
}

// retryAfter is when a server that fails at once is asked again, such as a resolver of
// this machine that is still starting.
const retryAfter = 500 * time.Millisecond

// pause waits, and returns false if ctx ended meanwhile.
func pause(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

// query puts the lookup for each target to every server. Targets that were not
// asked for, or not to the end, are left out: of these nothing is heard, not even that
// DNS is silent.
func query(p timeouts, plan *Spec, targets []target) []observation {
	slots := make(chan struct{}, maxQueries)
	out := make([]observation, len(targets))
	heard := make([]bool, len(targets))
	var wg sync.WaitGroup
	turn, cancel := bounded(p.ctx, p.acquire)
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
			out[i], heard[i] = p.queryKey(turn, plan.Servers, t)
			out[i].epoch = plan.epoch
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

// queryKey asks for one key. heard reports whether every server was asked and had its
// time; its turn is to come before turn ends.
func (p timeouts) queryKey(turn context.Context, servers []Server, t target) (o observation, heard bool) {
	o = observation{target: t, findings: make([]keys.Finding, len(servers))}
	hears := make([]bool, len(servers))
	var wg sync.WaitGroup
	for i, s := range servers {
		wg.Go(func() { o.findings[i], hears[i] = p.queryServer(turn, s, t) })
	}
	wg.Wait()
	o.detail = describe(servers, o.findings)
	return o, !slices.Contains(hears, false)
}

// queryServer is askOne for one server.
func (p timeouts) queryServer(turn context.Context, s Server, t target) (f keys.Finding, heard bool) {
	silent := func(err error) keys.Finding {
		return keys.Finding{Answer: keys.NoAnswer, Detail: "gets no answer", Err: err}
	}
	done, err := s.Acquire(turn)
	if err != nil {
		return silent(err), false
	}
	defer done()
	look, cancel := bounded(p.ctx, p.lookup)
	defer cancel()
	records, err := s.LookupTXT(look, t.ref.RecordName())
	for err != nil && p.lookup > 0 && pause(look, retryAfter) { // a failure is not yet silence
		records, err = s.LookupTXT(look, t.ref.RecordName())
	}
	if err != nil {
		return silent(err), p.ctx.Err() == nil
	}
	return keys.CompareRecord(t.fingerprint, records), true
}

// describe says what the servers found wrong, the gravest first.
func describe(servers []Server, findings []keys.Finding) string {
	var parts []string
	add := func(i int, text string) {
		if len(servers) > 1 {
			text += ", says " + servers[i].String()
		}
		if !slices.Contains(parts, text) {
			parts = append(parts, text)
		}
	}
	for _, answer := range []keys.Answer{keys.Differs, keys.Absent, keys.NoAnswer} {
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
