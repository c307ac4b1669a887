package signer

import (
	"fmt"
	"net/netip"
	"strings"

	"signpost/internal/message"
)

// senderPolicy holds the entries of signer.senders, indexed by login.
type senderPolicy struct {
	mode     SendersMode
	logins   map[string][]Sender // by login, and "*"
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

// refusal says why a client may not send as the author of its message.
type refusal struct {
	who string // the client, in words
	as  string // the author
	why string // for the log, with the remedy
}

// sendersRule is the trace's name for the check of the author.
const sendersRule = "signer.senders"

// check returns a refusal unless the entries allow each address in From. An author that is
// not certain needs an entry for all authors. One whose domain alone is certain needs an
// entry for the whole domain.
func (e *senderPolicy) check(env message.Envelope, a message.Author, trace *message.Trace) *refusal {
	if e.mode == SendersOff {
		trace.Add(sendersRule, "mode off", "senders are not checked")
		return nil
	}
	entries := e.entries(env)
	who := sender(env)
	refused := e.firstRefused(entries, env, a)
	if trace != nil {
		trace.Add(sendersRule, who+"; it may be "+allowed(entries), inWords(refused))
	}
	if refused == "" {
		return nil
	}
	return &refusal{who, refused, fmt.Sprintf("%s may not be %s, signer.senders allows it %s; have it write another From, or allow this one there and reload",
		who, refused, allowed(entries))}
}

// entries returns the entries that apply to a client.
func (e *senderPolicy) entries(env message.Envelope) []Sender {
	var found []Sender
	add := func(list []Sender, networkDecides bool) {
		for _, a := range list {
			if (!networkDecides && !a.Network.IsValid()) || a.Network.Contains(env.ClientAddr) {
				found = append(found, a)
			}
		}
	}
	if !env.LoggedIn() {
		add(e.networks, true)
		return found
	}
	add(e.logins["*"], false)
	if env.AuthAuthen != "*" {
		add(e.logins[env.AuthAuthen], false)
	}
	return found
}

// firstRefused describes the first author that no entry allows, or returns "".
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
	case may(AuthorPattern.anyAuthor):
		return ""
	case a.Problem != "" && !a.Lax:
		return "an author who is not certain"
	case a.Lax && len(a.Addresses) == 0: // a mail program may show any address of the domain
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

// sender describes the client that the entries apply to.
func sender(env message.Envelope) string {
	if env.LoggedIn() {
		return fmt.Sprintf("login %q", env.AuthAuthen)
	}
	return client(env)
}

// allowed lists the first few patterns of the entries.
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

// outcome is the outcome for the message.
func (r *refusal) outcome(mode SendersMode) message.Outcome {
	if mode != SendersReject {
		return unsigned(r.why)
	}
	return message.Outcome{
		Disposition: message.Reject,
		Reply: message.Reply{Code: 550, Enhanced: "5.7.1", Text: fmt.Sprintf(
			"%s may not send mail as %s: put an address of your own into From, or ask the postmaster to allow this one", r.who, r.as)},
		Refused: r.why,
	}
}

// anyPrefix parses a word as a network; ok is false if it is a login.
func anyPrefix(word string) (netip.Prefix, bool) {
	p, err := netip.ParsePrefix(word)
	return p.Masked(), err == nil
}
