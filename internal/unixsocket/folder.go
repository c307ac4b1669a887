package unixsocket

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

// daemonUser is the user of the systemd unit, and the name of our own folders.
const daemonUser = "signpost"

// folderFault is a directory that prevents making a socket.
type folderFault struct {
	at      string // the directory at fault
	dir     string // the socket's
	missing bool
}

// pathHint names the directory at fault and the remedy, or returns "".
func pathHint(path string) string {
	dir := filepath.Dir(path)
	daemon := 0
	if u, err := user.Lookup(daemonUser); err == nil {
		daemon, _ = strconv.Atoi(u.Uid)
	}
	uid := os.Getuid()
	for at := dir; ; at = filepath.Dir(at) {
		info, err := os.Stat(at)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return fmt.Sprintf(": the directory %s does not exist: %s", at, folderFault{at, dir, true}.remedy(filepath.Base(path), uid, daemon))
		case err == nil:
			need := "pass through it"
			if at == dir {
				need = "write there"
			}
			return fmt.Sprintf(": the directory %s has mode %04o%s, and user %d needs to %s: %s",
				at, info.Mode().Perm(), owner(info), uid, need, folderFault{at, dir, false}.remedy(filepath.Base(path), uid, daemon))
		case at == "/" || at == ".":
			return ""
		}
	}
}

// remedy says how the daemon can make the socket with this name. It changes only our own folders, none of the
// system and the MTA. An ordinary user gets no advice to change anything. daemon is the uid of the user signpost;
// 0: no such user.
func (f folderFault) remedy(name string, uid, daemon int) string {
	const queue = "/var/spool/postfix"
	inQueue := f.dir == queue || strings.HasPrefix(f.dir, queue+"/")
	switch {
	case daemon != 0 && uid != daemon && uid != 0:
		return fmt.Sprintf("the socket is the daemon's: run this as the user %s", daemonUser)
	case !isOurs(f.at) && inQueue:
		return fmt.Sprintf("take unix:%s/%s/%s, in the folder that deploy/tmpfiles.d/signpost-postfix.conf makes; Postfix's own folders stay as they are", queue, daemonUser, name)
	case !isOurs(f.at):
		return fmt.Sprintf("take a folder of the daemon's own: unix:/run/%s/%s (RuntimeDirectory=%s in the unit makes it)", daemonUser, name, daemonUser)
	case f.missing && inQueue:
		return "as root: systemd-tmpfiles --create signpost-postfix.conf (deploy/tmpfiles.d has it)"
	case f.missing:
		return fmt.Sprintf("RuntimeDirectory=%s in the unit makes it, or as root: install -d -o %d %s", daemonUser, uid, f.dir)
	}
	return fmt.Sprintf("as root: chown %d %s, or RuntimeDirectory=%s in the unit", uid, f.at, daemonUser)
}

// isOurs reports whether a folder has our name, or is below one that has it.
func isOurs(path string) bool {
	return slices.Contains(strings.Split(path, "/"), daemonUser)
}

func owner(info fs.FileInfo) string {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return ""
	}
	return fmt.Sprintf(" and owner %d:%d", stat.Uid, stat.Gid)
}
