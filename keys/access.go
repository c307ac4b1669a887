package keys

import (
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"signpost/internal/shell"
)

// Permission bits of one class: owner, group or others.
const (
	read   fs.FileMode = 4
	write  fs.FileMode = 2
	search fs.FileMode = 1
)

// process is the process that reads or makes keys, with the ids that the kernel checks.
type process struct {
	uid, gid int
	groups   []int
	daemon   int // the uid of the user signpost; 0 if there is none
}

func thisProcess() process {
	groups, _ := os.Getgroups() // if it fails, the primary group decides
	return process{uid: os.Geteuid(), gid: os.Getegid(), groups: groups, daemon: daemonUID()}
}

var daemonUID = sync.OnceValue(func() int {
	u, err := user.Lookup(daemonUser)
	if err != nil {
		return 0
	}
	uid, _ := strconv.Atoi(u.Uid)
	return uid
})

func (p process) in(gid int) bool { return gid == p.gid || slices.Contains(p.groups, gid) }

// class returns which class of a file's mode applies to the process, in the letters of chmod.
func (p process) class(info fs.FileInfo) string {
	uid, gid := owner(info)
	switch {
	case uid == p.uid:
		return "u"
	case p.in(gid):
		return "g"
	}
	return "o"
}

func (p process) may(info fs.FileInfo, bit fs.FileMode) bool {
	if p.uid == 0 {
		return true
	}
	shift := map[string]int{"u": 6, "g": 3, "o": 0}[p.class(info)]
	return info.Mode().Perm()>>shift&bit != 0
}

func owner(info fs.FileInfo) (uid, gid int) {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return int(st.Uid), int(st.Gid)
	}
	return -1, -1
}

// whyNot says why the process cannot read the file at path: a folder that it may not enter, or
// the file itself. It names the user, the component and the remedy. dir is the key folder.
func whyNot(path, dir string, p process) string {
	who := fmt.Sprintf("the user %s (uid %d)", userName(p.uid), p.uid)
	fault, info := blocking(path, p)
	if info == nil {
		return fmt.Sprintf("%s may not read it, although the modes of the file and its folders allow it: look for ACLs, AppArmor or SELinux", who)
	}
	verb := "read this file"
	if info.IsDir() {
		verb = "enter the folder " + fault
	} else if fault != path {
		verb = "read " + fault
	}
	return fmt.Sprintf("%s may not %s, which is %s; %s", who, verb, described(info), p.remedy(fault, dir, info))
}

// Unreadable says what keeps this process from reading a file in a folder, and what to
// do: the file or a folder above it, with its mode.
func Unreadable(path, folder string) string { return whyNot(path, folder, thisProcess()) }

// DaemonUnreadable says what keeps the daemon from reading a key file, and what to do; "" if the
// modes of the file and of the key folder allow it, or if this process is of a user who cannot
// tell.
func (c Config) DaemonUnreadable(path string) string {
	p, ok := theDaemon()
	if !ok {
		return ""
	}
	// A daemon that is tried out in a folder of root's runs as root.
	if fault, info := blocking(path, p); info == nil || !within(fault, c.Dir) && !within(fault, home) {
		return ""
	}
	return whyNot(path, c.Dir, p)
}

// blocking returns the first component of the path that the process may not enter or read. It
// follows symbolic links. info is nil if the modes allow everything.
func blocking(path string, p process) (at string, info fs.FileInfo) {
	visit(path, func(component string, found fs.FileInfo) bool {
		if found.Mode()&fs.ModeSymlink != 0 {
			return true
		}
		if found.IsDir() && !p.may(found, search) || !found.IsDir() && !p.may(found, read) {
			at, info = component, found
			return false
		}
		return true
	})
	return at, info
}

// visit calls see with each component of a path, in the order of the kernel: folders, symbolic
// links and their targets, and the last component. It ends when see returns false, or at a
// component that does not exist.
func visit(path string, see func(at string, info fs.FileInfo) bool) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return
	}
	at, rest := "/", components(abs)
	for links := 0; ; {
		info, err := os.Lstat(at)
		if err != nil || !see(at, info) {
			return
		}
		if info.Mode()&fs.ModeSymlink != 0 {
			target, err := os.Readlink(at)
			if links++; err != nil || links > maxLinks {
				return
			}
			if !filepath.IsAbs(target) {
				target = filepath.Join(filepath.Dir(at), target)
			}
			at, rest = "/", append(components(target), rest...)
			continue
		}
		if len(rest) == 0 {
			return
		}
		at, rest = filepath.Join(at, rest[0]), rest[1:]
	}
}

// remedy is the command that gives access to the daemon and to no other user. An ordinary user
// gets no command that changes a file, since that could exclude the daemon. Folders above the
// key folder belong to the system and are left alone.
func (p process) remedy(fault, dir string, info fs.FileInfo) string {
	const asRoot = "run this as root"
	bit := map[bool]string{true: "x", false: "r"}[info.IsDir()]
	class, quoted := p.class(info), shell.Quote(fault)
	_, gid := owner(info)
	switch {
	case p.daemon != 0 && p.uid != p.daemon:
		return fmt.Sprintf("private keys are for root and the user %s alone: %s, or as root: runuser -u %s -- signpost check-config", daemonUser, asRoot, daemonUser)
	case !within(fault, dir) && !within(fault, home) && info.IsDir():
		return fmt.Sprintf("keep the keys in a folder that this user can reach, such as %s/keys (keys.dir)", home)
	case !within(fault, dir) && !within(fault, home):
		return "put a copy of this file into the key folder instead of the symbolic link"
	case class != "o":
		return fmt.Sprintf("mend it with: chmod %s+%s %s", class, bit, quoted)
	}
	command := fmt.Sprintf("mend it with: chgrp %s %s && chmod g+%s %s", groupName(p.gid), quoted, bit, quoted)
	switch {
	case p.daemon != 0:
		return command
	case gid == 0:
		return fmt.Sprintf("if the daemon runs as this user, %s; if not, %s", command, asRoot)
	}
	return fmt.Sprintf("%s, or as a user in the group %s", asRoot, groupName(gid))
}

func within(path, dir string) bool {
	abs, err := filepath.Abs(dir)
	return err == nil && (path == abs || strings.HasPrefix(path, strings.TrimSuffix(abs, "/")+"/"))
}

// Access describes the file's mode, owner and group in the form of ls:
// "-rw-r----- root:signpost".
func (k *Private) Access() string {
	info, err := os.Stat(k.Path)
	if err != nil {
		return "?"
	}
	return described(info)
}

func described(info fs.FileInfo) string {
	uid, gid := owner(info)
	return fmt.Sprintf("%s %s:%s", info.Mode(), userName(uid), groupName(gid))
}

func userName(uid int) string {
	if u, err := user.LookupId(strconv.Itoa(uid)); err == nil {
		return u.Username
	}
	return strconv.Itoa(uid)
}

func groupName(gid int) string {
	if g, err := user.LookupGroupId(strconv.Itoa(gid)); err == nil {
		return g.Name
	}
	return strconv.Itoa(gid)
}
