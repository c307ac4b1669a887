package lifecycle

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"signpost/keys"
)

const (
	// firstWait is the time until a key with a missing or wrong record is queried again. It
	// doubles each time, up to check_every.
	firstWait = 5 * time.Second
	// maxRound bounds the keys that are queried in one round, before the next decision. A
	// twentieth of all keys is the bound if that is more.
	maxRound = 512
	// roundRest is the pause between two decisions, for each key: a decision on a hundred
	// thousand keys takes a quarter of a second.
	roundRest = 50 * time.Microsecond
	// retiredEvery is the interval of queries for the record of a retired key.
	retiredEvery = 24 * time.Hour
	// savedEvery bounds how long times of use and sight are in memory only.
	savedEvery = 5 * time.Minute
	// savedRest is the pause between two writes of the state file, for each key: a file of a
	// hundred thousand keys takes a second to write.
	savedRest = time.Millisecond
)

// Tracker knows the life of all keys, across generations of the configuration. In the
// background it queries DNS, decides which keys sign, writes them into Spec.Active of the spec
// in force, and saves the facts in a file. Its methods may be called by any number of
// goroutines.
type Tracker struct {
	now func() time.Time

	mu       sync.Mutex
	log      *slog.Logger
	spec     *Spec
	known    facts
	lent     bool // Begin reads known without the lock; false again once known has changed
	schedule map[keys.Ref]nextQuery
	pending  map[keys.Ref]*lookup
	reported map[string]report
	changed  bool // more than times has to be saved
	saved    time.Time
	trouble  string // the error of reading the file, until it is logged
	unsaved  Unsaved
	damaged  bool

	rested time.Time // the end of the last round in the background
	wake   chan struct{}

	unappliedMu sync.Mutex
	unapplied   []observation // of expedited queries, not applied yet
}

// NewTracker returns a tracker with the facts of the state file. If the file cannot be read,
// there are none, and Trouble says why.
func NewTracker(path string, now func() time.Time) *Tracker {
	w := &Tracker{
		now: now, log: slog.New(slog.DiscardHandler), known: facts{}, schedule: map[keys.Ref]nextQuery{}, pending: map[keys.Ref]*lookup{}, reported: map[string]report{},
		wake: make(chan struct{}, 1),
	}
	known, err := readState(path)
	if err != nil {
		w.trouble, w.damaged = err.Error(), errors.Is(err, errDamaged)
	}
	if known != nil {
		w.known = known
	}
	return w
}

// Trouble is the error of reading the state file, until Begin has logged it; else "".
func (w *Tracker) Trouble() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.trouble
}

// Unsaved says why the state file cannot be written; Problem is "" if it could be, the last time.
type Unsaved struct{ Problem, Remedy string }

// Unsaved is about the last time that the state file was written.
func (w *Tracker) Unsaved() Unsaved {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.unsaved
}

// Standby returns the keys of former configurations that may have to sign until listed keys of
// the same domains are published. See keys.Open.
func (w *Tracker) Standby(listed []keys.Ref) []keys.Ref {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.known) == 0 || w.spec.allIn(listed) {
		return nil
	}
	now := make(map[keys.Ref]bool, len(listed))
	for _, ref := range listed {
		now[ref] = true
	}
	former := map[string][]keys.Ref{} // by domain
	for ref, f := range w.known {
		if !now[ref] && f.State != Retired {
			former[ref.Domain] = append(former[ref.Domain], ref)
		}
	}
	var refs []keys.Ref
	for _, l := range listed {
		if l.Domain == keys.AnyDomain {
			refs = slices.Concat(slices.Collect(maps.Values(former))...)
			break
		}
		refs = append(refs, former[l.Domain]...)
		delete(former, l.Domain)
	}
	slices.SortFunc(refs, keys.Ref.Compare)
	return refs
}

// allIn reports whether listed certainly has all known keys: they are the keys of the spec, and
// listed has these in the same order, with or without others between them.
func (p *Spec) allIn(listed []keys.Ref) bool {
	if p == nil || !p.onlyListed {
		return false
	}
	next := p.Listed
	for _, ref := range listed {
		if len(next) > 0 && next[0].Ref == ref {
			next = next[1:]
		}
	}
	return len(next) == 0
}

// InUse reports whether DNS had the key at some time, or the key has signed. The ref is
// canonical.
func (w *Tracker) InUse(ref keys.Ref) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	f := w.known.of(ref)
	return !f.FirstSeen.IsZero() || !f.LastUsed.IsZero()
}

// Known returns the facts about the keys of a spec in its order, for at most the first keys.
func (w *Tracker) Known(p *Spec, first int) []Fact {
	w.mu.Lock()
	defer w.mu.Unlock()
	var all []Fact
	seen := map[keys.Ref]bool{}
	for _, l := range p.Listed {
		if len(all) >= first {
			break
		}
		if f, ok := w.known[l.Ref]; ok && !seen[l.Ref] {
			seen[l.Ref] = true
			all = append(all, f.named(l.Ref))
		}
	}
	return all
}

// Preview writes the active keys of a spec from the known facts. It queries nothing.
func (w *Tracker) Preview(p *Spec) {
	w.mu.Lock()
	defer w.mu.Unlock()
	preview := p.assignAll(w.known, w.now(), nil)
	p.previewed = &preview
}

// Begin puts a spec in force. The first call waits for nothing: lookups stay pending for keys
// without facts, or with old ones, and a message that needs such a key waits for it in
// ActiveKeys.For. A later call, at a reload, queries the keys that are new, and waits until ctx
// ends at the latest. So a new key is checked before it signs, and DNS that does not answer
// delays a reload but does not prevent it.
func (w *Tracker) Begin(ctx context.Context, p *Spec, log *slog.Logger) {
	w.mu.Lock()
	start, now := w.spec == nil, w.now()
	var next decision
	switch {
	case !start:
		next = w.follow(p, now)
	case p.previewed != nil:
		next = *p.previewed
	default:
		next = p.assignAll(w.known, now, nil)
	}
	p.previewed = nil
	questions, others := w.firstLookups(p, next.facts, w.known, start)
	var observed []observation
	before := w.known
	if !start && len(questions)+len(others)+len(w.pending) > 0 {
		w.mu.Unlock()
		observed = query(timeouts{ctx: ctx, lookup: firstAnswer}, p, append(questions, others...))
		w.mu.Lock()
		before = w.known
		next = p.assignAll(w.known, w.now(), w.pending)
		questions, _ = w.firstLookups(p, next.facts, before, false)
	}
	defer w.mu.Unlock()
	w.open(questions, before)
	w.spec, w.log = p, log
	if w.trouble != "" {
		w.log.Warn(w.trouble)
		w.trouble = ""
	}
	w.known = next.facts
	for ref, t := range w.schedule {
		if p.ServersChanged || t.wait != 0 { // an administrator may just have corrected it
			delete(w.schedule, ref)
		}
	}
	if len(w.pending)+len(observed) == 0 { // next is right
		w.reschedule(now)
		var changes stateChanges
		if next.changed {
			changes = w.stateChanges(before, w.known)
		}
		w.report(changes, now)
	} else {
		w.apply(maps.Clone(before), observed)
	}
	w.wakeUp()
}

// follow decides on all keys of a spec that is to follow on the one in force. It releases the lock meanwhile: with very
// many keys it takes long, and messages may wait for answers of DNS, which need the lock. If one has changed the facts
// meanwhile, follow decides again with the lock.
func (w *Tracker) follow(p *Spec, now time.Time) decision {
	before := w.spec
	p.epoch = before.epoch
	if p.ServersChanged {
		p.epoch++
	}
	giveWay := p.GiveWay
	if giveWay == nil {
		giveWay = func() {}
	}
	w.updateLastUsed(now)
	known := w.known
	w.lent = true
	w.mu.Unlock()
	p.layoutAfter(before)
	next := p.assignGivingWay(known, now, nil, giveWay)
	w.mu.Lock()
	if !w.lent {
		return p.assignAll(w.known, now, nil)
	}
	w.lent = false
	return next
}

// toChange returns the facts for a change of the map: a copy where Begin reads it without the lock.
func (w *Tracker) toChange() facts {
	if w.lent {
		w.known, w.lent = maps.Clone(w.known), false
	}
	return w.known
}

// assignAll is Spec.assignAll for the spec in force, with the tracker's facts.
func (w *Tracker) assignAll(now time.Time) {
	if next := w.spec.assignAll(w.known, now, w.pending); next.changed {
		w.known, w.lent = next.facts, false
	}
}

// updateLastUsed brings the facts up to date with the last use of the keys. Where only listed keys
// are known, a whole decision would change nothing else.
func (w *Tracker) updateLastUsed(now time.Time) {
	if p := w.spec; p.onlyListed {
		p.copyLastUsed(w.toChange())
	} else {
		w.assignAll(now)
	}
}

// wakeUp makes Run compute its pause again.
func (w *Tracker) wakeUp() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// asksDNS reports whether DNS is asked at all.
func (p *Spec) asksDNS() bool { return p.Require && len(p.Servers) > 0 }

// needsDNS reports whether the record of a key matters to who signs.
func (p *Spec) needsDNS(ref keys.Ref, f *Fact) bool {
	return p.asksDNS() && ref.Domain != keys.AnyDomain && (f.State != Retired || p.Store.Has(ref))
}

// watches reports whether a key is looked up in DNS: also a retired one, until its record is gone.
func (p *Spec) watches(ref keys.Ref, f *Fact) bool {
	return p.needsDNS(ref, f) || p.asksDNS() && ref.Domain != keys.AnyDomain && f.State == Retired && !f.recordGone()
}

// Run queries the keys when they are due, until ctx ends. Then it saves the facts. Begin comes
// first.
func (w *Tracker) Run(ctx context.Context) {
	for {
		timer := time.NewTimer(w.pause())
		select {
		case <-ctx.Done():
			timer.Stop()
			w.save(true)
			return
		case <-timer.C:
		case <-w.wake: // the pause has changed
			timer.Stop()
			continue
		}
		w.round(ctx)
	}
}

// round queries the keys that are due, and applies the answers.
func (w *Tracker) round(ctx context.Context) {
	plan, due := w.due()
	observed := w.queryDue(ctx, plan, due)
	w.mu.Lock()
	before := maps.Clone(w.known)
	w.forgetRetired()
	w.apply(before, observed)
	w.rested = w.now()
	w.mu.Unlock()
	w.save(false)
}

// queryDue queries keys in the background. While lookups are pending, only the keys whose query
// begins within firstAnswer are part of the round.
func (w *Tracker) queryDue(ctx context.Context, plan *Spec, due []target) []observation {
	w.mu.Lock()
	open := len(w.pending)
	w.mu.Unlock()
	p := timeouts{ctx: ctx}
	if open > 0 {
		p.acquire, p.lookup = firstAnswer, firstAnswer
	}
	return query(p, plan, due)
}

// apply decides on all keys with new observations, for the spec in force. before are the facts
// that were last reported.
func (w *Tracker) apply(before facts, observed []observation) {
	now := w.now()
	answered := w.record(observed, now)
	w.assignAll(now)
	if gone := w.dropUnneeded(maps.Keys(w.pending)); len(gone) > 0 {
		answered = append(answered, gone...)
		w.assignAll(now)
	}
	w.release(answered, before)
	w.reschedule(now)
	w.report(w.stateChanges(before, w.known), now)
}

// applyFew is apply for expedited queries: it decides only on the domains concerned.
func (w *Tracker) applyFew(observed []observation) {
	now := w.now()
	var domains []string
	for _, o := range observed {
		domains = append(domains, o.ref.Domain)
	}
	answered := w.record(observed, now)
	before, after := w.reassign(domains, now)
	if gone := w.dropUnneeded(maps.Keys(before)); len(gone) > 0 {
		answered = append(answered, gone...)
		_, after = w.reassign(domains, now)
	}
	w.release(answered, before)
	w.report(w.stateChanges(before, after), now)
}

// reassign is Spec.reassign with the tracker's facts.
func (w *Tracker) reassign(domains []string, now time.Time) (before, after facts) {
	before, after = w.spec.reassign(w.known, now, w.pending, domains)
	known := w.toChange()
	for ref := range before {
		delete(known, ref)
	}
	maps.Copy(known, after)
	return before, after
}

// record notes observations and the time of each key's next query. It returns the lookups that
// are answered.
func (w *Tracker) record(observed []observation, now time.Time) (answered []*lookup) {
	for _, o := range observed {
		if o.epoch != w.spec.epoch {
			continue // from servers that are no longer in the configuration
		}
		if q := w.pending[o.ref]; q != nil && q.fingerprint == o.fingerprint {
			answered = append(answered, q)
			delete(w.pending, o.ref)
		}
		f, ok := w.known[o.ref]
		if !ok || f.Fingerprint != o.fingerprint {
			continue
		}
		if f.State == Retired && !w.spec.needsDNS(o.ref, f) {
			next := f.observed(o.ofRetired(), o.detail, now)
			w.toChange()[o.ref] = &next
			w.schedule[o.ref] = nextQuery{at: now.Add(jitter(max(retiredEvery, w.spec.Config.CheckEvery)))}
			continue
		}
		next := f.observed(o.answers(), o.detail, now)
		w.toChange()[o.ref] = &next
		t, every := nextQuery{}, w.spec.Config.CheckEvery
		if !o.settled() {
			t.wait = min(max(firstWait, 2*w.schedule[o.ref].wait), every)
			every = t.wait
			if t.search = w.schedule[o.ref].search; o.seek {
				t.search = &search{now, hintIn(o.detail)}
			}
		}
		t.at = now.Add(jitter(every))
		w.schedule[o.ref] = t
	}
	return answered
}

// release ends the wait for answered lookups. The active keys are already written.
func (w *Tracker) release(questions []*lookup, before facts) {
	for _, q := range questions {
		close(q.done)
		if b, ok := before[q.ref]; ok { // states during a pending lookup are not reported
			f := *b
			f.State = q.was
			before[q.ref] = &f
		}
	}
}
