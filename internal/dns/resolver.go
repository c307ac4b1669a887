package dns

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// maxInFlight limits the open sockets for messages.
const maxInFlight = 1024

// Resolver asks recursive resolvers over the network and caches their answers.
// Concurrent look-ups of one question share one query. Its methods may be used
// concurrently; it holds no socket between queries.
//
// It does not validate DNSSEC: that is the work of the resolver that it asks. The path
// to that resolver must be trusted; preferably it is on the same machine.
type Resolver struct {
	upstream
	end context.CancelFunc // of life

	cache         cache
	slots         *slots
	slotWaits     atomic.Uint64
	cachedLookups atomic.Uint64 // answered by lookupCached; the shards count all others

	uncached int // limit of uncached look-ups to each server
	flights  sync.WaitGroup
}

// New returns a resolver for the servers of the section, or of the system if the
// section names none. It sends no query.
func New(c Config) (*Resolver, error) {
	var problems []error
	c.Validate(func(path, problem string) {
		problems = append(problems, fmt.Errorf("dns: %s: %s", path, problem))
	})
	if len(problems) > 0 {
		return nil, errors.Join(problems...)
	}
	addrs, err := systemServers(resolvConf)
	if len(c.Servers) > 0 {
		addrs, err = nil, nil
		for _, s := range c.Servers {
			addr, _ := parseServer(s)
			addrs = append(addrs, addr)
		}
	}
	if err != nil {
		return nil, err
	}
	r := &Resolver{upstream: upstream{timeout: c.Timeout, tries: c.Tries, now: time.Now, watch: new(watch)}}
	for _, addr := range addrs {
		r.servers = append(r.servers, newServer(addr))
	}
	messages, uncached := fitting(maxOpenFiles(), len(r.servers))
	r.slots, r.uncached = newSlots(messages, r.launch), uncached
	r.cache.init()
	r.life, r.end = context.WithCancel(context.Background())
	return r, nil
}

// quiesce waits until a look-up that holds the lock has started its query.
func (s *shard) quiesce() {
	s.mu.Lock()
	defer s.mu.Unlock()
}

// Close ends the running queries and waits for them. Look-ups that are not in the cache
// then fail.
func (r *Resolver) Close() error {
	r.end()
	for i := range r.cache.shards {
		r.cache.shards[i].quiesce()
	}
	r.flights.Wait()
	return nil
}
