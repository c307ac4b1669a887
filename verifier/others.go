package verifier

import "signpost/internal/message"

// others are the findings of the checks that no rule of the policy reads, in the order of
// the table.
func (t *Verification) others() []Finding {
	var found []Finding
	for i := range checks {
		switch c := &checks[i]; {
		case c.ask != nil && t.asked != nil && t.asked[i].Method != "":
			found = append(found, t.asked[i])
		case c.tell != nil && c.on(t.verifier.cfg):
			found = append(found, c.told(t.verifier.cfg, t.env))
		}
	}
	return found
}

func (c *check) told(cfg Config, env message.Envelope) Finding {
	f := c.tell(cfg, env)
	f.Method = c.method
	return f
}

// OwnResults is what the checks tell of a message that is signed, without a look-up: one
// field, notes and results. Without such a check, or if none finds something, all are
// empty. A nil trace records nothing.
func (v *Verifier) OwnResults(env message.Envelope, trace *message.Trace) (out message.Outcome) {
	r := Result{Decision: Decision{Action: ActAccept}}
	for i := range checks {
		if c := &checks[i]; c.tell != nil && c.on(v.cfg) {
			r.Verdict.Others = append(r.Verdict.Others, c.told(v.cfg, env))
		}
	}
	explainOthers(trace, r.Verdict.Others)
	r.Findings = appendOthers(nil, r.Verdict.Others)
	if len(r.Findings) == 0 {
		return out
	}
	r.Verdict.AuthservID = v.authservID(env)
	out.Insert, out.Log, out.Results = []message.Field{r.Field()}, r.notes(), r.appendResults(nil)
	return out
}

// appendOthers appends those that have a value.
func appendOthers(to, others []Finding) []Finding {
	for i := range others {
		if others[i].Value != "" {
			to = append(to, others[i])
		}
	}
	return to
}

func explainOthers(trace *message.Trace, others []Finding) {
	if trace == nil {
		return
	}
	for _, f := range others {
		trace.Add(f.Method, f.Compared, words(f.Value, f.Reason))
	}
}
