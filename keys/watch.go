package keys

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"math/rand/v2"
	"sync"
	"time"
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

// A Watch knows the life of all keys, from one generation of the configuration to
// the next. In the background it asks DNS for them, decides which ones sign and
// writes that into the roster of the plan in force, and keeps what it knows in a
// file. Its methods may be called by any number of goroutines.
type Watch struct {
	now func() time.Time

	mu      sync.Mutex
	log     *slog.Logger
	plan    *Plan
	known   ledger
	turns   map[Ref]turn
	open    map[Ref]*question
	told    map[string]told
	changed bool // there is more than times to be saved
	saved   time.Time
	// trouble is what kept the file from being read, until it is told; unsaved is
	// what last kept it from being written.
	trouble, unsaved string
	damaged          bool

	rested time.Time // since when nobody was asked for in the background
	wake   chan struct{}

	heardMu sync.Mutex
	heard   []observation // out of turn, and not decided on yet
}

// turn is when a key is asked for next, and how long it was waited for that.
type turn struct {
	at   time.Time
	wait time.Duration
}

// NewWatch returns a watch that knows what the state file has. Where that cannot
// be read, it knows nothing, and Trouble says why.
func NewWatch(path string, now func() time.Time) *Watch {
	w := &Watch{
		now: now, log: slog.New(slog.DiscardHandler), known: ledger{}, turns: map[Ref]turn{}, open: map[Ref]*question{}, told: map[string]told{},
		wake: make(chan struct{}, 1),
	}
	facts, err := ReadState(path)
	if err != nil {
		w.trouble, w.damaged = err.Error(), errors.Is(err, errState)
	}
	for _, f := range facts {
		w.known[f.ref()] = f
	}
	return w
}

// Trouble is what kept the state file from being read, until Begin has logged it.
func (w *Watch) Trouble() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.trouble
}

// Spares are the keys, known from former configurations, that may have to stand in
// for what is listed now: those of the same domains.
func (w *Watch) Spares(listed []Listed) []Ref {
	w.mu.Lock()
	defer w.mu.Unlock()
	domains := map[string]bool{}
	now := map[Ref]bool{}
	for _, l := range listed {
		domains[l.Domain] = true
		now[l.Ref] = true
	}
	var refs []Ref
	for _, f := range w.known.sorted() {
		if (domains[f.Domain] || domains[AnyDomain]) && !now[f.ref()] && f.State != Retired {
			refs = append(refs, f.ref())
		}
	}
	return refs
}

// InUse reports whether a key is known to have been in DNS, or to have signed. The ref
// is canonical.
func (w *Watch) InUse(ref Ref) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	f := w.known[ref]
	return !f.FirstSeen.IsZero() || !f.LastUsed.IsZero()
}

// Preview fills the plan's roster from what is known, and asks nobody.
func (w *Watch) Preview(p *Plan) {
	w.mu.Lock()
	defer w.mu.Unlock()
	p.fill(w.known, w.now(), nil)
}

// Begin puts a plan in force. At the start of a process that waits for nothing: mail
// of a domain whose keys are not known, or were not asked for lately, waits for the
// first answer about these, and for no other (see Duty.Wait). Later, while another
// plan is in force, Begin asks for the keys that are new first, until ctx ends at the
// latest. So what is new is judged before it signs, and DNS that does not answer
// stops nothing.
func (w *Watch) Begin(ctx context.Context, p *Plan, log *slog.Logger) {
	w.mu.Lock()
	start, now := w.plan == nil, w.now()
	if !start { // when its keys were last used
		p.era = w.plan.era
		if p.Anew {
			p.era++
		}
		w.known = w.plan.fill(w.known, now, w.open)
	}
	next := p.fill(w.known, now, nil)
	questions, others := w.wanted(p, next, w.known, start)
	var observed []observation
	before := w.known // fill makes another
	if !start {
		w.mu.Unlock()
		observed = ask(patience{ctx: ctx, look: firstAnswer}, p, append(questions, others...))
		w.mu.Lock()
		before = w.known
		next = p.fill(w.known, w.now(), w.open)
		questions, _ = w.wanted(p, next, before, false)
	}
	defer w.mu.Unlock()
	w.begin(questions, before)
	w.plan, w.log = p, log
	if w.trouble != "" {
		w.log.Warn(w.trouble)
		w.trouble = ""
	}
	w.known = next
	for ref, t := range w.turns {
		if p.Anew || t.wait != 0 { // a person may just have mended it
			delete(w.turns, ref)
		}
	}
	w.apply(before, observed)
	w.awake()
}

// awake has Run look again what it waits for.
func (w *Watch) awake() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// asks reports whether DNS is asked for a key.
func (p *Plan) asks(f Fact) bool {
	return p.Require && len(p.Servers) > 0 && f.Domain != AnyDomain && (f.State != Retired || p.Store.Has(f.ref()))
}

// Run asks for the keys when their time comes, until ctx ends. It then saves what
// is known. Begin comes first.
func (w *Watch) Run(ctx context.Context) {
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
func (w *Watch) round(ctx context.Context) {
	plan, due := w.due()
	observed := w.survey(ctx, plan, due)
	w.mu.Lock()
	before := maps.Clone(w.known)
	w.forget()
	w.apply(before, observed)
	w.rested = w.now()
	w.mu.Unlock()
	w.save(false)
}

// survey asks for keys in the background. While first questions are open, those keys
// that are begun with within firstAnswer are decided on before the rest is asked for.
func (w *Watch) survey(ctx context.Context, plan *Plan, due []target) []observation {
	w.mu.Lock()
	open := len(w.open)
	w.mu.Unlock()
	p := patience{ctx: ctx}
	if open > 0 {
		p.turn, p.look = firstAnswer, firstAnswer
	}
	return ask(p, plan, due)
}

func (w *Watch) due() (*Plan, []target) {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := w.now()
	var due []target
	most := max(maxRound, len(w.turns)/20)
	for ref, q := range w.open { // somebody may come to wait for these
		if t, ok := w.turns[ref]; ok && len(due) < most && !t.at.After(now) && !q.hurried.Load() {
			due = append(due, q.target)
		}
	}
	for ref, t := range w.turns {
		if len(due) < most && !t.at.After(now) && w.open[ref] == nil {
			due = append(due, target{ref, w.known[ref].Fingerprint})
		}
	}
	return w.plan, due
}

// apply makes decisions of what was observed, for the plan in force. before is what
// was known when it was last told of.
func (w *Watch) apply(before ledger, observed []observation) {
	now := w.now()
	answered := w.hear(observed, now)
	w.known = w.plan.fill(w.known, now, w.open)
	if gone := w.letGo(maps.Keys(w.open)); len(gone) > 0 {
		answered = append(answered, gone...)
		w.known = w.plan.fill(w.known, now, w.open)
	}
	w.answered(answered, before)
	w.queue(now)
	w.tell(before, w.known, now)
}

// applyFew is apply for what was asked out of turn: it looks at the domains concerned
// only.
func (w *Watch) applyFew(observed []observation) {
	now := w.now()
	var domains []string
	for _, o := range observed {
		domains = append(domains, o.ref.Domain)
	}
	answered := w.hear(observed, now)
	before, after := w.refill(domains, now)
	if gone := w.letGo(maps.Keys(before)); len(gone) > 0 {
		answered = append(answered, gone...)
		_, after = w.refill(domains, now)
	}
	w.answered(answered, before)
	w.tell(before, after, now)
}

// refill fills the roster for some domains, and returns what was known of their keys
// and what is known from then on.
func (w *Watch) refill(domains []string, now time.Time) (before, after ledger) {
	before, after = w.plan.refill(w.known, now, w.open, domains)
	for ref := range before {
		delete(w.known, ref)
	}
	maps.Copy(w.known, after)
	return before, after
}

// hear notes what was observed, and when to ask again. It returns the questions that
// are no longer open.
func (w *Watch) hear(observed []observation, now time.Time) (answered []*question) {
	for _, o := range observed {
		if o.era != w.plan.era {
			continue // these servers are not asked any more
		}
		if q := w.open[o.ref]; q != nil && q.fingerprint == o.fingerprint {
			answered = append(answered, q)
			delete(w.open, o.ref)
		}
		f, ok := w.known[o.ref]
		if !ok || f.Fingerprint != o.fingerprint {
			continue
		}
		w.known[o.ref] = f.heard(o.answers(), o.detail, now)
		t, every := turn{}, w.plan.Config.CheckEvery
		if !o.settled() {
			t.wait = min(max(firstWait, 2*w.turns[o.ref].wait), every)
			every = t.wait
		}
		t.at = now.Add(jitter(every))
		w.turns[o.ref] = t
	}
	return answered
}

// answered lets those go on who waited, now that the roster is filled.
func (w *Watch) answered(questions []*question, before ledger) {
	for _, q := range questions {
		close(q.done)
		if b, ok := before[q.ref]; ok { // what it was while the question was open was not told
			b.State = q.was
			before[q.ref] = b
		}
	}
}

// jitter spreads what would otherwise happen at once.
func jitter(d time.Duration) time.Duration {
	return d - time.Duration(rand.Int64N(int64(d)/10+1))
}

// queue gives a turn to each key that wants one, and to no other.
func (w *Watch) queue(now time.Time) {
	for ref, f := range w.known {
		switch _, queued := w.turns[ref]; {
		case queued && !w.plan.asks(f):
			delete(w.turns, ref)
		case !queued && w.plan.asks(f):
			w.turns[ref] = turn{at: now}
		}
	}
	for ref := range w.turns {
		if _, ok := w.known[ref]; !ok {
			delete(w.turns, ref)
		}
	}
}

// pause is how long there is nothing to do: until the next turn, or until a key
// becomes due by its active_from.
func (w *Watch) pause() time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := w.now()
	next := now.Add(min(w.plan.Config.CheckEvery, savedEvery))
	rested, asking := w.rested.Add(roundRest*time.Duration(len(w.known))), false
	for ref, t := range w.turns {
		q := w.open[ref]
		if q != nil && q.hurried.Load() {
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
	if unsaved := w.saved.Add(w.rest()); (w.changed || unsaved.After(now)) && unsaved.Before(next) {
		next = unsaved
	}
	for _, l := range w.plan.Listed {
		if l.ActiveFrom.After(now) && l.ActiveFrom.Before(next) {
			next = l.ActiveFrom
		}
	}
	return max(0, later(rested, next).Sub(now))
}
