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
	cfg     Config
	wanted  []wantedKey
	unnamed []Key // allocated together, for the next shared keys
}

// wantedKey is a key by its canonical name. It is loaded, or it is the owner's key.
type wantedKey struct {
	name   Ref
	owner  string // see borrowed
	loaded *loaded
}

// loaded is a key of a domain's own, or the error of loading it.
type loaded struct {
	key *Key
	err error
}

// preload loads the keys of refs on all processors, without those to skip. Each ref is as the
// configuration writes it, since a file may have its name in this spelling.
func (c Config) preload(refs []Ref, skip func(Ref) bool) *preloaded {
	c.folders = c.readFolders()
	a := &preloaded{cfg: c, wanted: make([]wantedKey, len(refs))}
	own := map[Ref]*loaded{}
	var jobs []func()
	owners := map[Ref]bool{}
	for i, ref := range refs {
		c.GiveWay()
		if skip(ref) {
			continue
		}
		w := &a.wanted[i]
		var err error
		if w.name, err = ref.Canonical(); err != nil {
			w.loaded = &loaded{err: err}
			continue
		}
		if owner, ok := c.borrowed(w.name); ok {
			w.owner = owner
			if from := (Ref{owner, w.name.Selector}); !owners[from] {
				owners[from] = true
				jobs = append(jobs, func() { _, _ = c.ownersKey(from.Domain, from.Selector) }) // preloaded.load gets the error again
			}
			continue
		}
		if w.loaded = own[ref]; w.loaded == nil {
			result := &loaded{}
			own[ref], w.loaded = result, result
			jobs = append(jobs, func() { result.key, result.err = c.load(ref) })
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

// load returns the key i of those to load.
func (a *preloaded) load(i int) (*Key, error) {
	w := &a.wanted[i]
	if w.loaded != nil {
		return w.loaded.key, w.loaded.err
	}
	k, err := a.cfg.ownersKey(w.owner, w.name.Selector)
	if err != nil {
		return nil, err
	}
	if len(a.unnamed) == 0 {
		a.unnamed = make([]Key, min(len(a.wanted)-i, 100))
	}
	named := &a.unnamed[0]
	a.unnamed = a.unnamed[1:]
	k.nameAs(named, w.name.Domain)
	return named, nil
}
