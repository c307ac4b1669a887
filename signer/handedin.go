package signer

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"signpost/internal/dkim"
	"signpost/internal/message"
)

// Mail that the daemon writes itself (reports) is signed before it is handed to the MTA,
// since it must never leave unsigned, and the MTA may pass it to a milter or not. SignOwn
// signs it. Where the MTA does pass it, handedIn finds our valid signature and adds no second one.

// SignOwn returns the signature fields for a message that this program has written.
// signer.senders is not asked. The error says why the message cannot be signed so that DMARC
// passes by it; then the message must not leave.
func (s *Signer) SignOwn(ctx context.Context, h message.Header, body []byte) ([]message.Field, error) {
	own := *s
	own.senders, own.forged, own.results = newSenderPolicy(Senders{Mode: SendersOff}), nil, nil
	env := message.Envelope{Role: message.RoleSign}
	t := &Signing{signer: &own, ctx: ctx, env: env}
	if t.Header(env, h) {
		t.Body(body)
	}
	out := t.End()
	if len(out.Signatures) == 0 {
		return nil, errors.New(cmp.Or(out.Unsigned, out.Failure, "it cannot be signed"))
	}
	// RFC 9989 §4.4.1: d= is the author domain or aligned with it.
	author := h.Author().Domains[0]
	if d := out.Signatures[0].Domain; d != author && !strings.HasSuffix(author, "."+d) {
		return nil, fmt.Errorf("mail from %s is signed as %s, which is not aligned: list %[1]s itself in signer.domains", author, d)
	}
	return out.Insert, nil
}

// SignsFor tells whether an entry fits an author, with the domain in lower case and A-labels.
// Its keys may still wait for DNS.
func (s *Signer) SignsFor(a message.Address) bool {
	return s.table.lookup(lower(a.Local)+"@"+a.Domain) != nil || s.table.byDomain(a.Domain, nil).set != ""
}

// WithHandedIn returns the signer with a function that tells whether mail with this envelope
// may be our own that was signed before. It only saves work: what counts is the signature.
func (s *Signer) WithHandedIn(may func(message.Envelope) bool) *Signer {
	with := *s
	with.handed = may
	return &with
}

// HandedIn tells whether mail with this envelope may be our own; see WithHandedIn.
func (s *Signer) HandedIn(env message.Envelope) bool { return s.handed != nil && s.handed(env) }

// handedIn is a message that may have our signature. Until that is known, it is a message like
// any other.
type handedIn struct {
	*Signing
	signs bool // Signing wants the body
	check *dkim.Verification
	keys  ownKeys
}

// ownKeys are the records of our keys by name, as DNS would have them.
type ownKeys map[string]string

// LookupTXT implements dkim.Resolver.
func (k ownKeys) LookupTXT(_ context.Context, name string) ([]string, error) {
	if record, ok := k[name]; ok {
		return []string{record}, nil
	}
	return nil, nil
}

// Header starts to verify signatures with the keys that would sign now.
func (t *handedIn) Header(env message.Envelope, h message.Header) (wantBody bool) {
	t.signs = t.Signing.Header(env, h)
	author := h.Author()
	if unsignable(author) != "" {
		return t.signs
	}
	c, err := t.signer.table.find(author, t.signer.table.now, nil)
	if err != nil || !c.signs() {
		return t.signs
	}
	t.keys = ownKeys{}
	for _, k := range c.keys {
		t.keys[k.Selector+"._domainkey."+c.sdid] = k.Record()
	}
	t.check = dkim.NewVerification(h, dkim.Options{Now: t.signer.now(), AuthorDomains: author.Domains})
	for i := range t.check.Keys() {
		t.check.LookupKey(t.ctx, i, t.keys)
	}
	return true
}

// Body hashes a piece of the body for both.
func (t *handedIn) Body(chunk []byte) (more bool) {
	if t.signs {
		t.signs = t.Signing.Body(chunk)
	}
	if t.check != nil {
		_, _ = t.check.Write(chunk) // it returns no error
	}
	return t.signs || t.check != nil
}

// Cut ends both.
func (t *handedIn) Cut() {
	t.Signing.Cut()
	if t.check != nil {
		t.check.Cut()
	}
}

// End passes a message with a valid signature by each key that would sign, and signs any other.
func (t *handedIn) End() message.Outcome {
	if t.check == nil || !t.signedAlready() {
		return t.Signing.End()
	}
	return t.addResults(message.Outcome{Disposition: message.Accept, Remove: t.forged, Log: []message.Note{{Key: "handed_in", Value: "signed by this program before it was handed to the MTA"}}})
}

func (t *handedIn) signedAlready() bool {
	outcomes := t.check.Finish()
	for name := range t.keys {
		if !slices.ContainsFunc(outcomes, func(o dkim.Outcome) bool {
			return o.Result == dkim.Pass && o.Selector+"._domainkey."+o.Domain == name
		}) {
			return false
		}
	}
	return true
}
