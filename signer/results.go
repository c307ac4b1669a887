package signer

import "signpost/internal/message"

// WithResults returns the signer with a function that gives results of checks for each
// message that goes on, signed or not: the fields, notes and results of its outcome are
// added to ours. No signature covers these fields.
func (s *Signer) WithResults(results func(message.Envelope, *message.Trace) message.Outcome) *Signer {
	with := *s
	with.results = results
	return &with
}

func (t *Signing) addResults(out message.Outcome) message.Outcome {
	if t.signer.results == nil || out.Disposition != message.Accept {
		return out
	}
	added := t.signer.results(t.env, t.trace)
	if len(added.Insert) > 0 {
		out.Insert = append(added.Insert, out.Insert...)
	}
	out.Log = append(out.Log, added.Log...)
	out.Results = append(out.Results, added.Results...)
	return out
}
