package dns

import (
	"hash/maphash"
	"sync"
	"time"

	"signpost/internal/clock"
)

// The cache's bounds, all shards together.
const (
	cacheShards  = 32
	cacheEntries = 64 << 10
	cacheBytes   = 64 << 20

	entryOverhead = 256 // bytes, about: the entry, its key and its places in map and ring
)

// key is a question. The class is always IN.
type key struct {
	name   string // canonical
	rrtype uint16
}

// cache remembers answers and errors, each for its own time. It is bounded in number and
// bytes. The CLOCK algorithm chooses what leaves, so that names that are asked for once, as
// those of spammers, do not displace the names in use.
type cache struct {
	seed   maphash.Seed
	shards [cacheShards]shard
}

type shard struct {
	mu      sync.Mutex
	entries map[key]*entry
	ring    clock.Ring[*entry]
	bytes   int
	lookups uint64
	hits    uint64 // of the look-ups
	flights map[key]*flight
}

type entry struct {
	clock.Mark
	key     key
	answer  *answer
	expires time.Time
	size    int
}

func (c *cache) init() {
	c.seed = maphash.MakeSeed()
	for i := range c.shards {
		c.shards[i].entries = map[key]*entry{}
		c.shards[i].flights = map[key]*flight{}
	}
}

func (c *cache) shard(k key) *shard {
	return &c.shards[(maphash.String(c.seed, k.name)^uint64(k.rrtype))%cacheShards]
}

// get returns the answer that is kept, nil if there is none. The caller holds mu.
func (s *shard) get(k key, now time.Time) *answer {
	e := s.entries[k]
	if e == nil || !now.Before(e.expires) {
		return nil
	}
	e.Use()
	return e.answer
}

// put keeps an answer. The caller holds mu.
func (s *shard) put(k key, a *answer, now time.Time) {
	e := s.entries[k]
	if e == nil {
		e = &entry{key: k}
		s.entries[k] = e
		s.ring.Add(e)
	}
	s.bytes -= e.size
	e.answer, e.expires, e.size = a, now.Add(a.ttl), entryOverhead+len(k.name)+a.size()
	s.bytes += e.size
	for s.ring.Len() > cacheEntries/cacheShards || s.bytes > cacheBytes/cacheShards && s.ring.Len() > 1 {
		s.evict(e, now)
	}
}

// evict removes one entry, other than the one that has just been put in. An expired entry
// leaves even if it was used.
func (s *shard) evict(keep *entry, now time.Time) {
	e := s.ring.Evict(func(e *entry, used bool) bool { return e != keep && (!used || !now.Before(e.expires)) })
	s.bytes -= e.size
	delete(s.entries, e.key)
}
