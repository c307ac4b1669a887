package verifier

import "sync/atomic"

// crew runs functions beside each other, on goroutines that have done so before: the
// stack of a new one grows anew for each look-up, which takes as long as to find the
// answer in the cache.
type crew struct {
	work chan func()
	idle atomic.Int32
}

// maxIdle bounds the goroutines that wait for work. A busy daemon has about three
// look-ups for each message under way.
const maxIdle = 64

// lookups is everybody's, since it knows of nobody.
var lookups = crew{work: make(chan func())}

// run starts f, which must not panic, and does not wait for it.
func (c *crew) run(f func()) {
	select {
	case c.work <- f:
	default: // nobody is idle
		go c.serve(f)
	}
}

func (c *crew) serve(f func()) {
	for {
		f()
		if c.idle.Add(1) > maxIdle {
			c.idle.Add(-1)
			return
		}
		f = <-c.work
		c.idle.Add(-1)
	}
}
