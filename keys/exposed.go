package keys

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"signpost/internal/shell"
)

// Exposure is a way in which another user of the host may read or replace a key.
type Exposure struct {
	// Fault names the file or folder, with its mode and owner.
	Fault string
	// Mode and Path are the arguments of chmod that mend it; empty if Advice does.
	Mode, Path string
	Advice     string
}

func (e Exposure) String() string {
	if e.Mode == "" {
		return e.Fault + ": " + e.Advice
	}
	return e.Fault + ": chmod " + e.Mode + " " + shell.Quote(e.Path)
}

// Exposures returns the ways in which other users of the host may read or replace the key in a
// file, also those that are no more than a warning of Load.
func (c Config) Exposures(path string) []Exposure {
	info, err := os.Stat(path)
	if err != nil {
		return nil
	}
	found := c.exposures(path, info)
	p, known := theDaemon()
	if e, ok := widened(path, info, p); ok && known && !slices.ContainsFunc(found, func(o Exposure) bool { return o.Path == path }) {
		found = append(found, e)
	}
	return found
}

// exposures returns those for which a key is not loaded, unless insecure_mode is warn.
func (c Config) exposures(path string, file fs.FileInfo) []Exposure {
	var found []Exposure
	if file.Mode().Perm()&(read|write) != 0 {
		found = append(found, Exposure{Fault: fmt.Sprintf("everybody may read or change it (%s)", described(file)), Mode: "o-rw", Path: path})
	}
	s := c.surroundings
	if s == nil {
		s = newSurroundings(thisProcess())
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		return found
	}
	return append(found, s.of(abs)...)
}

// surroundings are the faults of the folders above key files. Each Open has one, so that it
// checks each folder once.
type surroundings struct {
	process process
	mu      sync.Mutex
	folders map[string]surrounding
}

// surrounding is the result for one folder and all folders above it.
type surrounding struct {
	faults []Exposure
	sticky bool // each user may make files in it, and replace only their own
}

func newSurroundings(p process) *surroundings {
	return &surroundings{process: p, folders: map[string]surrounding{}}
}

// of returns the faults of all folders above a file, also behind symbolic links.
func (s *surroundings) of(abs string) []Exposure {
	s.mu.Lock()
	defer s.mu.Unlock()
	above := s.folder(filepath.Dir(abs))
	info, err := os.Lstat(abs)
	if err != nil || info.Mode()&fs.ModeSymlink == 0 {
		return above.faults
	}
	return union(above.faults, s.behind(abs).faults)
}

func union(a, b []Exposure) []Exposure {
	both := slices.Clone(a)
	for _, line := range b {
		if !slices.Contains(both, line) {
			both = append(both, line)
		}
	}
	return both
}

func (s *surroundings) folder(path string) surrounding {
	if known, ok := s.folders[path]; ok {
		return known
	}
	var f surrounding
	if above := filepath.Dir(path); above != path {
		f = s.folder(above)
	}
	if info, err := os.Lstat(path); err == nil && info.Mode()&fs.ModeSymlink == 0 {
		f = s.below(f, path, info)
	} else if err == nil {
		behind := s.behind(path)
		f = surrounding{union(f.faults, behind.faults), behind.sticky}
	}
	s.folders[path] = f
	return f
}

// behind follows symbolic links all the way.
func (s *surroundings) behind(path string) (f surrounding) {
	visit(path, func(at string, info fs.FileInfo) bool {
		if at == "/" {
			f.sticky = false
		}
		f = s.below(f, at, info)
		return true
	})
	return f
}

// below returns the faults of a folder with those of the folders above it.
func (s *surroundings) below(above surrounding, path string, info fs.FileInfo) surrounding {
	f := surrounding{faults: above.faults[:len(above.faults):len(above.faults)]}
	report := func(fault Exposure) {
		if !slices.Contains(f.faults, fault) {
			f.faults = append(f.faults, fault)
		}
	}
	if uid, _ := owner(info); above.sticky && !s.mayOwn(uid) {
		report(Exposure{Fault: fmt.Sprintf("the user %s may replace %s (%s)", userName(uid), path, described(info)), Advice: "keep the keys in a folder of root (keys.dir)"})
	}
	if info.IsDir() && info.Mode().Perm()&write != 0 {
		f.sticky = info.Mode()&fs.ModeSticky != 0
		if !f.sticky {
			report(Exposure{Fault: fmt.Sprintf("everybody may replace files in %s (%s)", path, described(info)), Mode: "o-w", Path: path})
		}
	}
	return f
}

// mayOwn reports whether a user may own files in a folder with the sticky bit. Root knows the
// daemon's user only by the name signpost.
func (s *surroundings) mayOwn(uid int) bool {
	p := s.process
	return uid == 0 || uid == p.uid || uid == p.daemon || p.uid == 0 && p.daemon == 0
}

// widened finds a group with more access than the daemon needs: a foreign group that may read
// the key, or any group that may change it. Root has no group of its own.
func widened(path string, file fs.FileInfo, p process) (e Exposure, found bool) {
	_, gid := owner(file)
	perm := file.Mode().Perm() >> 3
	switch {
	case perm&write != 0:
		return Exposure{Fault: fmt.Sprintf("the group %s may change the key (%s)", groupName(gid), described(file)), Mode: "g-w", Path: path}, true
	case perm&read != 0 && p.uid != 0 && !p.in(gid):
		return Exposure{Fault: fmt.Sprintf("the group %s, which is not ours, may read the key (%s)", groupName(gid), described(file)), Mode: "g-r", Path: path}, true
	}
	return e, false
}

// ownedByDaemon returns a warning if the daemon's user may replace its own key folder, as in
// earlier versions; else "".
func (c Config) ownedByDaemon(p process) string {
	if p.daemon == 0 || p.uid != p.daemon {
		return ""
	}
	for _, folder := range []string{filepath.Dir(c.Dir), c.Dir} {
		info, err := os.Stat(folder)
		if err != nil {
			continue
		}
		if uid, _ := owner(info); uid == p.uid {
			return fmt.Sprintf("%s belongs to the daemon's user %s (%s), who could put other keys in the place of these; it should be root's. As root: %s",
				folder, userName(uid), described(info), p.giveToRoot(folder))
		}
	}
	return ""
}
