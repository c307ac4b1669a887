package keys

import (
	"runtime"
	"sync"
	"sync/atomic"
)

// ahead holds keys that were loaded together, on all processors: to parse and check
// one RSA key takes a good tenth of a millisecond, and there may be thousands.
type preloaded struct {
	cfg    Config
	loaded map[Ref]*loaded
}

// loaded is what became of one key.
type loaded struct {
	ref Ref
	key *Key
	err error
}

// ahead loads keys. What is not among refs is loaded when it is asked for.
func (c Config) preload(refs []Ref) *preloaded {
	a := &preloaded{cfg: c, loaded: make(map[Ref]*loaded, len(refs))}
	var jobs []*loaded
	for _, ref := range refs {
		if ref.Domain != AnyDomain && a.loaded[ref] == nil {
			job := &loaded{ref: ref}
			a.loaded[ref] = job
			jobs = append(jobs, job)
		}
	}
	var next atomic.Int64
	var workers sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), len(jobs)) {
		workers.Go(func() {
			for i := next.Add(1) - 1; i < int64(len(jobs)); i = next.Add(1) - 1 {
				jobs[i].key, jobs[i].err = c.load(jobs[i].ref)
			}
		})
	}
	workers.Wait()
	return a
}

func (a *preloaded) load(ref Ref) (*Key, error) {
	if l := a.loaded[ref]; l != nil {
		return l.key, l.err
	}
	return a.cfg.load(ref)
}
