package daemon

import (
	"fmt"
	"log/slog"
	"math"
	"os"
	"syscall"

	"signpost/internal/dns"
	"signpost/milter"
)

// usualDescriptors is what a process has open where /proc does not say: standard input,
// output and error, and what Go's runtime and the lock of the state take.
const usualDescriptors = 10

// descriptors is how this process's limit of open files is divided. Go raises the limit
// to all that is allowed when a process starts.
type descriptors struct {
	limit int // of open files
	dns   int // that look-ups may hold
	rest  int // everything else: what is open now, listeners, files that a reload reads
}

// divideDescriptors counts what is open now as needed for ever.
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
	// A listener may hold one connection more, which waits for its place.
	d.rest = open + 2*len(c.Listen) + min(max(d.limit/16, 4), 64)
	return d
}

// connections are those that the limit leaves, at least one.
func (d descriptors) connections() int { return max(d.limit-d.dns-d.rest, 1) }

// wanted is a limit at which so many connections are possible. What is set aside grows with
// the limit, by less than two fifths of it.
func (d descriptors) wanted(connections int) int {
	n := connections + d.rest
	return n + max(d.dns, n*2/3)
}

// fitConnections returns the section with no more connections than the limit of open
// files leaves, and logs where that is fewer than configured.
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

// DescriptorNote says for check-config what serve would do under the limit of this
// process, which may be another than the daemon's; "" where it would change nothing.
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
