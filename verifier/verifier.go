// Package verifier judges the mail that arrives: SPF, every DKIM signature, DMARC and the
// optional checks run side by side while the body comes in. The package writes one
// Authentication-Results field (RFC 8601), removes those that claim to be ours, and
// decides what to do with the message.
//
// checks.go has the table of checks. For one message, Verify starts those that need no
// header, at MAIL FROM; Header starts the others; Body hashes each piece; End waits for
// the answers and collects the results in a Verdict. policy.go makes a Decision of it, and
// field.go, notes.go and report.go write the findings out. A Verdict is a pure function of
// the message, the configuration and the answers from DNS.
package verifier

import (
	"context"
	"fmt"
	"net/netip"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"signpost/internal/arc"
	"signpost/internal/dkim"
	"signpost/internal/dmarc"
	"signpost/internal/message"
	"signpost/internal/spf"
)

// Resolver is the DNS that the checks need. A name or record that does not exist is an
// empty answer. Every error is temporary.
type Resolver interface {
	spf.Resolver
	dmarc.Resolver
}

// Verifier is one generation of the verifying configuration. It never changes
// and may be used by any number of goroutines.
type Verifier struct {
	cfg       Config
	resolver  Resolver
	sealers   sealers
	overrides overrides
	records   records
	hostname  string // authserv-id where neither the configuration nor the MTA names one
	now       func() time.Time
	share     func(client netip.Addr) Lookups // nil: all messages ask the resolver itself

	verifyRSA dkim.RSAVerifier         // nil: Go's
	ownDomain func(domain string) bool // nil: none is known

	beginSeal func(context.Context, message.Envelope, *message.Trace) Seal // nil: none; see WithSealing
}

// New returns the verifier of a validated configuration. hostname is the authserv-id if
// neither the configuration nor the MTA names one. now is the clock for t= and x= of
// signatures.
func New(cfg Config, resolver Resolver, hostname string, now func() time.Time) *Verifier {
	return &Verifier{cfg: cfg, resolver: resolver, hostname: hostname, now: now, sealers: cfg.ARC.sealers(), overrides: newOverrides(cfg.Overrides), records: newRecords(cfg)}
}

// WithRSA returns the verifier with another implementation of RSA; nil is crypto/rsa.
func (v *Verifier) WithRSA(verify dkim.RSAVerifier) *Verifier {
	with := *v
	with.verifyRSA = verify
	return &with
}

// WithOwnDomains returns the verifier with a function that says whether a domain, in
// lower-case A-labels, is one that this host signs for and that the configuration lists by
// name. verifier.own_domains protects these domains. If mail from such a domain is
// refused, the log says how to make it outbound mail.
func (v *Verifier) WithOwnDomains(own func(domain string) bool) *Verifier {
	with := *v
	with.ownDomain = own
	return &with
}

// Verdict is the results of all checks for one message.
type Verdict struct {
	// AuthservID names the host that gives these results.
	AuthservID string
	// Helo is the HELO name as it may be written into a header field.
	Helo string
	SPF  spf.Outcome
	// DKIM has one outcome for each DKIM-Signature field, the top one first.
	DKIM []dkim.Outcome
	// Cut says that the body was not read to its end, so that no signature counts.
	Cut bool
	// WithoutUnread is DMARC without the signatures that the rest of the body could still
	// break. It is set where Cut is.
	WithoutUnread dmarc.Evaluation
	// Author is the author that the From field names.
	Author message.Author
	// DMARC is the evaluation that counts: of the author domain, or, of several, the one
	// with the strictest outcome (RFC 9989 §11.5).
	DMARC dmarc.Evaluation
	// ARC is the outcome of the chain; nil where the message has no ARC fields. Client is
	// the address that it came from, and Sealers is the effect of trusted sealers.
	ARC     *arc.Outcome
	Client  netip.Addr
	Sealers Sealers
	// Others are the findings of the checks that no rule of the policy reads.
	Others []Finding
	// Each has the evaluations of all author domains, where there are several, without
	// the unread signatures of a message that was cut. The policy asks each of them.
	Each []dmarc.Evaluation
	// forwarding says whether the client is one of verifier.forwarders.
	forwarding forwarding
	// overridden has the overrides of the author domains.
	overridden []overridden
	// Own has the evaluations of the author domains that are signing domains of ours, where
	// a rule asks for them. They count a domain without a record as one with a policy.
	Own []dmarc.Evaluation
}

// decisive is the evaluation that the policy uses. An unread signature does not spare a
// message, because the message would be as long at the next attempt.
func (v *Verdict) decisive() dmarc.Evaluation {
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
	forwarding  forwarding
	dkim        *dkim.Verification
	arc         *arc.Verification  // nil without ARC fields
	seal        Seal               // nil: the message is not sealed
	discoveries []dmarc.Discovery  // one for each author domain
	discovery   [1]dmarc.Discovery // room for them: nearly every message has one

	queried   []Finding        // of the checks with query, by their row; nil if none is on
	queriedOf message.Envelope // what these checks read: the envelope at MAIL FROM

	envelopeWaited atomic.Bool // see noteWait

	results [4]message.Result // room for those of the outcome
	result  Result            // what Judge returns; Judged of the outcome

	mu     sync.Mutex
	broken string // a panic in one of our look-ups
}

// Verify begins on one message at MAIL FROM. What it starts ends with ctx.
func (v *Verifier) Verify(ctx context.Context, env message.Envelope) message.Transaction {
	return v.Explain(ctx, env, nil)
}

// Explain is Verify, with every check and every rule that is evaluated in the trace,
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
	for i := range checks {
		switch c := &checks[i]; {
		case c.atMail != nil:
			c.atMail(t)
		case c.query != nil && c.on(v.cfg):
			t.startQuery(i)
		}
	}
	t.startForwarder()
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

// authservID is the configuration's name for us, or the MTA's name for itself.
func (v *Verifier) authservID(env message.Envelope) string {
	for _, id := range []string{v.cfg.AuthservID, env.MTAName, v.hostname} {
		if id != "" && plain(id) {
			return id
		}
	}
	return "localhost"
}

// recovered notes a panic in a task. It is deferred.
func (t *Verification) recovered() {
	if p := recover(); p != nil {
		t.mu.Lock()
		t.broken = fmt.Sprintf("panic: %v\n%s", p, debug.Stack())
		t.mu.Unlock()
	}
}

// Header starts the checks that need the header, and reports whether one needs the body.
func (t *Verification) Header(env message.Envelope, h message.Header) (wantBody bool) {
	t.env, t.header, t.author = env, h, h.Author()
	if t.trusted != "" {
		return false
	}
	if begin := t.verifier.beginSeal; begin != nil {
		t.seal = begin(t.ctx, env, t.trace)
	}
	// The last row first, because DMARC asks for one name after the other.
	for i := range slices.Backward(checks) {
		if start := checks[i].atHeader; start != nil {
			start(t)
		}
	}
	return t.needsBody()
}

func (t *Verification) needsBody() bool { return t.seal != nil || t.dkim.NeedsBody() }

// Body hashes a piece of the body.
func (t *Verification) Body(chunk []byte) (more bool) {
	if t.seal != nil {
		t.seal.Body(chunk)
	}
	_, err := t.dkim.Write(chunk)
	return err == nil && t.needsBody()
}

// Cut says that the rest of the body will not come. The signatures stay unverified.
func (t *Verification) Cut() {
	t.cut = true
	if t.dkim != nil {
		t.dkim.Cut()
	}
}

// End waits for the missing answers and returns what to do with the message.
func (t *Verification) End() message.Outcome {
	out := t.end()
	out.Author, out.Trace = &t.author, t.trace
	return out
}

func (t *Verification) end() message.Outcome {
	r, err := t.Judge()
	if err != nil {
		return t.failed(err)
	}
	out := t.outcomeOf(r)
	out.Judged = r
	return out
}

// outcomeOf is the outcome of a result, with the seal.
func (t *Verification) outcomeOf(r *Result) message.Outcome {
	if r.Unjudged != "" {
		return message.Outcome{Disposition: message.Accept, Log: []message.Note{{Key: "unjudged", Value: r.Unjudged}}, Unjudged: r.Unjudged, Rule: "verifier.trusted.networks"}
	}
	return t.sealed(t.outcome(r), r)
}

// Result is a verdict and what the policy makes of it.
type Result struct {
	Verdict  Verdict
	Decision Decision
	// Findings are those of all checks, to be reported.
	Findings []Finding
	// Unjudged says why the message passes without checks. Nothing else is set then.
	Unjudged string
}

// Judge waits for the missing answers, concludes each check and applies the policy. Call
// it once, and not End as well. The result belongs to t. The error is a failure of ours,
// never a property of the message.
func (t *Verification) Judge() (*Result, error) {
	r := &t.result
	if t.trusted != "" {
		r.Unjudged = t.trusted
		return r, nil
	}
	t.pending.Wait()
	if t.broken != "" {
		return nil, fmt.Errorf("verifying: %s", t.broken)
	}
	v := &r.Verdict
	v.AuthservID, v.Helo = t.verifier.authservID(t.env), writableHelo(t.env.Helo)
	v.Cut, v.Author, v.forwarding, v.Others = t.cut, t.author, t.forwarding, t.others()
	for i := range checks {
		if checks[i].conclude != nil {
			checks[i].conclude(t, v)
		}
	}
	explain(t.trace, t.env, v)
	r.Decision = t.verifier.cfg.decide(v, t.trace)
	r.Findings = find(v, &r.Decision)
	return r, nil
}

// writableHelo is the HELO name for smtp.helo, "" if it is no host name. It is foreign
// text of any kind; address literals are left out, too.
func writableHelo(helo string) string {
	name, ok := message.DomainToASCII(helo)
	if !ok {
		return ""
	}
	return name
}

// failed is the outcome of our own failure to judge. It counts like a look-up that this
// host could not make: on_undecided decides whether the message gets 451, or goes on with
// a temperror as the result of each check.
func (t *Verification) failed(err error) message.Outcome {
	c := t.verifier.cfg
	d := c.forUnknownPolicy()
	d.Rule = "internal error"
	if d.Action.refuses() {
		d.Action = c.OnUndecided
		d.Rule += ", verifier.on_undecided"
	}
	d.Enforced = c.Mode == Enforce
	out := message.Outcome{Disposition: d.Disposition(), Log: append([]message.Note{{Key: "error", Value: err.Error()}}, d.notes()...), Failure: err.Error(), Would: d.would(), Rule: d.Rule}
	if out.Disposition == message.Tempfail {
		out.Reply = message.Reply{Code: 451, Enhanced: "4.3.0", Text: "the message could not be checked just now, try again later"}
		return out
	}
	id := t.verifier.authservID(t.env)
	out.Remove = t.verifier.Forged(t.env, t.header)
	out.Insert = []message.Field{{Name: fieldName, Value: brokenField(id)}}
	if t.seal != nil {
		out.Unsealed = "the message could not be checked"
		out.Log = append(out.Log, message.Unsealed(out.Unsealed))
	}
	return out
}
