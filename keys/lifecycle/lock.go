package lifecycle

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"

	"signpost/internal/shell"
)

// ErrStateLocked says that another process has locked the state file.
var ErrStateLocked = errors.New("another process has it: is the daemon running already?")

// StateLock keeps the state file for one process, since two daemons would overwrite each
// other's facts. It is a lock on a separate file, because the state file is replaced with each
// write. It ends with the process at the latest.
type StateLock struct {
	state string
	file  *os.File
}

func lockPath(state string) string { return state + ".lock" }

// LockState takes the lock, and makes its folder if that is missing. The error is
// ErrStateLocked if another process has the lock; any other error says why the file cannot be
// locked at all.
func LockState(state string) (*StateLock, error) {
	f, err := openLock(state)
	if err != nil {
		return nil, fmt.Errorf("the state of the keys, %s, cannot be locked: %w; give the daemon a folder of its own there, or set keys.state", state, err)
	}
	// A lock of the open file, not of the process, can be tested without taking it.
	err = unix.FcntlFlock(f.Fd(), unix.F_OFD_SETLK, &unix.Flock_t{Type: unix.F_WRLCK, Whence: io.SeekStart})
	switch {
	case errors.Is(err, unix.EAGAIN), errors.Is(err, unix.EACCES):
		f.Close()
		return nil, fmt.Errorf("the state of the keys, %s: %w (fuser %s names it); each daemon needs a keys.state of its own",
			state, ErrStateLocked, shell.Quote(lockPath(state)))
	case err != nil:
		f.Close()
		return nil, fmt.Errorf("the state of the keys, %s, cannot be locked: %w", state, err)
	}
	return &StateLock{state, f}, nil
}

// openLock opens the lock file, or makes it. If root makes it, the owner of the folder owns it,
// so that a daemon without privileges can use it afterwards.
func openLock(state string) (*os.File, error) {
	folder := filepath.Dir(state)
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return nil, err
	}
	const flags = os.O_RDWR | syscall.O_NOFOLLOW | syscall.O_NONBLOCK
	f, err := os.OpenFile(lockPath(state), flags|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, os.ErrExist) {
		return os.OpenFile(lockPath(state), flags, 0)
	}
	if err == nil && os.Geteuid() == 0 {
		if info, err := os.Stat(folder); err == nil {
			if st, ok := info.Sys().(*syscall.Stat_t); ok {
				_ = f.Chown(int(st.Uid), int(st.Gid)) // if it fails, the next daemon reports that it cannot be locked
			}
		}
	}
	return f, err
}

// State is the path of the state file; "" for a nil lock.
func (l *StateLock) State() string {
	if l == nil {
		return ""
	}
	return l.state
}

// Close releases the lock. It does nothing for a nil lock.
func (l *StateLock) Close() {
	if l != nil {
		l.file.Close()
	}
}

// StateLocked reports whether a process has locked the state file. It takes no lock. If that
// cannot be seen, it is false.
func StateLocked(state string) bool {
	f, err := os.OpenFile(lockPath(state), os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return false
	}
	defer f.Close()
	lock := unix.Flock_t{Type: unix.F_WRLCK, Whence: io.SeekStart}
	err = unix.FcntlFlock(f.Fd(), unix.F_OFD_GETLK, &lock)
	return err == nil && lock.Type != unix.F_UNLCK
}
