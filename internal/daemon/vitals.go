package daemon

import (
	"sync"
	"time"

	"signpost/internal/dns"
	"signpost/internal/status"
	"signpost/keys"
	"signpost/milter"
)

// vitals is what the service remembers for status and readiness. Its methods may be called by
// many goroutines.
type vitals struct {
	started time.Time
	counts  status.Counts
	servers status.Servers
	log     *status.Log

	mu      sync.Mutex
	current *inForce // nil: no generation is in force yet
	reload  status.Reload
	disk    diskState
}

// inForce is the generation in force.
type inForce struct {
	*Generation
	number int
	since  time.Time
	// before are the look-ups of the resolvers that earlier generations had.
	before   dns.Stats
	warnings func() int
	made     func() map[keys.Ref]time.Time // when the files of keys were written; for metrics
}

// Decided counts a message.
func (v *vitals) Decided(d milter.Decided) {
	v.counts.Count(time.Now(), d.Outbound, origins[d.Origin], &d.Outcome)
}

// origins has the milter's words as those of the status.
var origins = map[milter.Origin]status.Origin{milter.FromClient: status.FromClient, milter.FromHost: status.FromHost}

// Refused is for other observers.
func (v *vitals) Refused(milter.Refusal) {}

// queried counts a query to a DNS server.
func (v *vitals) queried(q dns.Query) {
	v.servers.Count(time.Now(), q.Server, q.Took, q.Answered, q.Err)
}

// begin notes the next generation in force.
func (v *vitals) begin(g *Generation, perKey int) {
	v.mu.Lock()
	defer v.mu.Unlock()
	next := &inForce{Generation: g, number: 1, since: time.Now(), warnings: sync.OnceValue(func() int { return len(g.Warnings()) }),
		made: sync.OnceValue(func() map[keys.Ref]time.Time { return madeTimes(g.Spec, perKey) })}
	if old := v.current; old != nil {
		next.number, next.before = old.number+1, old.before
		if old.Resolver != g.Resolver {
			next.before = old.lookups()
		}
		v.reload = status.Reload{At: next.since, OK: true}
	}
	v.current = next
}

// refused notes a reload that was refused.
func (v *vitals) refused(problems []string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.reload = status.Reload{At: time.Now(), Problems: problems}
}

// inForce returns the generation in force, or nil, and the last reload.
func (v *vitals) inForce() (*inForce, status.Reload) {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.current, v.reload
}

// lookups are those since the start.
func (f *inForce) lookups() dns.Stats { return f.before.Add(dns.StatsOf(f.Resolver)) }
