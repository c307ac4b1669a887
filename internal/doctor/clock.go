package doctor

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"signpost/keys/lifecycle"
)

// lookAtClock compares this host's clock with files and with its time servers.
func lookAtClock(ctx context.Context, h *Host) {
	if what, at := h.newest(); at.Sub(h.Now) > h.Skew {
		h.find("clock.skew", "this host", fmt.Sprintf("%s has the time %s, which is %s from now: the clock was ahead, or is behind", what, at.UTC().Format(time.RFC3339), at.Sub(h.Now).Round(time.Second)), clockRemedy())
		return
	}
	if h.isOffline() && len(h.TimeServers) == 0 {
		return
	}
	servers := h.TimeServers
	if len(servers) == 0 {
		servers = configuredTimeServers()
	}
	const most = 3
	for _, server := range servers[:min(most, len(servers))] {
		offset, err := timeOffset(ctx, server)
		if err != nil {
			if len(h.TimeServers) > 0 {
				h.unseen("the time server "+server, err.Error())
			}
			continue
		}
		if offset.Abs() > h.Skew {
			h.find("clock.skew", "this host", fmt.Sprintf("the clock differs by %s from that of %s; the limit is %s (--skew)", offset.Round(time.Second), server, h.Skew), clockRemedy())
		}
		return
	}
}

func clockRemedy() Remedy {
	return Remedy{Text: "Let a time service set the clock, such as chrony or systemd-timesyncd, and see what it says:", Lines: []string{"timedatectl set-ntp true", "timedatectl timesync-status"}}
}

// newest is the latest time that the clock of this host has written into our files.
func (h *Host) newest() (what string, at time.Time) {
	later := func(name string, t time.Time) {
		if t.After(at) {
			what, at = name, t
		}
	}
	for _, path := range []string{h.Config.Keys.State, h.ConfigPath} {
		if info, err := os.Stat(path); path != "" && err == nil {
			later(path, info.ModTime())
		}
	}
	for _, k := range h.Keys {
		later("the file of "+keyName(k.Ref), k.Made)
		for _, t := range times(k.Fact) {
			later("what the daemon wrote of "+keyName(k.Ref), t)
		}
	}
	return what, at
}

func times(f lifecycle.Fact) []time.Time {
	return []time.Time{f.FirstSeen, f.LastSeen, f.Asked, f.LastUsed, f.Unlisted}
}

// configuredTimeServers are those of the usual time services.
func configuredTimeServers() []string {
	var servers []string
	paths := []string{"/etc/systemd/timesyncd.conf", "/etc/chrony/chrony.conf", "/etc/chrony.conf", "/etc/ntp.conf", "/etc/ntpsec/ntp.conf"}
	for _, pattern := range []string{"/etc/systemd/timesyncd.conf.d/*.conf", "/etc/chrony/sources.d/*.sources", "/etc/chrony/conf.d/*.conf"} {
		more, _ := filepath.Glob(pattern)
		paths = append(paths, more...)
	}
	for _, path := range paths {
		f, err := os.Open(path)
		if err != nil {
			continue
		}
		for s := bufio.NewScanner(f); s.Scan(); {
			servers = append(servers, timeServers(s.Text())...)
		}
		f.Close()
	}
	return servers
}

// timeServers reads the servers of a line of a time service's configuration.
func timeServers(line string) []string {
	if list, ok := strings.CutPrefix(strings.TrimSpace(line), "NTP="); ok {
		return strings.Fields(list)
	}
	words := strings.Fields(line)
	if len(words) > 1 && (words[0] == "server" || words[0] == "pool" || words[0] == "peer") {
		return words[1:2]
	}
	return nil
}

const (
	ntpPacket = 48
	// ntpEpoch is 1970 in the seconds of NTP (RFC 5905 §6).
	ntpEpoch = 2208988800
)

// timeOffset asks a time server how far this clock is behind (RFC 5905 §8, as RFC 4330 §5 has it
// for simple clients). A server may have a port.
func timeOffset(ctx context.Context, server string) (time.Duration, error) {
	if _, _, err := net.SplitHostPort(server); err != nil {
		server = net.JoinHostPort(server, "123")
	}
	ctx, cancel := context.WithTimeout(ctx, patience.clock)
	defer cancel()
	conn, err := new(net.Dialer).DialContext(ctx, "udp", server)
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	deadline, _ := ctx.Deadline()
	_ = conn.SetDeadline(deadline)
	query := make([]byte, ntpPacket)
	query[0] = 4<<3 | 3 // version 4, client
	sent := time.Now()
	binary.BigEndian.PutUint64(query[40:], ntpTime(sent))
	if _, err := conn.Write(query); err != nil {
		return 0, err
	}
	reply := make([]byte, ntpPacket)
	if n, err := conn.Read(reply); err != nil || n < ntpPacket {
		return 0, errors.Join(err, errors.New("no answer of a time server"))
	}
	received := time.Now()
	stratum, origin := reply[1], binary.BigEndian.Uint64(reply[24:])
	if reply[0]&7 != 4 || stratum == 0 || stratum > 15 || origin != ntpTime(sent) {
		return 0, errors.New("the answer is not that of a synchronized time server")
	}
	there := fromNTP(binary.BigEndian.Uint64(reply[32:])).Add(fromNTP(binary.BigEndian.Uint64(reply[40:])).Sub(fromNTP(binary.BigEndian.Uint64(reply[32:]))) / 2)
	return there.Sub(sent.Add(received.Sub(sent) / 2)), nil
}

func ntpTime(t time.Time) uint64 {
	return uint64(t.Unix()+ntpEpoch)<<32 | uint64(t.Nanosecond())<<32/1e9
}

func fromNTP(v uint64) time.Time {
	return time.Unix(int64(v>>32)-ntpEpoch, int64(v&0xffffffff*1e9>>32))
}
