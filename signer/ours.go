package signer

import (
	"fmt"
	"slices"

	"signpost/internal/message"
)

// Ours decides whether a message is ours to sign, from the envelope alone: a
// header field can be written by anybody (VU#244112). why names the rule that
// decided and what it compared.
func (s *Signer) Ours(env message.Envelope) (ours bool, why string) {
	switch env.Role {
	case message.RoleSign:
		return true, "the listener's role is sign"
	case message.RoleVerify:
		return false, "the listener's role is verify"
	}
	if s.cfg.Ours.Authenticated && (env.AuthAuthen != "" || env.AuthType != "") {
		return true, "logged in as " + env.AuthAuthen
	}
	if env.DaemonName != "" && slices.Contains(s.cfg.Ours.DaemonNames, env.DaemonName) {
		return true, "daemon name " + env.DaemonName
	}
	for _, n := range s.cfg.Ours.Networks {
		if n.Contains(env.ClientAddr) {
			return true, "client " + env.ClientAddr.String() + " in " + n.String()
		}
	}
	return false, s.notOurs(env)
}

func (s *Signer) notOurs(env message.Envelope) string {
	client := "client without an address"
	if env.ClientAddr.IsValid() {
		client = "client " + env.ClientAddr.String()
	}
	login := "no login"
	if env.AuthAuthen != "" {
		login = fmt.Sprintf("login %q does not count", env.AuthAuthen)
	}
	return fmt.Sprintf("%s in none of signer.ours.networks, %s, daemon name %q not in signer.ours.daemon_names",
		client, login, env.DaemonName)
}
