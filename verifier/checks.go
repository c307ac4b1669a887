package verifier

import (
	"context"
	"strings"

	"signpost/internal/authres"
	"signpost/internal/message"
)

// checks are all checks, in the order in which they are reported. A check's functions are
// in the file of its name. Code outside of its row and file does not depend on it, with two
// exceptions: the rules of the policy, and DKIM, which starts ARC to hash the body once.
var checks = []check{
	{method: authres.MethodSPF, values: spfValues,
		atMail: (*Verification).startSPF, conclude: concludeSPF, find: findSPF, explain: explainSPF, report: reportSPF},
	{method: authres.MethodDKIM, values: dkimValues, fieldFirst: true,
		atHeader: (*Verification).startDKIM, conclude: concludeDKIM, find: findDKIM, note: noteDKIM, explain: explainDKIM, report: reportDKIM},
	{method: authres.MethodDMARC, values: dmarcValues,
		atHeader: (*Verification).startDMARC, conclude: concludeDMARC, find: findDMARC, explain: explainDMARC, report: reportDMARC},
	// Its look-ups begin with those of DKIM.
	{method: authres.MethodARC, values: arcValues,
		conclude: concludeARC, find: findARC, note: noteARC, explain: explainARC, report: reportARC},
	{method: authres.MethodIPRev, values: iprevValues, on: func(c Config) bool { return c.IPRev }, query: queryIPRev},
	{method: authres.MethodAuth, values: authValues, on: func(c Config) bool { return c.Auth != AuthOff }, evaluate: evaluateAuth},
}

// check is one row. A function that a check does not need is nil.
type check struct {
	// method is its name in RFC 8601 §2.7, and values are the results that it may have.
	method string
	values []string
	// on says whether the configuration switches it on. nil: it runs for each message that
	// is judged, and if the verifier itself fails, the field has a temperror for it, where
	// that is one of its results.
	on func(Config) bool
	// fieldFirst puts its results above those of the other checks in the field.
	fieldFirst bool

	// query is the whole check, if no rule of the policy reads its result. It is called at
	// MAIL FROM with what is in the DNS cache, and again in the background if an answer was
	// missing. Then it may wait for DNS as long as ctx allows. A finding without a value
	// appears only in the trace. Such a check needs none of the functions below.
	query func(ctx context.Context, resolver Resolver, c Config, env message.Envelope) Finding

	// evaluate is the whole check, if it needs no look-up either. It is called at the end, for
	// mail that is judged and for mail that is signed.
	evaluate func(Config, message.Envelope) Finding

	// atMail and atHeader start its look-ups, at MAIL FROM and at the end of the header.
	// They must not wait.
	atMail, atHeader func(*Verification)
	// conclude adds its result to the verdict, when all look-ups have ended. The rows above
	// have done so.
	conclude func(*Verification, *Verdict)

	// find turns its part of the verdict into findings.
	find func(*Verdict, *Decision, findings) findings
	// note appends the reasons for the log line. nil: METHOD_reason for each finding that
	// has one for the log.
	note func(*Verdict, []message.Note) []message.Note
	// explain adds its steps to the trace.
	explain func(*message.Trace, message.Envelope, *Verdict)
	// report returns its members of the JSON object of `verify --json`.
	report func(*Verdict) Report
}

// Finding is the result of a check for a message, or for one signature. The
// Authentication-Results field, log line, metrics and the text of `verify` are made
// of it.
type Finding struct {
	// Result is the method, its value, and the domain and selector it is about.
	message.Result
	// Reason says why, in full. It may name our resolvers, so it never leaves this host.
	Reason string
	// Log is the reason for the log line; "" where it has none.
	Log string
	// Public is the reason as the field has it; "" for none.
	Public string
	// Comment and Properties are for the field.
	Comment    string
	Properties []authres.Property
	// Unlisted findings are counted in the field and not listed.
	Unlisted bool
	// Policy is the policy that a failed evaluation calls for.
	Policy string
	// Compared has the compared values, for the trace. Report is the check's value in the
	// JSON of `verify --json`. Only a check with query or evaluate sets them.
	Compared string
	Report   any
}

// findings collects those of one message. Their properties share one array.
type findings struct {
	list       []Finding
	properties []authres.Property
}

// add returns the findings with one more and its properties; those without a value are left out.
func (f findings) add(found Finding, properties ...authres.Property) findings {
	from := len(f.properties)
	for _, p := range properties {
		if p.Value != "" {
			f.properties = append(f.properties, p)
		}
	}
	if to := len(f.properties); to > from {
		found.Properties = f.properties[from:to:to]
	}
	f.list = append(f.list, found)
	return f
}

// find returns the findings of all checks: those that the policy reads, then the others,
// in the order of the table.
func find(v *Verdict, d *Decision) []Finding {
	n := len(v.DKIM)
	f := findings{list: make([]Finding, 0, max(n, 1)+3+len(v.Others)), properties: make([]authres.Property, 0, 5*n+4)}
	for i := range checks {
		if checks[i].find != nil {
			f = checks[i].find(v, d, f)
		}
	}
	return appendOthers(f.list, v.Others)
}

// of returns the findings of a method, which stand together.
func of(all []Finding, method string) []Finding {
	from := 0
	for from < len(all) && all[from].Method != method {
		from++
	}
	to := from
	for to < len(all) && all[to].Method == method {
		to++
	}
	return all[from:to]
}

// Values returns the results that a check may have, by method in the words of RFC 8601
// §2.7.
func Values() map[string][]string {
	values := make(map[string][]string, len(checks))
	for _, c := range checks {
		values[c.method] = c.values
	}
	return values
}

// texts are constants of a core's own type as strings.
func texts[T ~string](values ...T) []string {
	s := make([]string, len(values))
	for i, v := range values {
		s[i] = string(v)
	}
	return s
}

// explain adds to the trace what each check compared and found.
func explain(trace *message.Trace, env message.Envelope, v *Verdict) {
	if trace == nil {
		return
	}
	for _, c := range checks {
		if c.explain != nil {
			c.explain(trace, env, v)
		}
	}
	explainOthers(trace, v.Others)
}

// words joins a result with its details.
func words(result string, more ...string) string {
	var parts []string
	for _, m := range more {
		if m != "" {
			parts = append(parts, m)
		}
	}
	text := strings.Join(parts, ", ")
	switch {
	case result == "":
		return text
	case text == "":
		return result
	}
	return result + ": " + text
}
