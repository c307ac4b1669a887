package e2e

import (
	"sync"
	"testing"
	"time"
)

// A ledger is a list that grows while tests wait for an entry: the daemon's log
// lines, the messages that reached the sink.
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

// all returns what is there by now, and a channel that closes when there is more.
func (l *ledger[T]) all() ([]T, <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.grown == nil {
		l.grown = make(chan struct{})
	}
	return l.entries[:len(l.entries):len(l.entries)], l.grown
}

// wait returns the first entry that fits, whether it is there already or comes.
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

// find returns the entries that fit by now.
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
