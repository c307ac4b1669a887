package dns

import (
	"cmp"
	"context"
	"fmt"
	"runtime/debug"
	"strings"
	"time"
)

// flight is one question with its waiting callers.
type flight struct {
	key   key
	shard *shard
	done  chan struct{} // closed when answer is set

	answer *answer

	// Guarded by the shard's lock.
	waiters int
	cancel  context.CancelFunc // nil until it runs

	// Guarded by slots.mu.
	launched bool // it has or had a slot
	paid     claim
}

var absentAnswer = &answer{absent: true}

// cachedAnswer is what lookup answers from the cache, or nil. It does not count as a look-up.
func (r *Resolver) cachedAnswer(name string, rrtype uint16) *answer {
	name, ok := canonical(name)
	if !ok {
		return absentAnswer
	}
	k := key{name, rrtype}
	s := r.cache.shard(k)
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.get(k, r.now())
}

// lookup answers from the cache, or by a query of its own or by one that already runs.
func (r *Resolver) lookup(ctx context.Context, name string, rrtype uint16, c claim) (*answer, error) {
	name, ok := canonical(name)
	if !ok {
		return absentAnswer, nil
	}
	k := key{name, rrtype}
	s := r.cache.shard(k)
	s.mu.Lock()
	s.lookups++
	if a := s.get(k, r.now()); a != nil {
		s.hits++
		s.mu.Unlock()
		return a, a.err
	}
	if err := cmp.Or(ctx.Err(), r.closed()); err != nil {
		s.mu.Unlock()
		return nil, lookupError(name, rrtype, err)
	}
	f := s.flights[k]
	if f == nil {
		k.name = strings.Clone(k.name) // the caller's may be a part of a whole header
		f = &flight{key: k, shard: s, done: make(chan struct{})}
		s.flights[k] = f
	}
	f.waiters++
	// Each caller requests a slot until the flight has one: it must not wait for an
	// earlier caller's slot, which may take long.
	t := r.slots.request(f, c)
	if t != nil {
		r.slotWaits.Add(1)
	}
	s.mu.Unlock()
	select {
	case <-f.done:
		if t != nil {
			r.slots.withdraw(t)
		}
		return f.answer, f.answer.err
	case <-ctx.Done():
		err := ctx.Err()
		if t != nil && r.slots.withdraw(t) {
			err = fmt.Errorf("%w: %w", errNoSlot, err)
		}
		s.leave(k, f)
		return nil, lookupError(name, rrtype, err)
	}
}

// launch starts a query with its own context: the paying caller is only one of several.
func (r *Resolver) launch(f *flight) {
	r.flights.Add(1)
	go r.fly(f)
}

// fly finds the answer to a question. The time limit starts here.
func (r *Resolver) fly(f *flight) {
	defer r.flights.Done()
	s := f.shard
	ctx, cancel := context.WithTimeout(r.life, time.Duration(r.tries+1)*r.timeout)
	defer cancel()
	s.mu.Lock()
	f.cancel = cancel
	if f.waiters == 0 { // all callers have left
		cancel()
	}
	s.mu.Unlock()
	a := r.answer(ctx, f.key)
	// Before the answer is delivered: its receiver may send the next question at once.
	r.slots.release(f)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.flights[f.key] == f {
		delete(s.flights, f.key)
		if a.ttl > 0 {
			s.put(f.key, a, r.now())
		}
	}
	f.answer = a
	close(f.done)
}

// answer is follow, but a panic, which a reply might cause, becomes a local failure: it
// must neither end the process nor keep the slot.
func (r *Resolver) answer(ctx context.Context, k key) (a *answer) {
	defer func() {
		if cause := recover(); cause != nil {
			a = k.failed(fmt.Errorf("%w: %v\n%s", errPanic, cause, debug.Stack()))
		}
	}()
	return r.follow(ctx, k)
}

// leave ends one caller's wait. The last one to leave ends the flight.
func (s *shard) leave(k key, f *flight) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if f.waiters--; f.waiters == 0 && s.flights[k] == f {
		delete(s.flights, k)
		if f.cancel != nil {
			f.cancel()
		}
	}
}

// failed is the answer for an error. A local failure says nothing about the name.
func (k key) failed(err error) *answer {
	a := &answer{err: lookupError(k.name, k.rrtype, err), ttl: errorTTL}
	if local(err) {
		a.ttl = 0
	}
	return a
}
