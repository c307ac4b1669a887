package mta

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// A View is the file system as a process of the MTA sees it.
type View struct {
	Root string // what the process sees as "/"
	Dir  string // its working folder, as seen from outside
}

// View is how the processes of a service see the file system. Postfix' daemons work in queue_directory.
func (p *Postfix) View(s Service) View {
	queue := p.Value("queue_directory")
	if s.Chroot {
		return View{Root: queue, Dir: queue}
	}
	return View{Root: "/", Dir: queue}
}

// maxLinks limits the symbolic links on a path, as the kernel does.
const maxLinks = 40

// A Step is one folder, link or file on the way to a path.
type Step struct {
	Path string // as seen from outside of a chroot, all links resolved
	Info fs.FileInfo
}

// Resolve follows a path as the process does. It returns every step on the way: folders, and at last
// the file itself. The error is that of the first step that cannot be looked at; the steps before it are
// returned too.
func (v View) Resolve(path string) ([]Step, error) {
	at := v.Dir
	if filepath.IsAbs(path) {
		at = v.Root
	}
	at = filepath.Clean(at)
	info, err := os.Stat(at)
	if err != nil {
		return nil, err
	}
	steps, links := []Step{{at, info}}, 0
	rest := strings.Split(path, "/")
	for len(rest) > 0 {
		name := rest[0]
		rest = rest[1:]
		switch name {
		case "", ".":
			continue
		case "..":
			if at != filepath.Clean(v.Root) {
				at = filepath.Dir(at)
			}
			continue
		}
		next := filepath.Join(at, name)
		info, err := os.Lstat(next)
		if err != nil {
			return steps, err
		}
		if info.Mode()&fs.ModeSymlink == 0 {
			at, steps = next, append(steps, Step{next, info})
			continue
		}
		target, err := os.Readlink(next)
		if links++; err != nil || links > maxLinks {
			return steps, errors.Join(err, fmt.Errorf("%s: too many symbolic links", next))
		}
		if filepath.IsAbs(target) {
			at = filepath.Clean(v.Root)
		}
		rest = append(strings.Split(target, "/"), rest...)
	}
	return steps, nil
}

// An Account is a user with all of its groups.
type Account struct {
	Name   string
	Group  string // the primary one
	UID    uint32
	Groups []uint32
}

// LookupAccount reads a user and its groups, also the supplementary ones of the group file.
func LookupAccount(name string) (Account, error) {
	u, err := user.Lookup(name)
	if err != nil {
		return Account{}, err
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return Account{}, err
	}
	a := Account{Name: name, Group: u.Gid, UID: uint32(uid)}
	if g, err := user.LookupGroupId(u.Gid); err == nil {
		a.Group = g.Name
	}
	ids, err := u.GroupIds()
	if err != nil {
		return Account{}, err
	}
	for _, id := range append(ids, u.Gid) {
		if gid, err := strconv.ParseUint(id, 10, 32); err == nil && !slices.Contains(a.Groups, uint32(gid)) {
			a.Groups = append(a.Groups, uint32(gid))
		}
	}
	return a, nil
}

// Denied is the step at which an account ends on its way to a socket.
type Denied struct {
	Step
	Socket bool // the socket itself, which it may not write; else a folder that it may not enter
}

// Connects reports whether the account may connect to the socket at the end of the steps, and the step that
// denies it. Access control lists count.
func (a Account) Connects(steps []Step) (Denied, bool) {
	for i, s := range steps {
		const enter, write = 1, 2
		last := i == len(steps)-1
		want := uint32(enter)
		if last {
			want = write
		}
		if !a.may(want, s) {
			return Denied{s, last}, false
		}
	}
	return Denied{}, true
}

// Enters is Connects for steps that are all folders.
func (a Account) Enters(steps []Step) (Denied, bool) {
	for _, s := range steps {
		if !a.may(1, s) {
			return Denied{s, false}, false
		}
	}
	return Denied{}, true
}

// InGroup returns the name of the step's group if the account is a member.
func (a Account) InGroup(s Step) (string, bool) {
	stat, ok := s.Info.Sys().(*syscall.Stat_t)
	if !ok || !slices.Contains(a.Groups, stat.Gid) {
		return "", false
	}
	_, group := s.Owner()
	return group, true
}

// may reports whether the account has the permission (4 read, 2 write, 1 enter) at the step.
func (a Account) may(want uint32, s Step) bool {
	stat, ok := s.Info.Sys().(*syscall.Stat_t)
	if a.UID == 0 || !ok {
		return true
	}
	mode := uint32(s.Info.Mode().Perm())
	if stat.Uid == a.UID {
		return mode>>6&want == want
	}
	if list, ok := accessList(s.Path); ok {
		return list.may(want, a, stat.Gid, mode&7)
	}
	if slices.Contains(a.Groups, stat.Gid) {
		return mode>>3&want == want
	}
	return mode&want == want
}

// Owner is the owner and group of a step, as names where they have any.
func (s Step) Owner() (owner, group string) {
	stat, ok := s.Info.Sys().(*syscall.Stat_t)
	if !ok {
		return "", ""
	}
	owner, group = strconv.Itoa(int(stat.Uid)), strconv.Itoa(int(stat.Gid))
	if u, err := user.LookupId(owner); err == nil {
		owner = u.Username
	}
	if g, err := user.LookupGroupId(group); err == nil {
		group = g.Name
	}
	return owner, group
}
