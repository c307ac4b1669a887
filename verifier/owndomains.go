package verifier

import (
	"fmt"

	"signpost/internal/dkim"
	"signpost/internal/dmarc"
	"signpost/internal/message"
	"signpost/internal/spf"
)

// OwnDomains says what mail from outside may do with our signing domains.
type OwnDomains string

const (
	ownDomainsOff     OwnDomains = "off"     // their published policies apply
	ownDomainsProtect OwnDomains = "protect" // it must pass SPF or DKIM, with any published policy
)

// ReadsOwnDomains says whether a decision may depend on the domains of WithOwnDomains.
func (c Config) ReadsOwnDomains() bool {
	return c.OwnDomains == ownDomainsProtect || len(c.Forwarders) > 0
}

// evaluateOwn evaluates each author domain of ours if own_domains is on, or if the client
// is or may be a forwarder.
func (t *Verification) evaluateOwn(s spf.Outcome, signatures []dkim.Outcome) []dmarc.Evaluation {
	asked := t.verifier.cfg.OwnDomains == ownDomainsProtect || t.forwarding.Entry != nil || t.forwarding.Err != nil
	if !asked || t.verifier.ownDomain == nil {
		return nil
	}
	var own []dmarc.Evaluation
	for _, d := range t.discoveries {
		if t.verifier.ownDomain(d.AuthorDomain) {
			ids := identifiers(s, signatures)
			own = append(own, dmarc.Evaluate(t.ctx, t.dns.Policy, d.UnderRule(d.AuthorDomain), ids.spf, ids.dkim))
		}
	}
	return own
}

// evaluationOf returns the evaluation of an author domain.
func evaluationOf(domain string, evaluations []dmarc.Evaluation) (dmarc.Evaluation, bool) {
	for _, e := range evaluations {
		if e.AuthorDomain == domain {
			return e, true
		}
	}
	return dmarc.Evaluation{}, false
}

// byOwnDomain refuses mail from outside with one of our signing domains in From if
// neither aligned SPF nor aligned DKIM passes.
func byOwnDomain(c *Config, v *Verdict) (Decision, bool) {
	e, own := evaluationOf(v.decisive().AuthorDomain, v.Own)
	if c.OwnDomains != ownDomainsProtect || !own || (e.Result != dmarc.Fail && e.Result != dmarc.TempError) {
		return Decision{}, false
	}
	d := Decision{Action: ActReject, Rule: "local policy: own domain " + e.AuthorDomain + ", verifier.own_domains"}
	switch {
	case e.Result == dmarc.TempError:
		return c.undecided(d, v, e), true
	case v.Sealers.Undecided != "":
		return c.undecidedChain(d, v), true
	}
	d.Reply = message.Reply{Code: 550, Enhanced: "5.7.1", Text: fmt.Sprintf(
		"mail from %s is accepted here from its own hosts or with its DKIM signature: spf=%s, dkim=%s%s; "+
			"users of that domain log in to send, other services need its signature or an entry in its SPF record",
		e.AuthorDomain, inWords(string(v.SPF.Result), v.SPF.Domain), dkimInWords(v.DKIM), because(v, e))}
	return d, true
}

func ownDomainCompared(c *Config, v *Verdict) string {
	if c.OwnDomains != ownDomainsProtect {
		return "own_domains: " + string(c.OwnDomains)
	}
	domain := v.decisive().AuthorDomain
	e, own := evaluationOf(domain, v.Own)
	if !own {
		return fmt.Sprintf("author domain %q is no signing domain listed by name; own_domains: protect", domain)
	}
	return fmt.Sprintf("author domain %s is a signing domain; aligned SPF and DKIM: %s; own_domains: protect", domain, words(string(e.Result), e.Reason))
}
