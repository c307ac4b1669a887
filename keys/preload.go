package keys

import (
	"os"
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

// loaded is the result for one key with a file of its own.
type loaded struct {
	ref Ref
	key *Key
	err error
}

// preload loads keys on all processors. Other keys are loaded when they are needed.
func (c Config) preload(refs []Ref) *preloaded {
	c.folders = c.readFolders()
	a := &preloaded{cfg: c, loaded: map[Ref]*loaded{}}
	var jobs []func()
	owners := map[Ref]bool{}
	for _, ref := range refs {
		name, err := ref.Canonical()
		if err != nil || ref.Domain == AnyDomain {
			continue
		}
		if owner, ok := c.borrowed(name); ok {
			if from := (Ref{owner, name.Selector}); !owners[from] {
				owners[from] = true
				jobs = append(jobs, func() { _, _ = c.ownersKey(from.Domain, from.Selector) }) // sharedKey gets the error again
			}
			continue
		}
		if a.loaded[ref] == nil {
			job := &loaded{ref: ref}
			a.loaded[ref] = job
			jobs = append(jobs, func() { job.key, job.err = c.load(job.ref) })
		}
	}
	inParallel(jobs)
	return a
}

// inParallel calls all jobs.
func inParallel(jobs []func()) {
	var next atomic.Int64
	var workers sync.WaitGroup
	// A reload has one processor more than there are, which is left to messages.
	for range min(runtime.GOMAXPROCS(0), runtime.NumCPU(), len(jobs)) {
		workers.Go(func() {
			for i := next.Add(1) - 1; i < int64(len(jobs)); i = next.Add(1) - 1 {
				jobs[i]()
			}
		})
	}
	workers.Wait()
}

// readFolders lists the folders of domains, so that the many domains that share other domains'
// keys cost no system call each. Without a list, nil, each file is looked for.
func (c Config) readFolders() map[string]bool {
	list, err := os.ReadDir(c.Dir)
	if err != nil {
		return nil
	}
	folders := make(map[string]bool, len(list))
	for _, f := range list {
		folders[f.Name()] = true
	}
	return folders
}

func (a *preloaded) load(ref Ref) (*Key, error) {
	if l := a.loaded[ref]; l != nil {
		return l.key, l.err
	}
	return a.cfg.load(ref)
}
