package daemon

import (
	"reflect"
	"runtime/debug"
	"strings"
	"time"

	systemd "github.com/coreos/go-systemd/v22/daemon"

	"signpost/internal/giveway"
	"signpost/keys"
)

// reload puts a new generation in force, or logs why the old one stays. It gives way to messages.
func (s *Service) reload() {
	defer s.collect()
	defer s.processors.allProcessors()()
	defer easeCollector()()
	notify(systemd.SdNotifyReloading + "\n" + monotonic())
	defer notify(systemd.SdNotifyReady)
	next, err := s.load()
	if err == nil {
		err = s.lockState(next.Config.Keys.State)
	}
	if err != nil {
		problems := strings.Split(err.Error(), "\n")
		s.vitals.refused(problems)
		for _, line := range problems {
			s.log.Error("reload refused, the old configuration stays in force", "problem", line)
		}
		return
	}
	s.warnOfReload(next)
	s.begin(next)
	s.server.Swap(s.handlers(next))
	s.current = next
	s.logGeneration("reloaded")
}

// load builds the next generation.
func (s *Service) load() (*Generation, error) {
	c, from, err := Read(s.path)
	if err != nil {
		return nil, err
	}
	c.giveWay = giveway.To(s.server.Connected)
	return Build(c, from, time.Now, s.current)
}

// collect frees what only the reload and the generation before needed. It runs with as many processors as messages need
// at present. The collector uses a quarter of them, so the MTA keeps the others. By itself, the runtime would return the
// memory to the system only some collections later.
func (s *Service) collect() {
	if heapObjects() > largeHeap {
		defer s.processors.hold()()
		debug.FreeOSMemory()
	}
}

// warnOfReload logs the changes that need a restart, and those that may be mistakes.
func (s *Service) warnOfReload(next *Generation) {
	for _, section := range s.needRestart(next.Config) {
		s.log.Warn("what section " + section + " says is not what is in force: it takes effect with a restart only, systemctl restart signpost")
	}
	for _, k := range replaced(s.current.Store, next.Store) {
		s.log.Warn("another key under the same selector: receivers that remember the old record cannot verify; a new key wants a new selector",
			"domain", k.Domain, "selector", k.Selector, "file", k.Path)
	}
	if gone := leaving(s.current.Config, next.Config); len(gone) > 0 {
		s.log.Warn("entries are no longer in the configuration: their mail goes unsigned, unless another entry fits", "entries", SomeOf(gone))
	}
}

// needRestart returns the sections that differ from those of the start, and that a reload does
// not put in force.
func (s *Service) needRestart(next Config) []string {
	var changed []string
	for _, section := range []struct {
		name    string
		changed bool
	}{
		{"milter", !reflect.DeepEqual(next.Milter, s.started.Milter)},
		{"control", next.Control != s.started.Control},
		{"log", next.Log != s.started.Log},
		{"metrics", next.Metrics != s.started.Metrics},
		{"reports.page", !reflect.DeepEqual(next.Reports.Page, s.started.Reports.Page)},
	} {
		if section.changed {
			changed = append(changed, section.name)
		}
	}
	return changed
}

// replaced returns the keys of the next store whose selector had another key before.
func replaced(before, next *keys.Store) []*keys.Key {
	var found []*keys.Key
	was := before.InOrder()
	for _, k := range next.Keys() {
		if old, ok := was(k.Domain, k.Selector); ok && old.Fingerprint() != k.Fingerprint() {
			found = append(found, k)
		}
	}
	return found
}
