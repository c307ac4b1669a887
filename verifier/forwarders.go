package verifier

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"signpost/internal/dmarc"
	"signpost/internal/message"
)

// Forwarder is a host, or several, that forwards mail of others and breaks SPF or
// signatures. Its mail is judged, but not refused for SPF, DKIM or DMARC.
type Forwarder struct {
	// Network or Host is set. Host is a name, or "*." and a domain for all names below it. It
	// counts only if the name leads back to the client's address (RFC 8601 §3).
	Network netip.Prefix `yaml:"network"`
	Host    string       `yaml:"host"`
	// Name is shown in the field and in the log. By default it is the host without "*.", or
	// the network.
	Name string `yaml:"name"`
	// AllowOwnDomains extends the excuse to author domains of ours.
	AllowOwnDomains bool `yaml:"allow_own_domains"`
}

// maxLocalText is the longest name or note of the configuration, in octets.
const maxLocalText = 100

// Label is the forwarder's name for people: Name, or its default.
func (f Forwarder) Label() string { return f.name() }

// name is the forwarder's name for the field and the log.
func (f Forwarder) name() string {
	switch {
	case f.Name != "":
		return f.Name
	case f.Host != "":
		return strings.TrimPrefix(f.Host, "*.")
	}
	return f.Network.String()
}

// pattern is the host in lower-case A-labels; below says that it stands for all names below
// it. ok is false if it is no host name.
func (f Forwarder) pattern() (domain string, below, ok bool) {
	domain, below = strings.CutPrefix(f.Host, "*.")
	domain, ok = message.DomainToASCII(domain)
	return domain, below, ok && strings.Contains(domain, ".")
}

// matches says whether a host name in lower-case A-labels is one of the forwarder's.
func (f Forwarder) matches(host string) bool {
	if f.Host == "" {
		return false
	}
	domain, below, ok := f.pattern()
	if below {
		return ok && strings.HasSuffix(host, "."+domain)
	}
	return ok && host == domain
}

func validateForwarders(list []Forwarder, bad func(path, problem string)) {
	seen := map[string]int{}
	for i, f := range list {
		path := fmt.Sprintf("forwarders[%d]", i)
		key := ""
		switch domain, below, ok := f.pattern(); {
		case f.Network.IsValid() == (f.Host != ""):
			bad(path+".network", `write one of network (such as 192.0.2.0/24) and host (such as "*.lists.example")`)
		case f.Network.IsValid() && f.Network.Bits() == 0:
			bad(path+".network", "every client is in it, and no forgery would be refused: write the forwarder's own network")
		case f.Network.IsValid():
			key = f.Network.Masked().String()
		case !ok:
			bad(path+".host", fmt.Sprintf(`%q is no host name: write one such as mx.lists.example, or "*.lists.example" for all names below lists.example`, f.Host))
		case below:
			key = "*." + domain
		default:
			key = domain
		}
		if first, found := seen[key]; found && key != "" {
			bad(path, fmt.Sprintf("%s stands already in forwarders[%d]: keep one of the two", key, first))
		} else {
			seen[key] = i
		}
		if problem := localTextProblem(f.Name); problem != "" {
			bad(path+".name", problem)
		}
	}
}

// localTextProblem says what is wrong with a configured text that is shown in the field and
// in the log.
func localTextProblem(text string) string {
	if len(text) > maxLocalText {
		return fmt.Sprintf("longer than %d octets: write a few words", maxLocalText)
	}
	if !utf8.ValidString(text) || strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return "has characters that cannot be printed: write one line of plain text"
	}
	return ""
}

// forwarding says whether the client is a forwarder of the configuration.
type forwarding struct {
	// Entry is nil if it is none, or if that is not known.
	Entry *Forwarder
	// By is the network or the confirmed host name that the entry was found by.
	By string
	// Err is set if DNS did not answer, so that it is not known.
	Err error
}

// Forwarder is the entry of verifier.forwarders that the client belongs to; nil if there is none, or if
// DNS did not say.
func (v *Verdict) Forwarder() *Forwarder { return v.forwarding.Entry }

// startForwarder finds the client's entry. Networks are compared first; only if none fits
// and there are host patterns, the client's names are looked up.
func (t *Verification) startForwarder() {
	list := t.verifier.cfg.Forwarders
	if len(list) == 0 {
		return
	}
	addr, hosts := t.query.Addr.Unmap().WithZone(""), false
	for i := range list {
		if list[i].Network.Contains(addr) {
			t.forwarding = forwarding{Entry: &list[i], By: "network " + list[i].Network.String()}
			return
		}
		hosts = hosts || list[i].Host != ""
	}
	if hosts && addr.IsValid() && !isPrivate(addr) {
		t.start((*Verification).askForwarder, 0)
	}
}

func (t *Verification) askForwarder(from Lookups, _ int) {
	t.forwarding = forwarderByName(t.ctx, from.Policy, t.verifier.cfg.Forwarders, t.query.Addr.Unmap().WithZone(""))
}

// forwarderByName looks for an entry with a name of the client's address that leads back to
// the address (RFC 8601 §3). Names that no entry has are not looked up.
func forwarderByName(ctx context.Context, resolver Resolver, list []Forwarder, addr netip.Addr) forwarding {
	ctx, cancel := context.WithTimeout(ctx, iprevTimeout)
	defer cancel()
	names, err := resolver.LookupPTR(ctx, addr)
	if err != nil {
		return forwarding{Err: err}
	}
	lookup := resolver.LookupA
	if addr.Is6() {
		lookup = resolver.LookupAAAA
	}
	var failed error
	for _, name := range names[:min(len(names), maxNames)] {
		host, ok := message.DomainToASCII(strings.TrimSuffix(name, "."))
		i := slices.IndexFunc(list, func(f Forwarder) bool { return ok && f.matches(host) })
		if i < 0 {
			continue
		}
		addrs, err := lookup(ctx, host)
		if slices.Contains(addrs, addr) {
			return forwarding{Entry: &list[i], By: "host " + host}
		}
		if failed == nil {
			failed = err
		}
	}
	return forwarding{Err: failed}
}

// byForwarder accepts a failing message from a forwarder. A message with an author domain of
// ours is left to the other rules unless the entry allows it. Where DNS leaves it open
// whether the client is a forwarder, on_undecided decides about a message that would be
// refused.
func byForwarder(c *Config, v *Verdict) (Decision, bool) {
	f := v.forwarding
	if f.Entry == nil && f.Err == nil {
		return Decision{}, false
	}
	e := v.decisive()
	_, own := evaluationOf(e.AuthorDomain, v.Own)
	failing := c.unexcused(v)
	if f.Entry == nil {
		if !failing.Action.refuses() || (own && !slices.ContainsFunc(c.Forwarders, func(f Forwarder) bool { return f.AllowOwnDomains })) {
			return Decision{}, false
		}
		const what = "whether the client is one of verifier.forwarders could not be looked up"
		return Decision{
			Action: c.OnUndecided, Rule: failing.Rule + "; undecided: " + what + ", verifier.on_undecided",
			Reply: message.Reply{Code: 451, Enhanced: "4.7.25", Text: "the name of the sending host could not be looked up just now, try again later"},
		}, true
	}
	if (own && !f.Entry.AllowOwnDomains) || (failing.Action == ActAccept && e.Result != dmarc.Fail) {
		return Decision{}, false
	}
	return Decision{
		Action: ActAccept, Rule: "local policy: forwarder " + f.Entry.name() + " (" + f.By + "), verifier.forwarders",
		Local: "forwarder " + f.Entry.name(),
	}, true
}

// unexcused is the decision of the rules that a forwarder is excused from.
func (c *Config) unexcused(v *Verdict) Decision {
	for _, rule := range []func(*Config, *Verdict) (Decision, bool){byOverride, byOwnDomain, byDMARC, byUndecided, byTempError, bySPF} {
		if d, applies := rule(c, v); applies && !d.watched {
			return d
		}
	}
	return Decision{Action: ActAccept}
}

func forwarderCompared(c *Config, v *Verdict) string {
	f := v.forwarding
	switch {
	case len(c.Forwarders) == 0:
		return "no forwarders"
	case f.Err != nil:
		return "the client's name could not be looked up: " + f.Err.Error()
	case f.Entry == nil:
		return fmt.Sprintf("the client is none of %d forwarders", len(c.Forwarders))
	}
	text := "the client is forwarder " + f.Entry.name() + ", " + f.By
	if _, own := evaluationOf(v.decisive().AuthorDomain, v.Own); own {
		text += fmt.Sprintf("; author domain %s is ours, allow_own_domains: %t", v.decisive().AuthorDomain, f.Entry.AllowOwnDomains)
	}
	return text + fmt.Sprintf("; dmarc %s, spf %s", v.decisive().Result, v.SPF.Result)
}
