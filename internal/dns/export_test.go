package dns

import (
	"net/netip"
	"time"
)

// SetNow sets a resolver's clock. Call it before the first look-up.
func (r *Resolver) SetNow(now func() time.Time) { r.now = now }

// SetSlots sets a resolver's number of slots for each purpose. Call it before the first
// look-up.
func (r *Resolver) SetSlots(n int) {
	r.slots = newSlots(4*n, r.launch)
	for p := range r.slots.lanes {
		r.slots.lanes[p].size = n
	}
}

// Distant treats all servers as if they were not on this machine.
func (r *Resolver) Distant() {
	for _, s := range r.servers {
		s.distant = true
	}
}

// UnderWay returns how many look-ups have a slot.
func (r *Resolver) UnderWay() int {
	r.slots.mu.Lock()
	defer r.slots.mu.Unlock()
	n := 0
	for p := range r.slots.lanes {
		n += r.slots.lanes[p].busy
	}
	return n
}

// Cached returns the size of the cache.
func (r *Resolver) Cached() (entries, bytes, flights int) {
	for i := range r.cache.shards {
		s := &r.cache.shards[i]
		s.mu.Lock()
		entries += s.ring.Len()
		bytes += s.bytes
		flights += len(s.flights)
		s.mu.Unlock()
	}
	return entries, bytes, flights
}

// Waiting returns how many callers wait for answers.
func (r *Resolver) Waiting() int {
	n := 0
	for i := range r.cache.shards {
		s := &r.cache.shards[i]
		s.mu.Lock()
		for _, f := range s.flights {
			n += f.waiters
		}
		s.mu.Unlock()
	}
	return n
}

var SystemServers = func(path string) ([]netip.AddrPort, error) { return systemServers(path) }

const (
	ErrorTTL       = errorTTL
	MaxTTL         = maxTTL
	MaxNegativeTTL = maxNegativeTTL
	RestTime       = restTime
	PlainTime      = plainTime
	MaxUncached    = maxUncached
	CacheEntries   = cacheEntries
	CacheBytes     = cacheBytes
	MaxRecords     = maxRecords
	MaxRecordBytes = maxRecordBytes
)
