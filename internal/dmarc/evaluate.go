package dmarc

import (
	"cmp"
	"context"
	"fmt"
	"strings"
)

// Result is the outcome of DMARC for a message, in the words of RFC 9989 §9.2. None is
// also a Result.
type Result string

const (
	Pass      Result = "pass"      // an aligned identifier passed
	Fail      Result = "fail"      // a record applies, and no aligned identifier passed
	TempError Result = "temperror" // DNS failed and the result depends on it; a later attempt may succeed
	PermError Result = "permerror" // the only record is invalid as a whole
)

// An Identifier is a domain that SPF or DKIM has checked: the domain of the MAIL FROM
// identity, or the d= of a signature (§4.4).
type Identifier struct {
	Domain string
	// Pass is set if the domain was authenticated; TempError if a temporary error
	// prevented that. With neither, the identifier does not count.
	Pass, TempError bool
	// Err is the reason of a TempError; it may be nil.
	Err error
}

// An Evaluation is the outcome of DMARC for one author domain.
type Evaluation struct {
	Result Result
	// AuthorDomain, RecordDomain and Record are as in the Discovery.
	AuthorDomain, RecordDomain string
	Record                     *Record
	// OrgDomain is the author domain's organizational domain, "" if it was not needed.
	OrgDomain string
	// Method is the method used for organizational domains.
	Method Method
	// Published is the record's policy for this author domain. Policy is the one to
	// apply to this message: None unless the result is fail, and one step lower than
	// Published under t=y. Both are None if no record applies.
	Published, Policy Policy
	// SPFAligned and DKIMAligned are the mechanism's first authenticated domain that
	// is aligned, as A-labels, or "". A domain equal to the author domain is aligned
	// strictly.
	SPFAligned, DKIMAligned string
	// Reason says, for a person, what decided the result.
	Reason string
	// Flawed is set for a None if DNS has a text that was meant as a record; Reason
	// names its mistake.
	Flawed bool
	// Err is the cause of a TempError: an UndecidedError or a LookupError. Both wrap
	// the resolver's error.
	Err error
	// IfFailed is the policy to apply if the undecided identifiers of a TempError
	// fail. The sender chooses the identifiers, and so whether they can be decided. It
	// is also set if the record of the author domain could not be looked up, but that
	// of the organizational domain, RecordDomain, asks for reject or quarantine and
	// nothing would have passed under it: the sender chooses the author domain as
	// well. Otherwise it is "" if the policy could not be found.
	IfFailed Policy
}

// An UndecidedError says that an identifier aligned with the author domain could not be
// checked: a pass would have made the message pass.
type UndecidedError struct {
	Mechanism string // SPF or DKIM
	Domain    string // of the identifier, as A-labels
	Err       error  // the cause, or nil
}

func (e *UndecidedError) Error() string {
	text := e.Mechanism + " could not be checked for " + e.Domain + ", which is aligned"
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	return text
}

func (e *UndecidedError) Unwrap() error { return e.Err }

// Evaluate compares identifiers with the author domain of a discovery, and selects the
// policy (§4.10.2, §5.3.4 to §5.3.6).
func Evaluate(ctx context.Context, r Resolver, d Discovery, spf, dkim []Identifier) Evaluation {
	ev := Evaluation{Result: None, AuthorDomain: d.AuthorDomain, RecordDomain: d.RecordDomain,
		OrgDomain: d.OrgDomain, Method: d.Method, Record: d.Record,
		Published: None, Policy: None, Reason: d.Reason}
	switch {
	case d.Err != nil: // §5.3.6
		ev.Result, ev.Reason, ev.Err = TempError, d.Err.Error(), d.Err
		ev.presume(ctx, r, d.presumed, spf, dkim)
	case d.Record == nil && d.invalid: // §9.2
		ev.Result = PermError
	case d.Record != nil:
		ev.Published = d.Published
		ev.judge(ctx, r, d, spf, dkim)
	default: // §5.3.2: DMARC does not apply
		ev.Flawed = d.flawed
	}
	return ev
}

// presume sets the policy of the organizational domain, if there is one.
func (ev *Evaluation) presume(ctx context.Context, r Resolver, d *Discovery, spf, dkim []Identifier) {
	if d == nil {
		return
	}
	p := Evaluate(ctx, r, *d, spf, dkim)
	policy := p.IfFailed
	if p.Result == Fail {
		policy = p.Policy
	}
	// If that policy is none, the author domain's own record may be stricter.
	if policy == Reject || policy == Quarantine {
		ev.IfFailed, ev.RecordDomain = policy, d.RecordDomain
	}
}

// judge decides between pass, fail and temperror under a record.
func (ev *Evaluation) judge(ctx context.Context, r Resolver, d Discovery, spf, dkim []Identifier) {
	a := newAlignment(d)
	rec := d.Record
	var spfErr, dkimErr error
	ev.SPFAligned, spfErr = a.first(ctx, r, rec.ASPF, spf, Identifier.passed)
	ev.DKIMAligned, dkimErr = a.first(ctx, r, rec.ADKIM, dkim, Identifier.passed)
	if ev.SPFAligned != "" || ev.DKIMAligned != "" {
		// §5.3.5: one aligned identifier is enough
		ev.Result, ev.Reason = Pass, ev.whyPassed()
		ev.OrgDomain = a.org
		if a.org == "" {
			// §4.10.2: the only domain counts as its own organizational domain
			ev.OrgDomain = ev.AuthorDomain
		}
		return
	}
	err := cmp.Or(spfErr, dkimErr,
		a.undecided(ctx, r, rec.ASPF, "SPF", spf), a.undecided(ctx, r, rec.ADKIM, "DKIM", dkim), d.existence)
	ev.OrgDomain = a.org
	if err != nil {
		// §5.3.6: neither pass nor fail, and the policy cannot be applied
		ev.Result, ev.Reason, ev.Err = TempError, err.Error(), err
		ev.IfFailed = ev.atLeast(d)
		return
	}
	ev.Result, ev.Policy, ev.Reason = Fail, ev.Published, whyFailed(spf, dkim)+rec.ignoredPct()
	if rec.Testing {
		ev.Policy = ev.Policy.oneLower()
	}
}

// atLeast returns the policy that applies at least if the identifiers fail. If it is
// unknown whether the author domain exists, on which np= depends, that is the laxer of
// the two policies, and "" if the laxer is none.
func (ev *Evaluation) atLeast(d Discovery) Policy {
	policy := ev.Published
	if d.existence != nil {
		policy = laxer(policy, ev.Record.NP)
	}
	if ev.Record.Testing {
		policy = policy.oneLower()
	}
	if d.existence != nil && policy == None {
		return ""
	}
	return policy
}

func laxer(a, b Policy) Policy {
	if a == None || b == None {
		return None
	}
	if a == Quarantine || b == Quarantine {
		return Quarantine
	}
	return Reject
}

// oneLower returns the policy to apply under t=y (§4.7).
func (p Policy) oneLower() Policy {
	if p == Reject {
		return Quarantine
	}
	return None
}

func (i Identifier) passed() bool    { return i.Pass }
func (i Identifier) undecided() bool { return i.TempError && !i.Pass }

func (ev *Evaluation) whyPassed() string {
	text := make([]byte, 0, 256)
	for _, m := range [...]struct{ name, domain string }{{"SPF", ev.SPFAligned}, {"DKIM", ev.DKIMAligned}} {
		if m.domain == "" {
			continue
		}
		if len(text) > 0 {
			text = append(text, ", "...)
		}
		text = append(append(append(text, m.name...), " domain "...), m.domain...)
		if m.domain == ev.AuthorDomain {
			text = append(text, " is the author domain"...)
		} else {
			text = append(text, " is aligned with the author domain"...)
		}
	}
	return string(text)
}

func whyFailed(spf, dkim []Identifier) string {
	const most = 4
	var parts []string
	for _, m := range []struct {
		name string
		ids  []Identifier
	}{{"SPF", spf}, {"DKIM", dkim}} {
		for _, id := range m.ids {
			if id.Pass && len(parts) < most {
				parts = append(parts, fmt.Sprintf("%s domain %q", m.name, quoted(id.Domain)))
			}
		}
	}
	if len(parts) == 0 {
		return "neither SPF nor DKIM authenticated a domain"
	}
	return "not aligned with the author domain: " + strings.Join(parts, ", ")
}

// Strictest returns the evaluation that counts for a message with several author
// domains: of the failing ones, the one with the strictest policy (§11.5). It is a pass
// only if all author domains pass. An undecided evaluation ranks just below a failing
// one of its policy. Of equals the first counts; without evaluations the result is
// none.
func Strictest(evaluations []Evaluation) Evaluation {
	if len(evaluations) == 0 {
		return Evaluation{Result: None, Published: None, Policy: None, Reason: "no author domain"}
	}
	strictest := evaluations[0]
	for _, ev := range evaluations[1:] {
		if ev.severity() > strictest.severity() {
			strictest = ev
		}
	}
	return strictest
}

func (ev *Evaluation) severity() int {
	switch {
	case ev.Result == Pass:
		return 0
	case ev.Result == PermError:
		return 2
	case ev.Result == TempError:
		switch ev.IfFailed {
		case Reject:
			return 8
		case Quarantine:
			return 6
		case None:
			return 4
		}
		return 5
	case ev.Result != Fail:
		return 1
	case ev.Policy == Reject:
		return 9
	case ev.Policy == Quarantine:
		return 7
	}
	return 3
}
