package keys

import (
	"context"
	"slices"
	"strings"
	"sync"
)

// Server is one DNS server, asked for itself and without a cache. An error of
// LookupTXT means that it gave no answer; no record is an empty answer.
type Server interface {
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

// ask puts the question for each target to every server. Targets that were not
// begun when ctx ended are left out.
func ask(ctx context.Context, servers []Server, targets []target) []observation {
	slots := make(chan struct{}, maxAsking)
	out := make([]observation, len(targets))
	var wg sync.WaitGroup
	begun := 0
	for i, t := range targets {
		select {
		case slots <- struct{}{}:
		case <-ctx.Done():
		}
		if ctx.Err() != nil {
			break
		}
		begun++
		wg.Go(func() {
			defer func() { <-slots }()
			out[i] = askOne(ctx, servers, t)
		})
	}
	wg.Wait()
	return out[:begun]
}

func askOne(ctx context.Context, servers []Server, t target) observation {
	o := observation{target: t, findings: make([]Finding, len(servers))}
	var wg sync.WaitGroup
	for i, s := range servers {
		wg.Go(func() {
			records, err := s.LookupTXT(ctx, t.ref.recordName())
			if err != nil {
				o.findings[i] = Finding{Answer: NoAnswer, Detail: "gets no answer", Err: err}
				return
			}
			o.findings[i] = Examine(t.fingerprint, records)
		})
	}
	wg.Wait()
	o.detail = describe(servers, o.findings)
	return o
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
