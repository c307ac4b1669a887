package verifier

import (
	"fmt"
	"slices"

	"signpost/internal/dkim"
	"signpost/internal/dmarc"
	"signpost/internal/message"
	"signpost/internal/spf"
)

// Decision is the result of the configuration's policy for a verdict.
type Decision struct {
	// Action is the action of enforce mode; monitor mode only reports it.
	Action Action
	// Enforced says that the action is really taken.
	Enforced bool
	// Rule names what decided, with the values that were compared.
	Rule string
	// By is the rule's place in the configuration, or "author"; "" if no rule applies.
	By string
	// Reply is the reply to the client if the action refuses the message.
	Reply message.Reply
	// Local names the rule of the configuration by which the published policy does not
	// decide. The dmarc result and the log have it.
	Local string
	// Watched is the action of an override in mode monitor, and WatchedRule its name. It is
	// reported and not taken.
	Watched     Action
	WatchedRule string

	watched bool // the decision is one of an override in mode monitor
}

// weight orders actions by their effect on a message.
func (a Action) weight() int {
	return slices.Index([]Action{ActAccept, ActTag, ActQuarantine, ActTempfail, ActReject}, a)
}

// Disposition is what happens to the message.
func (d Decision) Disposition() message.Disposition {
	if !d.Enforced {
		return message.Accept
	}
	switch d.Action {
	case ActReject:
		return message.Reject
	case ActTempfail:
		return message.Tempfail
	case ActQuarantine:
		return message.Quarantine
	}
	return message.Accept
}

// policy is the rules in their order. The first that applies decides. compared says for a
// trace what a rule compares.
var policy = []struct {
	name     string
	decide   func(*Config, *Verdict) (Decision, bool)
	compared func(*Config, *Verdict) string
}{
	{"author", byAuthor, authorCompared},
	{"verifier.arc", byARC, arcCompared},
	{"verifier.forwarders", byForwarder, forwarderCompared},
	{"verifier.overrides", byOverride, overrideCompared},
	{"verifier.own_domains", byOwnDomain, ownDomainCompared},
	{"verifier.dmarc", byDMARC, dmarcCompared},
	{"verifier.on_undecided", byUndecided, undecidedCompared},
	{"verifier.on_temperror", byTempError, tempErrorCompared},
	{"verifier.spf.on_fail", bySPF, spfCompared},
}

// decide is the whole policy. The trace gets each rule. Of several author domains, the one
// with the weightiest action decides: this depends on the configured actions and not only
// on the published policies.
func (c *Config) decide(v *Verdict, trace *message.Trace) Decision {
	d := c.withAuthor(c.firstRule(v, trace), v, trace)
	for _, e := range v.Each {
		one := *v
		one.DMARC, one.WithoutUnread = e, e
		if other := c.firstRule(&one, nil); other.Action.weight() > d.Action.weight() {
			d = other
			trace.Add("the other author domains", e.AuthorDomain, "applies: "+string(d.Action)+" ("+d.Rule+")")
		}
	}
	d.Enforced = c.Mode == Enforce
	return d
}

// firstRule is the decision of the first rule that applies.
func (c *Config) firstRule(v *Verdict, trace *message.Trace) Decision {
	var watched Decision
	for _, rule := range policy {
		d, applies := rule.decide(c, v)
		d.By = rule.name
		if trace != nil {
			result := "does not apply"
			switch {
			case applies && d.watched:
				result = "would apply in mode enforce: " + string(d.Action) + " (" + d.Rule + ")"
			case applies:
				result = "applies: " + string(d.Action) + " (" + d.Rule + ")"
			}
			trace.Add(rule.name, rule.compared(c, v), result)
		}
		switch {
		case applies && d.watched:
			watched = d
		case applies:
			if watched.Local != "" {
				d.Watched, d.WatchedRule = watched.Action, watched.Local
			}
			return d
		}
	}
	return Decision{Action: ActAccept, Rule: "nothing speaks against it", Watched: watched.Action, WatchedRule: watched.Local}
}

// byDMARC applies the configured action for a message that fails DMARC.
func byDMARC(c *Config, v *Verdict) (Decision, bool) {
	e := v.decisive()
	if e.Result != dmarc.Fail {
		return Decision{}, false
	}
	d := c.forPolicy(e.Policy, e.RecordDomain)
	d.Reply = message.Reply{Code: 550, Enhanced: "5.7.1", Text: fmt.Sprintf(
		"DMARC: mail from %s must pass SPF or DKIM for that domain, its policy is %s: spf=%s, dkim=%s%s; see the TXT record of _dmarc.%s and RFC 9989",
		e.AuthorDomain, e.Policy, inWords(string(v.SPF.Result), v.SPF.Domain), dkimInWords(v.DKIM), because(v, e), e.RecordDomain)}
	if v.SPF.Result == spf.Fail && anyResult(v.DKIM, dkim.Fail) {
		d.Reply.Enhanced = "5.7.26" // RFC 7372 §3.4: more than one check failed
	}
	return d, true
}

// forPolicy is the configured action for a failing message under a policy that is
// published at a domain. It sets no reply.
func (c Config) forPolicy(p dmarc.Policy, domain string) Decision {
	switch p {
	case dmarc.Reject:
		return Decision{Action: c.DMARC.OnReject, Rule: "dmarc: policy reject of " + domain + ", verifier.dmarc.on_reject"}
	case dmarc.Quarantine:
		return Decision{Action: c.DMARC.OnQuarantine, Rule: "dmarc: policy quarantine of " + domain + ", verifier.dmarc.on_quarantine"}
	}
	return Decision{Action: ActAccept, Rule: "dmarc: policy none of " + domain}
}

// bySPF refuses for SPF alone if the author domain has no DMARC record and the
// configuration wants it (RFC 7208 §8.4, RFC 7372 §3.2).
func bySPF(c *Config, v *Verdict) (Decision, bool) {
	if v.SPF.Result != spf.Fail || v.decisive().Result != dmarc.None || c.SPF.OnFail != ActReject {
		return Decision{}, false
	}
	return Decision{
		Action: ActReject, Rule: "spf: fail for " + v.SPF.Domain + " and no DMARC record, verifier.spf.on_fail",
		Reply: message.Reply{Code: 550, Enhanced: "5.7.23", Text: fmt.Sprintf(
			"SPF: %s does not list the sending host as one of its own; see the TXT record of %s and RFC 7208", v.SPF.Domain, v.SPF.Domain)},
	}, true
}
