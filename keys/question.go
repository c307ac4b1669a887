package keys

import (
	"context"
	"errors"
	"iter"
	"sync/atomic"
	"time"
)

const (
	// firstAnswer is how long DNS has for the first answer about a key, from when it
	// is asked: where it is silent for that long, what was known before decides.
	firstAnswer = 5 * time.Second
	// Patience is how long DNS is waited for at most, by a message or by a reload: a
	// little longer than it has for one answer, so that its silence is heard. Who
	// waited so long was not heard of: others were asked for before.
	Patience = firstAnswer + firstAnswer/10
)

// A question is the first one that is put to DNS about a key of which nothing is
// known, or nothing of late. Until it is answered nobody signs for the key's
// domain.
type question struct {
	target
	was     State // before it was put
	asker   *Watch
	waiting atomic.Int32  // messages
	hurried atomic.Bool   // it is being put out of turn
	done    chan struct{} // closed when the answer stands in the roster
}

// hurry has the question put out of turn, if it is not already.
func (q *question) hurry() {
	if !q.hurried.Swap(true) {
		go q.put()
	}
}

// put asks out of turn, as often as it takes while somebody waits.
func (q *question) put() {
	q.asker.askNow(q.target)
	select {
	case <-q.done:
		return
	default:
	}
	q.hurried.Store(false)
	if q.waiting.Load() > 0 {
		q.hurry()
	}
	q.asker.awake() // else it is asked for in the background
}

// Open reports that a first question about one of the keys is unanswered: Wait, and
// read the roster again, before anything is signed.
func (d *Duty) Open() bool { return len(d.open) > 0 }

// Hurry has the open questions put at once, whatever else is to be asked for.
func (d *Duty) Hurry() {
	for _, q := range d.open {
		q.hurry()
	}
}

// Wait is Hurry, and waits until the questions are answered, or until ctx ends: there
// may be more to ask for than DNS answers within anybody's patience.
func (d *Duty) Wait(ctx context.Context) error {
	for _, q := range d.open {
		q.waiting.Add(1)
		defer q.waiting.Add(-1)
	}
	d.Hurry()
	for _, q := range d.open {
		select {
		case <-q.done:
		case <-ctx.Done():
			return errors.New("it ended, or its time was up, before DNS was heard about its keys")
		}
	}
	return nil
}

// wanted are the first questions of a plan about these facts, of which before is what
// was known of the same names: about keys that nobody asked for until now, if nothing
// is known of them, or nothing of late. At the start of a process that is any key,
// later those that are new to the plan, or are asked for by it only. others are the
// other keys of which nothing is known.
func (w *Watch) wanted(p *Plan, facts, before ledger, start bool) (questions, others []target) {
	for ref, f := range facts {
		t, b := target{ref, f.Fingerprint}, before[ref]
		anew := start || p.Anew || b.Fingerprint != f.Fingerprint || !w.plan.asks(b)
		old := anew && w.now().Sub(f.Asked).Abs() > 2*p.Config.CheckEvery
		switch {
		case !p.asks(f) || (f.DNS != NoAnswer && !old):
		case anew:
			questions = append(questions, t)
		default:
			others = append(others, t)
		}
	}
	return questions, others
}

func (w *Watch) isOpen(t target) bool {
	q := w.open[t.ref]
	return q != nil && q.fingerprint == t.fingerprint
}

// begin opens questions of the plan that is put in force: until then, the one before
// decides on what is open.
func (w *Watch) begin(questions []target, before ledger) {
	for _, t := range questions {
		if !w.isOpen(t) {
			w.close(t.ref)
			w.open[t.ref] = &question{target: t, was: before[t.ref].State, asker: w, done: make(chan struct{})}
		}
	}
}

// letGo takes those of the open questions that nobody asks any more out of them.
func (w *Watch) letGo(refs iter.Seq[Ref]) (gone []*question) {
	for ref := range refs {
		q, f := w.open[ref], w.known[ref]
		if q != nil && (f.Fingerprint != q.fingerprint || !w.plan.asks(f)) {
			delete(w.open, ref)
			gone = append(gone, q)
		}
	}
	return gone
}

// close ends a question, if there is one. Who waited for it reads the roster again.
func (w *Watch) close(ref Ref) {
	if q := w.open[ref]; q != nil {
		delete(w.open, ref)
		close(q.done)
	}
}

// askNow asks for one key out of turn. Answers that come together are decided on
// together.
func (w *Watch) askNow(t target) {
	w.mu.Lock()
	plan := w.plan
	w.mu.Unlock()
	heard := ask(patience{context.Background(), firstAnswer, firstAnswer}, plan, []target{t})
	w.heardMu.Lock()
	w.heard = append(w.heard, heard...)
	w.heardMu.Unlock()

	w.mu.Lock()
	defer w.mu.Unlock()
	w.heardMu.Lock()
	observed := w.heard
	w.heard = nil
	w.heardMu.Unlock()
	if len(observed) > 0 {
		w.applyFew(observed)
		w.awake()
	}
}
