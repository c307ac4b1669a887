package verifier

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
)

// Report is a JSON object whose members stand in this order.
type Report []Member

// Member is one name and value of a JSON object.
type Member struct {
	Name  string
	Value any
}

// MarshalJSON writes the object. Characters of HTML stay as they are.
func (r Report) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	b.WriteByte('{')
	for i, m := range r {
		if i > 0 {
			b.WriteByte(',')
		}
		if err := e.Encode(m.Name); err != nil {
			return nil, err
		}
		b.WriteByte(':')
		if err := e.Encode(m.Value); err != nil {
			return nil, err
		}
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// Report is the result as `verify --json` shows it. Results are the words of RFC 8601
// §2.7; names are lower-case A-labels; absent values are left out. Of a message that was
// not judged, all values are empty.
func (r *Result) Report() Report {
	report := Report{{"authserv_id", r.Verdict.AuthservID}}
	for _, c := range checks {
		if c.report != nil {
			report = append(report, c.report(&r.Verdict)...)
		}
	}
	for _, f := range r.Verdict.Others {
		if f.Value != "" {
			report = append(report, Member{f.Method, f.Report})
		}
	}
	field := "" // with its folds as LF
	if r.Unjudged == "" {
		f := r.Field()
		field = f.Name + ": " + strings.ReplaceAll(f.Value, "\r\n", "\n")
	}
	return append(report, Member{"decision", r.Decision.report()}, Member{"authentication_results", field})
}

// decisionReport is the decision in the JSON of `verify --json`.
type decisionReport struct {
	Disposition string `json:"disposition"`
	// Action is what enforce mode does or would do.
	Action   string `json:"action"`
	Enforced bool   `json:"enforced"`
	Rule     string `json:"rule"`
	Reply    string `json:"reply,omitempty"`
	// Local is the rule of the configuration by which the published policy does not decide.
	Local string `json:"local_policy,omitempty"`
}

func (d Decision) report() decisionReport {
	if d.Action == "" { // the message was not judged
		return decisionReport{}
	}
	r := decisionReport{Disposition: string(d.Disposition()), Action: string(d.Action), Enforced: d.Enforced, Rule: d.Rule, Local: d.Local}
	if d.Reply.Code != 0 {
		r.Reply = fmt.Sprintf("%d %s %s", d.Reply.Code, d.Reply.Enhanced, d.Reply.Text)
	}
	return r
}
