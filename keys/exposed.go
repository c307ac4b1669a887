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

// exposures returns the ways in which other users of the host may read or replace the key.
func (c Config) exposures(path string, file fs.FileInfo) []string {
	var found []string
	if file.Mode().Perm()&(read|write) != 0 {
		found = append(found, fmt.Sprintf("everybody may read or change it (%s): chmod o-rw %s", described(file), shell.Quote(path)))
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
	faults []string
	sticky bool // each user may make files in it, and replace only their own
}

func newSurroundings(p process) *surroundings {
	return &surroundings{process: p, folders: map[string]surrounding{}}
}

// of returns the faults of all folders above a file, also behind symbolic links.
func (s *surroundings) of(abs string) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	above := s.folder(filepath.Dir(abs))
	info, err := os.Lstat(abs)
	if err != nil || info.Mode()&fs.ModeSymlink == 0 {
		return above.faults
	}
	return union(above.faults, s.behind(abs).faults)
}

func union(a, b []string) []string {
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
	report := func(fault string) {
		if !slices.Contains(f.faults, fault) {
			f.faults = append(f.faults, fault)
		}
	}
	if uid, _ := owner(info); above.sticky && !s.mayOwn(uid) {
		report(fmt.Sprintf("the user %s may replace %s (%s): keep the keys in a folder of root (keys.dir)", userName(uid), path, described(info)))
	}
	if info.IsDir() && info.Mode().Perm()&write != 0 {
		f.sticky = info.Mode()&fs.ModeSticky != 0
		if !f.sticky {
			report(fmt.Sprintf("everybody may replace files in %s (%s): chmod o-w %s", path, described(info), shell.Quote(path)))
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

// widened returns a warning about a group with more access than the daemon needs: a foreign
// group that may read the key, or any group that may change it. Root has no group of its own.
func widened(path string, file fs.FileInfo, p process) string {
	_, gid := owner(file)
	perm := file.Mode().Perm() >> 3
	switch {
	case perm&write != 0:
		return fmt.Sprintf("the group %s may change the key (%s): chmod g-w %s", groupName(gid), described(file), shell.Quote(path))
	case perm&read != 0 && p.uid != 0 && !p.in(gid):
		return fmt.Sprintf("the group %s, which is not ours, may read the key (%s): chmod g-r %s", groupName(gid), described(file), shell.Quote(path))
	}
	return ""
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
