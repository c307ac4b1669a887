// Package control is the daemon's control socket: HTTP with JSON over a unix socket, through
// which the commands of an administrator ask a running daemon. The daemon is the server and
// registers its answers in a [Mux]; a command is a [Client].
//
// Root, the daemon's own user and the members of one group may connect. The mode of the socket
// file says so, and the server checks the credentials of each peer besides (SO_PEERCRED and
// SO_PEERGROUPS), so that a wrong mode opens nothing. No answer may contain a secret or the
// content of a message.
package control

import (
	"fmt"
	"strings"
)

// Config is the section "control" of the configuration.
type Config struct {
	// Listen is the socket as unix:/path or /path; "" is off.
	Listen string `yaml:"listen"`
	// Group is the name or number of the group whose members may connect besides root and
	// the daemon's user; "" is none.
	Group string `yaml:"group"`
	// Recent is how many messages the daemon keeps the facts of, in memory, for
	// `signpost explain --last` and `--queue-id`; 0 keeps none. Each takes 512 octets.
	Recent int `yaml:"recent"`
	// LocalParts shows the local parts of addresses and login names in what is kept and in
	// `signpost tail`.
	LocalParts bool `yaml:"local_parts"`
}

// maxRecent limits what is kept to 50 MB.
const maxRecent = 100_000

// Defaults returns the section for an empty file.
func Defaults() Config {
	return Config{Listen: "unix:/run/signpost/control.sock", Group: "signpost-admin", Recent: 1000}
}

// Path returns the path of the socket; "" is off.
func (c Config) Path() string { return strings.TrimPrefix(c.Listen, "unix:") }

// longestPath is the longest path that the system call takes.
const longestPath = 107

// Validate reports every mistake by its path within the section, with the remedy.
func (c Config) Validate(bad func(path, problem string)) {
	path := c.Path()
	switch {
	case c.Listen == "":
	case !strings.HasPrefix(path, "/"):
		bad("listen", fmt.Sprintf(`%q is not a unix socket: write unix:/run/signpost/control.sock, or "" for none`, c.Listen))
	case len(path) > longestPath:
		bad("listen", fmt.Sprintf("%q: the path of a socket has at most %d octets: write a shorter one", c.Listen, longestPath))
	case strings.ContainsRune(path, 0):
		bad("listen", fmt.Sprintf("%q: a path has no NUL in it: write unix:/run/signpost/control.sock", c.Listen))
	}
	if c.Recent < 0 || c.Recent > maxRecent {
		bad("recent", fmt.Sprintf("%d is not a number of messages from 0 to %d: write one such as 1000", c.Recent, maxRecent))
	}
	if strings.ContainsAny(c.Group, " :/\t\n") {
		bad("group", fmt.Sprintf("%q is not the name or number of a group: write one such as signpost-admin", c.Group))
	}
}
