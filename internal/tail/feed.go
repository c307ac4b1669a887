package tail

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"signpost/internal/message"
	"signpost/milter"
)

// The events that wait for a reader; further ones are lost. An event with steps is larger.
const (
	maxWaiting          = 256
	maxWaitingExplained = 32
)

// Feed gets every decided message. It is a milter.Observer; all its methods may be called
// concurrently.
type Feed struct {
	localParts bool
	now        func() time.Time
	readers    atomic.Pointer[readers] // nil: none

	mu      sync.Mutex
	recent  *recent // nil: nothing is kept
	scratch []byte
}

// readers are the current ones; a list never changes.
type readers struct {
	list    []*Reader
	explain bool // one of them wants the rules
}

// New returns a feed that keeps the facts of so many messages in memory, each of half a
// kilobyte on average; 0 keeps none. localParts shows local parts and login names.
func New(keep int, localParts bool) *Feed {
	return &Feed{localParts: localParts, now: time.Now, recent: newRecent(keep), scratch: make([]byte, 0, maxRecord)}
}

// Explains reports whether a reader wants the rules of decisions. It is one atomic load.
func (f *Feed) Explains() bool {
	r := f.readers.Load()
	return r != nil && r.explain
}

// Decided keeps the message's facts and passes them to the readers.
func (f *Feed) Decided(d milter.Decided) {
	readers := f.readers.Load()
	if readers == nil && f.recent == nil {
		return
	}
	f.mu.Lock()
	f.scratch = encode(f.scratch, &d, f.now(), f.localParts)
	if f.recent != nil {
		f.recent.add(f.scratch)
	}
	var event Event
	var err error
	if readers != nil {
		event, err = decode(f.scratch)
	}
	f.mu.Unlock()
	if readers != nil && err == nil {
		readers.pass(event, f.steps(&d, readers.explain))
	}
}

// Refused is for connections, which are no messages.
func (f *Feed) Refused(milter.Refusal) {}

// steps returns the rules of a decision for readers.
func (f *Feed) steps(d *milter.Decided, wanted bool) []message.Step {
	if !wanted || d.Outcome.Trace == nil {
		return nil
	}
	hide := hider{off: f.localParts, env: d.Envelope, author: d.Outcome.Author}
	steps := make([]message.Step, 0, len(d.Outcome.Trace.Steps))
	for _, s := range d.Outcome.Trace.Steps {
		steps = append(steps, message.Step{Rule: shortened(hide.text(s.Rule)), Compared: shortened(hide.text(s.Compared)), Result: shortened(hide.text(s.Result))})
	}
	return steps
}

// shortened is a text of at most maxLong octets.
func shortened(s string) string {
	if len(s) > maxLong {
		return s[:maxLong] + "..."
	}
	return s
}

func (r *readers) pass(e Event, steps []message.Step) {
	for _, one := range r.list {
		if !one.filter.Match(&e) {
			continue
		}
		its := e
		if one.explain {
			its.Steps = steps
		}
		one.push(its)
	}
}

// Last returns the last n messages that are kept, the oldest first.
func (f *Feed) Last(n int) []Event {
	all := f.kept(func(*Event) bool { return true })
	return all[max(0, len(all)-n):]
}

// Queue returns the kept messages with a queue id, the oldest first.
func (f *Feed) Queue(id string) []Event {
	return f.kept(func(e *Event) bool { return e.QueueID == id })
}

// Keeps returns how many messages are kept at most.
func (f *Feed) Keeps() int {
	if f.recent == nil {
		return 0
	}
	return f.recent.most
}

func (f *Feed) kept(want func(*Event) bool) []Event {
	events := []Event{}
	if f.recent == nil {
		return events
	}
	f.mu.Lock()
	records := f.recent.records()
	f.mu.Unlock()
	for _, r := range records {
		if e, err := decode(r); err == nil && want(&e) {
			events = append(events, e)
		}
	}
	return events
}

// Reader receives the messages that match its filter.
type Reader struct {
	feed    *Feed
	filter  Filter
	explain bool
	most    int
	ready   chan struct{} // has room for one: something waits

	mu      sync.Mutex
	waiting []Event
	lost    uint64
}

// Subscribe adds a reader, with the rules of each decision if explain is set: of the
// messages that begin from now on. The caller must Close it, and limits the number of readers.
func (f *Feed) Subscribe(filter Filter, explain bool) *Reader {
	r := &Reader{feed: f, filter: filter, explain: explain, most: maxWaiting, ready: make(chan struct{}, 1)}
	if explain {
		r.most = maxWaitingExplained
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	var list []*Reader
	if now := f.readers.Load(); now != nil {
		list = now.list
	}
	f.set(append(slices.Clone(list), r))
	return r
}

// Close ends the reading.
func (r *Reader) Close() {
	r.feed.mu.Lock()
	defer r.feed.mu.Unlock()
	if now := r.feed.readers.Load(); now != nil {
		r.feed.set(slices.DeleteFunc(slices.Clone(now.list), func(other *Reader) bool { return other == r }))
	}
}

func (f *Feed) set(list []*Reader) {
	if len(list) == 0 {
		f.readers.Store(nil)
		return
	}
	f.readers.Store(&readers{list: list, explain: slices.ContainsFunc(list, func(r *Reader) bool { return r.explain })})
}

// push adds an event, or counts it as lost if too many wait.
func (r *Reader) push(e Event) {
	r.mu.Lock()
	if len(r.waiting) >= r.most {
		r.lost++
	} else {
		e.lost, r.lost = r.lost, 0
		r.waiting = append(r.waiting, e)
	}
	r.mu.Unlock()
	select {
	case r.ready <- struct{}{}:
	default: // it knows already
	}
}

// Next waits for an event. lost is the number of events that were lost before it; event is
// nil if events were lost and none has come since. The error is ctx's.
func (r *Reader) Next(ctx context.Context) (event *Event, lost uint64, err error) {
	for {
		if event, lost = r.pop(); event != nil || lost > 0 {
			return event, lost, nil
		}
		select {
		case <-r.ready:
		case <-ctx.Done():
			return nil, 0, ctx.Err()
		}
	}
}

func (r *Reader) pop() (event *Event, lost uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.waiting) == 0 {
		lost, r.lost = r.lost, 0
		return nil, lost
	}
	e := r.waiting[0]
	r.waiting = r.waiting[1:]
	return &e, e.lost
}
