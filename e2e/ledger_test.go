package e2e

import (
	"sync"
	"testing"
	"time"
)

// A ledger is a growing list on which tests wait for an entry: the daemon's log lines,
// the messages at the sink.
type ledger[T any] struct {
	mu      sync.Mutex
	entries []T
	grown   chan struct{} // closed and replaced when an entry comes
}

func (l *ledger[T]) add(entry T) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.entries = append(l.entries, entry)
	if l.grown != nil {
		close(l.grown)
		l.grown = nil
	}
}

// all returns the current entries, and a channel that closes when there are more.
func (l *ledger[T]) all() ([]T, <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.grown == nil {
		l.grown = make(chan struct{})
	}
	return l.entries[:len(l.entries):len(l.entries)], l.grown
}

// wait returns the first entry that fits, present or future.
func (l *ledger[T]) wait(t testing.TB, what string, fits func(T) bool) T {
	t.Helper()
	late := time.After(patience)
	for seen := 0; ; {
		entries, grown := l.all()
		for ; seen < len(entries); seen++ {
			if fits(entries[seen]) {
				return entries[seen]
			}
		}
		select {
		case <-grown:
		case <-late:
			t.Fatalf("waited %v in vain for %s", patience, what)
		}
	}
}

// find returns the present entries that fit.
func (l *ledger[T]) find(fits func(T) bool) []T {
	entries, _ := l.all()
	var found []T
	for _, e := range entries {
		if fits(e) {
			found = append(found, e)
		}
	}
	return found
}
