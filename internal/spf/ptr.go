package spf

import (
	"slices"
	"strings"

	"signpost/internal/message"
)

// clientNames are the names from the reverse mapping of the client's address, looked up
// once in an evaluation.
type clientNames struct {
	fetched bool
	void    bool // the answer was empty; an error is not
	names   []clientName
	local   failure // the first look-up that failed on this host
}

// clientName is a name and the result of its validation.
type clientName struct {
	name  string
	state validation
}

type validation uint8

const (
	unknown validation = iota
	valid
	invalid
)

// matchPTR matches if a validated name of the client is the target or a subdomain
// (§5.5).
func (e *evaluation) matchPTR(target string) (bool, *exception) {
	names := e.clientNames()
	if e.client.void {
		return false, e.countVoid()
	}
	for i := range names {
		if isWithin(names[i].name, target) && e.validate(&names[i]) {
			return true, nil
		}
	}
	return false, e.client.localFailure(e)
}

// validatedName is the value of %{p} (§7.3): the domain itself if the client has that
// name, else a subdomain, else any validated name. The first %{p} of an evaluation
// counts as a term that queries DNS, unless a ptr has looked up the names before
// (§4.6.4).
func (e *evaluation) validatedName(domain string) (string, *exception) {
	if !e.client.fetched {
		if ex := e.countTerm(); ex != nil {
			return "", ex
		}
		if e.clientNames(); e.client.void {
			if ex := e.countVoid(); ex != nil {
				return "", ex
			}
		}
	}
	names := e.client.names
	for _, fits := range []func(name string) bool{
		func(name string) bool { return message.EqualFold(name, domain) },
		func(name string) bool { return isWithin(name, domain) },
		func(string) bool { return true },
	} {
		for i := range names {
			if fits(names[i].name) && e.validate(&names[i]) {
				return names[i].name, nil
			}
		}
	}
	return "unknown", e.client.localFailure(e)
}

// localFailure ends the check if this host could not look up the client's names. §5.5
// treats a DNS error as no match, but a local failure is not a DNS error: the mechanism
// might have matched.
func (c *clientNames) localFailure(e *evaluation) *exception {
	if c.local.err == nil {
		return nil
	}
	return e.tempError(c.local.name, c.local.err)
}

// noteLocal records the first look-up that failed on this host.
func (c *clientNames) noteLocal(name string, err error) {
	if c.local.err == nil && err != nil && IsLocal(err) {
		c.local = failure{name, err}
	}
}

// clientNames looks up the reverse mapping. An error is neither a match nor a void
// look-up (§5.5).
func (e *evaluation) clientNames() []clientName {
	c := &e.client
	if c.fetched {
		return c.names
	}
	c.fetched = true
	answer, err := e.resolver.LookupPTR(e.ctx, e.addr)
	c.void = err == nil && len(answer) == 0
	c.noteLocal(e.addr.String(), err)
	// §4.6.4: all but the first ten are ignored.
	for _, name := range answer[:min(len(answer), maxPTRNames)] {
		c.names = append(c.names, clientName{name: withoutDot(name)})
	}
	c.names = slices.DeleteFunc(c.names, func(n clientName) bool { return !usableName(n.name) })
	return c.names
}

// validate reports whether the name has the client's address. An error means that it
// does not (§5.5).
func (e *evaluation) validate(n *clientName) bool {
	if n.state == unknown {
		n.state = invalid
		addrs, err := e.addresses(n.name)
		if err == nil && slices.Contains(addrs, e.addr) {
			n.state = valid
		}
		e.client.noteLocal(n.name, err)
	}
	return n.state == valid
}

// isWithin reports whether a name is the domain or a subdomain.
func isWithin(name, domain string) bool {
	if message.EqualFold(name, domain) {
		return true
	}
	i := len(name) - len(domain)
	return i > 0 && name[i-1] == '.' && message.EqualFold(name[i:], domain)
}

func withoutDot(name string) string { return strings.TrimSuffix(name, ".") }
