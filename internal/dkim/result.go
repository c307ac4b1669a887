package dkim

import (
	"context"
	"crypto"
	"crypto/rsa"
	"time"
)

// Result is the outcome for one signature, in the words of RFC 8601 §2.7.1.
type Result string

const (
	// None: there is no signature, or one that is treated as absent. Only
	// Outcome.Effective returns it.
	None Result = "none"
	// Pass: body hash and signature are right. Outcome.Testing may still be set.
	Pass Result = "pass"
	// Fail: the body or a signed field was changed, or the signature was forged.
	Fail Result = "fail"
	// Policy: the signature is right but covers too little: the body continues after
	// l=.
	Policy Result = "policy"
	// Neutral: the signature was not evaluated, because there are too many. Only its
	// domain was read.
	Neutral Result = "neutral"
	// TempError: the key could not be looked up; a later attempt may succeed.
	TempError Result = "temperror"
	// PermError: the field or the key record is wrong, missing, revoked, expired or
	// not allowed. It proves nothing in either direction.
	PermError Result = "permerror"
)

// Canonicalization is one of the two algorithms of §3.4.
type Canonicalization string

const (
	// Simple changes nothing in a field, and only the empty lines at the end of a
	// body.
	Simple Canonicalization = "simple"
	// Relaxed ignores how white space is written.
	Relaxed Canonicalization = "relaxed"
)

// Resolver is the DNS that a verifier needs. A name that does not exist, or has no TXT
// records, gives no strings and no error; an error is temporary. Each string is one
// record, its character-strings joined, as raw octets. All goroutines that call
// LookupKey use it concurrently.
type Resolver interface {
	LookupTXT(ctx context.Context, name string) ([]string, error)
}

const (
	defaultMaxSignatures = 8
	defaultMinRSABits    = 1024 // RFC 8301 §3.2
	defaultSkew          = 5 * time.Minute
)

// Options are the verifier's choices. The zero value is strict and usable, but does not
// check times.
type Options struct {
	// Now is when the message was received. If zero, t= and x= are not checked.
	Now time.Time
	// Skew is how far the signer's clock may differ from ours; zero is 5 minutes.
	Skew time.Duration
	// MaxSignatures limits how many signatures are evaluated and so how many keys are
	// looked up; zero is 8.
	MaxSignatures int
	// MinRSABits is the shortest modulus accepted; zero is 1024.
	MinRSABits int
	// AuthorDomains are the message's author domains, as lower-case A-labels. If there
	// are too many signatures, those that could align with one are evaluated first.
	AuthorDomains []string
	// AllowSHA1 and AllowMissingV accept two things that RFC 8301 §3.1 and RFC 6376
	// §6.1.1 forbid: rsa-sha1; and signatures of the drafts before RFC 4871, with no
	// v= or v=0.5, and q=dns. Use them only to read old test messages.
	AllowSHA1, AllowMissingV bool
	// Service is allowed in s= of a key record beside email, as tlsrpt for reports on TLS (RFC 8460 §3).
	// Such a signature is good for nothing else.
	Service string
	// VerifyRSA is tried first unless nil. It is called concurrently.
	VerifyRSA RSAVerifier
	// ReadKey stands in for the method Key of these options, and returns the same; nil is
	// that method. It is called concurrently, and may return one Key to many callers.
	ReadKey func(record string) (*Key, error)
}

// Key reads a key record as these options want it: MinRSABits and Service matter, and
// nothing else does. Unlike ParseKey, it does not check that an Ed25519 key is a point of
// the curve, which only a signature that fails needs to know.
func (opt Options) Key(record string) (*Key, error) {
	if opt.MinRSABits <= 0 {
		opt.MinRSABits = defaultMinRSABits
	}
	return parseKey(record, opt.MinRSABits, opt.Service)
}

// An RSAVerifier returns true only if a PKCS #1 v1.5 signature of a hash is valid. If
// it returns false, crypto/rsa decides.
type RSAVerifier func(public *rsa.PublicKey, hash crypto.Hash, sum, signature []byte) bool

// Outcome is the result for one DKIM-Signature field.
type Outcome struct {
	Result Result
	// Reason says in a few words why the result is not a plain pass; empty for one. It
	// contains no foreign text.
	Reason string
	// Field is the index of the DKIM-Signature field in the header.
	Field int
	// Domain (the SDID) and Selector are lower-case A-labels; empty if the field has
	// no usable ones.
	Domain, Selector string
	// AUID is i= as written, without white space, or "@" and the SDID; empty if the
	// SDID may not speak for it. The local part is foreign text.
	AUID string
	// Algorithm is a= in lower case, if it is a word; otherwise empty.
	Algorithm string
	// B is b= without white space, as base64; empty if b= is not base64. header.b is
	// its first eight characters (RFC 6008 §4).
	B string
	// KeyBits is the size of the key that was used; 0 for none.
	KeyBits int
	// Testing is set if the key has t=y: see Effective.
	Testing bool
	// Length is l=, the number of signed octets of the canonical body; -1 for all.
	Length int64
	// Uncovered names, in lower case, fields that RFC 5322 §3.6 allows once and that
	// have another copy, not signed and different from the signed one (§8.15): a mail
	// reader may display unsigned text. Set for Pass and Policy only.
	Uncovered []string
	// Err is the resolver's error behind a TempError, for the log.
	Err error
}

// Effective is the result to act on. §3.6.1: mail signed under a test key (t=y) is not
// treated differently from unsigned mail, even if the signature fails. So a result
// other than pass becomes none. A pass stays a pass, as is common practice, and should
// be shown with the word "testing".
func (o Outcome) Effective() Result {
	if o.Testing && o.Result != Pass {
		return None
	}
	return o.Result
}
