// Package signer answers three questions about a message that leaves: is it
// ours, which keys sign it, and which fields they cover; and it writes one
// DKIM-Signature for each key (RFC 6376, 8301, 8463).
//
// A message of ours that is not signed always has a reason: the outcome's Unsigned,
// Refused or Failure.
package signer

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"signpost/internal/dkim"
	"signpost/internal/message"
	"signpost/keys/lifecycle"
)

// Signer is one generation of the signing configuration with its keys. It never
// changes and may be used by any number of goroutines.
type Signer struct {
	cfg     Config
	covered []coveredField
	table   *table
	senders *senderPolicy
	check   *selfCheck                                   // nil: none
	forged  func(message.Envelope, message.Header) []int // nil: nothing is removed; see WithForged
	now     func() time.Time
}

// New returns the signer of a validated configuration. The roster says which of the
// keys that Listed names sign; now is the clock for t=.
func New(cfg Config, roster *lifecycle.ActiveKeys, now func() time.Time) *Signer {
	return &Signer{cfg: cfg, covered: cfg.Fields.covered(), table: newTable(cfg.Domains, roster), senders: newSenderPolicy(cfg.Senders), now: now}
}

// Names says that a domain, in lower-case A-labels, is one of ours by the name of its
// entry, or of a parent's with subdomains: not by a pattern or "*", which name other
// people's domains too, and not by the entry of an address.
func (s *Signer) Names(domain string) bool { return s.table.named(domain) }

// Signing is the work on one message of ours. It is a message.Transaction.
type Signing struct {
	signer   *Signer
	ctx      context.Context
	env      message.Envelope
	match    match
	job      *dkim.Signing
	unsigned string // why it is not signed; "" while it is
	refused  *refusal
	forged   []int // the fields to remove; see WithForged
	hazards  transitHazards
	sample   *sample // nil: not self-checked
	err      error   // our own failure
	retry    bool    // the message is to come again whatever on_error says
	trace    *message.Trace

	signatures [2]message.Signature // room for those of the outcome
}

// Sign begins on one message that is ours. Signing waits for nothing but the first
// answer of DNS about the domain's keys after a start, and that for lifecycle.MaxWait, or
// until ctx ends; what is held of the message for a self-check is let go then, too.
func (s *Signer) Sign(ctx context.Context, env message.Envelope) message.Transaction {
	return &Signing{signer: s, ctx: ctx, env: env}
}

// Explain is Sign, with every rule that is asked in the trace.
func (s *Signer) Explain(env message.Envelope, trace *message.Trace) *Signing {
	return &Signing{signer: s, ctx: context.Background(), env: env, trace: trace}
}

// Header chooses the keys by the author domain and starts the signatures.
func (t *Signing) Header(env message.Envelope, h message.Header) (wantBody bool) {
	t.env = env
	h = t.withoutForged(h)
	author := h.Author()
	if t.refused = t.signer.senders.check(env, author, t.trace); t.refused != nil {
		return false
	}
	// RFC 6376 §5.3: a message with two From fields is not valid, even if they agree.
	if (author.Problem != "" && !author.Lax) || len(author.Domains) == 0 || author.Fields > 1 {
		t.unsigned = unsignable(author)
		traceAuthor(t.trace, author, "not signed")
		return false
	}
	traceAuthor(t.trace, author, "signed by the rules for "+author.Domains[0])
	c, ok := t.findKeys(author)
	switch {
	case !ok && t.err == nil && c.lost != "":
		t.err = fmt.Errorf("%s: %s", c.rule, c.lost)
		fallthrough
	case t.err != nil:
		t.match.sdid = author.Domains[0]
		return false
	case !ok:
		t.unsigned = c.rule
		return false
	}
	t.match = c
	params := t.signer.params(h, c)
	traceSignatures(t.trace, params, c, t.signer.cfg.Fields)
	job, err := dkim.NewSigning(h, params)
	if err != nil { // the message's fault: it would not get better by coming again
		t.unsigned = "it cannot be signed so that the signature would hold: " + err.Error()
		return false
	}
	t.job = job
	t.hazards.fields(h)
	t.sample = t.signer.check.newSample(t.ctx, h)
	return true
}

// findKeys finds the keys for an author. Nothing is signed, nor said to go unsigned,
// before DNS was heard about them: else the message comes again.
func (t *Signing) findKeys(author message.Author) (c match, ok bool) {
	c, ok = t.signer.table.find(author, t.trace)
	if c.open == nil {
		return c, ok
	}
	ctx, cancel := context.WithTimeout(t.ctx, lifecycle.MaxWait)
	defer cancel()
	for c.open != nil && t.err == nil {
		waited := c.open
		if c.next != nil {
			c.next.Expedite()
		}
		if t.err = waited.Wait(ctx); t.err != nil {
			break
		}
		if c, ok = t.signer.table.find(author, t.trace); c.open == waited {
			t.err = errors.New("the configuration was replaced while it waited for DNS")
		}
	}
	t.retry = t.err != nil
	return c, ok
}

func unsignable(a message.Author) string {
	if a.Problem == "" {
		return "the From field names no domain of two labels or more; have the sending program write one"
	}
	return "the author domain is not certain: " + a.Problem + "; have the sending program write one well-formed From field"
}

// Body hashes a piece of the body.
func (t *Signing) Body(chunk []byte) (more bool) {
	if _, t.err = t.job.Write(chunk); t.err != nil {
		return false
	}
	t.hazards.body.write(chunk)
	t.sample.write(chunk)
	return true
}

// Cut is never called: what is ours is signed whatever its size. If it were, the
// signature would be wrong, so there is none.
func (t *Signing) Cut() { t.err = errors.New("the body was cut off") }

// End signs, and says what is to be put on top of the message.
func (t *Signing) End() message.Outcome { return t.removeForged(t.sign()) }

func (t *Signing) sign() message.Outcome {
	if t.refused != nil {
		return t.refused.outcome(t.signer.senders.mode)
	}
	if t.unsigned == "" && t.err == nil {
		fields, err := t.job.Fields()
		if err == nil {
			now := t.signer.now()
			for _, k := range t.match.keys {
				k.Used(now)
			}
			t.sample.begin(fields, t.env.QueueID)
			return t.signed(fields)
		}
		t.err = err
	}
	if t.err != nil {
		return t.failed()
	}
	return unsigned(t.unsigned)
}

// unsigned is the outcome of a message that goes on without a signature.
func unsigned(why string) message.Outcome {
	return message.Outcome{Disposition: message.Accept, Log: []message.Note{{Key: "unsigned", Value: why}}, Unsigned: why}
}

// failed is our own failure to sign: what leaves then is the administrator's
// choice (on_error), and never a silent one. A message that waited in vain was not
// failed by anything, and comes again.
func (t *Signing) failed() message.Outcome {
	failure := fmt.Sprintf("signing as %s: %v", t.match.sdid, t.err)
	notes := []message.Note{{Key: "error", Value: failure}}
	if t.signer.cfg.OnError == OnErrorUnsigned && !t.retry {
		out := unsigned("signing broke and signer.on_error is unsigned")
		out.Log, out.Failure = append(notes, out.Log...), failure
		return out
	}
	return message.Outcome{
		Disposition: message.Tempfail,
		Reply:       message.Reply{Code: 451, Enhanced: "4.3.0", Text: "the message could not be signed just now, try again later"},
		Log:         notes,
		Failure:     failure,
	}
}

// signed is the outcome of a message with its signatures.
func (t *Signing) signed(fields []message.Field) message.Outcome {
	out := message.Outcome{Disposition: message.Accept, Insert: fields, Signatures: t.signatures[:0]}
	for _, k := range t.match.keys {
		out.Signatures = append(out.Signatures, message.Signature{Domain: t.match.sdid, Selector: k.Selector, Algorithm: string(k.Algorithm)})
	}
	out.Fragile = t.hazards.note(&t.env, t.signer.cfg.Canonicalization.Header, t.trace)
	out.Log = t.signedNotes(out.Fragile)
	return out
}

func (t *Signing) signedNotes(risk string) []message.Note {
	var b strings.Builder
	for i, k := range t.match.keys {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(k.Selector)
	}
	notes := []message.Note{
		{Key: "signed", Value: t.match.sdid},
		{Key: "selectors", Value: b.String()},
		{Key: "entry", Value: t.match.rule},
	}
	if t.match.override != "" {
		notes = append(notes, message.Note{Key: "not_as_listed", Value: t.match.override})
	}
	if risk != "" {
		notes = append(notes, message.Note{Key: "fragile", Value: risk})
	}
	return notes
}

// params are the signatures of one message: one for each key, all over the same
// fields.
func (s *Signer) params(h message.Header, c match) []dkim.SignParams {
	names := signedNames(s.covered, h)
	now := s.now()
	params := make([]dkim.SignParams, len(c.keys))
	for i, k := range c.keys {
		params[i] = dkim.SignParams{
			Domain: c.sdid, Selector: k.Selector, Key: k.Signer,
			HeaderCanon: s.cfg.Canonicalization.Header, BodyCanon: s.cfg.Canonicalization.Body,
			Headers: names, Time: now,
		}
	}
	return params
}
