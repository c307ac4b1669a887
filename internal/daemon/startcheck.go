package daemon

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"signpost/keys"
	"signpost/keys/lifecycle"
	"signpost/milter"
)

// runFolder is the folder for sockets that the service manager creates (RuntimeDirectory).
const runFolder = "/run/signpost"

// StartProblems returns problems that a start would have with the state file and with the
// listening addresses. It takes neither. Where a daemon with the same state file runs, the
// addresses in use are taken for its own.
func (c Config) StartProblems() []string {
	var lines []string
	if trouble := c.Keys.StateTrouble(); trouble != "" {
		lines = append(lines, trouble)
	}
	running := lifecycle.StateLocked(c.Keys.State)
	if running && !c.listening() {
		lines = append(lines, "keys.state: "+c.Keys.State+" is locked by a process that listens at none of these addresses: if that is another daemon, "+
			"a start with this configuration is refused, and it needs a keys.state of its own")
	}
	for i, l := range c.Milter.Listen {
		if problem := unusable(l.Address, running); problem != "" {
			lines = append(lines, fmt.Sprintf("milter.listen[%d]: %s: %s", i, l.Address, problem))
		}
	}
	if path := c.Control.Path(); path != "" {
		if problem := unusableSocket(path, running); problem != "" {
			lines = append(lines, "control.listen: unix:"+path+": "+problem)
		}
	}
	if c.Metrics.Listen != "" {
		if problem := unusable(milter.Address{Network: "tcp", Addr: c.Metrics.Listen}, running); problem != "" {
			lines = append(lines, fmt.Sprintf("metrics.listen: %s: %s", c.Metrics.Listen, problem))
		}
	}
	return lines
}

// listening reports whether one of the addresses has a listener now, as far as it can be seen.
func (c Config) listening() bool {
	for _, l := range c.Milter.Listen {
		if l.Address.Network == "unix" {
			if info, err := os.Lstat(l.Address.Addr); err == nil && info.Mode().Type() == fs.ModeSocket {
				return true
			}
			continue
		}
		at, err := net.ResolveTCPAddr(l.Address.Network, l.Address.Addr)
		if err != nil || at.Port == 0 {
			return true
		}
		if at.IP == nil { // both families
			at.IP = net.IPv4zero
		}
		if errors.Is(tryBind(at), unix.EADDRINUSE) {
			return true
		}
	}
	return false
}

const inUse = "in use by another process, and no daemon runs with this keys.state: stop that process, or take another address (a socket that systemd holds for us is no problem)"

// unusable says why the daemon cannot listen at an address; "" where no reason is found.
func unusable(a milter.Address, running bool) string {
	if a.Network == "unix" {
		return unusableSocket(a.Addr, running)
	}
	at, err := net.ResolveTCPAddr(a.Network, a.Addr)
	if err != nil {
		return err.Error()
	}
	families := []*net.TCPAddr{at}
	if at.IP == nil { // both families
		families = []*net.TCPAddr{{IP: net.IPv4zero, Port: at.Port}}
	}
	for _, at := range families {
		switch err := tryBind(at); {
		case errors.Is(err, unix.EADDRINUSE):
			if !running {
				return inUse
			}
		case errors.Is(err, unix.EACCES):
			return "ports below 1024 are root's: take a higher one"
		case errors.Is(err, unix.EADDRNOTAVAIL):
			return "the machine does not have this address"
		}
	}
	if at.Port > 0 && at.Port < 1024 && os.Geteuid() == 0 {
		return "ports below 1024 are root's, and the daemon runs without privileges: take a higher one"
	}
	return ""
}

// tryBind binds a socket to an address and closes it. Nothing can connect to it.
func tryBind(at *net.TCPAddr) error {
	family, address := unix.AF_INET6, unix.Sockaddr(nil)
	if ip := at.IP.To4(); ip != nil {
		family, address = unix.AF_INET, &unix.SockaddrInet4{Port: at.Port, Addr: [4]byte(ip)}
	} else {
		in6 := &unix.SockaddrInet6{Port: at.Port, Addr: [16]byte(at.IP.To16())}
		if zone, err := net.InterfaceByName(at.Zone); err == nil {
			in6.ZoneId = uint32(zone.Index)
		}
		address = in6
	}
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	// As for the daemon's sockets: connections of an earlier process do not matter.
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1); err != nil {
		return err
	}
	if family == unix.AF_INET6 {
		if err := unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, 1); err != nil {
			return err
		}
	}
	return unix.Bind(fd, address)
}

func unusableSocket(path string, running bool) string {
	folder := filepath.Dir(path)
	if _, err := os.Stat(folder); errors.Is(err, fs.ErrNotExist) && folder != runFolder {
		return fmt.Sprintf("the folder %s is not there: make it, for the daemon's user to write and the MTA's to enter", folder)
	}
	if problem := keys.Unwritable(folder, runFolder); problem != "" {
		return problem + ": take a folder of the daemon's own, as " + runFolder
	}
	info, err := os.Lstat(path)
	switch {
	case err != nil:
		return ""
	case info.Mode().Type() != fs.ModeSocket:
		return "there is a file of that name which is no socket: remove it, or take another path"
	case running:
		return ""
	}
	conn, err := net.DialTimeout("unix", path, time.Second)
	if err == nil {
		conn.Close()
		return inUse
	}
	return ""
}
