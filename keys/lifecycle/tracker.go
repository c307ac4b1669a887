package lifecycle

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"math/rand/v2"
	"sync"
	"time"

	"signpost/keys"
)

const (
	// firstWait is how soon a key that is not as it should be is asked for again;
	// each time it takes twice as long, up to check_every.
	firstWait = 5 * time.Second
	// maxRound bounds how many keys are asked for before what they are decides; or
	// a twentieth of all, if that is more.
	maxRound = 512
	// roundRest is how long, for each key, there is between two decisions: to decide
	// on a hundred thousand keys takes a quarter of a second.
	roundRest = 50 * time.Microsecond
	// savedEvery is how long times of use and sight may be in memory only.
	savedEvery = 5 * time.Minute
	// savedRest is how long, for each key, the file is left alone after it was
	// written: one of a hundred thousand keys takes a second to write.
	savedRest = time.Millisecond
)

// A Tracker knows the life of all keys, from one generation of the configuration to
// the next. In the background it asks DNS for them, decides which ones sign and
// writes that into the active keys of the spec in force, and keeps what it knows in a
// file. Its methods may be called by any number of goroutines.
type Tracker struct {
	now func() time.Time

	mu       sync.Mutex
	log      *slog.Logger
	plan     *Spec
	known    facts
	schedule map[keys.Ref]nextQuery
	pending  map[keys.Ref]*lookup
	reported map[string]report
	changed  bool // there is more than times to be saved
	saved    time.Time
	// trouble is what kept the file from being read, until it is told; unsaved is
	// what last kept it from being written.
	trouble, unsaved string
	damaged          bool

	rested time.Time // since when nobody was asked for in the background
	wake   chan struct{}

	unappliedMu sync.Mutex
	unapplied   []observation // out of turn, and not decided on yet
}

// nextQuery is when a key is asked for next, and how long it was waited for that.
type nextQuery struct {
	at   time.Time
	wait time.Duration
}

// NewTracker returns a watch that knows what the state file has. Where that cannot
// be read, it knows nothing, and Trouble says why.
func NewTracker(path string, now func() time.Time) *Tracker {
	w := &Tracker{
		now: now, log: slog.New(slog.DiscardHandler), known: facts{}, schedule: map[keys.Ref]nextQuery{}, pending: map[keys.Ref]*lookup{}, reported: map[string]report{},
		wake: make(chan struct{}, 1),
	}
	facts, err := ReadState(path)
	if err != nil {
		w.trouble, w.damaged = err.Error(), errors.Is(err, errDamaged)
	}
	for _, f := range facts {
		w.known[f.ref()] = f
	}
	return w
}

// Trouble is what kept the state file from being read, until Begin has logged it.
func (w *Tracker) Trouble() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.trouble
}

// Standby are the keys, known from former configurations, that may have to stand in
// for what is listed now: those of the same domains.
func (w *Tracker) Standby(listed []Listed) []keys.Ref {
	w.mu.Lock()
	defer w.mu.Unlock()
	domains := map[string]bool{}
	now := map[keys.Ref]bool{}
	for _, l := range listed {
		domains[l.Domain] = true
		now[l.Ref] = true
	}
	var refs []keys.Ref
	for _, f := range w.known.sorted() {
		if (domains[f.Domain] || domains[keys.AnyDomain]) && !now[f.ref()] && f.State != Retired {
			refs = append(refs, f.ref())
		}
	}
	return refs
}

// InUse reports whether a key is known to have been in DNS, or to have signed. The ref
// is canonical.
func (w *Tracker) InUse(ref keys.Ref) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	f := w.known[ref]
	return !f.FirstSeen.IsZero() || !f.LastUsed.IsZero()
}

// Preview fills the spec's active keys from what is known, and asks nobody.
func (w *Tracker) Preview(p *Spec) {
	w.mu.Lock()
	defer w.mu.Unlock()
	p.assignAll(w.known, w.now(), nil)
}

// Begin puts a spec in force. At the start of a process that waits for nothing: mail
// of a domain whose keys are not known, or were not asked for lately, waits for the
// first answer about these, and for no other (see SigningSet.Wait). Later, while another
// spec is in force, Begin asks for the keys that are new first, until ctx ends at the
// latest. So what is new is judged before it signs, and DNS that does not answer
// stops nothing.
func (w *Tracker) Begin(ctx context.Context, p *Spec, log *slog.Logger) {
	w.mu.Lock()
	start, now := w.plan == nil, w.now()
	if !start { // when its keys were last used
		p.epoch = w.plan.epoch
		if p.ServersChanged {
			p.epoch++
		}
		w.known = w.plan.assignAll(w.known, now, w.pending)
	}
	next := p.assignAll(w.known, now, nil)
	questions, others := w.firstLookups(p, next, w.known, start)
	var observed []observation
	before := w.known // fill makes another
	if !start {
		w.mu.Unlock()
		observed = query(timeouts{ctx: ctx, lookup: firstAnswer}, p, append(questions, others...))
		w.mu.Lock()
		before = w.known
		next = p.assignAll(w.known, w.now(), w.pending)
		questions, _ = w.firstLookups(p, next, before, false)
	}
	defer w.mu.Unlock()
	w.open(questions, before)
	w.plan, w.log = p, log
	if w.trouble != "" {
		w.log.Warn(w.trouble)
		w.trouble = ""
	}
	w.known = next
	for ref, t := range w.schedule {
		if p.ServersChanged || t.wait != 0 { // a person may just have mended it
			delete(w.schedule, ref)
		}
	}
	w.apply(before, observed)
	w.wakeUp()
}

// wakeUp has Run look again what it waits for.
func (w *Tracker) wakeUp() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// needsDNS reports whether DNS is asked for a key.
func (p *Spec) needsDNS(f Fact) bool {
	return p.Require && len(p.Servers) > 0 && f.Domain != keys.AnyDomain && (f.State != Retired || p.Store.Has(f.ref()))
}

// Run asks for the keys when their time comes, until ctx ends. It then saves what
// is known. Begin comes first.
func (w *Tracker) Run(ctx context.Context) {
	for {
		timer := time.NewTimer(w.pause())
		select {
		case <-ctx.Done():
			timer.Stop()
			w.save(true)
			return
		case <-timer.C:
		case <-w.wake: // there is another time to wait for
			timer.Stop()
			continue
		}
		w.round(ctx)
	}
}

// round asks for the keys whose turn it is, and decides.
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

// inventory asks for keys in the background. While first lookups are open, those keys
// that are begun with within firstAnswer are decided on before the rest is asked for.
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

func (w *Tracker) due() (*Spec, []target) {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := w.now()
	var due []target
	most := max(maxRound, len(w.schedule)/20)
	for ref, q := range w.pending { // somebody may come to wait for these
		if t, ok := w.schedule[ref]; ok && len(due) < most && !t.at.After(now) && !q.expedited.Load() {
			due = append(due, q.target)
		}
	}
	for ref, t := range w.schedule {
		if len(due) < most && !t.at.After(now) && w.pending[ref] == nil {
			due = append(due, target{ref, w.known[ref].Fingerprint})
		}
	}
	return w.plan, due
}

// apply makes decisions of what was observed, for the spec in force. before is what
// was known when it was last told of.
func (w *Tracker) apply(before facts, observed []observation) {
	now := w.now()
	answered := w.record(observed, now)
	w.known = w.plan.assignAll(w.known, now, w.pending)
	if gone := w.dropUnneeded(maps.Keys(w.pending)); len(gone) > 0 {
		answered = append(answered, gone...)
		w.known = w.plan.assignAll(w.known, now, w.pending)
	}
	w.release(answered, before)
	w.reschedule(now)
	w.report(before, w.known, now)
}

// applyFew is apply for what was asked out of turn: it looks at the domains concerned
// only.
func (w *Tracker) applyFew(observed []observation) {
	now := w.now()
	var domains []string
	for _, o := range observed {
		domains = append(domains, o.ref.Domain)
	}
	answered := w.record(observed, now)
	before, after := w.refill(domains, now)
	if gone := w.dropUnneeded(maps.Keys(before)); len(gone) > 0 {
		answered = append(answered, gone...)
		_, after = w.refill(domains, now)
	}
	w.release(answered, before)
	w.report(before, after, now)
}

// refill fills the active keys for some domains, and returns what was known of their keys
// and what is known from then on.
func (w *Tracker) refill(domains []string, now time.Time) (before, after facts) {
	before, after = w.plan.reassign(w.known, now, w.pending, domains)
	for ref := range before {
		delete(w.known, ref)
	}
	maps.Copy(w.known, after)
	return before, after
}

// record notes what was observed, and when to ask again. It returns the lookups that
// are no longer open.
func (w *Tracker) record(observed []observation, now time.Time) (answered []*lookup) {
	for _, o := range observed {
		if o.epoch != w.plan.epoch {
			continue // these servers are not asked any more
		}
		if q := w.pending[o.ref]; q != nil && q.fingerprint == o.fingerprint {
			answered = append(answered, q)
			delete(w.pending, o.ref)
		}
		f, ok := w.known[o.ref]
		if !ok || f.Fingerprint != o.fingerprint {
			continue
		}
		w.known[o.ref] = f.observed(o.answers(), o.detail, now)
		t, every := nextQuery{}, w.plan.Config.CheckEvery
		if !o.settled() {
			t.wait = min(max(firstWait, 2*w.schedule[o.ref].wait), every)
			every = t.wait
		}
		t.at = now.Add(jitter(every))
		w.schedule[o.ref] = t
	}
	return answered
}

// release lets those go on who waited, now that the active keys is filled.
func (w *Tracker) release(questions []*lookup, before facts) {
	for _, q := range questions {
		close(q.done)
		if b, ok := before[q.ref]; ok { // what it was while the lookup was open was not told
			b.State = q.was
			before[q.ref] = b
		}
	}
}

// jitter spreads what would otherwise happen at once.
func jitter(d time.Duration) time.Duration {
	return d - time.Duration(rand.Int64N(int64(d)/10+1))
}

// reschedule gives a turn to each key that wants one, and to no other.
func (w *Tracker) reschedule(now time.Time) {
	for ref, f := range w.known {
		switch _, queued := w.schedule[ref]; {
		case queued && !w.plan.needsDNS(f):
			delete(w.schedule, ref)
		case !queued && w.plan.needsDNS(f):
			w.schedule[ref] = nextQuery{at: now}
		}
	}
	for ref := range w.schedule {
		if _, ok := w.known[ref]; !ok {
			delete(w.schedule, ref)
		}
	}
}

// pause is how long there is nothing to do: until the next turn, or until a key
// becomes due by its active_from.
func (w *Tracker) pause() time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := w.now()
	next := now.Add(min(w.plan.Config.CheckEvery, savedEvery))
	rested, asking := w.rested.Add(roundRest*time.Duration(len(w.known))), false
	for ref, t := range w.schedule {
		q := w.pending[ref]
		if q != nil && q.expedited.Load() {
			continue // its answer wakes us
		}
		asking = asking || q != nil
		if t.at.Before(next) {
			next = t.at
		}
	}
	if asking {
		rested = now // somebody may come to wait
	}
	if unsaved := w.saved.Add(w.saveInterval()); (w.changed || unsaved.After(now)) && unsaved.Before(next) {
		next = unsaved
	}
	for _, l := range w.plan.Listed {
		if l.ActiveFrom.After(now) && l.ActiveFrom.Before(next) {
			next = l.ActiveFrom
		}
	}
	return max(0, later(rested, next).Sub(now))
}
