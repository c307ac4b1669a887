package keys

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"signpost/internal/shell"
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
// a folder. It refuses a folder whose content another user may replace. The folders
// are opened with O_PATH, which needs no right to list them.
func openFolder(path string, a access, p process) (*os.File, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	d := &descent{process: p, access: a}
	defer d.close()
	if err := d.top(); err != nil {
		return nil, err
	}
	rest := components(abs)
	for links := 0; len(rest) > 0; {
		target, err := d.enter(rest[0])
		if err != nil {
			return nil, err
		}
		rest = rest[1:]
		if target == "" {
			continue
		}
		if links++; links > maxLinks {
			return nil, fmt.Errorf("%s leads through more than %d symbolic links", path, maxLinks)
		}
		if filepath.IsAbs(target) {
			if err := d.top(); err != nil {
				return nil, err
			}
		}
		rest = append(components(target), rest...)
	}
	return openAt(d.here(), ".", unix.O_RDONLY|unix.O_DIRECTORY)
}

func components(path string) []string {
	return strings.FieldsFunc(path, func(r rune) bool { return r == filepath.Separator })
}

// A descent is a way down from the root, through opened folders.
type descent struct {
	process process
	access  access     // of new folders
	path    []string   // the names of the opened folders, without the root
	folders []*os.File // the root first
}

func (d *descent) here() *os.File { return d.folders[len(d.folders)-1] }

func (d *descent) close() {
	for _, f := range d.folders {
		f.Close()
	}
	d.path, d.folders = nil, nil
}

// top begins anew at the root.
func (d *descent) top() error {
	d.close()
	top, err := os.OpenFile("/", unix.O_PATH|unix.O_DIRECTORY, 0)
	if err != nil {
		return err
	}
	d.folders = append(d.folders, top)
	info, err := top.Stat()
	if err != nil {
		return err
	}
	return d.process.trusts("/", info)
}

// enter opens the folder name below, which it makes if it is missing. Where name is
// a symbolic link, it returns its target and opens nothing.
func (d *descent) enter(name string) (target string, err error) {
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
	at := "/" + filepath.Join(append(d.path, name)...)
	next, made, err := d.openOrMake(name)
	if err != nil {
		return "", &fs.PathError{Op: "open", Path: at, Err: bare(err)}
	}
	target, err = d.admit(next, at, made)
	if err != nil || target != "" {
		next.Close()
		return target, err
	}
	d.path, d.folders = append(d.path, name), append(d.folders, next)
	return "", nil
}

// openOrMake opens what bears a name, a symbolic link itself included, or makes a
// folder that only its maker may enter.
func (d *descent) openOrMake(name string) (f *os.File, made bool, err error) {
	const flags = unix.O_PATH | unix.O_NOFOLLOW
	f, err = openAt(d.here(), name, flags)
	if !errors.Is(err, fs.ErrNotExist) {
		return f, false, err
	}
	err = unix.Mkdirat(int(d.here().Fd()), name, 0o700)
	if err != nil && !errors.Is(err, fs.ErrExist) { // where it exists, another run was faster
		return nil, false, err
	}
	made = err == nil
	f, err = openAt(d.here(), name, flags)
	return f, made, err
}

// admit judges an opened component of the path, and gives a folder that was made its
// group and mode. Of a symbolic link it returns the target.
func (d *descent) admit(next *os.File, at string, made bool) (target string, err error) {
	info, err := next.Stat()
	if err != nil {
		return "", err
	}
	switch {
	case info.Mode()&fs.ModeSymlink != 0:
		if uid, _ := owner(info); !d.process.trustsUser(uid) {
			return "", fmt.Errorf("%s is a symbolic link of the user %s, who may let it lead to other folders: remove it", at, userName(uid))
		}
		return readLink(next)
	case !info.IsDir():
		return "", fmt.Errorf("%s is not a folder", at)
	}
	if err := d.process.trusts(at, info); err != nil || !made {
		return "", err
	}
	f, err := openAt(next, ".", unix.O_RDONLY|unix.O_DIRECTORY)
	if err != nil {
		return "", err
	}
	defer f.Close()
	// The mode of mkdir is cut by the umask.
	return "", errors.Join(f.Chown(-1, d.access.gid), f.Chmod(d.access.folder))
}

// openAt opens a name in an opened folder.
func openAt(folder *os.File, name string, flags int) (*os.File, error) {
	fd, err := unix.Openat(int(folder.Fd()), name, flags|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), name), nil
}

// readLink returns the target of an opened symbolic link.
func readLink(link *os.File) (string, error) {
	target := make([]byte, unix.PathMax)
	n, err := unix.Readlinkat(int(link.Fd()), "", target)
	if err != nil {
		return "", err
	}
	return string(target[:n]), nil
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
		return fmt.Errorf("everybody may replace what is in %s (%s): chmod o-w %s%s", path, described(info), shell.Quote(path), elsewhere)
	case perm>>3&write != 0 && gid != 0 && gid != p.gid:
		return fmt.Errorf("the group %s may replace what is in %s (%s): chmod g-w %s%s", groupName(gid), path, described(info), shell.Quote(path), elsewhere)
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
	return fmt.Sprintf("chown root:%s %s && chmod 0750 %s", daemonGroup, shell.Quote(path), shell.Quote(path))
}

// writeNew puts text into a file that appears whole or not at all, and makes the
// folders above it. It never overwrites a file: that is fs.ErrExist.
func writeNew(path string, text []byte, a access) error {
	folder, err := openFolder(filepath.Dir(path), a, thisProcess())
	if err != nil {
		return err
	}
	defer folder.Close()
	at := int(folder.Fd())
	temporary := ".new-" + rand.Text() + ".pem"
	f, err := openAt(folder, temporary, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL)
	if err != nil {
		return err
	}
	defer unix.Unlinkat(at, temporary, 0)
	defer f.Close()
	err = errors.Join(f.Chown(-1, a.gid), f.Chmod(a.file))
	if err == nil {
		_, err = f.Write(text)
	}
	if err := errors.Join(err, f.Sync()); err != nil {
		return err
	}
	// A link, unlike a rename, fails where the name is taken.
	if err := unix.Linkat(at, temporary, at, filepath.Base(path), 0); err != nil {
		return err
	}
	return folder.Sync()
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
