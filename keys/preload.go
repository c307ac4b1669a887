package keys

import (
	"os"
	"runtime"
	"sync"
	"sync/atomic"

	"signpost/internal/giveway"
)

// preloaded are keys that were loaded in parallel: one RSA key takes a tenth of a millisecond to
// parse and check, and there may be thousands.
type preloaded struct {
	cfg    Config
	refs   []Ref // as the configuration writes them
	wanted []wantedKey
	room   []Key // for the next shared keys
}

// wantedKey is a key by its canonical name. It has an owner, or its own result, or an error. That of "*" has none of
// these, and is loaded when it is needed.
type wantedKey struct {
	name  Ref
	owner string // see borrowed
	own   *loaded
	err   error
}

// loaded is the result for one key with a file of its own.
type loaded struct {
	ref Ref
	key *Key
	err error
}

// preload loads the keys of refs on all processors, except those of "*".
func (c Config) preload(refs []Ref) *preloaded {
	c.folders = c.readFolders()
	a := &preloaded{cfg: c, refs: refs, wanted: make([]wantedKey, len(refs))}
	own := map[Ref]*loaded{}
	var jobs []func()
	owners := map[Ref]bool{}
	for i, ref := range refs {
		giveway.Point()
		w := &a.wanted[i]
		if w.name, w.err = ref.Canonical(); w.err != nil || ref.Domain == AnyDomain {
			continue
		}
		if owner, ok := c.borrowed(w.name); ok {
			w.owner = owner
			if from := (Ref{owner, w.name.Selector}); !owners[from] {
				owners[from] = true
				jobs = append(jobs, func() { _, _ = c.ownersKey(from.Domain, from.Selector) }) // sharedKey gets the error again
			}
			continue
		}
		if w.own = own[ref]; w.own == nil {
			job := &loaded{ref: ref}
			own[ref], w.own = job, job
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

// load returns the key of refs[i].
func (a *preloaded) load(i int) (*Key, error) {
	switch w := &a.wanted[i]; {
	case w.err != nil:
		return nil, w.err
	case w.own != nil:
		return w.own.key, w.own.err
	case w.owner == "":
		return a.cfg.load(a.refs[i]) // a file may have the name in this spelling
	default:
		k, err := a.cfg.ownersKey(w.owner, w.name.Selector)
		if err != nil {
			return nil, err
		}
		if len(a.room) == 0 {
			a.room = make([]Key, min(len(a.wanted)-i, 100))
		}
		named := &a.room[0]
		a.room = a.room[1:]
		k.nameAs(named, w.name.Domain)
		return named, nil
	}
}
