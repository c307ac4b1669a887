package dkim

import (
	"context"
	"crypto"
	"strings"
	"time"

	"signpost/internal/message"
)

const (
	reasonTooMany    = "not evaluated: too many signatures"
	reasonNoLookup   = "the key was not looked up in time"
	reasonTemporary  = "the key could not be looked up"
	reasonTopLevel   = "d= is a top-level domain"
	reasonExpired    = "the signature has expired"
	reasonFuture     = "the signature is dated in the future"
	reasonBody       = "the body was changed after it was signed"
	reasonHeader     = "a signed field was changed, or the signature is not the key owner's"
	reasonShortBody  = "the body is shorter than l="
	reasonCut        = "the message is too large to be checked"
	reasonUnsigned   = "the body goes on after what is signed (l=)"
	reasonManyKeys   = "there are more than two keys at one selector"
	reasonNoRecord   = "there is no key record"
	reasonKeyType    = "the key is of another type than a="
	reasonHashBarred = "h= of the key record does not allow the hash"
	reasonStrict     = "i= is in a subdomain, which t=s of the key record does not allow"
)

// Verification judges the signatures of one message. Call NewVerification; then
// LookupKey for each key and Write for each piece of the body, in any order and
// concurrently; then Finish.
type Verification struct {
	opt    Options
	checks []check
	claims []claim // all fields in order, if there are more than MaxSignatures
	keys   []keyQuery
	bodies []body
	cut    bool // the body is not whole

	related     []check // signatures of other fields
	relatedKeys []relatedKey

	// Memory for what nearly every message needs.
	keyRoom   [2]keyQuery
	bodyRoom  [2]body
	checkRoom [1]check
	outcome   [1]Outcome
}

// check is the work on one DKIM-Signature field.
type check struct {
	sig       Signature
	field     int
	verdict   verdict // final if it has a result
	err       error
	key       int // index into keys
	body      int // index into bodies
	headerSum [maxHashOctets]byte
	uncovered []string
	keyBits   int
	testing   bool
}

// verdict is a result and its reason.
type verdict struct {
	result Result
	reason string
}

// keyQuery is a key to be looked up, for one or more signatures.
type keyQuery struct {
	name     string
	mayAlign bool // one of them could align with an author domain
}

// body is one pass over the body for all signatures with the same canonicalization and
// hash. They differ at most in l=.
type body struct {
	canon Canonicalization
	hash  crypto.Hash
	pass  *BodyHash
}

// NewVerification reads the signatures of a header and computes their header hashes.
// For a message without any, Finish returns nothing.
func NewVerification(h message.Header, opt Options) *Verification {
	if opt.MaxSignatures <= 0 {
		opt.MaxSignatures = defaultMaxSignatures
	}
	if opt.MinRSABits <= 0 {
		opt.MinRSABits = defaultMinRSABits
	}
	if opt.Skew <= 0 {
		opt.Skew = defaultSkew
	}
	v := &Verification{opt: opt}
	n := h.Count(fieldName)
	if n == 0 {
		return v
	}
	v.checks, v.keys, v.bodies = v.checkRoom[:0], v.keyRoom[:0], v.bodyRoom[:0]
	if n > opt.MaxSignatures {
		v.prioritize(h, n)
	} else {
		v.readAll(h, n)
	}
	v.prepare(h)
	return v
}

const fieldName = "DKIM-Signature"

// readAll reads all n signatures.
func (v *Verification) readAll(h message.Header, n int) {
	if n > len(v.checkRoom) {
		v.checks = make([]check, 0, n)
	}
	for i, f := range h {
		if f.Is(fieldName) {
			v.read(i, f)
		}
	}
}

// read parses the field at an index, adds its check, and decides everything that needs
// no key.
func (v *Verification) read(i int, f message.Field) verdict {
	v.checks = append(v.checks, check{field: i})
	c := &v.checks[len(v.checks)-1]
	if err := c.sig.parse(f.Value, v.opt); err != nil {
		c.verdict = verdict{PermError, err.Error()}
		return c.verdict
	}
	// §3.5 d=, the ABNF of domain-name; §6.1.1 on "com".
	if strings.IndexByte(c.sig.Domain, '.') < 0 {
		c.verdict = verdict{PermError, reasonTopLevel}
	} else if !v.opt.Now.IsZero() {
		c.verdict = c.sig.judgeTime(v.opt.Now.Unix(), int64(v.opt.Skew/time.Second))
	}
	return c.verdict
}

// judgeTime checks t= and x= against now; all in seconds.
func (s *Signature) judgeTime(now, skew int64) verdict {
	switch {
	// §3.5 x=: a fudge factor is allowed.
	case s.Expires >= 0 && now > s.Expires+skew:
		return verdict{PermError, reasonExpired}
	// §3.5 t=
	case s.Time > now+skew:
		return verdict{PermError, reasonFuture}
	}
	return verdict{}
}

// prepare hashes the header for each evaluated signature, and lists the keys and the
// passes over the body, each once.
func (v *Verification) prepare(h message.Header) {
	var header headerHasher
	begun := false
	for i := range v.checks {
		c := &v.checks[i]
		if c.verdict.result != "" {
			continue
		}
		if !begun {
			header.begin(h)
			begun = true
		}
		c.key = v.wantKey(c.sig.keyName())
		v.keys[c.key].mayAlign = v.keys[c.key].mayAlign || v.chance(c.sig.Domain) > 0
		c.body = v.wantBody(&c.sig)
		header.sum(&c.sig, h[c.field], c.field, &c.headerSum)
		c.uncovered = header.index.uncovered(c.sig.HeaderCanon)
	}
}

func (v *Verification) wantKey(name string) int {
	for i := range v.keys {
		if v.keys[i].name == name {
			return i
		}
	}
	v.keys = append(v.keys, keyQuery{name: name})
	return len(v.keys) - 1
}

func (v *Verification) wantBody(s *Signature) int {
	i := 0
	for i < len(v.bodies) && (v.bodies[i].canon != s.BodyCanon || v.bodies[i].hash != s.hash) {
		i++
	}
	if i == len(v.bodies) {
		v.bodies = append(v.bodies, body{s.BodyCanon, s.hash, NewBodyHash(s.BodyCanon, newHash(s.hash))})
	}
	if s.Length >= 0 {
		v.bodies[i].pass.Mark(s.Length)
	}
	return i
}

// Keys returns how many keys are to be looked up.
func (v *Verification) Keys() int { return len(v.keys) }

// KeyName returns the name at which key i is looked up, for a log or a trace; "" if
// there is no such key.
func (v *Verification) KeyName(i int) string {
	if i < 0 || i >= len(v.keys) {
		return ""
	}
	return v.keys[i].name
}

// NeedsBody reports whether Write is needed.
func (v *Verification) NeedsBody() bool { return len(v.bodies) > 0 }

// Write adds the next piece of the body, cut anywhere, with CRLF line ends. It does not
// keep the slice and returns no error.
func (v *Verification) Write(chunk []byte) (int, error) {
	for i := range v.bodies {
		v.bodies[i].pass.Write(chunk)
	}
	return len(chunk), nil
}

// Cut declares the body incomplete. A signature that only the rest of the body could
// break is then a temporary error.
func (v *Verification) Cut() { v.cut = true }

// Finish returns one Outcome for each DKIM-Signature field, the top one first. All
// calls of LookupKey must have returned. A key that was never looked up counts as a
// temporary error.
func (v *Verification) Finish() []Outcome {
	for i := range v.bodies {
		v.bodies[i].pass.Close()
	}
	if len(v.checks) == 0 {
		return nil
	}
	outcomes := v.outcome[:]
	if n := max(len(v.checks), len(v.claims)); n > 1 {
		outcomes = make([]Outcome, n)
	}
	for i := range outcomes {
		switch {
		case v.claims == nil:
			outcomes[i] = v.finish(&v.checks[i])
		case v.claims[i].check >= 0:
			outcomes[i] = v.finish(&v.checks[v.claims[i].check])
		default:
			outcomes[i] = Outcome{Result: Neutral, Reason: reasonTooMany, Field: v.claims[i].field, Domain: v.claims[i].domain, Length: -1}
		}
	}
	return outcomes
}

// finish returns the outcome of a parsed signature.
func (v *Verification) finish(c *check) Outcome {
	decided := v.judge(c)
	return c.outcome(decided)
}

// outcome returns the outcome of a check with this verdict.
func (c *check) outcome(decided verdict) Outcome {
	o := Outcome{Result: decided.result, Reason: decided.reason, Field: c.field, Domain: c.sig.Domain,
		Selector: c.sig.Selector, AUID: c.sig.AUID, Algorithm: c.sig.Algorithm, B: c.sig.B, KeyBits: c.keyBits,
		Testing: c.testing, Length: c.sig.Length, Err: c.err}
	if decided.result == Pass || decided.result == Policy {
		o.Uncovered = c.uncovered
	}
	return o
}

// judge combines the results of key, header and body.
func (v *Verification) judge(c *check) verdict {
	decided := c.verdict
	switch {
	case decided.result == "":
		return verdict{TempError, reasonNoLookup}
	case c.body == noBody:
		return decided
	case v.cut && decided.result == Pass:
		return verdict{TempError, reasonCut}
	case v.cut:
		return decided
	case decided.result == Pass || decided.result == Fail:
		if body := v.judgeBody(c); body.result != Pass && (decided.result == Pass || body.result == Fail) {
			decided = body
		}
	}
	return decided
}

// judgeBody compares the body hash (§6.1.3, step 3).
func (v *Verification) judgeBody(c *check) verdict {
	pass, want := v.bodies[c.body].pass, string(c.sig.bodyHash[:c.sig.hash.Size()])
	if c.sig.Length < 0 {
		if string(pass.Sum()) != want {
			return verdict{Fail, reasonBody}
		}
		return verdict{result: Pass}
	}
	sum, ok := pass.At(c.sig.Length)
	switch {
	case !ok:
		return verdict{PermError, reasonShortBody} // §3.5, l=
	case string(sum) != want:
		return verdict{Fail, reasonBody}
	case pass.Len() > c.sig.Length:
		return verdict{Policy, reasonUnsigned} // §6.1.3
	}
	return verdict{result: Pass}
}

// LookupKey looks up key i, from 0 to Keys()-1, and verifies the header hashes of the
// signatures that use it. After a failed look-up, it may be called again. Calls for
// different keys may run concurrently, and concurrently with Write.
func (v *Verification) LookupKey(ctx context.Context, i int, r Resolver) {
	if i < 0 || i >= len(v.keys) {
		return
	}
	records, err := r.LookupTXT(ctx, v.keys[i].name)
	var found keysFound
	if err == nil {
		found = v.opt.parseKeys(records)
	}
	for j := range v.checks {
		c := &v.checks[j]
		// Other calls may be writing the verdicts of signatures of other keys.
		if c.key != i || c.verdict.result != "" && c.err == nil {
			continue
		}
		if err != nil {
			// §6.1.2, step 2
			c.verdict, c.err = verdict{TempError, reasonTemporary}, err
			continue
		}
		c.err = nil
		c.verify(&found, v.opt.VerifyRSA)
	}
}
