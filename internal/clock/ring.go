// Package clock is the CLOCK algorithm, by which a cache chooses what to evict: entries
// lie in a ring, a hand goes round, and the first entry that was not used since the hand
// last passed leaves. An entry that is used once and never again does not displace those
// in regular use.
package clock

import "sync/atomic"

// Mark is embedded in the entries of a Ring. The zero value is in no ring and unused.
type Mark struct {
	used  atomic.Bool // since the last pass of the hand
	place int         // in the ring, counted from 1; 0: in none
}

// Use notes that the entry is in use. It may be called without the lock of the ring.
func (m *Mark) Use() {
	if !m.used.Load() { // most calls do not write, so that processors share the line
		m.used.Store(true)
	}
}

func (m *Mark) mark() *Mark { return m }

// Ring has the entries of a cache. Its methods take no lock: the caller holds one.
type Ring[E interface {
	comparable
	mark() *Mark
}] struct {
	entries []E
	hand    int
}

// Len is the number of entries.
func (r *Ring[E]) Len() int { return len(r.entries) }

// Add puts in an entry that is in no ring.
func (r *Ring[E]) Add(e E) {
	r.entries = append(r.entries, e)
	e.mark().place = len(r.entries)
}

// Remove takes an entry out, and reports whether it was in the ring.
func (r *Ring[E]) Remove(e E) bool {
	place := e.mark().place
	if place == 0 {
		return false
	}
	last := len(r.entries) - 1
	moved := r.entries[last]
	r.entries[place-1], moved.mark().place = moved, place
	e.mark().place = 0
	var none E
	r.entries[last] = none
	r.entries = r.entries[:last]
	return true
}

// Evict takes out the first entry for which victim returns true, and returns it. used says
// whether the entry was used since the last pass of the hand. A nil victim takes the first
// unused entry. The search ends after two rounds, however many entries are used meanwhile,
// and takes the entry at the hand. The ring must not be empty.
func (r *Ring[E]) Evict(victim func(e E, used bool) bool) E {
	for range 2 * len(r.entries) {
		if r.hand++; r.hand >= len(r.entries) {
			r.hand = 0
		}
		e := r.entries[r.hand]
		used := e.mark().used.Swap(false)
		if victim == nil && !used || victim != nil && victim(e, used) {
			break
		}
	}
	e := r.entries[r.hand]
	r.Remove(e)
	return e
}
