package verifier

import (
	"fmt"
	"slices"
	"strings"

	"signpost/internal/authres"
	"signpost/internal/dkim"
	"signpost/internal/dmarc"
	"signpost/internal/message"
	"signpost/internal/spf"
)

var dmarcValues = texts(dmarc.None, dmarc.Pass, dmarc.Fail, dmarc.TempError, dmarc.PermError)

// startDMARC looks for the record of each author domain.
func (t *Verification) startDMARC() {
	if n := len(t.author.Domains); n <= len(t.discovery) {
		t.discoveries = t.discovery[:n]
	} else {
		t.discoveries = make([]dmarc.Discovery, n)
	}
	for i := range t.discoveries {
		t.start((*Verification).discover, i)
	}
}

func (t *Verification) discover(from Lookups, i int) {
	t.discoveries[i] = dmarc.DiscoverWith(t.ctx, from.Policy, t.author.Domains[i], t.verifier.cfg.DMARC.Discovery, t.verifier.records.dmarc.hook)
}

func concludeDMARC(t *Verification, v *Verdict) {
	v.DMARC, v.Each = t.evaluate(v.SPF, v.DKIM)
	signatures := v.DKIM
	if v.Cut {
		signatures = decided(v.DKIM)
		v.WithoutUnread, v.Each = t.evaluate(v.SPF, signatures)
	}
	v.Own = t.evaluateOwn(v.SPF, signatures)
	v.overridden = t.evaluateOverrides(v.SPF, signatures)
}

// evaluate is DMARC for each author domain; the strictest outcome counts. Where there are
// several, it returns all of them too.
func (t *Verification) evaluate(s spf.Outcome, signatures []dkim.Outcome) (counts dmarc.Evaluation, each []dmarc.Evaluation) {
	if len(t.discoveries) == 0 {
		return dmarc.Evaluation{Result: dmarc.None, Reason: authorProblem(t.author)}, nil
	}
	ids := identifiers(s, signatures)
	var usual [1]dmarc.Evaluation // nearly every message has one author domain
	all := usual[:0]
	for _, d := range t.discoveries {
		all = append(all, dmarc.Evaluate(t.ctx, t.dns.Policy, d, ids.spf, ids.dkim))
	}
	e := dmarc.Strictest(all)
	if e.Result == dmarc.Pass && !t.author.Certain() {
		// All domains that a reader could be shown pass, but which one is shown is not certain.
		e.Result, e.Reason = dmarc.PermError, authorProblem(t.author)
	}
	if len(all) > 1 {
		each = slices.Clone(all)
	}
	return e, each
}

// authenticated are the domains that DMARC looks at.
type authenticated struct{ spf, dkim []dmarc.Identifier }

func identifiers(s spf.Outcome, signatures []dkim.Outcome) authenticated {
	ids := make([]dmarc.Identifier, 0, 1+len(signatures))
	// RFC 9989 §4.4.2: the domain of MAIL FROM, and the HELO name only where the
	// sender is null.
	if s.Domain != "" {
		ids = append(ids, dmarc.Identifier{Domain: s.Domain, Pass: s.Result == spf.Pass, TempError: s.Result == spf.TempError, Err: s.Err})
	}
	n := len(ids)
	// §4.4.1: the d= of the signatures, never the i=.
	for _, o := range signatures {
		if o.Domain != "" {
			ids = append(ids, dmarc.Identifier{Domain: o.Domain, Pass: o.Result == dkim.Pass, TempError: o.Result == dkim.TempError, Err: o.Err})
		}
	}
	return authenticated{spf: ids[:n:n], dkim: ids[n:]}
}

func dmarcPasses(v *Verdict) bool { return v.DMARC.Result == dmarc.Pass }

func findDMARC(v *Verdict, d *Decision, f findings) findings {
	e := v.DMARC
	found := Finding{Result: message.Result{Method: authres.MethodDMARC, Value: string(e.Result), Domain: e.AuthorDomain}, Reason: e.Reason, Public: e.Reason}
	policy := ""
	switch e.Result {
	case dmarc.Pass:
		found.Public = ""
	case dmarc.TempError:
		found.Public = unanswered
		if v.Cut {
			found.Public = tooLarge
		}
	case dmarc.Fail:
		found.Policy = string(e.Policy)
	}
	if v.Sealers.Excuse != "" {
		found.Public = "local policy: " + v.Sealers.Excuse
	}
	if d.Local != "" && (d.Enforced || d.Action == ActAccept) {
		found.Public = "local policy: " + d.Local
	}
	if e.Result == dmarc.Fail || e.Result == dmarc.TempError || e.Result == dmarc.PermError || e.Flawed {
		found.Log = e.Reason
	}
	if e.Result == dmarc.Pass || e.Result == dmarc.Fail {
		found.Comment = "p=" + string(e.Published) + " dis=" + d.applied()
		policy = string(e.Policy)
	}
	return f.add(found, authres.Property{Type: authres.TypeHeader, Name: "from", Value: e.AuthorDomain},
		authres.Property{Type: authres.TypePolicy, Name: "dmarc", Value: policy})
}

func explainDMARC(trace *message.Trace, _ message.Envelope, v *Verdict) {
	trace.Add("author domain", fmt.Sprintf("%d From fields, domains %q", v.Author.Fields, v.Author.Domains), authorInWords(v))
	trace.Add("dmarc record", v.DMARC.AuthorDomain, recordInWords(v))
	trace.Add("dmarc", fmt.Sprintf("aligned by SPF %q, by DKIM %q", v.DMARC.SPFAligned, v.DMARC.DKIMAligned),
		words(string(v.DMARC.Result), v.DMARC.Reason))
}

func recordInWords(v *Verdict) string {
	if v.DMARC.Record == nil {
		return words("none", v.DMARC.Reason)
	}
	text := fmt.Sprintf("at _dmarc.%s, policy %s", v.DMARC.RecordDomain, v.DMARC.Published)
	if ignored := v.DMARC.Record.Ignored; len(ignored) > 0 {
		text += "; ignored: " + strings.Join(ignored, ", ")
	}
	return text
}

func reportDMARC(v *Verdict) Report {
	e := v.DMARC
	return Report{{"author", reportAuthor(v)}, {"dmarc", struct {
		Result          string `json:"result"`
		AuthorDomain    string `json:"author_domain,omitempty"`
		RecordDomain    string `json:"record_domain,omitempty"`
		OrgDomain       string `json:"organizational_domain,omitempty"`
		PublishedPolicy string `json:"published_policy,omitempty"`
		Policy          string `json:"policy,omitempty"`
		SPFAligned      string `json:"spf_aligned,omitempty"`
		DKIMAligned     string `json:"dkim_aligned,omitempty"`
		Reason          string `json:"reason,omitempty"`
	}{
		string(e.Result), e.AuthorDomain, e.RecordDomain, e.OrgDomain, string(e.Published), string(e.Policy),
		e.SPFAligned, e.DKIMAligned, e.Reason,
	}}}
}

// authorReport is the author in the JSON of `verify --json`.
type authorReport struct {
	Addresses []string `json:"addresses"`
	Domains   []string `json:"domains"`
	Problem   string   `json:"problem,omitempty"`
	// Certain says that every reader is shown the one domain, or none. A problem is of
	// spelling alone then.
	Certain bool `json:"certain"`
}

func reportAuthor(v *Verdict) authorReport {
	if v.AuthservID == "" { // the message was not judged
		return authorReport{}
	}
	r := authorReport{
		Addresses: make([]string, 0, len(v.Author.Addresses)), Domains: append([]string{}, v.Author.Domains...),
		Problem: v.Author.Problem, Certain: v.Author.Certain(),
	}
	for _, a := range v.Author.Addresses {
		r.Addresses = append(r.Addresses, a.Local+"@"+a.Domain)
	}
	return r
}
