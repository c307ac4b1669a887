package doctor

import (
	"slices"
	"strings"

	"signpost/milter"
)

// opendkimAtOurAddress looks whether opendkim, at its next start, would take an address of ours.
func opendkimAtOurAddress(h *Host) {
	a, ok := h.opendkimSocket()
	if !ok || !h.enabled("opendkim") {
		return
	}
	same := slices.ContainsFunc(h.Config.Milter.Listen, func(l milter.Listen) bool {
		return l.Address == a || a.Network != "unix" && l.Address.Network != "unix" && h.tcpMeets(a.Addr, l.Address)
	})
	if same {
		h.find("opendkim.still-there", "opendkim", "opendkim is enabled, and its Socket in /etc/opendkim.conf is an address of Signpost ("+a.String()+")",
			do("Switch it off:", []string{"systemctl", "disable", "--now", "opendkim"}))
	}
}

// enabled reports whether systemd starts a unit at boot, or it runs.
func (h *Host) enabled(unit string) bool {
	for _, pattern := range []string{"/etc/systemd/system/multi-user.target.wants/", "/run/systemd/system/multi-user.target.wants/"} {
		if exists(h.on(pattern + unit + ".service")) {
			return true
		}
	}
	return h.runs(unit)
}

// runs reports whether a process of that name runs.
func (h *Host) runs(name string) bool {
	for _, comm := range h.glob("/proc/[0-9]*/comm") {
		if strings.TrimSpace(comm) == name {
			return true
		}
	}
	return false
}
