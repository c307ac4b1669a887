package verifier

import (
	"context"

	"signpost/internal/arc"
	"signpost/internal/message"
)

// Seal is the work on the ARC set of one message that this host forwards.
type Seal interface {
	// Body takes the next piece of the body, and does not keep it.
	Body(chunk []byte)
	// End returns the fields to insert on top, and the notes for the log. h is the header as
	// it will leave, judged is the chain as it came, and results are our own, in the form of
	// an Authentication-Results field's value. It is called only for accepted mail.
	End(h message.Header, judged arc.Outcome, results string) message.Outcome
}

// WithSealing returns the verifier with a function that begins the seal of a message at the end
// of its header, or returns nil if the message is not to be sealed (RFC 8617 §5.1). Mail of
// trusted.networks is not judged, so it is never sealed.
func (v *Verifier) WithSealing(begin func(context.Context, message.Envelope, *message.Trace) Seal) *Verifier {
	with := *v
	with.beginSeal = begin
	return &with
}

// sealed adds the ARC set to an outcome. The seal covers the header with all other changes.
func (t *Verification) sealed(out message.Outcome, r *Result) message.Outcome {
	if t.seal == nil || out.Disposition != message.Accept {
		return out
	}
	if r.Verdict.Cut {
		out.Unsealed = "the message is larger than milter.max_message_bytes"
		out.Log = append(out.Log, message.Unsealed(out.Unsealed))
		return out
	}
	judged := arc.Outcome{Result: arc.None}
	if r.Verdict.ARC != nil {
		judged = *r.Verdict.ARC
	}
	set := t.seal.End(leaving(t.header, out), judged, r.fieldValue(false))
	out.Insert = append(set.Insert, out.Insert...)
	out.Log = append(out.Log, set.Log...)
	out.Failure, out.Sealed, out.Unsealed = set.Failure, set.Sealed, set.Unsealed
	return out
}

// leaving is the header after the changes of an outcome.
func leaving(h message.Header, out message.Outcome) message.Header {
	left := make(message.Header, 0, len(out.Insert)+len(h))
	return h.AppendWithout(append(left, out.Insert...), out.Remove)
}
