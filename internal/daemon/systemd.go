package daemon

import "golang.org/x/sys/unix"

// monotonicMicroseconds is the kernel's monotonic clock, by which systemd tells a
// reload from an older one.
func monotonicMicroseconds() int64 {
	var ts unix.Timespec
	if unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts) != nil {
		return 0
	}
	return ts.Nano() / 1000
}
