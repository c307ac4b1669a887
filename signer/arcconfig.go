package signer

import (
	"fmt"
	"net/netip"
	"slices"

	"signpost/internal/config"
	"signpost/internal/message"
	"signpost/keys"
)

// ARC says which mail is sealed (RFC 8617 §5.1), and with which key.
type ARC struct {
	Seal SealMode `yaml:"seal"`
	// Domain and Selector are the key <keys.dir>/<domain>/<selector>.pem, and d= and s= of the
	// seals.
	Domain   string `yaml:"domain"`
	Selector string `yaml:"selector"`
	// Recipients and Networks choose the mail: one recipient, or the client's address, is
	// enough.
	Recipients []RecipientPattern `yaml:"recipients"`
	Networks   []netip.Prefix     `yaml:"networks"`
	// ListNetworks are the hosts of list software. What they hand to a listener with role
	// seal is sealed with the results that it brings.
	ListNetworks []netip.Prefix `yaml:"list_networks"`
}

// SealMode selects the mail that is sealed.
type SealMode string

const (
	SealOff       SealMode = "off"
	SealForwarded SealMode = "forwarded" // mail that was judged and accepted, and that the MTA forwards as it is
)

// RecipientPattern matches recipients: a whole address, a domain, a pattern of domains such as
// *.example.com, or "*" for all.
type RecipientPattern struct {
	name string
	kind kind
}

// UnmarshalText reads a pattern.
func (p *RecipientPattern) UnmarshalText(text []byte) error {
	name, k := entryName(string(text))
	if k == noKind {
		return fmt.Errorf("%q is no recipient: write an address, a domain such as example.com, \"*.example.com\" or \"*\"", text)
	}
	*p = RecipientPattern{name, k}
	return nil
}

// MarshalText writes what UnmarshalText reads.
func (p RecipientPattern) MarshalText() ([]byte, error) { return []byte(p.name), nil }

// matches takes a forward-path. The case of local parts does not count.
func (p RecipientPattern) matches(path string) bool {
	if p.kind == anyDomain {
		return true
	}
	local, domain := message.SplitPath(path)
	name, ok := message.DomainToASCII(domain)
	switch {
	case !ok:
		return false
	case p.kind == wholeAddress:
		return lower(local)+"@"+name == p.name
	case p.kind == domainGlob:
		return glob(p.name, name)
	}
	return name == p.name
}

// On reports whether anything is sealed.
func (a ARC) On() bool { return a.Seal == SealForwarded }

// key is the key that seals; seals is false where nothing is sealed.
func (a ARC) key() (ref keys.Ref, seals bool) {
	domain, _ := message.DomainToASCII(a.Domain)
	selector, _ := message.DomainToASCII(a.Selector)
	return keys.Ref{Domain: domain, Selector: selector}, a.On()
}

// SealsWith reports whether mail is sealed with a key.
func (a ARC) SealsWith(domain, selector string) bool {
	ref, seals := a.key()
	wanted, err := keys.Ref{Domain: domain, Selector: selector}.Canonical()
	return seals && err == nil && ref == wanted
}

// signsFor is the name of the seals' signing set in lifecycle.ActiveKeys. It is no domain, so
// that the domain's own mail is not signed with the key because of this.
func (a ARC) signsFor() string {
	ref, _ := a.key()
	return "ARC seals of " + ref.Domain
}

// chooses says why a message is sealed; "" if it is not.
func (a ARC) chooses(env message.Envelope) string {
	for _, n := range a.Networks {
		if n.Contains(env.ClientAddr) {
			return "client in signer.arc.networks " + n.String()
		}
	}
	for _, p := range a.Recipients {
		if slices.ContainsFunc(env.Recipients, p.matches) {
			return "a recipient in signer.arc.recipients " + p.name
		}
	}
	return ""
}

func (a ARC) validate(bad func(path, problem string)) {
	config.OneOf(bad, "arc.seal", a.Seal, SealOff, SealForwarded)
	if _, k := entryName(a.Domain); k != exactDomain && (a.On() || a.Domain != "") {
		bad("arc.domain", fmt.Sprintf("%q is not a domain name of at least two labels: write the d= of the seals, such as example.com", a.Domain))
	}
	if _, ok := message.DomainToASCII(a.Selector); !ok && (a.On() || a.Selector != "") {
		bad("arc.selector", fmt.Sprintf("%q is not a selector: write NAME as given to signpost keys generate", a.Selector))
	}
	if a.On() && len(a.Recipients) == 0 && len(a.Networks) == 0 && len(a.ListNetworks) == 0 {
		bad("arc", `seal: forwarded without recipients, networks and list_networks seals nothing: list the recipients whose mail this host forwards, or "*"`)
	}
	for i, n := range a.ListNetworks {
		if n.Bits() == 0 {
			bad(fmt.Sprintf("arc.list_networks[%d]", i), "every client is in it, and could have results sealed that it made up: write the hosts of the list software, such as 127.0.0.1/32")
		}
	}
}
