package traffic

import (
	"slices"
	"strings"

	"signpost/internal/dkim"
	"signpost/internal/dmarc"
	"signpost/internal/message"
	"signpost/internal/spf"
	"signpost/milter"
	"signpost/verifier"
)

const (
	// maxSignatures of a row (RFC 9990 §3.1.3).
	maxSignatures = 100
	// maxRUA bounds the kept addresses of a record, in number and in octets.
	maxRUA, maxRUAText = 10, 2048
	// maxText bounds each text that has no limit of its own, in octets.
	maxText = 255
)

// judged fills the row of a message that was judged; ok is false if none was counted. Its texts
// belong to the message: see Row.keep.
func (r *Row) judged(d *milter.Decided) (ok bool) {
	result, isResult := d.Outcome.Judged.(*verifier.Result)
	if d.Outbound || !isResult || result == nil || result.Unjudged != "" {
		return false
	}
	v, decision := &result.Verdict, &result.Decision
	e := &v.DMARC
	if v.Cut {
		e = &v.WithoutUnread
	}
	r.Result, r.HeaderFrom, r.Requested = string(e.Result), e.AuthorDomain, string(e.Published)
	r.Source = d.Envelope.ClientAddr.Unmap().WithZone("")
	r.setSPF(&v.SPF)
	if e.Record != nil && e.RecordDomain != "" {
		r.setPolicy(e)
		r.setSignatures(v.DKIM, e)
		r.DKIMAligned, r.SPFAligned = e.DKIMAligned != "", e.SPFAligned != ""
	}
	r.Rule, r.Would = decision.By, d.Outcome.Would
	r.Action = taken(decision)
	r.Disposition = disposition(r.Action, e)
	r.setReasons(result, e)
	if e.Result != dmarc.Pass {
		r.Host = hostName(d.Envelope.ClientName)
		r.setRoute(d, v)
	}
	return true
}

func (r *Row) setSPF(o *spf.Outcome) {
	r.SPFDomain, r.SPFResult = o.Domain, string(o.Result)
	if o.Identity == spf.IdentityMailFrom {
		r.SPFScope, r.EnvelopeFrom = "mfrom", o.Domain
	} else {
		r.SPFScope = "helo"
	}
}

func (r *Row) setPolicy(e *dmarc.Evaluation) {
	rec := e.Record
	r.Policy = Policy{
		Domain: e.RecordDomain, P: string(rec.P), SP: string(rec.SP), NP: string(rec.NP),
		ADKIM: string(rec.ADKIM), ASPF: string(rec.ASPF), FO: rec.FO, Testing: rec.Testing, PSD: string(rec.PSD),
		Method: string(e.Method), RUA: addresses(rec.RUA), Flaws: strings.Join(rec.Ignored, "; "),
	}
}

// addresses joins the first addresses of a record.
func addresses(list []dmarc.URI) string {
	if len(list) == 1 && len(list[0].Text) <= maxRUAText {
		return list[0].Text
	}
	var b strings.Builder
	for _, u := range list[:min(len(list), maxRUA)] {
		if b.Len()+len(u.Text)+1 > maxRUAText {
			break
		}
		if b.Len() > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(u.Text)
	}
	return b.String()
}

// setSignatures lists the signatures that name a domain. Of too many, those remain that say
// most (RFC 9990 §3.1.3).
func (r *Row) setSignatures(all []dkim.Outcome, e *dmarc.Evaluation) {
	for i := range all {
		if o := &all[i]; o.Domain != "" {
			r.DKIM = append(r.DKIM, Signature{o.Domain, o.Selector, string(o.Result)})
		}
	}
	if len(r.DKIM) <= maxSignatures {
		return
	}
	rank := func(s Signature) int {
		switch pass := s.Result == string(dkim.Pass); {
		case pass && s.Domain == e.AuthorDomain:
			return 0
		case pass && s.Domain == e.DKIMAligned:
			return 1
		case pass:
			return 2
		}
		return 3
	}
	slices.SortStableFunc(r.DKIM, func(a, b Signature) int { return rank(a) - rank(b) })
	r.DKIM = r.DKIM[:maxSignatures]
}

// taken is the action that was taken.
func taken(d *verifier.Decision) string {
	if !d.Enforced {
		return string(verifier.ActAccept)
	}
	return string(d.Action)
}

// disposition is what was applied, in the words of RFC 9990 §3.1.1.9.
func disposition(action string, e *dmarc.Evaluation) string {
	switch verifier.Action(action) {
	case verifier.ActReject:
		return "reject"
	case verifier.ActQuarantine, verifier.ActTag:
		return "quarantine"
	case verifier.ActTempfail:
		return "" // the message comes again
	}
	if e.Result == dmarc.Pass && e.Published != dmarc.None {
		return "pass"
	}
	return "none"
}

// setReasons says why the published policy is not what was applied (RFC 9990 §3.1.1.9, §3.1.6).
func (r *Row) setReasons(result *verifier.Result, e *dmarc.Evaluation) {
	add := func(kind, comment string) { r.Reasons = append(r.Reasons, Reason{kind, comment}) }
	d := &result.Decision
	decided := d.Enforced || d.Action == verifier.ActAccept
	switch {
	case e.Result != dmarc.Fail && e.Result != dmarc.Pass:
		return
	case d.By == "verifier.arc" && result.Verdict.Sealers.Excuse != "":
		add("local_policy", result.Verdict.Sealers.Excuse) // RFC 8617 §7.2.2
	case d.By == "verifier.forwarders" && d.Local != "" && decided:
		add("trusted_forwarder", d.Local)
	case d.Local != "" && decided:
		add("local_policy", d.Local)
	case d.By == "verifier.own_domains" && decided:
		add("local_policy", "own domain")
	case d.By == "author" && decided && d.Action != verifier.ActAccept:
		add("local_policy", "the author domain is not certain")
	}
	if e.Result != dmarc.Fail || r.Disposition == r.Requested || len(r.Reasons) > 0 {
		return
	}
	if e.Record != nil && e.Record.Testing && e.Policy != e.Published {
		add("policy_test_mode", "")
	}
	if r.Disposition == string(e.Policy) {
		return
	}
	if d.Enforced {
		add("local_policy", "")
	} else {
		add("local_policy", "no policy is enforced here")
	}
}

// setRoute says how a message that does not pass may have come here, and what would excuse it.
func (r *Row) setRoute(d *milter.Decided, v *verifier.Verdict) {
	if f := v.Forwarder(); f != nil {
		r.Forwarder = f.Label()
	}
	sealed, accept := v.WouldTrust()
	r.Sealers, r.AcceptDMARC = strings.Join(sealed, " "), accept
	switch {
	case hasField(d.Header, "List-Id", "List-Post", "Mailing-List", "X-BeenThere"):
		r.Route = "list"
	case v.ARC != nil, rewritten(d.Envelope.Sender), hasField(d.Header, "Resent-From", "X-Forwarded-To", "X-Forwarded-For", "X-Forwarded-Encrypted"):
		r.Route = "forwarded"
	}
}

// rewritten reports whether a forwarder has rewritten the sender (SRS).
func rewritten(sender string) bool {
	return len(sender) > 5 && (message.EqualFold(sender[:4], "SRS0") || message.EqualFold(sender[:4], "SRS1")) && strings.ContainsRune("=+-", rune(sender[4]))
}

func hasField(h message.Header, names ...string) bool {
	for i := range h {
		for _, name := range names {
			if message.EqualFold(h[i].Name, name) {
				return true
			}
		}
	}
	return false
}

// hostName is the client's name as the MTA says, in lower-case A-labels; "" where it has none, or
// one that is no host name.
func hostName(name string) string {
	ascii, ok := message.DomainToASCII(name)
	if !ok || ascii == "unknown" {
		return ""
	}
	return ascii
}
