package lifecycle

import (
	"context"
	"errors"
	"iter"
	"sync/atomic"
	"time"

	"signpost/keys"
)

const (
	// firstAnswer is how long DNS has for the first answer about a key, from when it
	// is asked: where it is silent for that long, what was known before decides.
	firstAnswer = 5 * time.Second
	// MaxWait is how long DNS is waited for at most, by a message or by a reload: a
	// little longer than it has for one answer, so that its silence is heard. Who
	// waited so long was not heard of: others were asked for before.
	MaxWait = firstAnswer + firstAnswer/10
)

// A lookup is the first one that is put to DNS about a key of which nothing is
// known, or nothing of late. Until it is answered nobody signs for the key's
// domain.
type lookup struct {
	target
	was       State // before it was put
	tracker   *Tracker
	waiting   atomic.Int32  // messages
	expedited atomic.Bool   // it is being put out of turn
	done      chan struct{} // closed when the answer stands in the active keys
}

// expedite has the lookup put out of turn, if it is not already.
func (q *lookup) expedite() {
	if !q.expedited.Swap(true) {
		go q.query()
	}
}

// query asks out of turn, as often as it takes while somebody waits.
func (q *lookup) query() {
	q.tracker.queryNow(q.target)
	select {
	case <-q.done:
		return
	default:
	}
	q.expedited.Store(false)
	if q.waiting.Load() > 0 {
		q.expedite()
	}
	q.tracker.wakeUp() // else it is asked for in the background
}

// expedite puts the pending lookups at once, out of turn.
func (d *SigningSet) expedite() {
	for _, q := range d.pending {
		q.expedite()
	}
}

// wait expedites the pending lookups and waits until they are answered, or until ctx
// ends: under load there may be more to ask than DNS answers in time.
func (d *SigningSet) wait(ctx context.Context) error {
	for _, q := range d.pending {
		q.waiting.Add(1)
		defer q.waiting.Add(-1)
	}
	d.expedite()
	for _, q := range d.pending {
		select {
		case <-q.done:
		case <-ctx.Done():
			return errors.New("it ended, or its time was up, before DNS was heard about its keys")
		}
	}
	return nil
}

// firstLookups are the first lookups of a spec about these facts, of which before is what
// was known of the same names: about keys that nobody asked for until now, if nothing
// is known of them, or nothing of late. At the start of a process that is any key,
// later those that are new to the spec, or are asked for by it only. others are the
// other keys of which nothing is known.
func (w *Tracker) firstLookups(p *Spec, facts, before facts, start bool) (questions, others []target) {
	for ref, f := range facts {
		t, b := target{ref, f.Fingerprint}, before[ref]
		anew := start || p.ServersChanged || b.Fingerprint != f.Fingerprint || !w.plan.needsDNS(b)
		old := anew && w.now().Sub(f.Asked).Abs() > 2*p.Config.CheckEvery
		switch {
		case !p.needsDNS(f) || (f.DNS != keys.NoAnswer && !old):
		case anew:
			questions = append(questions, t)
		default:
			others = append(others, t)
		}
	}
	return questions, others
}

func (w *Tracker) isPending(t target) bool {
	q := w.pending[t.ref]
	return q != nil && q.fingerprint == t.fingerprint
}

// open opens lookups of the spec that is put in force: until then, the one before
// decides on what is open.
func (w *Tracker) open(questions []target, before facts) {
	for _, t := range questions {
		if !w.isPending(t) {
			w.close(t.ref)
			w.pending[t.ref] = &lookup{target: t, was: before[t.ref].State, tracker: w, done: make(chan struct{})}
		}
	}
}

// dropUnneeded takes those of the pending lookups that nobody asks any more out of them.
func (w *Tracker) dropUnneeded(refs iter.Seq[keys.Ref]) (gone []*lookup) {
	for ref := range refs {
		q, f := w.pending[ref], w.known[ref]
		if q != nil && (f.Fingerprint != q.fingerprint || !w.plan.needsDNS(f)) {
			delete(w.pending, ref)
			gone = append(gone, q)
		}
	}
	return gone
}

// close ends a pending lookup, if there is one. Who waited for it reads the active keys again.
func (w *Tracker) close(ref keys.Ref) {
	if q := w.pending[ref]; q != nil {
		delete(w.pending, ref)
		close(q.done)
	}
}

// queryNow asks for one key out of turn. Answers that come together are decided on
// together.
func (w *Tracker) queryNow(t target) {
	w.mu.Lock()
	plan := w.plan
	w.mu.Unlock()
	heard := query(timeouts{context.Background(), firstAnswer, firstAnswer}, plan, []target{t})
	w.unappliedMu.Lock()
	w.unapplied = append(w.unapplied, heard...)
	w.unappliedMu.Unlock()

	w.mu.Lock()
	defer w.mu.Unlock()
	w.unappliedMu.Lock()
	observed := w.unapplied
	w.unapplied = nil
	w.unappliedMu.Unlock()
	if len(observed) > 0 {
		w.applyFew(observed)
		w.wakeUp()
	}
}
