// Package giveway lets long work in the background give way to messages.
//
// Where more threads are ready than there are processors, Linux takes a processor from one that computes with its
// next tick, which comes each 4 ms on many systems, and Go's scheduler takes it from a goroutine after 10 ms. A message
// has several steps, and each of them, or the MTA's, may have to wait that long.
package giveway

import (
	"sync/atomic"
	"syscall"
	"time"
)

const (
	// stretch is how long the work goes on without a pause.
	stretch = 200 * time.Microsecond
	// pause is the least time that the work stands still.
	pause = 100 * time.Microsecond
	// perLook is how many calls of Point there are for one look at the clock.
	perLook = 16
)

// work is what gives way at present; nil: nothing.
var work atomic.Pointer[background]

type background struct {
	busy  func() bool
	clock func() time.Duration // since the begin
	calls atomic.Uint32
	until atomic.Int64 // the end of the stretch, in nanoseconds since the begin
	pause func()
}

// Begin makes Point pause as long as busy says that there may be messages, until end is called. It is for one work at
// a time.
func Begin(busy func() bool) (end func()) {
	started := time.Now()
	return begin(busy, func() time.Duration { return time.Since(started) }, func() {
		// time.Sleep takes a millisecond at least, and the work ten times as long as without pauses.
		t := syscall.NsecToTimespec(pause.Nanoseconds())
		_ = syscall.Nanosleep(&t, nil) // an interrupted pause is over
	})
}

func begin(busy func() bool, clock func() time.Duration, pause func()) (end func()) {
	b := &background{busy: busy, clock: clock, pause: pause}
	b.until.Store(int64(stretch))
	work.Store(b)
	return func() { work.CompareAndSwap(b, nil) }
}

// Point is a place where work can pause. Loops over very many entries call it for each: that takes about a nanosecond
// where nothing gives way. It may be called concurrently.
func Point() {
	if b := work.Load(); b != nil && b.calls.Add(1)%perLook == 0 {
		b.look()
	}
}

// look pauses where the stretch is over.
func (b *background) look() {
	if int64(b.clock()) < b.until.Load() {
		return
	}
	if b.busy() {
		b.pause()
	}
	b.until.Store(int64(b.clock() + stretch))
}
