package signer

import (
	"fmt"
	"net/netip"
	"strings"

	"signpost/internal/config"
	"signpost/internal/message"
)

// Senders says which authors a login or a network may use (VU#244112): a login proves who
// sends, but not whose address may stand in From.
type Senders struct {
	// Mode decides about a message of ours whose author no entry allows.
	Mode SendersMode `yaml:"mode"`
	// Allow lists the entries. One that matches is enough.
	Allow []Sender `yaml:"allow"`
	// File has further entries, one on each line; see package tablesource.
	File string `yaml:"file"`
}

// SendersMode says what happens to a message whose author is not allowed.
type SendersMode string

const (
	SendersOff      SendersMode = "off"      // authors are not restricted
	SendersUnsigned SendersMode = "unsigned" // the message goes on without a signature
	SendersReject   SendersMode = "reject"   // 550
)

// Sender allows author addresses to a login or a network. For a message with a login, only
// entries with a login count: the network of a web mail server must not allow each of its
// users all addresses.
type Sender struct {
	// Login is a login name exactly as the MTA reports it; "*" matches every login.
	Login string `yaml:"login"`
	// Network contains the client's address. If there is a login too, both must match.
	Network netip.Prefix `yaml:"network"`
	// Authors are the allowed addresses in From.
	Authors []AuthorPattern `yaml:"authors"`
}

// AuthorPattern matches author addresses. In the file: alice@example.com,
// alice+*@example.com, *@example.com or example.com for a whole domain, *@*.example.com for
// the domains below it, "*" for all, {{login}} for the address that is the login,
// *@{{login_domain}} for the whole domain of the login.
type AuthorPattern struct{ local, domain string }

// The placeholders of an AuthorPattern.
const (
	loginItself = "{{login}}"
	loginDomain = "{{login_domain}}"
)

// UnmarshalText reads a pattern.
func (p *AuthorPattern) UnmarshalText(text []byte) error {
	word := string(text)
	problem := fmt.Errorf("%q is neither an address nor a pattern of addresses: write alice@example.com, *@example.com, *@*.example.com, %s or \"*\"", word, loginItself)
	if word == "*" || word == loginItself {
		*p = AuthorPattern{word, word}
		return nil
	}
	local, domain := "*", word
	if at := strings.LastIndexByte(word, '@'); at >= 0 {
		local, domain = word[:at], word[at+1:]
	}
	if local == "" || strings.ContainsAny(local, " \t\"(),:;<>[\\]{}") {
		return problem
	}
	name, ok := message.DomainToASCII(domain)
	switch pattern, glob := domainPattern(domain); {
	case domain == loginDomain:
		name = loginDomain
	case glob:
		name = pattern
	case !ok || !strings.Contains(name, "."):
		return problem
	}
	*p = AuthorPattern{lower(local), name}
	return nil
}

// MarshalText writes what UnmarshalText reads.
func (p AuthorPattern) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

func (p AuthorPattern) String() string {
	if p.local == p.domain {
		return p.local // "*", {{login}}
	}
	return p.local + "@" + p.domain
}

func (p AuthorPattern) anyAuthor() bool { return p.local == "*" && p.domain == "*" }

// wholeDomain reports whether the pattern allows every local part.
func (p AuthorPattern) wholeDomain() bool { return p.local == "*" }

// matches ignores case, in the local part too. RFC 5321 §2.4 leaves the case of local parts
// to the receiving host; hosts that distinguish mailboxes by case are not supported.
func (p AuthorPattern) matches(a message.Address, login string) bool {
	switch {
	case p.anyAuthor():
		return true
	case p.local == loginItself:
		local, domain, _ := loginAddress(login)
		return local == lower(a.Local) && domain == a.Domain && domain != ""
	case a.Domain == "":
		return false
	case p.domain == loginDomain:
		_, domain, ok := loginAddress(login)
		return ok && domain == a.Domain && glob(p.local, lower(a.Local))
	}
	return glob(p.domain, a.Domain) && glob(p.local, lower(a.Local))
}

// loginAddress splits a login that is an address.
func loginAddress(login string) (local, domain string, ok bool) {
	at := strings.LastIndexByte(login, '@')
	if at <= 0 {
		return "", "", false
	}
	domain, ok = message.DomainToASCII(login[at+1:])
	if !ok {
		return "", "", false
	}
	return lower(login[:at]), domain, true
}

// lower is strings.ToLower for ASCII only. Folding other letters could make two different
// names equal.
func lower(s string) string {
	for i := range len(s) {
		if 'A' <= s[i] && s[i] <= 'Z' {
			b := []byte(s)
			for j := i; j < len(b); j++ {
				if 'A' <= b[j] && b[j] <= 'Z' {
					b[j] += 'a' - 'A'
				}
			}
			return string(b)
		}
	}
	return s
}

func (s Senders) validate(bad func(path, problem string)) {
	config.OneOf(bad, "senders.mode", s.Mode, SendersOff, SendersUnsigned, SendersReject)
	if s.Mode != SendersOff && len(s.Allow) == 0 && s.File == "" {
		bad("senders", fmt.Sprintf("mode is %s and no sender is allowed any author: write allow: [{login: alice, authors: [alice@example.com]}], or file:", s.Mode))
	}
	for i, a := range s.Allow {
		path := fmt.Sprintf("senders.allow[%d]", i)
		if problem := a.problem(); problem != "" {
			bad(path, problem)
		}
	}
}

// problem returns the first mistake in the entry, or "".
func (a Sender) problem() string {
	switch {
	case a.Login == "" && !a.Network.IsValid():
		return "an entry needs login: NAME, or network: 192.0.2.0/24, or both"
	case len(a.Authors) == 0:
		return "an entry needs authors: what may stand in From, as [alice@example.com]"
	}
	for _, p := range a.Authors {
		if a.Login == "" && (p.local == loginItself || p.domain == loginDomain) {
			return fmt.Sprintf("%s has no meaning for a network alone: add login: \"*\"", p)
		}
	}
	return ""
}
