package arc

import (
	"context"
	"crypto/sha256"
	"fmt"
	"hash"

	"signpost/internal/dkim"
	"signpost/internal/message"
)

// Result is the Chain Validation Status (§4.4), in the words of RFC 8617 §10.1.
type Result string

const (
	None Result = "none" // there is no chain
	Pass Result = "pass" // the chain is whole, and the message is as the newest sealer sent it
	Fail Result = "fail" // anything else
)

// Outcome is what was found out about the chain of one message.
type Outcome struct {
	Result Result
	// Reason says why the result is fail, in words without foreign text.
	Reason string
	// OldestPass is the oldest instance whose message signature verifies, 0 if all do (§5.2
	// step 5). Set for Pass only.
	OldestPass int
	// Sets are the sets of a chain without mistakes in its structure, the oldest first.
	Sets []SetOutcome
	// Undecided says that the result is fail because a key could not be looked up, and that
	// nothing else was found to be wrong. Err is the resolver's error.
	Undecided bool
	Err       error
	// Instances is how many sets there are, as far as they could be read, and Ended says that
	// the newest seal says cv=fail, so that no other may be added (§5.1, step 2).
	Instances int
	Ended     bool
}

// SetOutcome is one set.
type SetOutcome struct {
	// Domain (d=) and Selector (s=) of the seal, as lower-case A-labels.
	Domain, Selector string
	// Seal and Message say what was found about the two signatures. Of sets that were not
	// reached, the result is temperror.
	Seal, Message dkim.Outcome
	// Covers says that the message signature covers the whole body and each field present
	// that RFC 5322 §3.6 allows once. It does not say that the signature verifies.
	Covers bool
	// Results is the payload of the ARC-Authentication-Results field: foreign text, in the
	// form of an Authentication-Results field's value.
	Results string
}

// Verification verifies the chain of one message. The order is: Begin; LookupKeys, beside the
// body; Finish.
type Verification struct {
	chain  *Chain
	header message.Header
	dkim   *dkim.Verification
}

// Begin adds the chain's signatures to those of the message, which must not have got any of
// the body yet.
func (c *Chain) Begin(h message.Header, d *dkim.Verification) *Verification {
	v := &Verification{chain: c, header: h, dkim: d}
	if c.broken != "" {
		return v
	}
	sums := c.sealSums(h)
	related := make([]dkim.Related, 0, 2*len(c.sets))
	for i := range c.sets {
		s := &c.sets[i]
		related = append(related, dkim.Related{Signature: &s.seal.Signature, Field: s.at[sealField], Sum: &sums[i]})
		if s.message.Err == nil {
			related = append(related, dkim.Related{Signature: &s.message.Signature, Field: s.at[messageField]})
		} else {
			// It keeps its place and is never asked for.
			related = append(related, dkim.Related{Signature: &s.message.Signature, Field: s.at[messageField], Sum: new([dkim.SumOctets]byte)})
		}
	}
	for i := range c.sets {
		if s := &c.sets[i]; s.message.Err == nil && s.message.NoCanon {
			simple := s.message.Signature
			simple.HeaderCanon, simple.BodyCanon = dkim.Simple, dkim.Simple
			s.simple = len(related)
			related = append(related, dkim.Related{Signature: &simple, Field: s.at[messageField]})
		}
	}
	d.Relate(h, related)
	return v
}

// sealOf and messageOf are the indexes of an instance's signatures among the related ones.
func sealOf(instance int) int    { return 2 * (instance - 1) }
func messageOf(instance int) int { return 2*(instance-1) + 1 }

// checkMessage verifies an instance's message signature as far as its key and the header
// go.
func (v *Verification) checkMessage(ctx context.Context, i int, r dkim.Resolver) dkim.Result {
	result := v.dkim.CheckRelated(ctx, messageOf(i), r).Result
	if simple := v.chain.sets[i-1].simple; simple > 0 && result != dkim.Pass {
		return v.dkim.CheckRelated(ctx, simple, r).Result
	}
	return result
}

// finishMessage is the outcome of an instance's message signature.
func (v *Verification) finishMessage(i int) dkim.Outcome {
	o := v.dkim.FinishRelated(messageOf(i))
	if simple := v.chain.sets[i-1].simple; simple > 0 && !verifies(o) {
		if other := v.dkim.FinishRelated(simple); verifies(other) {
			return other
		}
	}
	return o
}

// sealSums are the hashes that the seals sign (§5.1.1): all sets up to their own, each in
// the order results, message signature, seal. Together they cost as much as the longest.
func (c *Chain) sealSums(h message.Header) [][dkim.SumOctets]byte {
	sums := make([][dkim.SumOctets]byte, len(c.sets))
	running := sha256.New()
	var buf []byte
	for i := range c.sets {
		s := &c.sets[i]
		buf = dkim.AppendField(buf[:0], h[s.at[resultsField]], dkim.Relaxed)
		buf = dkim.AppendField(buf, h[s.at[messageField]], dkim.Relaxed)
		running.Write(buf)
		own := fork(running)
		own.Write(s.seal.AppendUnsigned(buf[:0], h[s.at[sealField]]))
		own.Sum(sums[i][:0])
		running.Write(dkim.AppendField(buf[:0], h[s.at[sealField]], dkim.Relaxed))
	}
	return sums
}

// fork returns a hash that has got what h got.
func fork(h hash.Hash) hash.Hash {
	if c, ok := h.(hash.Cloner); ok {
		if other, err := c.Clone(); err == nil {
			return other
		}
	}
	panic("arc: SHA-256 cannot be cloned")
}

// NeedsKeys reports whether LookupKeys has anything to do.
func (v *Verification) NeedsKeys() bool { return v.chain.broken == "" }

// LookupKeys looks up the keys, each once, the newest set's first, as far as they matter,
// and verifies with them. It may run beside the body. After a failed look-up, it may be called
// again; then it asks for all keys again.
func (v *Verification) LookupKeys(ctx context.Context, r dkim.Resolver) {
	if !v.NeedsKeys() {
		return
	}
	v.dkim.ForgetRelatedKeys()
	newest := len(v.chain.sets)
	older := v.checkMessage(ctx, newest, r) == dkim.Pass
	seal := v.dkim.CheckRelated(ctx, sealOf(newest), r)
	for i := newest - 1; i >= 1 && older && seal.Result == dkim.Pass; i-- {
		seal = v.dkim.CheckRelated(ctx, sealOf(i), r)
	}
	for i := newest - 1; i >= 1 && older && seal.Result == dkim.Pass && v.chain.sets[i-1].message.Err == nil; i-- {
		older = v.checkMessage(ctx, i, r) == dkim.Pass
	}
}

// Finish returns the outcome (§5.2, steps 4 to 7). The message's dkim.Verification must be
// finished.
func (v *Verification) Finish() Outcome {
	c := v.chain
	o := Outcome{Result: Fail, Reason: c.broken, Instances: c.highest, Ended: c.ended}
	if c.broken != "" {
		return o
	}
	o.Sets = make([]SetOutcome, len(c.sets))
	for i := range c.sets {
		o.Sets[i] = v.set(i + 1)
	}
	newest := len(o.Sets)
	failed := o.check(fmt.Sprintf("message signature %d", newest), o.Sets[newest-1].Message)
	for i := newest; i >= 1 && !failed; i-- {
		failed = o.check(fmt.Sprintf("seal %d", i), o.Sets[i-1].Seal)
	}
	if failed {
		// The newest seal is checked even where the message signature's key did not come.
		o.Undecided = o.Undecided && (verifies(o.Sets[newest-1].Seal) || o.Sets[newest-1].Seal.Result == dkim.TempError)
		return o
	}
	o.Result, o.OldestPass = Pass, 0
	for i := newest - 1; i >= 1; i-- {
		if !verifies(o.Sets[i-1].Message) {
			o.OldestPass = i + 1
			break
		}
	}
	return o
}

// check notes a signature that does not verify.
func (o *Outcome) check(what string, found dkim.Outcome) (failed bool) {
	if verifies(found) {
		return false
	}
	o.Reason = what + ": " + found.Reason
	if found.Result == dkim.TempError {
		o.Undecided, o.Err = found.Err != nil, found.Err
	}
	return true
}

// verifies says that a signature is valid. What l= leaves unsigned does not make it invalid.
func verifies(o dkim.Outcome) bool { return o.Result == dkim.Pass || o.Result == dkim.Policy }

func (v *Verification) set(i int) SetOutcome {
	s := &v.chain.sets[i-1]
	_, payload := splitResults(v.header[s.at[resultsField]].Value)
	o := SetOutcome{Domain: s.seal.Domain, Selector: s.seal.Selector, Seal: v.dkim.FinishRelated(sealOf(i)), Results: payload}
	if s.message.Err != nil {
		o.Message = dkim.Outcome{Result: dkim.PermError, Reason: s.message.Err.Error(), Field: s.at[messageField], Length: -1}
		return o
	}
	o.Message = v.finishMessage(i)
	o.Covers = s.message.Length < 0 && len(o.Message.Uncovered) == 0 && s.message.Uncovers(v.header) == ""
	return o
}
