package verifier

import (
	"runtime"
	"sync"
	"testing"
)

// atOnce runs n functions, and returns how many goroutines there were meanwhile. None ends before all have begun.
func (c *workers) atOnce(n int) (goroutines int) {
	var under, over sync.WaitGroup
	under.Add(n)
	over.Add(n)
	all := make(chan struct{})
	var message Verification
	message.pending.Add(n)
	for range n {
		c.run(lookup{of: &message, what: func(*Verification, Lookups, int) {
			defer over.Done()
			under.Done()
			<-all
		}})
	}
	under.Wait()
	goroutines = runtime.NumGoroutine()
	close(all)
	over.Wait()
	return goroutines
}

// reaches waits for what other goroutines do.
func reaches(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for range 1_000_000 {
		if holds() {
			return
		}
		runtime.Gosched()
	}
	t.Errorf("never: %s", what)
}

// No look-up waits for the end of another, however many run. Afterwards some
// goroutines stay, and those that come later run on them.
func TestLookupsNeverWaitForEachOther(t *testing.T) {
	c := workers{queue: make(chan lookup)}
	before := runtime.NumGoroutine()
	for range 3 {
		c.atOnce(10 * maxIdle)
		reaches(t, "no more than the idle ones stay", func() bool {
			return c.idle.Load() == maxIdle && runtime.NumGoroutine() <= before+maxIdle
		})
	}
	// One that counts as idle may be on its way to the queue.
	reaches(t, "those that come later run on the idle ones", func() bool { return c.atOnce(maxIdle/2) <= before+maxIdle })
}
