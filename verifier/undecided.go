package verifier

import (
	"errors"

	"signpost/internal/dkim"
	"signpost/internal/dmarc"
	"signpost/internal/message"
	"signpost/internal/spf"
)

// byUndecided applies in three cases: the policy is known and only identifiers are
// undecided; the policy of the organizational domain is known and only the author domain
// below it fails in DNS; this host could not make a look-up. The sender chooses all these
// names, and can choose names that fail in DNS or exhaust this host. A forgery must not
// pass that way.
func byUndecided(c *Config, v *Verdict) (Decision, bool) {
	e := v.decisive()
	switch {
	case e.Result == dmarc.TempError && e.IfFailed != "":
		d := c.forPolicy(e.IfFailed, e.RecordDomain)
		return c.undecided(d, v, e), true
	case e.Result == dmarc.TempError && spf.IsLocal(e.Err):
		d := c.forUnknownPolicy()
		return c.undecided(d, v, e), true
	case e.Result == dmarc.None && v.SPF.Result == spf.TempError && c.SPF.OnFail == ActReject && spf.IsLocal(v.SPF.Err):
		d := Decision{Action: ActReject, Rule: "spf: temperror and no DMARC record"}
		return c.undecided(d, v, e), true
	}
	return Decision{}, false
}

// undecided turns the decision for a failing message into the one for a message that may
// pass at a later attempt.
func (c *Config) undecided(failing Decision, v *Verdict, e dmarc.Evaluation) Decision {
	why, reply := temporary(v, e)
	d := Decision{Action: failing.Action, Rule: failing.Rule + "; undecided: " + why}
	if !failing.Action.refuses() {
		return d
	}
	d.Action, d.Reply = c.OnUndecided, reply
	d.Rule += ", verifier.on_undecided"
	return d
}

// forUnknownPolicy is the decision for a failing message of a domain whose policy this
// host could not look up: that of the strictest policy.
func (c Config) forUnknownPolicy() Decision {
	d := Decision{Action: ActAccept, Rule: "the policy is not known, this host could not look it up"}
	if c.DMARC.OnReject.refuses() || c.DMARC.OnQuarantine.refuses() {
		d.Action = ActReject
	}
	return d
}

// refuses says that an action keeps the message from being delivered.
func (a Action) refuses() bool { return a == ActReject || a == ActQuarantine }

// byTempError applies on_temperror if DNS did not answer for the policy itself: for the
// DMARC record, or for SPF if that alone could have refused the message.
func byTempError(c *Config, v *Verdict) (Decision, bool) {
	e := v.decisive()
	switch {
	case e.Result == dmarc.TempError:
	case e.Result == dmarc.None && v.SPF.Result == spf.TempError && c.SPF.OnFail == ActReject:
	default:
		return Decision{}, false
	}
	why, reply := temporary(v, e)
	return Decision{Action: c.OnTempError, Rule: "temperror: " + why + ", verifier.on_temperror", Reply: reply}, true
}

// temporary says for the log which check has a temporary error, and gives the reply to the
// client. Neither names a resolver.
func temporary(v *Verdict, e dmarc.Evaluation) (why string, reply message.Reply) {
	what, enhanced, name, err := "DMARC for "+e.AuthorDomain, "4.7.0", "", e.Err
	var identifier *dmarc.UndecidedError
	var lookup *dmarc.LookupError
	switch {
	case e.Result != dmarc.TempError:
		what, enhanced, name, err = "SPF for "+v.SPF.Domain, "4.7.24", v.SPF.Failed, v.SPF.Err
	case errors.As(e.Err, &identifier) && identifier.Mechanism == "SPF":
		what, enhanced, name = "SPF for "+v.SPF.Domain, "4.7.24", v.SPF.Failed
	case errors.As(e.Err, &identifier):
		what, enhanced, name = "the DKIM signature of "+identifier.Domain, "4.7.5", failedKey(v.DKIM, identifier.Domain)
	case errors.As(e.Err, &lookup):
		name = lookup.Name
	}
	because := " because DNS did not answer"
	if spf.IsLocal(err) {
		because = " because this host could not ask DNS"
	}
	if name != "" {
		because += " for " + name
	}
	return what + " could not be checked" + because,
		message.Reply{Code: 451, Enhanced: enhanced, Text: what + " could not be checked just now" + because + ", try again later"}
}

// failedKey is the name of the first key of a domain that could not be looked up.
func failedKey(outcomes []dkim.Outcome, domain string) string {
	for _, o := range outcomes {
		if o.Result == dkim.TempError && o.Domain == domain && o.Selector != "" {
			return keyName(o)
		}
	}
	return ""
}

// keyName: RFC 6376 §3.6.2.1.
func keyName(o dkim.Outcome) string { return o.Selector + "._domainkey." + o.Domain }
