package doctor

import (
	"bufio"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// fileSpace is what a file system has room for.
type fileSpace struct {
	free              uint64 // octets, for who is not root
	noFiles, readOnly bool
}

func spaceOf(folder string) (s fileSpace, err error) {
	var st unix.Statfs_t
	if err := unix.Statfs(folder, &st); err != nil {
		return s, err
	}
	// Some file systems have no limit of files, and count none.
	return fileSpace{free: st.Bavail * uint64(st.Bsize), noFiles: st.Files > 0 && st.Ffree == 0, readOnly: st.Flags&unix.ST_RDONLY != 0}, nil
}

// writer is the user of a process with its groups, its own first.
type writer struct {
	uid    int
	groups []int
}

// writerOf reads the file-system ids of a process of this host.
func writerOf(pid int) (w writer, ok bool) {
	if pid <= 0 {
		return w, false
	}
	f, err := os.Open(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return w, false
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		name, values, _ := strings.Cut(s.Text(), ":")
		fields := strings.Fields(values)
		switch {
		case name == "Uid" && len(fields) == 4:
			w.uid, err = strconv.Atoi(fields[3])
			ok = err == nil
		case name == "Gid" && len(fields) == 4, name == "Groups":
			for _, field := range fields {
				if g, err := strconv.Atoi(field); err == nil {
					w.groups = append(w.groups, g)
				}
			}
		}
	}
	return w, ok && len(w.groups) > 0
}

// mayWrite compares the mode alone: an access control list may allow more.
func (w writer) mayWrite(info fs.FileInfo) bool {
	st, ok := info.Sys().(*syscall.Stat_t)
	need := fs.FileMode(0o6)
	if info.IsDir() {
		need = 0o3
	}
	mode := info.Mode().Perm()
	switch {
	case !ok, w.uid == 0:
		return true
	case int(st.Uid) == w.uid:
		return mode>>6&need == need
	case slices.Contains(w.groups, int(st.Gid)):
		return mode>>3&need == need
	}
	return mode&need == need
}
