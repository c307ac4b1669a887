// Package signer decides whether a message is ours, which keys sign it, and which fields
// the signatures cover. It writes one DKIM-Signature for each key (RFC 6376, 8301, 8463).
//
// If a message of ours is not signed, the outcome names the reason in Unsigned and in the
// log note "unsigned".
package signer

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"signpost/internal/arc"
	"signpost/internal/dkim"
	"signpost/internal/message"
	"signpost/keys/lifecycle"
)

// Signer is one generation of the signing configuration with its keys. It is immutable and
// safe for concurrent use.
type Signer struct {
	cfg     Config
	covered []coveredField
	table   *table
	senders *senderPolicy
	check   *selfCheck                                             // nil: none
	forged  func(message.Envelope, message.Header) []int           // nil: nothing is removed; see WithForged
	results func(message.Envelope, *message.Trace) message.Outcome // nil: none are added; see WithResults
	handed  func(message.Envelope) bool                            // nil: none; see WithHandedIn
	arrival func(message.Envelope, message.Header) arc.Arrival     // nil: nothing is known of it; see WithArrival
	timed   func(time.Duration)                                    // nil: none; see ObserveSigning
	now     func() time.Time
}

// New returns the signer of a validated configuration. index has its entries; active says which
// of the keys that Listed returns sign; now is the clock for t=.
func New(cfg Config, index *Index, active *lifecycle.ActiveKeys, now func() time.Time) *Signer {
	return &Signer{cfg: cfg, covered: cfg.Fields.covered(), table: newTable(index, active), senders: newSenderPolicy(cfg.Senders), now: now}
}

// Names is Index.Names.
func (s *Signer) Names(domain string) bool { return s.table.Names(domain) }

// Signing is the state of one message of ours. It implements message.Transaction.
type Signing struct {
	signer   *Signer
	ctx      context.Context
	env      message.Envelope
	author   message.Author
	match    match
	job      *dkim.Signing
	unsigned string // why it is not signed; "" while it is
	refused  *refusal
	forged   []int         // the fields to remove; see WithForged
	returned *returnedMail // nil: not handed back by list software
	hazards  transitHazards
	sample   *sample // nil: not self-checked
	err      error   // our own failure
	retry    bool    // 451, also with on_error: unsigned
	trace    *message.Trace

	signatures [2]message.Signature // room for those of the outcome
}

// Sign starts with one message of ours. The Signing waits only for the first answer of DNS
// about the domain's keys after a start, for at most lifecycle.MaxWait, and until ctx ends.
// The end of ctx also frees the memory that the self-check holds for the message.
func (s *Signer) Sign(ctx context.Context, env message.Envelope) message.Transaction {
	t := &Signing{signer: s, ctx: ctx, env: env}
	if s.HandedIn(env) {
		return &handedIn{Signing: t}
	}
	return t
}

// Explain is Sign, and records each rule in the trace.
func (s *Signer) Explain(ctx context.Context, env message.Envelope, trace *message.Trace) *Signing {
	return &Signing{signer: s, ctx: ctx, env: env, trace: trace}
}

// Header chooses the keys by the author domain and starts the signatures and the seal.
func (t *Signing) Header(env message.Envelope, h message.Header) (wantBody bool) {
	t.env = env
	t.returned = t.signer.returnedBy(env, h)
	h = t.withoutForged(h)
	signs := t.begin(env, h)
	return t.beginSeal(h) || signs
}

// begin chooses the keys and starts the signatures.
func (t *Signing) begin(env message.Envelope, h message.Header) (signs bool) {
	t.author = h.Author()
	author := t.author
	if t.refused = t.signer.senders.check(env, author, t.trace); t.refused != nil {
		return false
	}
	if t.unsigned = cmp.Or(unsignable(author), t.returned.forgery(author)); t.unsigned != "" {
		traceAuthor(t.trace, author, "not signed")
		return false
	}
	traceAuthor(t.trace, author, "signed by the rules for "+author.Domains[0])
	c := t.findKeys(author)
	switch {
	case t.err != nil:
		t.match.sdid = author.Domains[0]
		return false
	case !c.signs():
		t.unsigned = t.returned.unsigned(c.rule)
		return false
	}
	t.match = c
	params := t.signer.params(h, c)
	traceSignatures(t.trace, params, c, t.signer.cfg.Fields)
	job, err := dkim.NewSigning(h, params)
	if err != nil { // the message is at fault; a retry would fail too
		t.unsigned = "it cannot be signed so that the signature would hold: " + err.Error()
		return false
	}
	t.job = job
	t.hazards.fields(h)
	t.sample = t.signer.check.newSample(t.ctx, h)
	return true
}

// findKeys finds the keys for an author. If DNS has not answered about them yet, it waits;
// without an answer the message gets 451 and comes again. Lost keys are our failure, too.
func (t *Signing) findKeys(author message.Author) match {
	sets := func(name, fallback string) (lifecycle.Found, error) {
		return t.signer.table.active.For(t.ctx, name, fallback)
	}
	c, err := t.signer.table.find(author, sets, t.trace)
	t.err, t.retry = err, err != nil
	if err == nil && !c.signs() && c.lost != "" {
		t.err = fmt.Errorf("%s: %s", c.rule, c.lost)
	}
	return c
}

// unsignable returns the reason if no domain can sign for the author; "" if one can.
func unsignable(a message.Author) string {
	switch {
	// RFC 6376 §5.3: a message with two From fields is not valid, even if they agree.
	case a.Problem != "" && (!a.Lax || a.Fields > 1 || len(a.Domains) == 0):
		return "the author domain is not certain: " + a.Problem + "; have the sending program write one well-formed From field"
	case a.Fields > 1 || len(a.Domains) == 0:
		return "the From field names no domain of two labels or more; have the sending program write one"
	}
	return ""
}

// Body hashes a piece of the body.
func (t *Signing) Body(chunk []byte) (more bool) {
	sealing := t.returned.body(chunk)
	if t.job == nil || t.err != nil {
		return sealing
	}
	if _, t.err = t.job.Write(chunk); t.err != nil {
		return sealing
	}
	t.hazards.body.write(chunk)
	t.sample.write(chunk)
	return true
}

// Cut should not happen, since mail of ours is signed at any size. A signature of half
// a body would be invalid, so this is a failure.
func (t *Signing) Cut() {
	t.err = errors.New("the body was cut off")
	t.returned.cut()
}

// End signs, and returns the fields to insert and to remove.
func (t *Signing) End() message.Outcome {
	out := t.sign()
	if out.Disposition == message.Accept {
		out.Remove = t.forged
	}
	out.Log = t.notes(&out)
	if t.returned != nil {
		out = t.sealed(out)
	} else {
		out = t.addResults(out)
	}
	out.Author, out.Rule, out.Trace = &t.author, t.match.rule, t.trace
	if t.refused != nil {
		out.Rule = sendersRule
	}
	return out
}

// sign is the outcome without the forged fields and the notes.
func (t *Signing) sign() message.Outcome {
	if t.refused != nil {
		return t.refused.outcome(t.signer.senders.mode)
	}
	if t.unsigned == "" && t.err == nil {
		fields, err := t.signatureFields()
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

// signatureFields makes the signatures, and tells the time that it takes.
func (t *Signing) signatureFields() ([]message.Field, error) {
	if t.signer.timed == nil {
		return t.job.Fields()
	}
	began := time.Now()
	fields, err := t.job.Fields()
	t.signer.timed(time.Since(began))
	return fields, err
}

// ObserveSigning has timed called with the time that the signatures of each message take to
// make, by many goroutines at once. Call it before the first message.
func (s *Signer) ObserveSigning(timed func(time.Duration)) { s.timed = timed }

// unsigned is the outcome of a message that leaves without a signature.
func unsigned(why string) message.Outcome {
	return message.Outcome{Disposition: message.Accept, Unsigned: why}
}

// failed is the outcome of our own failure to sign, which on_error decides. A message that
// waited for DNS without an answer always gets 451.
func (t *Signing) failed() message.Outcome {
	failure := fmt.Sprintf("signing as %s: %v", t.match.sdid, t.err)
	if t.signer.cfg.OnError == OnErrorUnsigned && !t.retry {
		out := unsigned("signing broke and signer.on_error is unsigned")
		out.Failure = failure
		return out
	}
	return message.Outcome{
		Disposition: message.Tempfail,
		Reply:       message.Reply{Code: 451, Enhanced: "4.3.0", Text: "the message could not be signed just now, try again later"},
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
	return out
}

// params returns the parameters of the signatures, one for each key, all over the same
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
