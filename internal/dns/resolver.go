package dns

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// maxInFlight bounds the sockets that are open at once for messages.
const maxInFlight = 1024

// Resolver asks recursive resolvers over the network and remembers what they say.
// One question is on its way once, however many wait for its answer. Its methods
// may be used concurrently; it holds no socket while nobody asks.
//
// It does not validate DNSSEC: that is the work of the resolver it asks, over a
// path that nobody else writes to, best of all on the same machine.
type Resolver struct {
	servers []*server
	timeout time.Duration
	tries   int
	now     func() time.Time

	cache    cache
	slots    *slots
	uncached int // look-ups past the cache that may be under way to each server
	life     context.Context
	end      context.CancelFunc
	flights  sync.WaitGroup
}

// New returns a resolver for the servers of the section, or those of the system
// where it names none. It asks nobody yet.
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
	r := &Resolver{timeout: c.Timeout, tries: c.Tries, now: time.Now}
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

// Close ends the queries that are under way and waits for them to be gone. Look-ups
// that are not in the cache then fail.
func (r *Resolver) Close() error {
	r.end()
	for i := range r.cache.shards {
		r.cache.shards[i].quiesce()
	}
	r.flights.Wait()
	return nil
}
