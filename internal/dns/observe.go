package dns

import (
	"net/netip"
	"sync/atomic"
	"time"
)

// Query is one try of a look-up at one server.
type Query struct {
	Server netip.AddrPort
	Took   time.Duration
	// Answered says that a reply came in time, if only a failure, such as SERVFAIL.
	Answered bool
	// Err is why the try gave no result. "No such name" is a result.
	Err error
}

// watch has the function that Observe sets. A resolver and the servers of Each share one.
type watch struct{ told atomic.Pointer[func(Query)] }

func (w *watch) tell(q Query) {
	if w == nil {
		return
	}
	if told := w.told.Load(); told != nil {
		(*told)(q)
	}
}

// Observe has told called after each query to a server of the network, also of those from Each.
// It is called by many goroutines at once, while a look-up waits. A zone file has no queries.
func Observe(s Source, told func(Query)) {
	if r, ok := s.(*Resolver); ok {
		r.watch.told.Store(&told)
	}
}

// Addresses returns the servers that a source queries, in the configured order; a zone file has none.
func Addresses(s Source) []netip.AddrPort {
	r, ok := s.(*Resolver)
	if !ok {
		return nil
	}
	var all []netip.AddrPort
	for _, srv := range r.servers {
		all = append(all, srv.addr)
	}
	return all
}

// Stats counts the look-ups of a source since it was opened.
type Stats struct {
	Lookups   uint64 // those for messages
	CacheHits uint64 // of these
	SlotWaits uint64 // of these: all slots that they could have were in use
}

// Add returns the sum.
func (s Stats) Add(o Stats) Stats {
	return Stats{s.Lookups + o.Lookups, s.CacheHits + o.CacheHits, s.SlotWaits + o.SlotWaits}
}

// StatsOf returns the counts of a source; those of a zone file are zero.
func StatsOf(s Source) Stats {
	r, ok := s.(*Resolver)
	if !ok {
		return Stats{}
	}
	cached := r.cachedLookups.Load()
	total := Stats{Lookups: cached, CacheHits: cached, SlotWaits: r.slotWaits.Load()}
	for i := range r.cache.shards {
		lookups, hits := r.cache.shards[i].counts()
		total.Lookups += lookups
		total.CacheHits += hits
	}
	return total
}

func (s *shard) counts() (lookups, hits uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.lookups, s.hits
}
