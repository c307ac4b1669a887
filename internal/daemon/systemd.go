package daemon

import (
	"fmt"

	systemd "github.com/coreos/go-systemd/v22/daemon"
	"golang.org/x/sys/unix"
)

// notify tells systemd the state of the service; without systemd it does nothing.
func notify(state string) {
	_, _ = systemd.SdNotify(false, state)
}

// monotonic is the time stamp that Type=notify-reload requires with RELOADING=1.
func monotonic() string {
	return fmt.Sprintf("MONOTONIC_USEC=%d", monotonicMicroseconds())
}

// monotonicMicroseconds is the kernel's monotonic clock. systemd orders reloads by it.
func monotonicMicroseconds() int64 {
	var ts unix.Timespec
	if unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts) != nil {
		return 0
	}
	return ts.Nano() / 1000
}
