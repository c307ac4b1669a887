package dns

import (
	"net/netip"
	"time"
)

// SetNow makes a resolver read this clock. Call it before the first look-up.
func (r *Resolver) SetNow(now func() time.Time) { r.now = now }

// Cached says how much the cache holds.
func (r *Resolver) Cached() (entries, bytes, flights int) {
	for i := range r.cache.shards {
		s := &r.cache.shards[i]
		s.mu.Lock()
		entries += len(s.ring)
		bytes += s.bytes
		flights += len(s.flights)
		s.mu.Unlock()
	}
	return entries, bytes, flights
}

// Waiting says how many askers wait for answers.
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
	MaxDirect      = maxDirect
	CacheEntries   = cacheEntries
	CacheBytes     = cacheBytes
	MaxRecords     = maxRecords
	MaxRecordBytes = maxRecordBytes
)
