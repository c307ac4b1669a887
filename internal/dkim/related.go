package dkim

import (
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"strings"
	"time"

	"signpost/internal/message"
)

// SumOctets is the length of a header hash over SHA-256.
const SumOctets = sha256.Size

const (
	errSealHeaders problem = "h= stands in an ARC-Seal, which does not allow it"
	errSealSigned  problem = "h= covers ARC-Seal"
)

// ARCSignature is the signature in an ARC-Message-Signature or ARC-Seal field (RFC 8617
// §4.1.2, §4.1.3), which are written like a DKIM-Signature.
type ARCSignature struct {
	Signature
	// Instance is i= and Status is cv=, as they are written; empty where the tag list
	// cannot be read.
	Instance, Status string
	// NoCanon says that there is no c=. HeaderCanon and BodyCanon are relaxed then.
	NoCanon bool
	// Err says in constant words why the signature cannot be verified.
	Err error
}

// ParseARC reads the value of an ARC-Message-Signature or, with seal, an ARC-Seal field.
// Now and Skew of the options judge its times.
func ParseARC(value string, seal bool, opt Options) ARCSignature {
	a := ARCSignature{Signature: Signature{Length: -1, Time: -1, Expires: -1, HeaderCanon: Simple, BodyCanon: Simple}}
	if len(value) > maxFieldOctets {
		a.Err = errFieldTooLong
		return a
	}
	tags, status, err := a.readTags(value)
	a.identify(&tags)
	if err != nil {
		a.Err = err
		return a
	}
	a.Instance, a.Status = tags.i.value, status
	a.AUID, a.auidDomain = "@"+a.Domain, a.Domain
	if seal {
		a.Err = a.checkSeal(&tags, opt)
	} else {
		a.Err = a.checkMessage(&tags, opt)
		if a.NoCanon = !tags.c.set; a.NoCanon {
			a.HeaderCanon, a.BodyCanon = Relaxed, Relaxed
		}
	}
	if a.Err == nil && !opt.Now.IsZero() {
		skew := opt.Skew
		if skew <= 0 {
			skew = defaultSkew
		}
		if decided := a.judgeTime(opt.Now.Unix(), int64(skew/time.Second)); decided.result != "" {
			a.Err = problem(decided.reason)
		}
	}
	return a
}

// readTags reads the tag list and returns cv= beside the tags of DKIM. Comments may stand
// around the instance at its beginning, and nowhere else.
func (s *Signature) readTags(value string) (tags sigTags, status string, err error) {
	r := tagReader{list: value}
	if digits, end := instanceTag(value); end > 0 && digits != "" && r.printable(value[:end-1]) {
		tags.i, r.pos = optional{digits, true}, end
		r.add("i")
	}
	for t, ok := r.next(); ok; t, ok = r.next() {
		if o := tags.of(t.name); o != nil {
			*o = optional{t.value, true}
		}
		switch t.name {
		case "b":
			s.cutStart, s.cutEnd = t.start, t.end
		case "cv":
			status = t.value
		}
	}
	return tags, status, r.err
}

// instanceTag reads the instance tag that an ARC field begins with, and the semicolon behind
// it. White space and comments may stand around its parts (RFC 8617 §4.2.1). It returns the
// digits, which may be none, and the length of all; 0 if the field does not begin so.
func instanceTag(value string) (digits string, end int) {
	rest, ok := strings.CutPrefix(message.SkipCFWS(value), "i")
	if ok {
		rest, ok = strings.CutPrefix(message.SkipCFWS(rest), "=")
	}
	if !ok {
		return "", 0
	}
	rest = message.SkipCFWS(rest)
	n := 0
	for n < len(rest) && '0' <= rest[n] && rest[n] <= '9' {
		n++
	}
	digits = rest[:n]
	if rest, ok = strings.CutPrefix(message.SkipCFWS(rest[n:]), ";"); !ok {
		return "", 0
	}
	return digits, len(value) - len(rest)
}

// checkSeal reads the tags of an ARC-Seal (RFC 8617 §4.1.3): a, b, d, s and t. Other tags
// are ignored, but for h=.
func (s *Signature) checkSeal(tags *sigTags, opt Options) error {
	if tags.h.set {
		return errSealHeaders
	}
	s.HeaderCanon = Relaxed
	tags.l, tags.x = optional{}, optional{}
	err := s.checkSigner(tags, opt)
	if err == nil {
		err = s.readTimes(tags, opt)
	}
	if err == nil {
		err = s.readData(tags)
	}
	return err
}

// checkMessage reads the tags of an ARC-Message-Signature (RFC 8617 §4.1.2): those of
// DKIM without v=, where i= is the instance.
func (s *Signature) checkMessage(tags *sigTags, opt Options) error {
	err := s.checkSigner(tags, opt)
	if err == nil {
		err = s.readCanon(tags, opt)
	}
	if err == nil {
		err = s.readQuery(tags, opt)
	}
	if err == nil {
		err = s.readARCHeaders(tags)
	}
	if err == nil {
		err = s.readTimes(tags, opt)
	}
	if err == nil {
		err = s.readHashes(tags, opt)
	}
	return err
}

func (s *Signature) checkSigner(tags *sigTags, opt Options) error {
	err := s.readAlgorithm(tags, opt)
	if err == nil {
		err = s.readDomain(tags, opt)
	}
	if err == nil && strings.IndexByte(s.Domain, '.') < 0 {
		err = problem(reasonTopLevel)
	}
	return err
}

// readARCHeaders checks h= of an ARC-Message-Signature. The test suite of ARC has an empty
// h=, and empty names, in signatures that are valid.
func (s *Signature) readARCHeaders(tags *sigTags) error {
	s.Headers = tags.h.value
	if !tags.h.set {
		return errNoHeaders
	}
	var err error
	from, n := s.Headers == "", 0
	list(s.Headers, func(name string) bool {
		n++
		switch {
		case n > maxSignedNames:
			err = errManyHeaders
		case name != "" && !isFieldName(name):
			err = errHeaders
		case message.EqualFold(name, "ARC-Seal"): // RFC 8617 §4.1.2
			err = errSealSigned
		case message.EqualFold(name, "From"):
			from = true
		}
		return err == nil
	})
	if err == nil && !from {
		err = errFromNotSigned
	}
	return err
}

func (s *Signature) readData(tags *sigTags) error {
	switch {
	case tags.b.value == "":
		return errNoData
	case s.B == "":
		return errData
	}
	return nil
}

// AppendUnsigned appends the signature's own field in the relaxed form in which it is
// hashed: with b= emptied and without CRLF.
func (s *Signature) AppendUnsigned(dst []byte, own message.Field) []byte {
	return appendSignature(dst, own, s.cutStart, s.cutEnd, Relaxed)
}

// Uncovers names the first field of a header that RFC 5322 §3.6 allows once and that has
// more copies than h= covers; "" if there is none. With the copies, the fields have to be
// named as often as they stand.
func (s *Signature) Uncovers(h message.Header) string {
	for _, name := range single[:onlyOnce] {
		stands := countRead(h, name)
		if stands == 0 {
			continue
		}
		list(s.Headers, func(signed string) bool {
			if message.EqualFold(signed, name) {
				stands--
			}
			return stands > 0
		})
		if stands > 0 {
			return name
		}
	}
	return ""
}

// countRead counts the fields that programs read as this one: white space may stand before
// the colon (RFC 5322 §4.5), as in a fieldIndex.
func countRead(h message.Header, name string) int {
	n := 0
	for _, f := range h {
		if message.EqualFold(trimWSP(f.Name), name) {
			n++
		}
	}
	return n
}

// Related is a signature in another field than DKIM-Signature that a Verification verifies
// beside the message's own, with the same pass over the body.
type Related struct {
	Signature *Signature
	// Field is the index of its field in the header.
	Field int
	// Sum is the header hash of a signature that covers no body (an ARC-Seal). nil: the
	// signature is like one of DKIM.
	Sum *[SumOctets]byte
}

// relatedKey is the answer at one name.
type relatedKey struct {
	name  string
	found keysFound
	err   error
}

// Relate adds signatures to those that are verified. Call it once, before the first Write.
func (v *Verification) Relate(h message.Header, asked []Related) {
	v.related = make([]check, len(asked))
	var header headerHasher
	begun := false
	for i, r := range asked {
		c := &v.related[i]
		c.sig, c.field, c.body = *r.Signature, r.Field, noBody
		if r.Sum != nil {
			copy(c.headerSum[:], r.Sum[:])
			continue
		}
		if !begun {
			header.begin(h)
			begun = true
		}
		c.body = v.wantBody(&c.sig)
		header.sum(&c.sig, h[r.Field], r.Field, &c.headerSum)
		c.uncovered = header.index.uncovered(c.sig.HeaderCanon)
	}
}

// noBody is the body of a signature that covers none.
const noBody = -1

// CheckRelated looks up the key of related signature i, unless an earlier call did, and
// verifies the header hash. The outcome is as if the body were right. The calls must not
// run at the same time; beside Write and LookupKey they may.
func (v *Verification) CheckRelated(ctx context.Context, i int, r Resolver) Outcome {
	c := &v.related[i]
	key := v.lookupRelated(ctx, c.sig.keyName(), r)
	switch {
	case c.verdict.result != "" && c.err == nil: // verified with the key, before ForgetRelatedKeys
	case key.err != nil:
		c.verdict, c.err = verdict{TempError, reasonTemporary}, key.err
	default:
		c.err = nil
		c.verify(&key.found, v.opt.VerifyRSA)
	}
	return c.outcome(c.verdict)
}

// ForgetRelatedKeys makes CheckRelated look up each key again. What was verified with a key stays so.
func (v *Verification) ForgetRelatedKeys() { v.relatedKeys = v.relatedKeys[:0] }

func (v *Verification) lookupRelated(ctx context.Context, name string, r Resolver) *relatedKey {
	for i := range v.relatedKeys {
		if v.relatedKeys[i].name == name {
			return &v.relatedKeys[i]
		}
	}
	records, err := r.LookupTXT(ctx, name)
	key := relatedKey{name: name, err: err}
	if err == nil {
		key.found = v.opt.parseKeys(records)
	}
	v.relatedKeys = append(v.relatedKeys, key)
	return &v.relatedKeys[len(v.relatedKeys)-1]
}

// FinishRelated returns the outcome of related signature i. Finish must have returned.
func (v *Verification) FinishRelated(i int) Outcome { return v.finish(&v.related[i]) }

// SumHeader computes the header hash of a signature that is to be made: over the fields
// that h= names, and its own field, whose value ends with an empty b= or has it at cut.
func SumHeader(h message.Header, headers string, c Canonicalization, own message.Field, cut int) [SumOctets]byte {
	var header headerHasher
	header.begin(h)
	unsigned := Signature{Headers: headers, HeaderCanon: c, hash: crypto.SHA256, cutStart: cut, cutEnd: cut}
	var sum [maxHashOctets]byte
	header.sum(&unsigned, own, -1, &sum)
	return sum
}

// Algorithm returns the a= of signatures by a public key, and the hash that a crypto.Signer
// is asked with. "" for a key that cannot be used.
func Algorithm(public crypto.PublicKey) (name string, hash crypto.Hash) {
	switch public := public.(type) {
	case *rsa.PublicKey:
		if public.N.BitLen() >= defaultMinRSABits { // RFC 8301 §3.2
			return rsaSHA256, crypto.SHA256
		}
	case ed25519.PublicKey:
		return ed25519SHA256, 0 // RFC 8463 §3
	}
	return "", 0
}
