package giveway

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// points calls Point often for some time, in which the clock of the test goes on.
func points(d time.Duration) {
	for range d / (10 * time.Microsecond) {
		for range perLook {
			Point()
		}
		time.Sleep(10 * time.Microsecond)
	}
}

func TestWorkPausesWhileThereAreMessages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		paused, messages := 0, true
		points(time.Second)
		end := begin(func() bool { return messages }, func() { paused++ })
		points(stretch / 2)
		if paused != 0 {
			t.Errorf("%d pauses within the first stretch", paused)
		}
		points(100 * stretch)
		if paused < 50 || paused > 110 {
			t.Errorf("%d pauses in 100 stretches", paused)
		}
		messages, paused = false, 0
		points(100 * stretch)
		if paused != 0 {
			t.Errorf("%d pauses without messages", paused)
		}
		messages = true
		end()
		points(100 * stretch)
		if paused != 0 {
			t.Errorf("%d pauses after the end", paused)
		}
	})
}

func TestPointIsForManyGoroutines(t *testing.T) {
	defer Begin(func() bool { return true })()
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for range 100_000 {
				Point()
			}
		})
	}
	all.Wait()
}

func BenchmarkPoint(b *testing.B) {
	for b.Loop() {
		Point()
	}
}
