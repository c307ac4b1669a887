package keys

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// access is who gets a new file: its mode, that of new folders, and the group, or
// -1 for that of the process.
type access struct {
	file, folder fs.FileMode
	gid          int
}

// maxLinks is how many symbolic links a path may lead through, as in the kernel.
const maxLinks = 40

// openFolder opens a folder for new keys and makes what is missing of its path. It
// goes from the root down, one component at a time, and each component is looked up
// in the opened folder above it. So no other user can lead it elsewhere by swapping
// a folder. It refuses a folder whose content another user may replace.
func openFolder(path string, a access, p process) (*os.Root, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	d, err := openTop(p)
	if err != nil {
		return nil, err
	}
	rest := components(abs)
	for links := 0; len(rest) > 0; {
		name := rest[0]
		rest = rest[1:]
		target, err := d.enter(name, a)
		if err == nil && target != "" {
			if links++; links > maxLinks {
				err = fmt.Errorf("%s leads through more than %d symbolic links", path, maxLinks)
			}
			rest = append(components(target), rest...)
		}
		if err == nil && filepath.IsAbs(target) {
			d.close()
			d, err = openTop(p)
		}
		if err != nil {
			d.close()
			return nil, err
		}
	}
	d.closeAbove()
	return d.folders[len(d.folders)-1], nil
}

func components(path string) []string {
	return strings.FieldsFunc(path, func(r rune) bool { return r == filepath.Separator })
}

// A descent is a way down from the root, through opened folders.
type descent struct {
	process process
	path    []string   // the names of the opened folders, without the root
	folders []*os.Root // the root first
}

func openTop(p process) (*descent, error) {
	top, err := os.OpenRoot("/")
	if err != nil {
		return nil, err
	}
	d := &descent{process: p, folders: []*os.Root{top}}
	info, err := top.Stat(".")
	if err == nil {
		err = p.trusts("/", info)
	}
	if err != nil {
		d.close()
		return nil, err
	}
	return d, nil
}

func (d *descent) close() {
	if d == nil {
		return
	}
	for _, f := range d.folders {
		f.Close()
	}
	d.folders = nil
}

// closeAbove closes all folders but the last one.
func (d *descent) closeAbove() {
	for _, f := range d.folders[:len(d.folders)-1] {
		f.Close()
	}
}

// enter opens the folder name below, which it makes if it is missing. Where name is
// a symbolic link, it returns its target and opens nothing.
func (d *descent) enter(name string, a access) (target string, err error) {
	switch name {
	case ".":
		return "", nil
	case "..":
		if n := len(d.path); n > 0 {
			d.folders[n].Close()
			d.path, d.folders = d.path[:n-1], d.folders[:n]
		}
		return "", nil
	}
	here := d.folders[len(d.folders)-1]
	at := "/" + filepath.Join(append(d.path, name)...)
	made := false
	info, err := here.Lstat(name)
	if errors.Is(err, fs.ErrNotExist) {
		if err = here.Mkdir(name, 0o700); err == nil {
			made = true
		} else if errors.Is(err, fs.ErrExist) {
			err = nil // another run was faster
		}
		if err == nil {
			info, err = here.Lstat(name)
		}
	}
	if err != nil {
		return "", err
	}
	if info.Mode()&fs.ModeSymlink != 0 {
		if uid, _ := owner(info); !d.process.trustsUser(uid) {
			return "", fmt.Errorf("%s is a symbolic link of the user %s, who may let it lead to other folders: remove it", at, userName(uid))
		}
		return here.Readlink(name)
	}
	next, err := here.OpenRoot(name)
	if err != nil {
		return "", err
	}
	opened, err := next.Stat(".")
	if err == nil && !os.SameFile(info, opened) {
		err = fmt.Errorf("%s was replaced at the same time", at)
	}
	if err == nil {
		err = d.process.trusts(at, opened)
	}
	if err == nil && made {
		err = a.admit(next)
	}
	if err != nil {
		next.Close()
		return "", err
	}
	d.path, d.folders = append(d.path, name), append(d.folders, next)
	return "", nil
}

// admit gives an opened folder its group and mode. The mode of Mkdir is cut by the
// umask.
func (a access) admit(folder *os.Root) error {
	f, err := folder.Open(".")
	if err != nil {
		return err
	}
	defer f.Close()
	return errors.Join(f.Chown(-1, a.gid), f.Chmod(a.folder))
}

// trustsUser reports whether a user may own a folder above new keys.
func (p process) trustsUser(uid int) bool { return uid == 0 || uid == p.uid }

// trusts returns an error for a folder whose content another user may replace. In a
// sticky folder that is only the owner of the content, which is judged by itself.
func (p process) trusts(path string, info fs.FileInfo) error {
	uid, gid := owner(info)
	const elsewhere = "; or choose another folder for the keys with keys.dir or --dir"
	if !p.trustsUser(uid) {
		return fmt.Errorf("%s belongs to the user %s (%s), who may replace what is in it: %s", path, userName(uid), described(info), p.reown(path, uid))
	}
	if info.Mode()&fs.ModeSticky != 0 {
		return nil
	}
	perm := info.Mode().Perm()
	switch {
	case perm&write != 0:
		return fmt.Errorf("everybody may replace what is in %s (%s): chmod o-w %s%s", path, described(info), shellQuote(path), elsewhere)
	case perm>>3&write != 0 && gid != 0 && gid != p.gid:
		return fmt.Errorf("the group %s may replace what is in %s (%s): chmod g-w %s%s", groupName(gid), path, described(info), shellQuote(path), elsewhere)
	}
	return nil
}

// reown is the remedy for a folder that belongs to another user. Folders of the
// daemon's user are root's to take back. All others stay with their owner.
func (p process) reown(path string, uid int) string {
	switch {
	case p.uid != 0:
		return "choose a folder of your own with --dir, or run this as root"
	case within(path, home) || p.daemon != 0 && uid == p.daemon:
		return fmt.Sprintf("keys and the folders above them belong to root, and the daemon reads them through its group. Mend it with: %s", p.giveToRoot(path))
	}
	return fmt.Sprintf("run this as the user %s, or choose a folder of root with keys.dir or --dir", userName(uid))
}

// giveToRoot is the command that gives a folder to root and lets the group of the
// daemon read it.
func (p process) giveToRoot(path string) string {
	if within(path, home) {
		for _, folder := range []string{"/usr/lib/tmpfiles.d", "/usr/local/lib/tmpfiles.d", "/etc/tmpfiles.d"} {
			if _, err := os.Stat(filepath.Join(folder, "signpost.conf")); err == nil {
				return "systemd-tmpfiles --create signpost.conf"
			}
		}
	}
	return fmt.Sprintf("chown root:%s %s && chmod 0750 %s", daemonGroup, shellQuote(path), shellQuote(path))
}

// writeNew puts text into a file that appears whole or not at all, and makes the
// folders above it. It never overwrites a file: that is fs.ErrExist.
func writeNew(path string, text []byte, a access) error {
	folder, err := openFolder(filepath.Dir(path), a, thisProcess())
	if err != nil {
		return err
	}
	defer folder.Close()
	temporary := ".new-" + rand.Text() + ".pem"
	f, err := folder.OpenFile(temporary, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer folder.Remove(temporary)
	defer f.Close()
	err = errors.Join(f.Chown(-1, a.gid), f.Chmod(a.file))
	if err == nil {
		_, err = f.Write(text)
	}
	if err := errors.Join(err, f.Sync()); err != nil {
		return err
	}
	// A link, unlike a rename, fails where the name is taken.
	if err := folder.Link(temporary, filepath.Base(path)); err != nil {
		return err
	}
	opened, err := folder.Open(".")
	if err != nil {
		return err
	}
	defer opened.Close()
	return opened.Sync()
}

// syncFolder makes a new name last through a power cut.
func syncFolder(folder string) error {
	d, err := os.Open(folder)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
