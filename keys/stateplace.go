package keys

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
)

// theDaemon returns the ids of the daemon's process: those of the user signpost if root runs
// this process, else its own. ok is false for another user, who cannot tell.
func theDaemon() (p process, ok bool) {
	p = thisProcess()
	if p.daemon == 0 || p.uid == p.daemon {
		return p, true
	}
	if p.uid != 0 {
		return p, false
	}
	u, err := user.Lookup(daemonUser)
	if err != nil {
		return p, true
	}
	d := process{daemon: p.daemon}
	d.uid, _ = strconv.Atoi(u.Uid)
	d.gid, _ = strconv.Atoi(u.Gid)
	groups, _ := u.GroupIds()
	for _, g := range groups {
		if gid, err := strconv.Atoi(g); err == nil {
			d.groups = append(d.groups, gid)
		}
	}
	return d, true
}

// Unwritable says why the daemon could not make files in a folder, or the folder itself; "" if
// no reason is visible. The service manager makes the folder made at the start, so it may be
// missing.
func Unwritable(folder, made string) string {
	p, ok := theDaemon()
	if !ok {
		return ""
	}
	return p.unwritable(folder, made)
}

func (p process) unwritable(folder, made string) string {
	for at := filepath.Clean(folder); ; at = filepath.Dir(at) {
		info, err := os.Stat(at)
		switch {
		case errors.Is(err, fs.ErrNotExist) && at != filepath.Dir(at):
			if made != "" && at == filepath.Clean(made) {
				return ""
			}
			continue
		case err != nil:
			return fmt.Sprintf("the folder %s: %v", at, bare(err))
		case !info.IsDir():
			return fmt.Sprintf("%s is not a folder", at)
		case p.may(info, write) && p.may(info, search):
			return ""
		case at != filepath.Clean(folder):
			return fmt.Sprintf("the folder %s is not there, and the user %s may not make it in %s, which is %s", folder, userName(p.uid), at, described(info))
		}
		return fmt.Sprintf("the user %s may not make files in the folder %s, which is %s", userName(p.uid), at, described(info))
	}
}

// StateTrouble says why the daemon could not write the state file, and what to do; "" if no
// reason is visible.
func (c Config) StateTrouble() string {
	if info, err := os.Stat(c.State); err == nil && !info.Mode().IsRegular() {
		return fmt.Sprintf("keys.state: %s is not a plain file (%s): name a file that the daemon may write", c.State, info.Mode())
	}
	own := filepath.Join(home, "state")
	problem := Unwritable(filepath.Dir(c.State), own)
	if problem == "" {
		return ""
	}
	return fmt.Sprintf("keys.state: %s: what is known of the keys is lost with each restart; set keys.state to a file in a folder of the daemon's own, as %s", problem, Defaults().State)
}
