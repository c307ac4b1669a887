package unixsocket

import (
	"strings"
	"testing"
)

func TestARemedyForASocketsFolderChangesFoldersOfOursAlone(t *testing.T) {
	const daemon, alice = 999, 1000
	for _, c := range []struct {
		name     string
		fault    folderFault
		uid      int
		want     string
		mustLack string
	}{
		{"the system's /run", folderFault{at: "/run", dir: "/run"}, daemon, "take a folder of the daemon's own: unix:/run/signpost/m.sock", "chown"},
		{"a folder above", folderFault{at: "/srv", dir: "/srv/mail/signpost"}, daemon, "take a folder of the daemon's own: unix:/run/signpost/m.sock", "chown"},
		{"Postfix's own private", folderFault{at: "/var/spool/postfix/private", dir: "/var/spool/postfix/private"}, daemon,
			"take unix:/var/spool/postfix/signpost/m.sock, in the folder that deploy/tmpfiles.d/signpost-postfix.conf makes", "chown"},
		{"Postfix's queue directory", folderFault{at: "/var/spool/postfix", dir: "/var/spool/postfix"}, daemon, "take unix:/var/spool/postfix/signpost/m.sock", "chown"},
		{"Postfix's folder for us, missing", folderFault{at: "/var/spool/postfix/signpost", dir: "/var/spool/postfix/signpost", missing: true}, daemon,
			"systemd-tmpfiles --create signpost-postfix.conf", "chown"},
		{"ours, missing", folderFault{at: "/run/signpost", dir: "/run/signpost", missing: true}, daemon,
			"RuntimeDirectory=signpost in the unit makes it, or as root: install -d -o 999 /run/signpost", "chown"},
		{"not ours, missing", folderFault{at: "/run/milter", dir: "/run/milter", missing: true}, daemon, "take a folder of the daemon's own: unix:/run/signpost/m.sock", "install"},
		{"ours, of root", folderFault{at: "/run/signpost", dir: "/run/signpost"}, daemon, "as root: chown 999 /run/signpost", ""},
		{"ours, and an ordinary user", folderFault{at: "/run/signpost", dir: "/run/signpost"}, alice, "run this as the user signpost", "chown"},
		{"the system's, and an ordinary user", folderFault{at: "/run", dir: "/run"}, alice, "run this as the user signpost", "chown"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := c.fault.remedy("m.sock", c.uid, daemon)
			if !strings.Contains(got, c.want) || c.mustLack != "" && strings.Contains(got, c.mustLack) {
				t.Errorf("got %s\nwant %s", got, c.want)
			}
		})
	}
	// Where there is no user signpost, the daemon may be any user.
	if got := (folderFault{at: "/run/signpost", dir: "/run/signpost"}).remedy("m.sock", alice, 0); !strings.Contains(got, "chown 1000 /run/signpost") {
		t.Errorf("no user signpost: %s", got)
	}
}
