package keys

import (
	"fmt"
	"os"
	"slices"
	"strings"

	"signpost/internal/shell"
)

// groupFile has the members of groups that /etc/passwd does not list (group(5)).
const groupFile = "/etc/group"

// otherMembers returns a warning for each other user in the daemon's group, which may read the
// keys. Such users are often added to let them use a socket of the daemon.
func otherMembers() []string {
	text, err := os.ReadFile(groupFile)
	if err != nil {
		return nil // groups come from another source
	}
	var warnings []string
	for _, member := range membersOf(string(text), daemonGroup) {
		if member != daemonUser && member != "root" {
			warnings = append(warnings, fmt.Sprintf("the user %[1]s is in the group %[2]s and may read all private keys: gpasswd -d %[1]s %[2]s; a socket for it has a group of its own (milter.socket_group)",
				shell.Quote(member), daemonGroup))
		}
	}
	return warnings
}

// membersOf are the members of a group in the text of a group file.
func membersOf(text, group string) []string {
	for line := range strings.Lines(text) {
		fields := strings.Split(strings.TrimSpace(line), ":")
		if len(fields) == 4 && fields[0] == group {
			members := strings.Split(fields[3], ",")
			return slices.DeleteFunc(members, func(m string) bool { return m == "" })
		}
	}
	return nil
}
