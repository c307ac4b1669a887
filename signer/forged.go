package signer

import "signpost/internal/message"

// WithForged returns the signer with a function that finds the fields that claim to be
// ours (RFC 8601 §5), in ascending order. They are removed from mail of ours too, signed
// or not: a login does not let a client write results in our name. No signature covers
// them.
func (s *Signer) WithForged(find func(message.Envelope, message.Header) []int) *Signer {
	with := *s
	with.forged = find
	return &with
}

// withoutForged returns the header without its forged fields, and remembers them.
func (t *Signing) withoutForged(h message.Header) message.Header {
	if t.signer.forged == nil {
		return h
	}
	t.forged = t.returned.keepOurs(t.signer.forged(t.env, h))
	if len(t.forged) == 0 {
		return h
	}
	return h.AppendWithout(make(message.Header, 0, len(h)-len(t.forged)), t.forged)
}
