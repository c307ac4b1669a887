package keys

import (
	"os"
	"slices"
	"time"
)

// forget drops retired keys whose file is gone: nobody wants to hear of them.
func (w *Watch) forget() {
	for ref, f := range w.known {
		if f.State == Retired && w.plan.Store.keys[ref] == nil && !w.plan.Config.there(ref) {
			delete(w.known, ref)
			w.changed = true
		}
	}
}

// there reports whether a key has a file.
func (c Config) there(ref Ref) bool {
	return slices.ContainsFunc(c.paths(ref, ref.Selector), func(path string) bool {
		_, err := os.Lstat(path)
		return err == nil
	})
}

// rest is how long after the last time the state file is written again.
func (w *Watch) rest() time.Duration {
	if w.changed {
		return savedRest * time.Duration(len(w.known))
	}
	return savedEvery
}

// save writes the state file if there is something to write, and tells of a fault
// once.
func (w *Watch) save(last bool) {
	w.mu.Lock()
	now := w.now()
	if wait := w.rest(); now.Sub(w.saved) < wait && !last {
		w.mu.Unlock()
		return
	}
	if last { // what was used since the last round
		w.known = w.plan.fill(w.known, now, w.open)
	}
	path, facts := w.plan.Config.State, w.known.sorted()
	damaged := w.damaged
	w.changed, w.saved, w.damaged = false, now, false
	w.mu.Unlock()

	if damaged {
		_ = os.Rename(path, path+".damaged") // for a person to look at
	}
	unsaved := ""
	if err := writeState(path, facts); err != nil {
		unsaved = "the state of the keys cannot be written, and will be lost with a restart: " + err.Error() +
			"; give the daemon a folder of its own there, or set keys.state"
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if unsaved != "" && unsaved != w.unsaved {
		w.log.Warn(unsaved)
	}
	w.unsaved = unsaved
}
