package dns

import (
	"cmp"
	"context"
	"errors"
	"strings"
	"time"
)

// flight is one question on its way, and those who wait for its answer.
type flight struct {
	done    chan struct{} // closed when answer is set
	answer  *answer
	waiters int
	cancel  context.CancelFunc
}

var (
	absentAnswer = &answer{absent: true}
	errClosed    = errors.New("the resolver has been closed")
)

func (r *Resolver) closed() error {
	if r.life.Err() != nil {
		return errClosed
	}
	return nil
}

// lookup answers from the cache or by a query, of its own or one that is under way.
func (r *Resolver) lookup(ctx context.Context, name string, rrtype uint16) (*answer, error) {
	name, ok := canonical(name)
	if !ok {
		return absentAnswer, nil
	}
	k := key{name, rrtype}
	s := r.cache.shard(k)
	s.mu.Lock()
	if a := s.get(k, r.now()); a != nil {
		s.mu.Unlock()
		return a, a.err
	}
	if err := cmp.Or(ctx.Err(), r.closed()); err != nil {
		s.mu.Unlock()
		return nil, lookupError(name, rrtype, err)
	}
	f := s.flights[k]
	if f == nil {
		f = r.start(s, k)
	}
	f.waiters++
	s.mu.Unlock()
	select {
	case <-f.done:
		return f.answer, f.answer.err
	case <-ctx.Done():
		s.leave(k, f)
		return nil, lookupError(name, rrtype, ctx.Err())
	}
}

// start sends a question on its way, on a context of its own: the asker who came
// first is one of many. The caller holds the shard's lock.
func (r *Resolver) start(s *shard, k key) *flight {
	k.name = strings.Clone(k.name) // the asker's may be a slice of a whole header
	budget := time.Duration(r.tries+1) * r.timeout
	ctx, cancel := context.WithTimeout(r.life, budget)
	f := &flight{done: make(chan struct{}), cancel: cancel}
	s.flights[k] = f
	r.flights.Add(1)
	go func() {
		defer r.flights.Done()
		defer cancel()
		a := r.fly(ctx, k)
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.flights[k] == f {
			delete(s.flights, k)
			if a.ttl > 0 {
				s.put(k, a, r.now())
			}
		}
		f.answer = a
		close(f.done)
	}()
	return f
}

// leave is for an asker who waits no longer. The last one ends the flight.
func (s *shard) leave(k key, f *flight) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if f.waiters--; f.waiters == 0 && s.flights[k] == f {
		delete(s.flights, k)
		f.cancel()
	}
}

// fly finds the answer to a question when it is its turn.
func (r *Resolver) fly(ctx context.Context, k key) *answer {
	if err := r.turn(ctx); err != nil {
		return k.failed(err)
	}
	defer func() { <-r.slots }()
	return r.follow(ctx, k)
}

// turn waits for one of the slots, until ctx ends.
func (r *Resolver) turn(ctx context.Context) error {
	select {
	case r.slots <- struct{}{}:
		return nil
	case <-ctx.Done():
		return errors.New("too many look-ups are under way")
	}
}

func (k key) failed(err error) *answer {
	return &answer{err: lookupError(k.name, k.rrtype, err), ttl: errorTTL}
}

// follow finds the answer to a question, along CNAMEs that the servers did not follow.
func (r *Resolver) follow(ctx context.Context, k key) *answer {
	at, ttl, aliases, failures := k, maxTTL, 0, 0
	for {
		st, err := r.ask(ctx, at, &failures)
		if err != nil {
			return k.failed(err)
		}
		ttl = min(ttl, st.ttl)
		if aliases += st.aliases; aliases > maxCNAMEs {
			return k.failed(errAliases)
		}
		a, name, ok := st.answer, "", true
		if a == nil {
			if name, ok = canonical(st.alias); !ok {
				a = &answer{} // the root has no records that anybody asks for
			}
		}
		if a != nil {
			a.absent = a.absent && at == k // an alias exists
			a.ttl = ttl
			return a
		}
		at.name = name
	}
}
