package status

import (
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"
)

// Servers counts the queries to each DNS server by minute. Its methods may be called by many
// goroutines; the zero value is ready. Servers that are no longer asked are forgotten after a
// while.
type Servers struct {
	mu      sync.Mutex
	servers map[netip.AddrPort]*serverCounts
}

// maxServers bounds the servers, of which reloads may bring new ones.
const maxServers = 64

type serverCounts struct {
	slots [minutes]serverSlot
	err   string
	last  int64 // the last minute with a query
	total Server
}

type serverSlot struct {
	minute                      int64
	queries, unanswered, failed int
	took                        time.Duration
}

// Count counts a query. answered says that a reply came, and err why there is no result.
func (s *Servers) Count(now time.Time, at netip.AddrPort, took time.Duration, answered bool, err error) {
	minute := now.Unix() / 60
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.of(at)
	c.last = minute
	slot := &c.slots[uint64(minute)%minutes]
	if slot.minute != minute {
		*slot = serverSlot{minute: minute}
	}
	slot.queries++
	c.total.Queries++
	switch {
	case !answered:
		slot.unanswered++
		c.total.Unanswered++
	case err != nil:
		slot.failed++
		c.total.Failed++
	}
	if answered {
		slot.took += took
	}
	if err != nil {
		c.err = err.Error()
	}
}

func (s *Servers) of(at netip.AddrPort) *serverCounts {
	if c := s.servers[at]; c != nil {
		return c
	}
	if s.servers == nil {
		s.servers = map[netip.AddrPort]*serverCounts{}
	}
	if len(s.servers) >= maxServers {
		s.forgetOldest()
	}
	c := &serverCounts{}
	s.servers[at] = c
	return c
}

func (s *Servers) forgetOldest() {
	var oldest netip.AddrPort
	for at, c := range s.servers {
		if o := s.servers[oldest]; o == nil || c.last < o.last {
			oldest = at
		}
	}
	delete(s.servers, oldest)
}

// Totals returns the counts of all servers since the start, by address.
func (s *Servers) Totals() []Server {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []Server
	for at, c := range s.servers {
		c.total.Address = at.String()
		all = append(all, c.total)
	}
	slices.SortFunc(all, func(a, b Server) int { return strings.Compare(a.Address, b.Address) })
	return all
}

// LastHour returns the counts of these servers for this minute and the 59 before.
func (s *Servers) LastHour(now time.Time, servers []netip.AddrPort) []Server {
	minute := now.Unix() / 60
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]Server, 0, len(servers))
	for _, at := range servers {
		sum := Server{Address: at.String()}
		if c := s.servers[at]; c != nil {
			sum = c.sum(sum, minute)
		}
		all = append(all, sum)
	}
	return all
}

func (c *serverCounts) sum(sum Server, minute int64) Server {
	var took time.Duration
	for _, slot := range c.slots {
		if slot.minute <= minute-minutes || slot.minute > minute {
			continue
		}
		sum.Queries += slot.queries
		sum.Unanswered += slot.unanswered
		sum.Failed += slot.failed
		took += slot.took
	}
	if sum.Unanswered+sum.Failed > 0 {
		sum.LastError = c.err
	}
	if answered := sum.Queries - sum.Unanswered; answered > 0 {
		sum.MeanMS = float64(took.Microseconds()) / float64(answered) / 1000
	}
	return sum
}
