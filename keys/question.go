package keys

import (
	"context"
	"errors"
	"sync/atomic"
	"time"
)

// firstAnswer is how long mail of a domain waits for the first answer about its keys:
// where DNS is silent for that long, what was known before decides.
const firstAnswer = 5 * time.Second

// A question is the first one that is put to DNS about a key of which nothing is
// known, or nothing of late. Until it is answered nobody signs for the key's
// domain.
type question struct {
	target
	was     State // before it was put
	asker   *Watch
	hurried atomic.Bool
	done    chan struct{} // closed when the answer stands in the roster
}

// hurry has the question put out of turn, once.
func (q *question) hurry() {
	if !q.hurried.Swap(true) {
		go q.asker.askNow(q.target)
	}
}

// Open reports that a first question about one of the keys is unanswered: Wait, and
// read the roster again, before anything is signed.
func (d *Duty) Open() bool { return len(d.open) > 0 }

// Wait has the open questions put at once, whatever else is to be asked for, and
// waits until they are answered, or until ctx ends. That takes some seconds at most.
func (d *Duty) Wait(ctx context.Context) error {
	for _, q := range d.open {
		q.hurry()
	}
	for _, q := range d.open {
		select {
		case <-q.done:
		case <-ctx.Done():
			return errors.New("it ended before DNS was heard about its keys")
		}
	}
	return nil
}

// ask opens the first questions of a plan about these facts, of which before is what
// was known of the same names. At the start of a process, that is about all keys of
// which nothing is known and those that were not asked for lately; later, about
// those that are new.
func (w *Watch) ask(p *Plan, facts, before ledger, start bool) []target {
	var first []target
	for ref, f := range facts {
		old := start && w.now().Sub(f.Asked) > 2*p.Config.CheckEvery
		if !p.asks(f) || (f.DNS != NoAnswer && !old) {
			continue
		}
		t := target{ref, f.Fingerprint}
		first = append(first, t)
		asked := w.open[ref] != nil && w.open[ref].fingerprint == f.Fingerprint
		if b := before[ref]; !asked && (start || b.Fingerprint != f.Fingerprint) {
			w.close(ref)
			w.open[ref] = &question{target: t, was: b.State, asker: w, done: make(chan struct{})}
		}
	}
	return first
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
	ctx, cancel := context.WithTimeout(context.Background(), firstAnswer)
	defer cancel()
	w.mu.Lock()
	servers := w.plan.Servers
	w.mu.Unlock()
	o := askOne(ctx, servers, t)
	w.heardMu.Lock()
	w.heard = append(w.heard, o)
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
