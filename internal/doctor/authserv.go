package doctor

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"signpost/internal/message"
	"signpost/milter"
)

// lookAtAuthserv checks the name that our results carry.
func lookAtAuthserv(ctx context.Context, h *Host) {
	if !slices.ContainsFunc(h.Config.Milter.Listen, func(l milter.Listen) bool { return roleIs(l, message.RoleVerify) }) {
		return
	}
	id, origin, severity := h.Config.Verifier.AuthservID, "verifier.authserv_id", Medium
	if id == "" {
		id, origin, severity = h.heloName(ctx), "verifier.authserv_id is empty, and the MTA's host name", Low // host.name has it
	}
	if id == "" || !nameless(id) {
		return
	}
	h.add(Finding{ID: "authserv.default", Severity: severity, Subject: id, Finding: fmt.Sprintf("%s is %s, a name that any host may have", origin, id),
		Remedy: Remedy{Text: "Give the results a name of your own; in " + h.configName() + ":", Lines: []string{"verifier: {authserv_id: mx." + exampleDomain(h) + "}"}}})
}

// nameless reports whether a host name is one that many hosts have.
func nameless(name string) bool {
	name = strings.ToLower(strings.TrimSuffix(name, "."))
	return !strings.Contains(name, ".") || strings.HasSuffix(name, ".localdomain") || strings.HasPrefix(name, "localhost.")
}
