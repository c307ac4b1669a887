package dkim

import (
	"crypto"
	"strings"

	"signpost/internal/message"
)

const (
	// maxFieldOctets bounds a DKIM-Signature field. z= may contain a copy of the
	// header.
	maxFieldOctets = 64 << 10
	// maxSignedNames bounds h=: each name costs a search in the header.
	maxSignedNames = 1024
	// maxSignatureOctets bounds b=: the length of a signature by an RSA key of
	// maxRSABits.
	maxSignatureOctets = maxRSABits / 8
	// maxHashOctets is the length of the longest hash known, SHA-256.
	maxHashOctets = 32

	maxLengthDigits = 76 // §3.5, l=
	maxTimeDigits   = 12 // §3.5, t= and x=
)

const (
	errFieldTooLong  problem = "the field is longer than 65,536 octets"
	errNoVersion     problem = "v= is missing"
	errVersion       problem = "v= is not 1"
	errNoAlgorithm   problem = "a= is missing"
	errAlgorithm     problem = "a= names an unknown algorithm"
	errSHA1          problem = "a=rsa-sha1 is no longer valid (RFC 8301)"
	errNoDomain      problem = "d= is missing"
	errDomain        problem = "d= is not a domain name"
	errNoSelector    problem = "s= is missing"
	errSelector      problem = "s= is not a selector"
	errKeyName       problem = "s= and d= together are too long for DNS"
	errNoHeaders     problem = "h= is missing or empty"
	errManyHeaders   problem = "h= has more than 1,024 names"
	errHeaders       problem = "h= is not a list of field names"
	errFromNotSigned problem = "h= does not cover From"
	errNoBodyHash    problem = "bh= is missing"
	errBodyHash      problem = "bh= is not a hash in base64"
	errNoData        problem = "b= is missing or empty"
	errData          problem = "b= is not base64 of a possible length"
	errCanon         problem = "c= names an unknown canonicalization"
	errQuery         problem = "q= names no known query method"
	errLength        problem = "l= is not a number"
	errTime          problem = "t= is not a time"
	errExpires       problem = "x= is not a time"
	errExpiresFirst  problem = "x= is not later than t="
	errAUID          problem = "i= is not an identity with a domain"
	errAUIDDomain    problem = "i= is not in the domain of d="
)

// Algorithms of RFC 6376 §3.3 and RFC 8463 §3, as written in a=.
const (
	rsaSHA256     = "rsa-sha256"
	rsaSHA1       = "rsa-sha1"
	ed25519SHA256 = "ed25519-sha256"
)

// Signature is one parsed DKIM-Signature field. It is checked without key, clock and
// message. Its strings share memory with the field's value.
type Signature struct {
	// Algorithm, Domain, Selector, AUID and B are as in Outcome.
	Algorithm, Domain, Selector, AUID, B string
	HeaderCanon, BodyCanon               Canonicalization
	// Headers is h= as written: names separated by colons, perhaps with white space
	// around them.
	Headers string
	// Length is l=, or -1. A value that does not fit is the largest int64.
	Length int64
	// Time and Expires are t= and x=, in seconds since 1970, or -1.
	Time, Expires int64

	data             []byte // b= decoded
	auidDomain       string
	keyType          KeyType
	hash             crypto.Hash
	bodyHash         [maxHashOctets]byte
	cutStart, cutEnd int // position of b='s value in the field's value
}

// sigTags are the tags of §3.5 that a verifier uses. An absent tag differs from an
// empty one.
type sigTags struct {
	v, a, b, bh, c, d, h, i, l, q, s, t, x optional
}

type optional struct {
	value string
	set   bool
}

func (tags *sigTags) of(name string) *optional {
	switch name {
	case "v":
		return &tags.v
	case "a":
		return &tags.a
	case "b":
		return &tags.b
	case "bh":
		return &tags.bh
	case "c":
		return &tags.c
	case "d":
		return &tags.d
	case "h":
		return &tags.h
	case "i":
		return &tags.i
	case "l":
		return &tags.l
	case "q":
		return &tags.q
	case "s":
		return &tags.s
	case "t":
		return &tags.t
	case "x":
		return &tags.x
	}
	return nil
}

// parse reads the value of a DKIM-Signature field and makes all checks of §6.1.1 except
// those that need the clock. The error is in constant words. Where there is one, the parts
// that could be read are set.
func (s *Signature) parse(value string, opt Options) error {
	*s = Signature{Length: -1, Time: -1, Expires: -1, HeaderCanon: Simple, BodyCanon: Simple}
	if len(value) > maxFieldOctets {
		return errFieldTooLong
	}
	var tags sigTags
	r := tagReader{list: value}
	for t, ok := r.next(); ok; t, ok = r.next() {
		// §3.2: unknown tags are ignored.
		if o := tags.of(t.name); o != nil {
			*o = optional{t.value, true}
		}
		if t.name == "b" {
			s.cutStart, s.cutEnd = t.start, t.end
		}
	}
	// The claimed signer is reported even if the signature is malformed.
	s.identify(&tags)
	if r.err != nil {
		return r.err
	}
	return s.check(&tags, opt)
}

// check reads the tags that must be valid.
func (s *Signature) check(tags *sigTags, opt Options) error {
	err := s.readVersion(tags, opt)
	if err == nil {
		err = s.readAlgorithm(tags, opt)
	}
	if err == nil {
		err = s.readDomain(tags, opt)
	}
	if err == nil {
		err = s.readCanon(tags, opt)
	}
	if err == nil {
		err = s.readQuery(tags, opt)
	}
	if err == nil {
		err = s.readHeaders(tags, opt)
	}
	if err == nil {
		err = s.readTimes(tags, opt)
	}
	if err == nil {
		err = s.readAUID(tags, opt)
	}
	if err == nil {
		err = s.readHashes(tags, opt)
	}
	return err
}

// identify reads the tags that name the signer, as far as they are usable.
func (s *Signature) identify(tags *sigTags) {
	s.Domain = domainName(tags.d.value)
	s.Selector = domainName(tags.s.value)
	switch a := tags.a.value; {
	case message.EqualFold(a, rsaSHA256):
		s.Algorithm, s.keyType, s.hash = rsaSHA256, RSA, crypto.SHA256
	case message.EqualFold(a, ed25519SHA256):
		s.Algorithm, s.keyType, s.hash = ed25519SHA256, Ed25519, crypto.SHA256
	case message.EqualFold(a, rsaSHA1):
		s.Algorithm, s.keyType, s.hash = rsaSHA1, RSA, crypto.SHA1
	case isAlgorithm(a):
		s.Algorithm = strings.ToLower(a)
	}
	room := make([]byte, 0, min(len(tags.b.value)/4*3+3, maxSignatureOctets))
	if data, ok := appendBase64(room, tags.b.value, maxSignatureOctets); ok && len(data) > 0 {
		s.B, s.data = stripFWS(tags.b.value), data
	}
}

// keyName is the DNS name of the key (§3.6.2.1).
func (s *Signature) keyName() string { return s.Selector + keyLabel + s.Domain }

const keyLabel = "._domainkey."

// domainName returns the name as lower-case A-labels, or "" if it is not a domain name.
// RFC 8616 §5 allows U-labels in d=, s= and i=. The grammar has no final dot.
func domainName(s string) string {
	if s == "" || s[len(s)-1] == '.' {
		return ""
	}
	ascii, ok := message.DomainToASCII(s)
	if !ok {
		return ""
	}
	return ascii
}

// within reports whether a domain is the parent or a subdomain of it.
func within(domain, parent string) bool {
	if !strings.HasSuffix(domain, parent) {
		return false
	}
	n := len(domain) - len(parent)
	return n == 0 || domain[n-1] == '.'
}
