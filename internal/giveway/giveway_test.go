package giveway

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func TestWorkPausesWhileThereAreMessages(t *testing.T) {
	var now time.Duration
	work := func(d time.Duration) {
		const step = 10 * time.Microsecond
		for range d / step {
			for range perLook {
				Point()
			}
			now += step
		}
	}
	paused, messages := 0, true
	work(time.Millisecond)
	end := begin(func() bool { return messages }, func() time.Duration { return now }, func() { paused++ })
	now = 0
	work(stretch / 2)
	if paused != 0 {
		t.Errorf("%d pauses within the first stretch", paused)
	}
	work(100 * stretch)
	if paused < 50 || paused > 110 {
		t.Errorf("%d pauses in 100 stretches", paused)
	}
	messages, paused = false, 0
	work(100 * stretch)
	if paused != 0 {
		t.Errorf("%d pauses without messages", paused)
	}
	messages = true
	end()
	work(100 * stretch)
	if paused != 0 {
		t.Errorf("%d pauses after the end", paused)
	}
}

// Each look at the clock finds that a stretch is over.
func TestPointIsForManyGoroutines(t *testing.T) {
	const goroutines, calls = 4, 10_000
	var now, paused atomic.Int64
	clock := func() time.Duration { return time.Duration(now.Add(int64(2 * stretch))) }
	defer begin(func() bool { return true }, clock, func() { paused.Add(1) })()
	var all sync.WaitGroup
	for range goroutines {
		all.Go(func() {
			for range calls {
				Point()
			}
		})
	}
	all.Wait()
	if n, most := paused.Load(), int64(goroutines*calls/perLook); n == 0 || n > most {
		t.Errorf("%d pauses, want some and %d at most", n, most)
	}
}

func BenchmarkPoint(b *testing.B) {
	for b.Loop() {
		Point()
	}
}
