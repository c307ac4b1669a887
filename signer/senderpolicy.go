package signer

import (
	"fmt"
	"net/netip"
	"strings"

	"signpost/internal/message"
)

// senderPolicy is the Senders of one generation, by who is asked about.
type senderPolicy struct {
	mode     SendersMode
	logins   map[string][]Sender // "*" as well
	networks []Sender            // those without a login
}

func newSenderPolicy(s Senders) *senderPolicy {
	e := &senderPolicy{mode: s.Mode, logins: map[string][]Sender{}}
	for _, a := range s.Allow {
		if a.Login == "" {
			e.networks = append(e.networks, a)
		} else {
			e.logins[a.Login] = append(e.logins[a.Login], a)
		}
	}
	return e
}

// refusal says why a client may not send as the author of its message; nil where
// it may.
type refusal struct {
	who string // the client, in words
	as  string // the author
	why string // for the log, with the remedy
}

// check holds a message of ours to the entries: each address in From must be
// allowed. An author that is not certain is allowed to those only who may be
// everybody; one whose only domain is certain, to those who may be all of it.
func (e *senderPolicy) check(env message.Envelope, a message.Author, trace *message.Trace) *refusal {
	const rule = "signer.senders"
	if e.mode == SendersOff {
		trace.Add(rule, "mode off", "nobody is asked")
		return nil
	}
	entries := e.entries(env)
	who := sender(env)
	refused := e.firstRefused(entries, env, a)
	if trace != nil {
		trace.Add(rule, who+"; it may be "+allowed(entries), inWords(refused))
	}
	if refused == "" {
		return nil
	}
	return &refusal{who, refused, fmt.Sprintf("%s may not be %s, signer.senders allows it %s; have it write another From, or allow this one there and reload",
		who, refused, allowed(entries))}
}

// entries returns those that apply to a client.
func (e *senderPolicy) entries(env message.Envelope) []Sender {
	var found []Sender
	add := func(list []Sender, networkDecides bool) {
		for _, a := range list {
			if (!networkDecides && !a.Network.IsValid()) || a.Network.Contains(env.ClientAddr) {
				found = append(found, a)
			}
		}
	}
	if env.AuthAuthen == "" && env.AuthType == "" {
		add(e.networks, true)
		return found
	}
	add(e.logins["*"], false)
	if env.AuthAuthen != "*" {
		add(e.logins[env.AuthAuthen], false)
	}
	return found
}

// firstRefused returns the first author that no entry allows, in words.
func (e *senderPolicy) firstRefused(entries []Sender, env message.Envelope, a message.Author) string {
	may := func(fits func(AuthorPattern) bool) bool {
		for _, entry := range entries {
			for _, p := range entry.Authors {
				if fits(p) {
					return true
				}
			}
		}
		return false
	}
	switch {
	case may(AuthorPattern.everybody):
		return ""
	case a.Problem != "" && !a.Lax:
		return "an author who is not certain"
	case a.Lax && len(a.Addresses) == 0: // any of the domain's addresses may be shown
		if may(func(p AuthorPattern) bool {
			return p.wholeDomain() && p.matches(message.Address{Local: "*", Domain: a.Domains[0]}, env.AuthAuthen)
		}) {
			return ""
		}
		return "the author of a malformed From field of " + a.Domains[0]
	}
	for _, address := range a.Addresses {
		if !may(func(p AuthorPattern) bool { return p.matches(address, env.AuthAuthen) }) {
			return address.Local + "@" + address.Domain
		}
	}
	return ""
}

// sender names who is held to the entries.
func sender(env message.Envelope) string {
	if env.AuthAuthen != "" || env.AuthType != "" {
		return fmt.Sprintf("login %q", env.AuthAuthen)
	}
	return client(env)
}

// allowed lists what entries allow, the first few of it.
func allowed(entries []Sender) string {
	const shown = 5
	var words []string
	for _, e := range entries {
		for _, p := range e.Authors {
			if len(words) == shown {
				return strings.Join(words, " ") + " and more"
			}
			words = append(words, p.String())
		}
	}
	if len(words) == 0 {
		return "nothing"
	}
	return strings.Join(words, " ")
}

func inWords(refused string) string {
	if refused == "" {
		return "allowed"
	}
	return "not allowed: " + refused
}

// outcome is what becomes of the message.
func (r *refusal) outcome(mode SendersMode) message.Outcome {
	if mode != SendersReject {
		return unsigned(r.why)
	}
	return message.Outcome{
		Disposition: message.Reject,
		Reply: message.Reply{Code: 550, Enhanced: "5.7.1", Text: fmt.Sprintf(
			"%s may not send mail as %s: put an address of your own into From, or ask the postmaster to allow this one", r.who, r.as)},
		Log:     []message.Note{{Key: "decided", Value: r.why}},
		Refused: r.why,
	}
}

// anyPrefix reports whether a word is a network and no login.
func anyPrefix(word string) (netip.Prefix, bool) {
	p, err := netip.ParsePrefix(word)
	return p.Masked(), err == nil
}
