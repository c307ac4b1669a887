package giveway

import (
	"testing"
	"time"
)

// A look at the clock comes each 10 µs. So a stretch ends with a look, and a pause takes no time.
func TestWorkPausesWhileThereAreMessages(t *testing.T) {
	const step = 10 * time.Microsecond
	var now time.Duration
	paused, messages := 0, true
	giveWay := to(func() bool { return messages }, func() time.Duration { return now }, func() { paused++ })
	for _, c := range []struct {
		name     string
		messages bool
		work     time.Duration
		want     int
	}{
		{"within the first stretch", true, stretch - step, 0},
		{"at its end", true, step, 1},
		{"within the next one", true, stretch - step, 0},
		{"a hundred stretches, from the end of one", true, 100*stretch + step, 101},
		{"without messages", false, 100 * stretch, 0},
		{"with messages again, from the end of a stretch", true, stretch, 1},
	} {
		messages, paused = c.messages, 0
		for range c.work / step {
			now += step
			for range perLook {
				giveWay()
			}
		}
		if paused != c.want {
			t.Errorf("%s: %d pauses, want %d", c.name, paused, c.want)
		}
	}
}

func TestAStretchBeginsAfterThePause(t *testing.T) {
	var now time.Duration
	paused := 0
	giveWay := to(func() bool { return true }, func() time.Duration { return now }, func() { paused++; now += pause })
	for now < 30*stretch {
		now += stretch / 4
		for range perLook {
			giveWay()
		}
	}
	if want := int(30 * stretch / (stretch + pause)); paused != want {
		t.Errorf("%d pauses, want %d", paused, want)
	}
}

// Most calls look at nothing.
func TestOneCallInManyLooksAtTheClock(t *testing.T) {
	looks := 0
	giveWay := to(func() bool { return false }, func() time.Duration { looks++; return 0 }, func() {})
	for range 100 * perLook {
		giveWay()
	}
	if looks != 100 {
		t.Errorf("%d looks at the clock, want 100", looks)
	}
}

func BenchmarkGiveWay(b *testing.B) {
	giveWay := To(func() bool { return false })
	for b.Loop() {
		giveWay()
	}
}
