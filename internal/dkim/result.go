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
	// None: there is no signature, or one to be treated as if it were not there.
	// Only Outcome.Effective returns it.
	None Result = "none"
	// Pass: body hash and signature are right. Outcome.Testing may still be set.
	Pass Result = "pass"
	// Fail: the body or a signed field was changed, or the signature is forged.
	Fail Result = "fail"
	// Policy: the signature is right but covers too little: the body goes on
	// after l=.
	Policy Result = "policy"
	// Neutral: the signature was not evaluated, since there are too many; only its
	// domain was read.
	Neutral Result = "neutral"
	// TempError: the key could not be looked up; a later attempt may succeed.
	TempError Result = "temperror"
	// PermError: the field or the key record is wrong, missing, revoked, expired
	// or of a kind that may not be used. Nothing was proved either way.
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

// Resolver is what verifying needs of DNS. A name that does not exist, or has no
// TXT records, gives none and no error; an error is temporary. Each string is one
// record, its character-strings joined, as raw octets. It is used by as many
// goroutines at once as call LookupKey.
type Resolver interface {
	LookupTXT(ctx context.Context, name string) ([]string, error)
}

const (
	defaultMaxSignatures = 8
	defaultMinRSABits    = 1024 // RFC 8301 §3.2
	defaultSkew          = 5 * time.Minute
)

// Options are what the verifier decides. The zero value is strict and good for
// use, except for the time.
type Options struct {
	// Now is when the message was received. Zero leaves t= and x= unjudged.
	Now time.Time
	// Skew is how far the signer's clock may differ from ours; zero is 5 minutes.
	Skew time.Duration
	// MaxSignatures is how many are evaluated, and with that, how many keys are
	// looked up; zero is 8.
	MaxSignatures int
	// MinRSABits is the shortest modulus accepted; zero is 1024.
	MinRSABits int
	// AuthorDomains are the message's author domains, as lower-case A-labels.
	// Signatures that could align with one come first when there are too many.
	AuthorDomains []string
	// AllowSHA1 and AllowMissingV accept what RFC 8301 §3.1 and RFC 6376 §6.1.1
	// forbid: rsa-sha1, and the signatures of the drafts before RFC 4871, with no
	// v= or a v= of 0.5, and q=dns. They serve only to read old test messages.
	AllowSHA1, AllowMissingV bool
	// VerifyRSA is asked first if it is not nil. Several goroutines may call it.
	VerifyRSA RSAVerifier
}

// An RSAVerifier reports that a PKCS #1 v1.5 signature over a hash is surely good.
// Where it does not, Go's arithmetic judges.
type RSAVerifier func(public *rsa.PublicKey, hash crypto.Hash, sum, signature []byte) bool

// Outcome is what was found out about one DKIM-Signature field.
type Outcome struct {
	Result Result
	// Reason says in a few words why it is not a plain pass; empty for that. It
	// holds no foreign text.
	Reason string
	// Field is the index of the DKIM-Signature field in the header.
	Field int
	// Domain (the SDID) and Selector are lower-case A-labels; empty where the
	// field has no usable ones.
	Domain, Selector string
	// AUID is i= as it is written, without white space, or "@" and the SDID; empty
	// if it is no identity that the SDID may speak for. The local part is foreign
	// text.
	AUID string
	// Algorithm is a= in lower case, for known algorithms and unknown ones that
	// are words; otherwise empty.
	Algorithm string
	// B is b= without white space, as base64; header.b takes the first eight
	// characters of it (RFC 6008 §4). Empty if b= is not base64.
	B string
	// KeyBits is the size of the key that was used, 0 if none was.
	KeyBits int
	// Testing says that the key is marked t=y: see Effective.
	Testing bool
	// Length is l=, the octets of the canonical body that are signed; -1 for all.
	Length int64
	// Uncovered names, in lower case, the fields that RFC 5322 §3.6 allows once
	// and of which there is another copy that this signature does not cover and that
	// differs from the covered one (§8.15): a reader may be shown something that was
	// not signed. Set for Pass and Policy only.
	Uncovered []string
	// Err is the resolver's error behind a TempError, for the log.
	Err error
}

// Effective is the result to act upon. §3.6.1: mail signed under a key marked as a
// test (t=y) is not treated differently from unsigned mail, even if the signature
// fails. So whatever is not pass is none then; what passes keeps its credit, as
// everywhere in practice, and should be shown with the word "testing".
func (o Outcome) Effective() Result {
	if o.Testing && o.Result != Pass {
		return None
	}
	return o.Result
}
