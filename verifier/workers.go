package verifier

import "sync/atomic"

// workers are goroutines that run look-ups side by side and wait for the next one
// afterwards. A new goroutine would grow its stack for each look-up, which takes as long
// as an answer from the cache.
type workers struct {
	queue chan lookup
	idle  atomic.Int32
}

// lookup is a task of a message.
type lookup struct {
	of   *Verification
	what task
	i    int
}

// maxIdle bounds the goroutines that wait for work. A busy daemon has about three
// look-ups for each message under way.
const maxIdle = 64

// lookups is shared by all verifiers: a worker keeps nothing of a message.
var lookups = workers{queue: make(chan lookup)}

// run starts a look-up and does not wait for it.
func (w *workers) run(l lookup) {
	select {
	case w.queue <- l:
	default: // no worker is idle
		go w.serve(l)
	}
}

func (w *workers) serve(l lookup) {
	for {
		l.of.do(l.what, l.of.dns, l.i)
		if w.idle.Add(1) > maxIdle {
			w.idle.Add(-1)
			return
		}
		l = <-w.queue
		w.idle.Add(-1)
	}
}
