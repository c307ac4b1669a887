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
	// firstAnswer is the timeout of a query: after it, the facts known before decide.
	firstAnswer = 5 * time.Second
	// MaxWait bounds how long a message or a reload waits for DNS. It is a little longer than
	// one timeout, so that the timeout of a query that began at once counts.
	MaxWait = firstAnswer + firstAnswer/10
)

// lookup is the pending first query for a key without facts, or with old ones. While it may
// change which keys sign, no key signs for the domain.
type lookup struct {
	target
	was       State // when it began
	tracker   *Tracker
	waiting   atomic.Int32  // messages that wait
	expedited atomic.Bool   // it runs out of turn
	done      chan struct{} // closed when the answer is in the active keys
}

// expedite starts the query out of turn, unless that is done already.
func (q *lookup) expedite() {
	if !q.expedited.Swap(true) {
		go q.query()
	}
}

// query queries out of turn, and again as long as messages wait.
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
	q.tracker.wakeUp() // else the next query is one of the background
}

// expedite starts the queries of all pending lookups.
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
			return errors.New("it ended, or its time was up, before DNS answered about its keys")
		}
	}
	return nil
}

// firstLookups returns the keys of a spec for which a lookup has to be pending: keys that were
// not queried before, without facts or with old ones. At the start of a process these are all
// keys; at a reload, those that are new to the spec or that only this spec looks up. before are
// the facts of the spec in force. others are the other keys without a known answer.
func (w *Tracker) firstLookups(p *Spec, facts, before facts, start bool) (questions, others []target) {
	if !p.asksDNS() {
		return nil, nil
	}
	for ref, f := range facts {
		t, b := target{ref: ref, fingerprint: f.Fingerprint}, before[ref]
		anew := start || p.ServersChanged || b == nil || b.Fingerprint != f.Fingerprint || !w.spec.needsDNS(ref, b)
		old := anew && w.now().Sub(f.Asked).Abs() > 2*p.Config.CheckEvery
		switch {
		case !p.needsDNS(ref, f) || (f.DNS != keys.NoAnswer && !old):
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

// open adds pending lookups for the spec that comes into force.
func (w *Tracker) open(questions []target, before facts) {
	for _, t := range questions {
		if !w.isPending(t) {
			w.close(t.ref)
			w.pending[t.ref] = &lookup{target: t, was: before.state(t.ref), tracker: w, done: make(chan struct{})}
		}
	}
}

// dropUnneeded removes the pending lookups of keys that no longer need DNS, and returns them.
func (w *Tracker) dropUnneeded(refs iter.Seq[keys.Ref]) (gone []*lookup) {
	for ref := range refs {
		q, f := w.pending[ref], w.known[ref]
		if q != nil && (f == nil || f.Fingerprint != q.fingerprint || !w.spec.needsDNS(ref, f)) {
			delete(w.pending, ref)
			gone = append(gone, q)
		}
	}
	return gone
}

// close ends a pending lookup, if there is one. Those that wait read the active keys again.
func (w *Tracker) close(ref keys.Ref) {
	if q := w.pending[ref]; q != nil {
		delete(w.pending, ref)
		close(q.done)
	}
}

// queryNow queries one key out of turn. Answers that come at the same time are applied
// together.
func (w *Tracker) queryNow(t target) {
	w.mu.Lock()
	plan := w.spec
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
