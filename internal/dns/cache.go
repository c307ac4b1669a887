package dns

import (
	"hash/maphash"
	"sync"
	"time"
)

// The cache's bounds, all shards together.
const (
	cacheShards  = 32
	cacheEntries = 64 << 10
	cacheBytes   = 64 << 20

	entryOverhead = 256 // bytes, about: the entry, its key and its places
)

// key is a question. The class is always IN.
type key struct {
	name   string // canonical
	rrtype uint16
}

// cache remembers answers, errors too, for as long as each says. It is bounded in
// number and bytes; what was not asked for again since the hand last passed goes
// first (the CLOCK algorithm), so that names asked for once, as spammers' are, do
// not drive out those that are in use.
type cache struct {
	seed   maphash.Seed
	shards [cacheShards]shard
}

type shard struct {
	mu      sync.Mutex
	entries map[key]*entry
	ring    []*entry
	hand    int
	bytes   int
	flights map[key]*flight
}

type entry struct {
	key     key
	answer  *answer
	expires time.Time
	size    int
	used    bool // since the hand last passed
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
	e.used = true
	return e.answer
}

// put keeps an answer. The caller holds mu.
func (s *shard) put(k key, a *answer, now time.Time) {
	e := s.entries[k]
	if e == nil {
		e = &entry{key: k}
		s.entries[k] = e
		s.ring = append(s.ring, e)
	}
	s.bytes -= e.size
	e.answer, e.expires, e.size = a, now.Add(a.ttl), entryOverhead+len(k.name)+a.size()
	s.bytes += e.size
	for len(s.ring) > cacheEntries/cacheShards || s.bytes > cacheBytes/cacheShards && len(s.ring) > 1 {
		s.evict(e, now)
	}
}

// evict takes out one entry, other than the one that has just been put in.
func (s *shard) evict(keep *entry, now time.Time) {
	for {
		if s.hand >= len(s.ring) {
			s.hand = 0
		}
		e := s.ring[s.hand]
		if e == keep || e.used && now.Before(e.expires) {
			e.used = false
			s.hand++
			continue
		}
		last := len(s.ring) - 1
		s.ring[s.hand] = s.ring[last]
		s.ring[last] = nil
		s.ring = s.ring[:last]
		s.bytes -= e.size
		delete(s.entries, e.key)
		return
	}
}
