package daemon

import (
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"signpost/milter"
)

// A milter is mostly idle: an MTA sends a message in a few packets and works in
// between. On several processors, Go's scheduler then wakes, spins and stops threads for
// each packet, which takes processor time from the MTA beside it. On one, it does not. So the
// daemon runs on one processor until it is busy there, and on more while the load lasts.

// loadWindow is the least time over which the load is measured.
const loadWindow = 50 * time.Millisecond

// loaded is the load, in processors, from which processors.underLoad is true.
const loaded = 0.5

// processors sets GOMAXPROCS by the processor time that the process takes. It looks
// at the end of a message, so an idle daemon does nothing. All methods may be called
// concurrently.
type processors struct {
	observer milter.Observer      // told of everything; nil: none
	most     int                  // as many as the environment and the cgroup allow
	set      func(int)            // runtime.GOMAXPROCS
	used     func() time.Duration // processor time of the process so far
	now      func() time.Time
	// underLoad says that messages took half a processor or more in the last window.
	underLoad *atomic.Bool

	next atomic.Int64 // nanoseconds of now: the end of the window

	mu      sync.Mutex
	current int
	busy    int // calls of allProcessors and hold that have not ended
	since   time.Time
	counted time.Duration // used at since
}

// newProcessors returns an observer that adjusts the number of processors from start to
// stop, and tells underLoad. GOMAXPROCS in the environment is kept as it is.
func newProcessors(underLoad *atomic.Bool) *processors {
	p := &processors{
		most: runtime.GOMAXPROCS(0), used: processorTime, now: time.Now, underLoad: underLoad,
		set: func(n int) { runtime.GOMAXPROCS(n) },
	}
	p.current = p.most
	if os.Getenv("GOMAXPROCS") != "" {
		p.most, p.set = 1, func(int) {}
	}
	return p
}

// start goes to one processor and begins the first window.
func (p *processors) start() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.apply(1)
	p.begin(p.now())
}

// stop goes back to all processors.
func (p *processors) stop() {
	p.allProcessors() // never done: it stays
	p.mu.Lock()
	defer p.mu.Unlock()
	p.apply(p.most)
}

// Decided looks at the load when the window is over.
func (p *processors) Decided(d milter.Decided) {
	if now := p.now(); now.UnixNano() >= p.next.Load() {
		p.adjust(now)
	}
	if p.observer != nil {
		p.observer.Decided(d)
	}
}

// Refused is for the other observer.
func (p *processors) Refused(r milter.Refusal) {
	if p.observer != nil {
		p.observer.Refused(r)
	}
}

// adjust takes one processor more where those in use are busy, and one less where the
// others would be busy for less than half of the time.
func (p *processors) adjust(now time.Time) {
	if !p.mu.TryLock() {
		return // another message adjusts
	}
	defer p.mu.Unlock()
	wall := now.Sub(p.since)
	if wall < loadWindow {
		return
	}
	load := float64(p.used()-p.counted) / float64(wall)
	if p.busy > 0 {
		p.begin(now)
		return // the load is not that of messages
	}
	p.underLoad.Store(load >= loaded)
	switch current := float64(p.current); {
	case load > 0.85*current && p.current < p.most:
		p.apply(p.current + 1)
	case load < 0.5*(current-1):
		p.apply(p.current - 1)
	}
	p.begin(now)
}

// allProcessors makes all processors available for a reload until done is called, and one more than there are, so
// that no message waits behind the reload in Go's scheduler. Afterwards there are as many as before. There is one call
// at a time.
func (p *processors) allProcessors() (done func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	was := p.current
	p.busy++
	p.apply(p.most + 1)
	return func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.busy--
		p.apply(was)
		p.begin(p.now())
	}
}

// hold keeps the number as it is until done is called, while the processor time of the process is not that of
// messages.
func (p *processors) hold() (done func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.busy++
	return func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.busy--
		p.begin(p.now())
	}
}

// apply sets the number. It stops the world for some microseconds, so only a change
// is worth it.
func (p *processors) apply(n int) {
	if n != p.current {
		p.current = n
		p.set(n)
	}
}

func (p *processors) begin(now time.Time) {
	p.since, p.counted = now, p.used()
	p.next.Store(now.Add(loadWindow).UnixNano())
}

// processorTime is the processor time of the process, in user and system mode.
func processorTime() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
