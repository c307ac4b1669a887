package lifecycle

import (
	"math/rand/v2"
	"time"

	"signpost/keys"
)

// nextQuery is the time of a key's next query, and the wait that led to it.
type nextQuery struct {
	at   time.Time
	wait time.Duration
	// search is the last search for the record at other names; nil: there was none.
	search *search
}

// search is a search for a record that is not at its name, and what it found.
type search struct {
	at   time.Time
	hint string
}

// searchEvery is the pause between two searches for the record of one key.
const searchEvery = time.Hour

// target is the query that is due for a key.
func (t nextQuery) target(ref keys.Ref, fingerprint string, now time.Time) target {
	if t.search != nil && now.Sub(t.search.at) < searchEvery {
		return target{ref: ref, fingerprint: fingerprint, hint: t.search.hint}
	}
	return target{ref: ref, fingerprint: fingerprint, seek: true}
}

// due returns the keys to query in this round, with those of pending lookups first.
func (w *Tracker) due() (*Spec, []target) {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := w.now()
	var due []target
	most := max(maxRound, len(w.schedule)/20)
	for ref, q := range w.pending { // messages may come to wait for these
		if t, ok := w.schedule[ref]; ok && len(due) < most && !t.at.After(now) && !q.expedited.Load() {
			due = append(due, q.target)
		}
	}
	for ref, t := range w.schedule {
		if len(due) < most && !t.at.After(now) && w.pending[ref] == nil {
			due = append(due, t.target(ref, w.known.of(ref).Fingerprint, now))
		}
	}
	return w.spec, due
}

// jitter spreads queries that would otherwise come at the same time.
func jitter(d time.Duration) time.Duration {
	return d - time.Duration(rand.Int64N(int64(d)/10+1))
}

// reschedule plans a query for each key that needs DNS, and for no other.
func (w *Tracker) reschedule(now time.Time) {
	for ref, f := range w.known {
		switch _, queued := w.schedule[ref]; {
		case queued && !w.spec.watches(ref, f):
			delete(w.schedule, ref)
		case !queued && w.spec.watches(ref, f):
			w.schedule[ref] = nextQuery{at: now}
		}
	}
	for ref := range w.schedule {
		if _, ok := w.known[ref]; !ok {
			delete(w.schedule, ref)
		}
	}
}

// pause is the time until there is something to do: the next query is due, or a key's
// active_from comes.
func (w *Tracker) pause() time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := w.now()
	next := now.Add(min(w.spec.Config.CheckEvery, savedEvery))
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
		rested = now // a message may come to wait
	}
	if unsaved := w.saved.Add(w.saveInterval()); (w.changed || unsaved.After(now)) && unsaved.Before(next) {
		next = unsaved
	}
	for _, l := range w.spec.Listed {
		if l.ActiveFrom.After(now) && l.ActiveFrom.Before(next) {
			next = l.ActiveFrom
		}
	}
	return max(0, later(rested, next).Sub(now))
}
