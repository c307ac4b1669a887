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

// theDaemon is the process that the daemon will be, as far as this one can tell: the
// user signpost where root asks, else this process. ok is false for an ordinary user
// who is not the daemon's, and cannot say anything about it.
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

// Unwritable says what keeps the daemon from making files in a folder, or from making
// the folder; "" for nothing that can be seen. made is a folder that the service manager
// makes at the start: what lies in it is not looked at while it is missing.
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

// StateTrouble says why the daemon will not be able to keep the state file, and what to
// do; "" for nothing that can be seen.
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
