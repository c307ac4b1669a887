package keys

import (
	"runtime"
	"sync"
	"sync/atomic"
)

// preloaded are keys that were loaded in parallel: one RSA key takes a tenth of a millisecond to
// parse and check, and there may be thousands.
type preloaded struct {
	cfg    Config
	loaded map[Ref]*loaded
}

// loaded is the result for one key.
type loaded struct {
	ref Ref
	key *Key
	err error
}

// preload loads keys on all processors. Other keys are loaded when they are needed.
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
