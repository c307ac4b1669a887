// Package giveway lets long work, a reload, give way to messages.
//
// Where more threads are ready than there are processors, Linux takes a processor from one that computes with its
// next tick, which comes each 4 ms on many systems, and Go's scheduler takes it from a goroutine after 10 ms. A message
// has several steps, and each of them, or the MTA's, may have to wait that long.
package giveway

import (
	"syscall"
	"time"
)

const (
	// stretch is how long the work goes on without a pause.
	stretch = 200 * time.Microsecond
	// pause is the least time that the work stands still.
	pause = 100 * time.Microsecond
	// perLook is how many calls there are for one look at the clock.
	perLook = 16
)

// To returns the pauses of one work: a function that its long loops call for each of very many entries, which takes
// about a nanosecond. As long as busy says that there may be messages, the call stands still for 100 µs after each
// 200 µs. It is for one goroutine at a time. The caller must hold no lock that a message needs.
func To(busy func() bool) (giveWay func()) {
	started := time.Now()
	return to(busy, func() time.Duration { return time.Since(started) }, func() {
		// time.Sleep takes a millisecond at least, and the work ten times as long as without pauses.
		t := syscall.NsecToTimespec(pause.Nanoseconds())
		_ = syscall.Nanosleep(&t, nil) // an interrupted pause is over
	})
}

// to is To with a clock, which tells the time since the beginning, and a way to stand still.
func to(busy func() bool, clock func() time.Duration, pause func()) (giveWay func()) {
	calls, until := 0, stretch
	return func() {
		if calls++; calls%perLook != 0 || clock() < until {
			return
		}
		if busy() {
			pause()
		}
		until = clock() + stretch
	}
}
