package spf

import (
	"context"
	"sync"
	"time"
)

// deadline is the context of one check, which ends after Timeout. Its time runs
// from the moment at which a look-up first waits: with all answers at hand, which is
// how it is for most mail, there is no timer to start and stop.
type deadline struct {
	caller context.Context

	mu    sync.Mutex
	timed context.Context // nil until somebody waits
	stop  context.CancelFunc
	over  bool
}

// begin starts the time.
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

// passed returns why the check is over, and does not start the time.
func (d *deadline) passed() error { return d.running().Err() }

func (d *deadline) running() context.Context {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.timed == nil {
		return d.caller
	}
	return d.timed
}

// end is for the end of the check.
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
