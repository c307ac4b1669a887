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

// exposures are the ways in which other users of the machine may read the key or
// put another in its place.
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

// surroundings are the faults of the folders that paths lead through. One serves all
// keys of an Open, so that each folder is looked at once.
type surroundings struct {
	process process
	mu      sync.Mutex
	folders map[string]surrounding
}

// surrounding is what is known of one folder and all folders above it.
type surrounding struct {
	faults []string
	sticky bool // everybody may make files in it, and replace only their own
}

func newSurroundings(p process) *surroundings {
	return &surroundings{process: p, folders: map[string]surrounding{}}
}

// of returns the faults of all folders above a file, those that symbolic links lead
// to included.
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

// below adds the faults of a file or folder to those of the folders above it.
func (s *surroundings) below(above surrounding, path string, info fs.FileInfo) surrounding {
	f := surrounding{faults: above.faults[:len(above.faults):len(above.faults)]}
	tell := func(fault string) {
		if !slices.Contains(f.faults, fault) {
			f.faults = append(f.faults, fault)
		}
	}
	if uid, _ := owner(info); above.sticky && !s.mayOwn(uid) {
		tell(fmt.Sprintf("the user %s may replace %s (%s): keep the keys in a folder of root (keys.dir)", userName(uid), path, described(info)))
	}
	if info.IsDir() && info.Mode().Perm()&write != 0 {
		f.sticky = info.Mode()&fs.ModeSticky != 0
		if !f.sticky {
			tell(fmt.Sprintf("everybody may replace files in %s (%s): chmod o-w %s", path, described(info), shell.Quote(path)))
		}
	}
	return f
}

// mayOwn reports whether a user may own what lies in a folder that is open to
// everybody. Root does not know the daemon's user by another name than signpost.
func (s *surroundings) mayOwn(uid int) bool {
	p := s.process
	return uid == 0 || uid == p.uid || uid == p.daemon || p.uid == 0 && p.daemon == 0
}

// widened tells of a group that has more than a daemon needs: one of others that
// may read the key, or any that may change it. Root knows no group for its own.
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

// ownedByDaemon is a warning where the daemon's user may replace its own key folder,
// as versions before had it; "" where it may not.
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
