package signer

import (
	"context"
	"errors"
	"fmt"

	"signpost/internal/arc"
	"signpost/internal/dkim"
	"signpost/internal/message"
	"signpost/keys"
)

// maxSealedFields bounds how many header fields a seal covers, so that a stranger's header does
// not make the seal too long for the MTA.
const maxSealedFields = 500

// Seal is the work on the ARC set of one message that this host forwards.
type Seal struct {
	signer *Signer
	ctx    context.Context
	body   *dkim.BodyHash
}

// Seal begins the set of a message at the end of its header; nil if signer.arc does not choose
// it. End waits for the first answer of DNS about the key, as for a signature.
func (s *Signer) Seal(ctx context.Context, env message.Envelope, trace *message.Trace) *Seal {
	if !s.cfg.ARC.On() {
		return nil
	}
	why := s.cfg.ARC.chooses(env)
	if trace != nil {
		result := "not chosen: no ARC seal"
		if why != "" {
			result = "sealed if accepted: " + why
		}
		trace.Add("signer.arc", fmt.Sprintf("client %s, recipients %q", env.ClientAddr, env.Recipients), result)
	}
	if why == "" {
		return nil
	}
	return &Seal{signer: s, ctx: ctx, body: arc.NewBody()}
}

// Body hashes a piece of the body.
func (t *Seal) Body(chunk []byte) { t.body.Write(chunk) }

// End returns the set's fields and the log's notes. h is the header as it will leave, with its
// ARC fields as they came. A message that cannot be sealed goes on without a seal.
func (t *Seal) End(h message.Header, judged arc.Outcome, results string) message.Outcome {
	// A seal with cv=fail ends the chain for ever, and the next host may get DNS's answer.
	if judged.Undecided {
		return unsealed("DNS did not answer about the chain, so that it is neither valid nor broken")
	}
	names := sealedNames(t.signer.covered, h)
	if len(names) > maxSealedFields {
		return unsealed(fmt.Sprintf("%d header fields would be covered, more than %d", len(names), maxSealedFields))
	}
	key, why := t.key()
	if key == nil {
		return why
	}
	ref, _ := t.signer.cfg.ARC.key()
	fields, err := arc.Seal(h, judged, arc.SealParams{
		Domain: ref.Domain, Selector: key.Selector, Key: key.Signer, Headers: names,
		Time: t.signer.now(), Payload: results, Body: t.body,
	})
	switch {
	case errors.Is(err, arc.ErrEnded):
		return unsealed(err.Error())
	case err != nil:
		return t.failed(err)
	}
	key.Used(t.signer.now())
	return message.Outcome{Insert: fields, Sealed: string(judged.Result), Log: []message.Note{{
		Key: "sealed", Value: fmt.Sprintf("i=%d cv=%s d=%s s=%s", judged.Instances+1, judged.Result, ref.Domain, key.Selector),
	}}}
}

// key is the key that seals now, RSA before Ed25519: other programs verify seals with RSA
// alone. Without one, the outcome says why.
func (t *Seal) key() (*keys.Key, message.Outcome) {
	found, err := t.signer.table.active.For(t.ctx, t.signer.cfg.ARC.signsFor(), "")
	set := found.Own
	switch {
	case err != nil:
		return nil, unsealed("the key: " + err.Error())
	case set == nil:
		return nil, t.failed(errors.New("no key is loaded"))
	case set.Lost != "":
		return nil, t.failed(errors.New(set.Lost))
	case len(set.Keys) == 0:
		return nil, unsealed(set.Why + " (or set signer.require_published: false)")
	}
	for _, k := range set.Keys {
		if k.Algorithm == keys.RSA {
			return k, message.Outcome{}
		}
	}
	return set.Keys[0], message.Outcome{}
}

func unsealed(why string) message.Outcome {
	return message.Outcome{Unsealed: why, Log: []message.Note{message.Unsealed(why)}}
}

// failed is our own failure. The message goes on, since mail that is forwarded must not be
// lost because it has no seal.
func (t *Seal) failed(err error) message.Outcome {
	failure := fmt.Sprintf("sealing as %s: %v", t.signer.cfg.ARC.Domain, err)
	return message.Outcome{Failure: failure, Unsealed: "sealing broke", Log: []message.Note{{Key: "error", Value: failure}, message.Unsealed("sealing broke")}}
}

// sealedNames is h= of the message signature: what a signature covers, and the signatures that
// are present (RFC 8617 §4.1.2), but no results and no ARC fields.
func sealedNames(covered []coveredField, h message.Header) []string {
	var names []string
	for _, name := range signedNames(covered, h) {
		if !unsealable(name) {
			names = append(names, name)
		}
	}
	for _, f := range h {
		if f.Is("DKIM-Signature") {
			names = append(names, "DKIM-Signature")
		}
	}
	return names
}

// unsealable is a name that must not be covered, or that is added by sealedNames.
func unsealable(name string) bool {
	for _, n := range []string{"Authentication-Results", "DKIM-Signature", arc.NameSeal, arc.NameMessage, arc.NameResults} {
		if message.EqualFold(name, n) {
			return true
		}
	}
	return false
}
