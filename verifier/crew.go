package verifier

import "sync/atomic"

// crew runs look-ups beside each other, on goroutines that have done so before: the
// stack of a new one grows anew for each look-up, which takes as long as to find the
// answer in the cache.
type crew struct {
	work chan lookup
	idle atomic.Int32
}

// lookup is one look-up of a verification: what is asked, and for which of several. It
// must not panic.
type lookup struct {
	of   *Verification
	what func(*Verification, int)
	i    int
}

// maxIdle bounds the goroutines that wait for work. A busy daemon has about three
// look-ups for each message under way.
const maxIdle = 64

// lookups is everybody's, since it knows of nobody.
var lookups = crew{work: make(chan lookup)}

// run starts a look-up and does not wait for it.
func (c *crew) run(l lookup) {
	select {
	case c.work <- l:
	default: // nobody is idle
		go c.serve(l)
	}
}

func (c *crew) serve(l lookup) {
	for {
		l.what(l.of, l.i)
		if c.idle.Add(1) > maxIdle {
			c.idle.Add(-1)
			return
		}
		l = <-c.work
		c.idle.Add(-1)
	}
}
