package spf

import (
	"context"
	"sync"
	"time"
)

// deadline is the context of one check; it ends after Timeout. The time starts when a
// look-up first waits. For most mail all answers are cached, and no timer is needed.
type deadline struct {
	caller context.Context

	mu    sync.Mutex
	timed context.Context // nil until a look-up waits
	stop  context.CancelFunc
	over  bool
}

// begin starts the timer.
func (d *deadline) begin() context.Context {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.timed == nil {
		d.timed, d.stop = context.WithTimeoutCause(d.caller, Timeout, errTimeout)
		if d.over {
			d.stop()
		}
	}
	return d.timed
}

// passed returns the error if the check has ended. It does not start the timer.
func (d *deadline) passed() error { return d.running().Err() }

func (d *deadline) running() context.Context {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.timed == nil {
		return d.caller
	}
	return d.timed
}

// end releases the timer at the end of the check.
func (d *deadline) end() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.over = true
	if d.stop != nil {
		d.stop()
	}
}

// The methods of a context.Context.

func (d *deadline) Deadline() (time.Time, bool) { return d.begin().Deadline() }
func (d *deadline) Done() <-chan struct{}       { return d.begin().Done() }
func (d *deadline) Err() error                  { return d.begin().Err() }
func (d *deadline) Value(key any) any           { return d.running().Value(key) }
