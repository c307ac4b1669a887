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
	"syscall"
)

// Permission bits of one class: owner, group or others.
const (
	read   fs.FileMode = 4
	write  fs.FileMode = 2
	search fs.FileMode = 1
)

// process is who has to read the keys: the ids by which the kernel judges.
type process struct {
	uid, gid int
	groups   []int
}

func thisProcess() process {
	groups, _ := os.Getgroups() // without them, the primary group decides
	return process{uid: os.Geteuid(), gid: os.Getegid(), groups: groups}
}

func (p process) in(gid int) bool { return gid == p.gid || slices.Contains(p.groups, gid) }

// class is which of the three classes of a file's mode holds for the process,
// as chmod writes it.
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

// whyNot finds what keeps the process from reading the file at path: the folder
// that it may not enter, or the file. The answer names who, what and the command
// that mends it. dir is the folder that is ours to change.
func whyNot(path, dir string, p process) string {
	who := fmt.Sprintf("the user %s (uid %d)", userName(p.uid), p.uid)
	fault, info := blocking(path, p)
	if info == nil {
		return fmt.Sprintf("%s may not read it, although the modes of the file and its folders allow it: look for ACLs, AppArmor or SELinux", who)
	}
	verb, bit := "read this file", "r"
	if info.IsDir() {
		verb, bit = "enter the folder "+fault, "x"
	} else if fault != path {
		verb = "read " + fault
	}
	return fmt.Sprintf("%s may not %s, which is %s; mend it with: %s", who, verb, described(info), mend(fault, dir, bit, info, p))
}

// blocking returns the first component of the path that keeps the process out,
// following symbolic links; info is nil when the modes keep nobody out.
func blocking(path string, p process) (string, fs.FileInfo) {
	const maxLinks = 40 // as the kernel has it
	abs, err := filepath.Abs(path)
	if err != nil {
		return path, nil
	}
	at, rest := "/", strings.Split(strings.Trim(abs, "/"), "/")
	for links := 0; ; {
		info, err := os.Lstat(at)
		switch {
		case err != nil:
			return at, nil
		case info.Mode()&fs.ModeSymlink != 0:
			target, err := os.Readlink(at)
			if links++; err != nil || links > maxLinks {
				return at, nil
			}
			if !filepath.IsAbs(target) {
				target = filepath.Join(filepath.Dir(at), target)
			}
			at, rest = "/", append(strings.Split(strings.Trim(target, "/"), "/"), rest...)
			continue
		case info.IsDir() && !p.may(info, search), !info.IsDir() && !p.may(info, read):
			return at, info
		case len(rest) == 0:
			return at, nil
		}
		at, rest = filepath.Join(at, rest[0]), rest[1:]
	}
}

// mend is the command that lets the process in, and nobody else where the file is
// ours: a folder further up belongs to the system and keeps its group.
func mend(path, dir, bit string, info fs.FileInfo, p process) string {
	class := p.class(info)
	if class == "o" && within(path, dir) {
		return fmt.Sprintf("chgrp %s %s && chmod g+%s %s", groupName(p.gid), shellQuote(path), bit, shellQuote(path))
	}
	return fmt.Sprintf("chmod %s+%s %s", class, bit, shellQuote(path))
}

func within(path, dir string) bool {
	abs, err := filepath.Abs(dir)
	return err == nil && (path == abs || strings.HasPrefix(path, strings.TrimSuffix(abs, "/")+"/"))
}

// exposures are the ways in which everybody on the machine may read the key or
// put another in its place.
func (c Config) exposures(path string, file fs.FileInfo) []string {
	var found []string
	if file.Mode().Perm()&(read|write) != 0 {
		found = append(found, fmt.Sprintf("everybody may read or change it (%s): chmod o-rw %s", described(file), shellQuote(path)))
	}
	folders := []string{filepath.Dir(path)}
	// A credential of systemd is not within our folder.
	if abs, err := filepath.Abs(path); err != nil || within(abs, c.Dir) {
		folders = append(folders, c.Dir)
	}
	if real, err := filepath.EvalSymlinks(path); err == nil && filepath.Dir(real) != folders[0] {
		folders = append(folders, filepath.Dir(real))
	}
	for _, folder := range folders {
		info, err := os.Stat(folder)
		// In a sticky folder only the owner may replace a file.
		if err == nil && info.Mode().Perm()&write != 0 && info.Mode()&fs.ModeSticky == 0 {
			found = append(found, fmt.Sprintf("everybody may replace files in %s (%s): chmod o-w %s", folder, described(info), shellQuote(folder)))
		}
	}
	return found
}

// widened tells of a group that has more than a daemon needs: one of others that
// may read the key, or any that may change it. Root knows no group for its own.
func widened(path string, file fs.FileInfo, p process) string {
	_, gid := owner(file)
	perm := file.Mode().Perm() >> 3
	switch {
	case perm&write != 0:
		return fmt.Sprintf("the group %s may change the key (%s): chmod g-w %s", groupName(gid), described(file), shellQuote(path))
	case perm&read != 0 && p.uid != 0 && !p.in(gid):
		return fmt.Sprintf("the group %s, which is not ours, may read the key (%s): chmod g-r %s", groupName(gid), described(file), shellQuote(path))
	}
	return ""
}

// Access describes the file's mode, owner and group, as ls does:
// "-rw-r----- root:signpost".
func (k *Key) Access() string {
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

// shellQuote makes one word of s for a shell.
func shellQuote(s string) string {
	plain := func(r rune) bool {
		return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || strings.ContainsRune("/._-+:@%", r)
	}
	if s != "" && strings.IndexFunc(s, func(r rune) bool { return !plain(r) }) < 0 {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
