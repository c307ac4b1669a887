package verifier

import "signpost/internal/message"

// others are the findings of the checks that no rule of the policy reads, in the order of
// the table.
func (t *Verification) others() []Finding {
	var found []Finding
	for i := range checks {
		switch c := &checks[i]; {
		case c.query != nil && t.queried != nil && t.queried[i].Method != "":
			found = append(found, t.queried[i])
		case c.evaluate != nil && c.on(t.verifier.cfg):
			found = append(found, c.evaluated(t.verifier.cfg, t.env))
		}
	}
	return found
}

func (c *check) evaluated(cfg Config, env message.Envelope) Finding {
	f := c.evaluate(cfg, env)
	f.Method = c.method
	return f
}

// OwnResults evaluates the checks that need no look-up, for a message that is signed: one
// field, notes and results. If no such check is on, or none finds something, all are empty. A nil trace records nothing.
func (v *Verifier) OwnResults(env message.Envelope, trace *message.Trace) (out message.Outcome) {
	var others []Finding
	for i := range checks {
		if c := &checks[i]; c.evaluate != nil && c.on(v.cfg) {
			others = append(others, c.evaluated(v.cfg, env))
		}
	}
	explainOthers(trace, others)
	found := appendOthers(nil, others)
	if len(found) == 0 {
		return out
	}
	r := Result{Verdict: Verdict{AuthservID: v.authservID(env), Others: others}, Decision: Decision{Action: ActAccept}, Findings: found}
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
