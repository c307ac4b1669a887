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

// access is the mode of a new file, that of new folders, and their group; -1 is the group of
// the process.
type access struct {
	file, folder fs.FileMode
	gid          int
}

// maxLinks bounds the symbolic links in a path, as in the kernel.
const maxLinks = 40

// openFolder opens a folder for new keys, and makes the missing part of its path. It goes down
// from the root, one component at a time, and looks up each component in the opened folder
// above, so that no other user can redirect it by swapping a folder. It refuses a folder whose
// content another user may replace. It opens folders with O_PATH, which needs no right to list
// them.
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

// descent is a path of opened folders, from the root down.
type descent struct {
	process process
	access  access     // of new folders
	path    []string   // names of the opened folders, without the root
	folders []*os.File // the root first
}

func (d *descent) here() *os.File { return d.folders[len(d.folders)-1] }

func (d *descent) close() {
	for _, f := range d.folders {
		f.Close()
	}
	d.path, d.folders = nil, nil
}

// top starts again at the root.
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

// enter opens the folder name, and makes it if it is missing. If name is a symbolic link, it
// returns the target and opens nothing.
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

// openOrMake opens a file, folder or symbolic link by its name, or makes a folder that only its
// owner may enter.
func (d *descent) openOrMake(name string) (f *os.File, made bool, err error) {
	const flags = unix.O_PATH | unix.O_NOFOLLOW
	f, err = openAt(d.here(), name, flags)
	if !errors.Is(err, fs.ErrNotExist) {
		return f, false, err
	}
	err = unix.Mkdirat(int(d.here().Fd()), name, 0o700)
	if err != nil && !errors.Is(err, fs.ErrExist) { // if it exists, another process was faster
		return nil, false, err
	}
	made = err == nil
	f, err = openAt(d.here(), name, flags)
	return f, made, err
}

// admit checks an opened component of the path, and sets group and mode of a folder that was
// just made. For a symbolic link it returns the target.
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
	// The umask reduces the mode of mkdir.
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

// trusts returns an error for a folder whose content another user may replace. In a sticky
// folder only the owner of the content may, so it is checked by itself.
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

// reown is the remedy for a folder that belongs to another user. Root may take back a folder of
// the daemon's user; all others stay with their owner.
func (p process) reown(path string, uid int) string {
	switch {
	case p.uid != 0:
		return "choose a folder of your own with --dir, or run this as root"
	case within(path, home) || p.daemon != 0 && uid == p.daemon:
		return fmt.Sprintf("keys and the folders above them belong to root, and the daemon reads them through its group. Mend it with: %s", p.giveToRoot(path))
	}
	return fmt.Sprintf("run this as the user %s, or choose a folder of root with keys.dir or --dir", userName(uid))
}

// giveToRoot is the command that makes root the owner of a folder and lets the daemon's group
// read it.
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

// writeNew writes a file as a whole, and makes the folders above it. It never overwrites a
// file: the error is then fs.ErrExist.
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
	// A link, unlike a rename, fails if the name exists.
	if err := unix.Linkat(at, temporary, at, filepath.Base(path), 0); err != nil {
		return err
	}
	return folder.Sync()
}
