package verifier

import "signpost/internal/message"

// notes are the facts for the message's log line: the result of each check, the policy,
// the reasons, and what decided.
func (r *Result) notes() []message.Note {
	notes := make([]message.Note, 0, usualNotes)
	for i := range checks {
		if found := of(r.Findings, checks[i].method); len(found) > 0 {
			notes = append(notes, message.Note{Key: checks[i].method, Value: findingsInWords(found)})
		}
	}
	for i := range r.Findings {
		if policy := r.Findings[i].Policy; policy != "" {
			notes = append(notes, message.Note{Key: "policy", Value: policy})
		}
	}
	for i := range checks {
		if checks[i].note != nil {
			notes = checks[i].note(&r.Verdict, notes)
			continue
		}
		for _, f := range of(r.Findings, checks[i].method) {
			if f.Log != "" {
				notes = append(notes, message.Note{Key: f.Method + "_reason", Value: f.Log})
			}
		}
	}
	return append(notes, r.Decision.notes()...)
}

// usualNotes is how many notes there are of a message that passes.
const usualNotes = 3

// appendResults appends the results for metrics: each signature has one.
func (r *Result) appendResults(to []message.Result) []message.Result {
	for i := range r.Findings {
		to = append(to, r.Findings[i].Result)
	}
	return to
}

// findingsInWords lists the first few findings of a check for a line of text.
func findingsInWords(found []Finding) string {
	if len(found) == 1 {
		return inWords(found[0].Value, found[0].Domain)
	}
	return firstFew(len(found), func(i int) string { return inWords(found[i].Value, found[i].Domain) })
}
