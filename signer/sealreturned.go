package signer

import (
	"fmt"
	"strings"

	"signpost/internal/arc"
	"signpost/internal/message"
)

// WithArrival returns the signer with a function that reads what this host wrote about a
// message on arrival. Only the fields of clients in signer.arc.list_networks are read, on a
// listener with role seal; all others are removed as forged.
func (s *Signer) WithArrival(read func(message.Envelope, message.Header) arc.Arrival) *Signer {
	with := *s
	with.arrival = read
	return &with
}

// returns says that a client is list software that hands mail back, and which rule says so;
// "" if it is not.
func (s *Signer) returns(env message.Envelope, trace *message.Trace) (why string) {
	if env.Role != message.RoleSeal || !s.cfg.ARC.On() {
		return ""
	}
	n, ok := containing(s.cfg.ARC.ListNetworks, env.ClientAddr)
	if trace != nil {
		result := "no match: as with role auto, nothing is sealed"
		if ok {
			result = "ours, and sealed with the results that it brings"
		}
		trace.Add("milter.listen role", "seal; signer.arc.list_networks "+joined(s.cfg.ARC.ListNetworks)+"; "+client(env), result)
	}
	if !ok {
		return ""
	}
	return "client " + env.ClientAddr.String() + " in signer.arc.list_networks " + n.String()
}

// returnedMail is a message that list software has changed and hands back. Its methods do
// nothing for nil, all other mail.
type returnedMail struct {
	arrival arc.Arrival
	header  message.Header // without forged fields
	seal    *Seal          // nil: it is not sealed
}

// returnedBy reads what was found when the message came in.
func (s *Signer) returnedBy(env message.Envelope, h message.Header) *returnedMail {
	if s.arrival == nil || s.returns(env, nil) == "" {
		return nil
	}
	return &returnedMail{arrival: s.arrival(env, h)}
}

// keepOurs takes our own results out of the forged fields.
func (r *returnedMail) keepOurs(forged []int) []int {
	if r == nil || r.arrival.Field < 0 {
		return forged
	}
	kept := forged[:0]
	for _, i := range forged {
		if i != r.arrival.Field {
			kept = append(kept, i)
		}
	}
	return kept
}

// forgery says why a message must not be signed: it came in under the same author domain, and
// nothing proved then that it is that domain's. Our signature would.
func (r *returnedMail) forgery(a message.Author) string {
	if r == nil {
		return ""
	}
	for _, domain := range append([]string{""}, a.Domains...) {
		if result, unproved := r.arrival.Unproved[domain]; unproved {
			return fmt.Sprintf("it came from outside with this author, and dmarc=%s: our signature would make it genuine; "+
				"have the list software put its own address into From", result)
		}
	}
	return ""
}

// unsigned is the reason without the remedy, where others' mail is expected.
func (r *returnedMail) unsigned(why string) string {
	if r != nil {
		why, _, _ = strings.Cut(why, "; ")
	}
	return why
}

// beginSeal begins the seal over a header without forged fields. It returns false if the
// message is not sealed.
func (t *Signing) beginSeal(h message.Header) (begun bool) {
	r := t.returned
	if r == nil || t.refused != nil && t.signer.cfg.Senders.Mode == SendersReject {
		return false
	}
	r.header = h
	if r.arrival.Problem == "" {
		r.seal = &Seal{signer: t.signer, ctx: t.ctx, body: arc.NewBody()}
	}
	if t.trace != nil {
		result := "sealed with arc=" + string(r.arrival.Chain) + " of that field"
		if r.arrival.Problem != "" {
			result = "no ARC seal: " + r.arrival.Problem
		}
		t.trace.Add("results on arrival", "the Authentication-Results field of this host", result)
	}
	return r.seal != nil
}

func (r *returnedMail) body(chunk []byte) (more bool) {
	if r == nil || r.seal == nil {
		return false
	}
	r.seal.Body(chunk)
	return true
}

func (r *returnedMail) cut() {
	if r != nil && r.seal != nil {
		r.seal, r.arrival.Problem = nil, "the body was cut off"
	}
}

// sealed adds the ARC set to an outcome, above the signatures, which it covers.
func (t *Signing) sealed(out message.Outcome) message.Outcome {
	if out.Disposition != message.Accept {
		return out
	}
	set := t.set(out)
	out.Insert = append(set.Insert, out.Insert...)
	out.Log = append(out.Log, set.Log...)
	out.Sealed, out.Unsealed = set.Sealed, set.Unsealed
	if set.Failure != "" {
		out.Failure = set.Failure
	}
	return out
}

// set is the ARC set, or the reason why there is none.
func (t *Signing) set(out message.Outcome) message.Outcome {
	r := t.returned
	if r.seal == nil {
		return unsealed(r.arrival.Problem)
	}
	ref, _ := t.signer.cfg.ARC.key()
	chain, problem := r.arrival.Continued(r.header, ref.Domain)
	if problem != "" {
		return unsealed(problem)
	}
	leaving := append(make(message.Header, 0, len(out.Insert)+len(r.header)), out.Insert...)
	return r.seal.End(append(leaving, r.header...), chain, r.arrival.Results)
}
