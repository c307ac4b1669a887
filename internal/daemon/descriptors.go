package daemon

import (
	"fmt"
	"log/slog"
	"math"
	"os"
	"syscall"

	"signpost/internal/control"
	"signpost/internal/dns"
	"signpost/milter"
)

// usualDescriptors is assumed where /proc is missing: standard input, output and error,
// those of Go's runtime, and the lock of the state.
const usualDescriptors = 10

// descriptors divides the limit of open files of this process. Go raises the soft limit to
// the hard one at the start.
type descriptors struct {
	limit int // of open files
	dns   int // that look-ups may hold
	rest  int // all others: open ones, listeners, files that a reload reads
}

// divideDescriptors counts each file that is open now as needed for good.
func divideDescriptors(c milter.Config, source dns.Source) descriptors {
	d := descriptors{limit: math.MaxInt32, dns: dns.Sockets(source)}
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err == nil && limit.Cur < math.MaxInt32 {
		d.limit = int(limit.Cur)
	}
	open := usualDescriptors
	if entries, err := os.ReadDir("/proc/self/fd"); err == nil {
		open = len(entries)
	}
	// A listener may hold one more connection, which waits for a slot.
	d.rest = open + 2*len(c.Listen) + metricsConnections + control.MaxConnections + 1 + min(max(d.limit/16, 4), 64)
	return d
}

// connections is the number of milter connections within the limit, at least one.
func (d descriptors) connections() int { return max(d.limit-d.dns-d.rest, 1) }

// wanted is a limit of open files that allows so many connections. The reserve grows with the
// limit, by less than two fifths of it.
func (d descriptors) wanted(connections int) int {
	n := connections + d.rest
	return n + max(d.dns, n*2/3)
}

// fitConnections lowers max_connections to fit the limit of open files, and logs where that
// is fewer than configured.
func fitConnections(c milter.Config, source dns.Source, log *slog.Logger) milter.Config {
	d := divideDescriptors(c, source)
	if n := d.connections(); n < c.MaxConnections {
		log.Warn("max_connections is lowered to what the limit of open files leaves",
			"max_connections", n, "configured", c.MaxConnections, "open_files", d.limit, "dns", d.dns,
			"remedy", fmt.Sprintf("LimitNOFILE=%d in the unit (or ulimit -n), or a lower milter.max_connections", d.wanted(c.MaxConnections)))
		c.MaxConnections = n
	}
	return c
}

// DescriptorNote says for check-config how serve would lower max_connections under the limit
// of this process, which may differ from the daemon's; "" where it would not.
func (g *Generation) DescriptorNote() string { return descriptorNote(g.Config.Milter, g.Resolver) }

func descriptorNote(c milter.Config, source dns.Source) string {
	d := divideDescriptors(c, source)
	n := d.connections()
	if n >= c.MaxConnections {
		return ""
	}
	return fmt.Sprintf("with the limit of %d open files that holds here, serve would lower milter.max_connections from %d to %d; in the unit, LimitNOFILE=%d suffices",
		d.limit, c.MaxConnections, n, d.wanted(c.MaxConnections))
}
