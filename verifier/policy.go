package verifier

import (
	"fmt"
	"strings"

	"signpost/internal/dkim"
	"signpost/internal/dmarc"
	"signpost/internal/message"
	"signpost/internal/spf"
)

// Decision is what the configuration's policy makes of a verdict.
type Decision struct {
	// Action is what enforce mode does, and monitor mode would have done.
	Action Action
	// Enforced says that the action is really taken.
	Enforced bool
	// Rule names what decided, with the values that were compared.
	Rule string
	// Reply is what the client is told where the action refuses the message.
	Reply message.Reply
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

// policy is the rules in the order in which they are asked. compared says, for a
// trace, what a rule looks at.
var policy = []struct {
	name     string
	decide   func(Config, Verdict) (Decision, bool)
	compared func(Config, Verdict) string
}{
	{"author", byAuthor, authorCompared},
	{"verifier.dmarc", byDMARC, dmarcCompared},
	{"verifier.on_temperror", byTempError, tempErrorCompared},
	{"verifier.spf.on_fail", bySPF, spfCompared},
}

// decide is the whole policy: the first rule that applies decides. What was asked
// goes into the trace.
func (c Config) decide(v Verdict, trace *message.Trace) Decision {
	for _, rule := range policy {
		d, applies := rule.decide(c, v)
		if trace != nil {
			result := "does not apply"
			if applies {
				result = "applies: " + string(d.Action) + " (" + d.Rule + ")"
			}
			trace.Add(rule.name, rule.compared(c, v), result)
		}
		if applies {
			d.Enforced = c.Mode == Enforce
			return d
		}
	}
	return Decision{Action: ActAccept, Enforced: c.Mode == Enforce, Rule: "nothing speaks against it"}
}

// byAuthor refuses a message whose author cannot be told for certain: programs
// that read it would disagree about whom to show (RFC 9989 §11.5; RFC 5322 §3.6
// wants exactly one From field). A bounce may come without an author (RFC 6854).
func byAuthor(_ Config, v Verdict) (Decision, bool) {
	nullSender := v.SPF.Identity == spf.IdentityHelo
	if certain(v.Author) || (nullSender && v.Author.Empty) {
		return Decision{}, false
	}
	return Decision{
		Action: ActReject, Rule: "author: " + v.Author.Problem,
		Reply: message.Reply{Code: 550, Enhanced: "5.7.1",
			Text: "the From header field does not name one author: " + v.Author.Problem + "; send it again with one well-formed From field (RFC 5322 section 3.6.2)"},
	}, true
}

// certain says that every reader of the message is shown the same author domain,
// or none.
func certain(a message.Author) bool { return a.Problem == "" || a.Lax }

// byDMARC does what the administrator wants for a failing message of a domain
// with this policy.
func byDMARC(c Config, v Verdict) (Decision, bool) {
	if v.DMARC.Result != dmarc.Fail {
		return Decision{}, false
	}
	d := Decision{Action: ActAccept, Rule: "dmarc: policy none of " + v.DMARC.RecordDomain}
	switch v.DMARC.Policy {
	case dmarc.Reject:
		d.Action, d.Rule = c.DMARC.OnReject, "dmarc: policy reject of "+v.DMARC.RecordDomain+", verifier.dmarc.on_reject"
	case dmarc.Quarantine:
		d.Action, d.Rule = c.DMARC.OnQuarantine, "dmarc: policy quarantine of "+v.DMARC.RecordDomain+", verifier.dmarc.on_quarantine"
	}
	d.Reply = message.Reply{Code: 550, Enhanced: "5.7.1", Text: fmt.Sprintf(
		"DMARC: mail from %s must pass SPF or DKIM for that domain, its policy is %s: spf=%s, dkim=%s; see the TXT record of _dmarc.%s and RFC 9989",
		v.DMARC.AuthorDomain, v.DMARC.Policy, inWords(string(v.SPF.Result), v.SPF.Domain), dkimInWords(v.DKIM), v.DMARC.RecordDomain)}
	if v.SPF.Result == spf.Fail && anyResult(v.DKIM, dkim.Fail) {
		d.Reply.Enhanced = "5.7.26" // RFC 7372 §3.4: more than one check failed
	}
	return d, true
}

// byTempError asks the client to come again where DNS left a check without an
// answer that could have refused the message.
func byTempError(c Config, v Verdict) (Decision, bool) {
	d := Decision{Action: c.OnTempError}
	again := func(enhanced, what string) message.Reply {
		return message.Reply{Code: 451, Enhanced: enhanced, Text: what + " could not be checked just now because DNS did not answer, try again later"}
	}
	switch {
	case v.Cut: // coming again would not make it smaller
		return Decision{}, false
	case v.DMARC.Result == dmarc.TempError && anyResult(v.DKIM, dkim.TempError):
		d.Rule, d.Reply = "dmarc: temperror, a DKIM key did not come", again("4.7.5", "the DKIM signature")
	case v.DMARC.Result == dmarc.TempError && v.SPF.Result == spf.TempError:
		d.Rule, d.Reply = "dmarc: temperror, SPF did not come", again("4.7.24", "SPF for "+v.SPF.Domain)
	case v.DMARC.Result == dmarc.TempError:
		d.Rule, d.Reply = "dmarc: temperror, "+v.DMARC.Reason, again("4.7.0", "DMARC for "+v.DMARC.AuthorDomain)
	case v.DMARC.Result == dmarc.None && v.SPF.Result == spf.TempError && c.SPF.OnFail == ActReject:
		d.Rule, d.Reply = "spf: temperror and no DMARC record", again("4.7.24", "SPF for "+v.SPF.Domain)
	default:
		return Decision{}, false
	}
	return d, true
}

// bySPF refuses for SPF alone where the author domain has no DMARC record and
// the administrator wants it (RFC 7208 §8.4, RFC 7372 §3.2).
func bySPF(c Config, v Verdict) (Decision, bool) {
	if v.SPF.Result != spf.Fail || v.DMARC.Result != dmarc.None || c.SPF.OnFail != ActReject {
		return Decision{}, false
	}
	return Decision{
		Action: ActReject, Rule: "spf: fail for " + v.SPF.Domain + " and no DMARC record, verifier.spf.on_fail",
		Reply: message.Reply{Code: 550, Enhanced: "5.7.23", Text: fmt.Sprintf(
			"SPF: %s does not list the sending host as one of its own; see the TXT record of %s and RFC 7208", v.SPF.Domain, v.SPF.Domain)},
	}, true
}

func anyResult(outcomes []dkim.Outcome, r dkim.Result) bool {
	for _, o := range outcomes {
		if o.Result == r {
			return true
		}
	}
	return false
}

func inWords(result, domain string) string {
	if domain == "" {
		return result
	}
	return result + " (" + domain + ")"
}

// dkimInWords lists the first few signatures, for a line that a person reads.
func dkimInWords(outcomes []dkim.Outcome) string {
	const shown = 3
	switch len(outcomes) {
	case 0:
		return string(dkim.None)
	case 1:
		return inWords(string(outcomes[0].Result), outcomes[0].Domain)
	}
	parts := make([]string, 0, shown+1)
	for i, o := range outcomes {
		if i == shown {
			parts = append(parts, fmt.Sprintf("and %d more", len(outcomes)-shown))
			break
		}
		parts = append(parts, inWords(string(o.Result), o.Domain))
	}
	return strings.Join(parts, " ")
}
