package signer

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"signpost/internal/message"
)

// Outbound decides whether a message is ours to sign. It uses only the envelope, since
// anyone can write a header field (VU#244112). why names the rule that decided and the
// value that it compared.
func (s *Signer) Outbound(env message.Envelope) (ours bool, why string) {
	return s.ExplainOutbound(env, nil)
}

// ExplainOutbound is Outbound, and records each rule in the trace.
func (s *Signer) ExplainOutbound(env message.Envelope, trace *message.Trace) (ours bool, why string) {
	const listener = "milter.listen role"
	switch env.Role {
	case message.RoleSign:
		trace.Add(listener, "sign", "ours")
		return true, "the listener's role is sign"
	case message.RoleVerify:
		trace.Add(listener, "verify", "not ours")
		return false, "the listener's role is verify"
	}
	if env.Role != message.RoleSeal {
		trace.Add(listener, "auto", "the connection decides")
	} else if why := s.returns(env, trace); why != "" {
		return true, why
	}

	ours = s.cfg.Outbound.Authenticated && env.LoggedIn()
	if trace != nil {
		trace.Add("signer.ours.authenticated", fmt.Sprintf("%t; login %q by %q", s.cfg.Outbound.Authenticated, env.AuthAuthen, env.AuthType), outboundOrNext(ours))
	}
	if ours {
		return true, "logged in as " + env.AuthAuthen
	}

	ours = env.DaemonName != "" && slices.Contains(s.cfg.Outbound.DaemonNames, env.DaemonName)
	if trace != nil {
		trace.Add("signer.ours.daemon_names", fmt.Sprintf("%q; daemon name %q", s.cfg.Outbound.DaemonNames, env.DaemonName), outboundOrNext(ours))
	}
	if ours {
		return true, "daemon name " + env.DaemonName
	}

	n, ours := containing(s.cfg.Outbound.Networks, env.ClientAddr)
	if trace != nil {
		trace.Add("signer.ours.networks", joined(s.cfg.Outbound.Networks)+"; "+client(env), outboundOrNext(ours))
	}
	if ours {
		return true, "client " + env.ClientAddr.String() + " in " + n.String()
	}
	return false, s.notOurs(env)
}

// containing returns the first network that contains an address.
func containing(networks []netip.Prefix, addr netip.Addr) (netip.Prefix, bool) {
	for _, n := range networks {
		if n.Contains(addr) {
			return n, true
		}
	}
	return netip.Prefix{}, false
}

func outboundOrNext(ours bool) string {
	if ours {
		return "ours"
	}
	return "no match"
}

func joined(networks []netip.Prefix) string {
	if len(networks) == 0 {
		return "none"
	}
	words := make([]string, len(networks))
	for i, n := range networks {
		words[i] = n.String()
	}
	return strings.Join(words, " ")
}

func client(env message.Envelope) string {
	if env.ClientAddr.IsValid() {
		return "client " + env.ClientAddr.String()
	}
	return "client without an address"
}

// notOurs is the reason where no rule matches.
func (s *Signer) notOurs(env message.Envelope) string {
	why := make([]byte, 0, 256) // this runs for each incoming message
	if env.ClientAddr.IsValid() {
		why = env.ClientAddr.AppendTo(append(why, "client "...))
	} else {
		why = append(why, "client without an address"...)
	}
	why = append(why, " in none of signer.ours.networks, "...)
	if env.AuthAuthen != "" {
		why = append(strconv.AppendQuote(append(why, "login "...), env.AuthAuthen), " does not count"...)
		if !env.LoggedIn() {
			why = append(why, ", it is anonymous"...)
		}
	} else {
		why = append(why, "no login"...)
	}
	if len(s.cfg.Outbound.DaemonNames) > 0 {
		why = strconv.AppendQuote(append(why, ", daemon name "...), env.DaemonName)
		why = append(why, " not in signer.ours.daemon_names"...)
	}
	return string(why)
}
