// Package unixsocket makes the socket files of the daemon: for the MTA, and for the commands.
// A socket is never open to more users than its mode says, and the file of a process that has
// ended is replaced.
package unixsocket

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/user"
	"strconv"
	"sync"
	"syscall"
	"time"
)

// ErrGroup is an error about the group of a socket: it does not exist, or the process may not
// give it the file.
var ErrGroup = errors.New("the group of the socket")

// umask belongs to the process, so only one socket is made at a time.
var umask sync.Mutex

// Listen makes a socket file with this mode and group, "" for the group that the system gives
// it. It first removes a file at which no process listens. Closing the listener removes the
// file. The errors name the directory at fault and the remedy.
func Listen(path string, mode fs.FileMode, group string) (net.Listener, error) {
	gid := -1
	if group != "" {
		var err error
		if gid, err = GroupID(group); err != nil {
			return nil, err
		}
	}
	if err := removeStale(path); err != nil {
		return nil, err
	}
	socket, err := listenClosed(path)
	if err != nil {
		return nil, fmt.Errorf("listening at unix:%s: %w%s", path, err, pathHint(path))
	}
	if err := open(path, mode, gid, group); err != nil {
		socket.Close()
		return nil, err
	}
	return socket, nil
}

// listenClosed makes a socket file that only its owner can use.
func listenClosed(path string) (net.Listener, error) {
	umask.Lock()
	defer umask.Unlock()
	before := syscall.Umask(0o077)
	defer syscall.Umask(before)
	return net.Listen("unix", path)
}

// open sets the group, and then the mode, of a socket file.
func open(path string, mode fs.FileMode, gid int, group string) error {
	if gid >= 0 {
		if err := os.Chown(path, -1, gid); err != nil {
			return fmt.Errorf("%w: giving %s to the group %s: %w: make the daemon's user a member: usermod -aG %s USER, and restart the daemon", ErrGroup, path, group, err, group)
		}
	}
	if err := os.Chmod(path, mode.Perm()); err != nil {
		return fmt.Errorf("setting the mode of the socket: %w", err)
	}
	return nil
}

// removeStale removes the socket file of a process that has ended. A socket that answers stays.
func removeStale(path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("listening at unix:%s: %w%s", path, err, pathHint(path))
	}
	if info.Mode().Type() != fs.ModeSocket {
		return fmt.Errorf("listening at unix:%s: there is a file of that name which is no socket: remove it, or take another path", path)
	}
	conn, err := net.DialTimeout("unix", path, time.Second)
	if err == nil {
		conn.Close()
		return fmt.Errorf("listening at unix:%s: another process listens there; is the daemon running already?", path)
	}
	// Only this error shows for certain that no process listens.
	if !errors.Is(err, syscall.ECONNREFUSED) {
		return fmt.Errorf("listening at unix:%s: there is a socket, and trying it says: %w: remove it if no process uses it", path, err)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("removing the socket that an earlier process left: %w%s", err, pathHint(path))
	}
	return nil
}

// GroupID returns the number of a group, given its name or number.
func GroupID(name string) (int, error) {
	if gid, err := strconv.Atoi(name); err == nil && gid >= 0 {
		return gid, nil
	}
	group, err := user.LookupGroup(name)
	if err != nil {
		return 0, fmt.Errorf("%w: there is no such group: %s", ErrGroup, name)
	}
	return strconv.Atoi(group.Gid)
}
