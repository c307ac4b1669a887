package lifecycle

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"signpost/keys"
)

// Server is one DNS server, without a cache. Many goroutines use it at once. Acquire waits for a slot, or until ctx ends; done
// releases it after the look-up. An error of LookupTXT means no answer; no record is an empty
// answer.
type Server interface {
	Acquire(ctx context.Context) (done func(), err error)
	LookupTXT(ctx context.Context, name string) ([]string, error)
	String() string
}

// maxQueries bounds the keys that are queried at once.
const maxQueries = 32

// target is one key to query.
type target struct {
	ref         keys.Ref
	fingerprint string
	seek        bool   // where the record is not at its name, look at others
	hint        string // what such a search found before
}

// observation is the answer of each server about one key.
type observation struct {
	target
	epoch    int            // of the spec it was queried for
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

// ofRetired returns the answers about a retired key, whose record is found as long as any
// verifier might read the key in it.
func (o observation) ofRetired() []keys.Answer {
	answers := o.answers()
	for i, f := range o.findings {
		if f.Answer == keys.Differs && !f.Gone() {
			answers[i] = keys.Found
		}
	}
	return answers
}

// settled reports whether all servers have the key.
func (o observation) settled() bool {
	return !slices.ContainsFunc(o.findings, func(f keys.Finding) bool { return f.Answer != keys.Found })
}

// timeouts bound a query; ctx bounds all together.
type timeouts struct {
	ctx context.Context
	// acquire bounds the wait for a slot, and lookup the time from then on; 0: no bound but
	// the server's own.
	acquire, lookup time.Duration
}

func bounded(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	if d == 0 {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, d)
}

// retryAfter is the pause after an immediate error, for example of a resolver on this host
// that is still starting.
const retryAfter = 500 * time.Millisecond

// pause waits. It returns false if ctx ended meanwhile.
func pause(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

// query queries every server for each target. It leaves out targets whose query never got a
// slot or was cancelled: that is not a timeout.
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

// queryKey queries all servers for one key. heard reports whether each query got a slot before
// turn ended, and was not cancelled.
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

// queryServer is queryKey for one server.
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
	for err != nil && p.lookup > 0 && pause(look, retryAfter) { // an immediate error is not a timeout
		records, err = s.LookupTXT(look, t.ref.RecordName())
	}
	if err != nil {
		return silent(err), p.ctx.Err() == nil
	}
	f = keys.CompareRecord(t.fingerprint, records)
	switch {
	case f.Answer != keys.Absent:
	case t.seek && p.lookup == 0: // no message waits
		f.Detail += misplaced(look, s, t)
	default:
		f.Detail += t.hint
	}
	return f, true
}

// publishedAs begins the hint that a record is at another name.
const publishedAs = "its record is published as "

// hintIn returns the hint that misplaced has put into the detail of an answer, or "".
func hintIn(detail string) string {
	_, where, ok := strings.Cut(detail, publishedAs)
	if !ok {
		return ""
	}
	where, _, _ = strings.Cut(where, ", says ")
	return "; " + publishedAs + where
}

// misplaced says where the record of a key is that is not at its name, "" if it is not found:
// providers' forms add the domain to the name that is entered, or the part _domainkey is left
// out. An error of the look-up only leaves out the hint.
func misplaced(ctx context.Context, s Server, t target) string {
	for _, name := range []string{t.ref.RecordName() + "." + t.ref.Domain, t.ref.Selector + "." + t.ref.Domain} {
		records, err := s.LookupTXT(ctx, name)
		if err == nil && keys.CompareRecord(t.fingerprint, records).Answer == keys.Found {
			return "; " + publishedAs + name + " instead: enter the name as " + t.ref.Selector + "._domainkey, if the form adds the domain"
		}
	}
	return ""
}

// describe lists the faults of the record, the worst first.
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
