package daemon

import "golang.org/x/sys/unix"

// monotonicMicroseconds is the kernel's monotonic clock. systemd orders reloads by it.
func monotonicMicroseconds() int64 {
	var ts unix.Timespec
	if unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts) != nil {
		return 0
	}
	return ts.Nano() / 1000
}
