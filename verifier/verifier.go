// Package verifier judges the mail that arrives: SPF, every DKIM signature and
// DMARC, evaluated side by side while the body comes in; it writes one
// Authentication-Results field (RFC 8601), removes those that claim to be ours,
// and decides what is to be done with the message.
//
// The way of one message: Verify starts SPF at MAIL FROM; Header starts the key
// look-ups and the search for the DMARC record; Body is hashed as it passes; End
// waits for the answers and gives the Verdict, from which policy.go makes the
// Disposition and results.go the header field. A Verdict is a pure function of
// the message, the configuration and the answers from DNS.
package verifier

import (
	"context"
	"fmt"
	"net/netip"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"time"

	"signpost/internal/dkim"
	"signpost/internal/dmarc"
	"signpost/internal/message"
	"signpost/internal/spf"
)

// Resolver is the DNS that the three checks need. No such name and no such
// record are empty answers; an error is always a temporary one.
type Resolver interface {
	spf.Resolver
	dmarc.Resolver
}

// Verifier is one generation of the verifying configuration. It never changes
// and may be used by any number of goroutines.
type Verifier struct {
	cfg      Config
	resolver Resolver
	hostname string // authserv-id where neither the configuration nor the MTA names one
	now      func() time.Time
	share    func(client netip.Addr) Lookups // nil: all messages ask the resolver itself

	verifyRSA dkim.RSAVerifier         // nil: Go's
	ownDomain func(domain string) bool // nil: none is known
}

// New returns the verifier of a validated configuration. hostname is the
// authserv-id of last resort; now is the clock for t= and x= of signatures.
func New(cfg Config, resolver Resolver, hostname string, now func() time.Time) *Verifier {
	return &Verifier{cfg: cfg, resolver: resolver, hostname: hostname, now: now}
}

// WithRSA returns the verifier with other arithmetic for RSA; nil is Go's.
func (v *Verifier) WithRSA(verify dkim.RSAVerifier) *Verifier {
	with := *v
	with.verifyRSA = verify
	return &with
}

// WithOwnDomains returns the verifier with a function that says whether a domain, in
// lower-case A-labels, is one that this host signs for and that the configuration lists by
// name. It changes no decision: the log says of mail from such a domain that is refused how to
// make it ours.
func (v *Verifier) WithOwnDomains(own func(domain string) bool) *Verifier {
	with := *v
	with.ownDomain = own
	return &with
}

// Verdict is the results of all checks for one message.
type Verdict struct {
	// AuthservID is who gives these results.
	AuthservID string
	// Helo is the HELO name as it may be written into a header field.
	Helo string
	SPF  spf.Outcome
	// DKIM has one outcome for each DKIM-Signature field, the top one first.
	DKIM []dkim.Outcome
	// Cut says that the body went on and was not read, so that no signature counts.
	Cut bool
	// WithoutUnread is DMARC without the signatures that the rest of the body could still
	// break. It is set where Cut is.
	WithoutUnread dmarc.Evaluation
	// Author is who the message says it is from.
	Author message.Author
	// DMARC is the evaluation that counts: of the author domain, or of the one
	// of several that fares worst (RFC 9989 §11.5).
	DMARC dmarc.Evaluation
}

// decisive is the evaluation that the policy goes by. A signature that was not read is no
// reason to spare a message: to come again would not make it shorter.
func (v Verdict) decisive() dmarc.Evaluation {
	if v.Cut {
		return v.WithoutUnread
	}
	return v.DMARC
}

// Verification is the work on one message. It is a message.Transaction.
type Verification struct {
	verifier *Verifier
	ctx      context.Context
	env      message.Envelope
	header   message.Header
	cut      bool   // the body went on and was not read
	trusted  string // why the message is passed unjudged; "" when it is judged
	trace    *message.Trace
	dns      Lookups

	pending     sync.WaitGroup // the look-ups under way
	query       spf.Query
	spf         spf.Outcome
	author      message.Author
	dkim        *dkim.Verification
	discoveries []dmarc.Discovery  // one for each author domain
	discovery   [1]dmarc.Discovery // room for them: nearly every message has one

	results [4]message.Result // room for those of the outcome

	mu     sync.Mutex
	broken string // a panic in one of our look-ups
}

// Verify begins on one message at MAIL FROM. What it starts ends with ctx.
func (v *Verifier) Verify(ctx context.Context, env message.Envelope) message.Transaction {
	return v.Explain(ctx, env, nil)
}

// Explain is Verify, with every check and every rule that is asked in the trace,
// which is complete when Judge or End has returned; nil records nothing.
func (v *Verifier) Explain(ctx context.Context, env message.Envelope, trace *message.Trace) *Verification {
	t := &Verification{verifier: v, ctx: ctx, env: env, trace: trace}
	if network, ok := v.trusted(env); ok {
		t.trusted = "client " + env.ClientAddr.String() + " in verifier.trusted.networks " + network.String()
	}
	traceTrust(trace, v.cfg, env, t.trusted)
	if t.trusted != "" {
		return t
	}
	clients.saw(env)
	t.dns = v.lookups(env.ClientAddr)
	t.pending.Add(1)
	t.query = t.spfQuery(env)
	lookups.run(lookup{t, (*Verification).checkHost, 0})
	return t
}

// trusted returns the network of relays that the client belongs to.
func (v *Verifier) trusted(env message.Envelope) (network netip.Prefix, ok bool) {
	for _, n := range v.cfg.Trusted.Networks {
		if n.Contains(env.ClientAddr) {
			return n, true
		}
	}
	return netip.Prefix{}, false
}

func (t *Verification) spfQuery(env message.Envelope) spf.Query {
	return spf.Query{
		Addr: env.ClientAddr, Helo: env.Helo, Sender: env.Sender,
		Receiver: t.verifier.authservID(env), Now: t.verifier.now(),
	}
}

// authservID is the configuration's name for us, or the MTA's name for itself.
func (v *Verifier) authservID(env message.Envelope) string {
	for _, id := range []string{v.cfg.AuthservID, env.MTAName, v.hostname} {
		if id != "" && plain(id) {
			return id
		}
	}
	return "localhost"
}

// done ends one look-up. A panic in it is ours to answer for as any failure of ours
// is: the message gets a temporary error.
func (t *Verification) done() {
	if p := recover(); p != nil {
		t.mu.Lock()
		t.broken = fmt.Sprintf("panic: %v\n%s", p, debug.Stack())
		t.mu.Unlock()
	}
	t.pending.Done()
}

// Header starts the key look-ups and the search for the DMARC record.
func (t *Verification) Header(env message.Envelope, h message.Header) (wantBody bool) {
	t.env, t.header = env, h
	if t.trusted != "" {
		return false
	}
	v := t.verifier
	t.author = h.Author()
	t.dkim = dkim.NewVerification(h, dkim.Options{
		Now: v.now(), MaxSignatures: v.cfg.DKIM.MaxSignatures, MinRSABits: v.cfg.DKIM.MinRSABits,
		AuthorDomains: t.author.Domains, VerifyRSA: v.verifyRSA,
	})
	if n := len(t.author.Domains); n <= len(t.discovery) {
		t.discoveries = t.discovery[:n]
	} else {
		t.discoveries = make([]dmarc.Discovery, n)
	}
	t.startLookups()
	return t.dkim.NeedsBody()
}

// Body hashes a piece of the body.
func (t *Verification) Body(chunk []byte) (more bool) {
	_, err := t.dkim.Write(chunk)
	return err == nil && t.dkim.NeedsBody()
}

// Cut leaves the signatures unverified: nobody can know what they say.
func (t *Verification) Cut() {
	t.cut = true
	if t.dkim != nil {
		t.dkim.Cut()
	}
}

// End waits for the answers that are still missing and says what is to be done.
func (t *Verification) End() message.Outcome {
	j, err := t.Judge()
	switch {
	case err != nil:
		return t.failed(err)
	case j.Unjudged != "":
		return message.Outcome{Disposition: message.Accept, Log: []message.Note{{Key: "unjudged", Value: j.Unjudged}}, Unjudged: j.Unjudged}
	}
	return t.outcome(j)
}

// Judgement is a verdict and what the policy makes of it.
type Judgement struct {
	Verdict  Verdict
	Decision Decision
	// Unjudged says why the message is passed as it is; the rest is not set then.
	Unjudged string
}

// Judge waits for the answers that are still missing, evaluates DMARC and asks
// the policy. Call it once, in the place of End. The error is a failure of ours,
// never a property of the message.
func (t *Verification) Judge() (Judgement, error) {
	if t.trusted != "" {
		return Judgement{Unjudged: t.trusted}, nil
	}
	t.pending.Wait()
	if t.broken != "" {
		return Judgement{}, fmt.Errorf("verifying: %s", t.broken)
	}
	v := Verdict{
		AuthservID: t.verifier.authservID(t.env), Helo: writableHelo(t.env.Helo),
		SPF: t.spf, DKIM: t.signatures(), Cut: t.cut, Author: t.author,
	}
	v.DMARC = t.evaluate(v.SPF, v.DKIM)
	if v.Cut {
		v.WithoutUnread = t.evaluate(v.SPF, read(v.DKIM))
	}
	traceVerdict(t.trace, t.env, v)
	return Judgement{Verdict: v, Decision: t.verifier.cfg.decide(v, t.trace)}, nil
}

// signatures are the outcomes as they count: under a key that is marked as a test,
// what does not pass is as if it were not there (RFC 6376 §3.6.1). A pass does not
// count where a field that may stand once has a second copy that is not signed and says
// something else: a reader may be shown that one (§8.15).
func (t *Verification) signatures() []dkim.Outcome {
	outcomes := t.dkim.Finish()
	for i := range outcomes {
		o := &outcomes[i]
		o.Result = o.Effective()
		if o.Result == dkim.Pass && len(o.Uncovered) > 0 {
			o.Result = dkim.Policy
			o.Reason = "a second copy of a field is not signed and says something else: " + strings.Join(o.Uncovered, ", ")
		}
	}
	return outcomes
}

// read are the outcomes of a message that was cut without those that are undecided: a
// signature whose key did not come would need the body too.
func read(outcomes []dkim.Outcome) []dkim.Outcome {
	return slices.DeleteFunc(slices.Clone(outcomes), func(o dkim.Outcome) bool { return o.Result == dkim.TempError })
}

// evaluate is DMARC for each author domain; the one that fares worst counts.
func (t *Verification) evaluate(s spf.Outcome, signatures []dkim.Outcome) dmarc.Evaluation {
	if len(t.discoveries) == 0 {
		return dmarc.Evaluation{Result: dmarc.None, Reason: authorProblem(t.author)}
	}
	ids := identifiers(s, signatures)
	var usual [1]dmarc.Evaluation // nearly every message has one author domain
	all := usual[:0]
	for _, d := range t.discoveries {
		all = append(all, dmarc.Evaluate(t.ctx, t.dns.Policy, d, ids.spf, ids.dkim))
	}
	e := dmarc.Strictest(all)
	if e.Result == dmarc.Pass && !t.author.Certain() {
		// All that could be shown passes, and still it is not certain what is shown.
		e.Result, e.Reason = dmarc.PermError, authorProblem(t.author)
	}
	return e
}

// authenticated are the domains that DMARC looks at.
type authenticated struct{ spf, dkim []dmarc.Identifier }

func identifiers(s spf.Outcome, signatures []dkim.Outcome) authenticated {
	ids := make([]dmarc.Identifier, 0, 1+len(signatures))
	// RFC 9989 §4.4.2: the domain of MAIL FROM, and the HELO name only where the
	// sender is null.
	if s.Domain != "" {
		ids = append(ids, dmarc.Identifier{Domain: s.Domain, Pass: s.Result == spf.Pass, TempError: s.Result == spf.TempError, Err: s.Err})
	}
	n := len(ids)
	// §4.4.1: the d= of the signatures, never the i=.
	for _, o := range signatures {
		if o.Domain != "" {
			ids = append(ids, dmarc.Identifier{Domain: o.Domain, Pass: o.Result == dkim.Pass, TempError: o.Result == dkim.TempError, Err: o.Err})
		}
	}
	return authenticated{spf: ids[:n:n], dkim: ids[n:]}
}

// writableHelo is the HELO name if it is a host name, for smtp.helo: strangers
// put anything there, and an address literal says nothing that is worth the risk.
func writableHelo(helo string) string {
	name, ok := message.DomainToASCII(helo)
	if !ok {
		return ""
	}
	return name
}

// failed is our own failure to judge. It counts like a look-up that this host could not
// make: the message is to come again, as on_undecided says, or goes on with an honest
// result.
func (t *Verification) failed(err error) message.Outcome {
	c := t.verifier.cfg
	d := c.forUnknownPolicy()
	d.Rule = "internal error"
	if d.Action.refuses() {
		d.Action = c.OnUndecided
		d.Rule += ", verifier.on_undecided"
	}
	d.Enforced = c.Mode == Enforce
	out := message.Outcome{Disposition: d.Disposition(), Log: append([]message.Note{{Key: "error", Value: err.Error()}}, d.notes()...), Failure: err.Error(), Would: d.would()}
	if out.Disposition == message.Tempfail {
		out.Reply = message.Reply{Code: 451, Enhanced: "4.3.0", Text: "the message could not be checked just now, try again later"}
		return out
	}
	id := t.verifier.authservID(t.env)
	out.Remove = t.verifier.Forged(t.env, t.header)
	out.Insert = []message.Field{{Name: fieldName, Value: brokenField(id)}}
	return out
}
