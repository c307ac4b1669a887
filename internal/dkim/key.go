package dkim

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rsa"
	"encoding/base64"
	"fmt"

	"signpost/internal/message"
)

const (
	// maxRecordOctets bounds the text of a key record.
	maxRecordOctets = 16 << 10
	// maxKeyOctets bounds a key in DER: the modulus, the exponent and 64 octets around
	// them. Longer keys are not decoded.
	maxKeyOctets = maxRSABits/8 + 128
	// maxRSABits bounds the modulus: the longest that every verifier has to accept
	// (RFC 8301 §3.2). One verification with 8,192 bits costs as much as a hundred
	// with 2,048.
	maxRSABits = 4096
	// maxExponent bounds e, and so the cost of a verification (§8.13). Keys longer
	// than usualRSABits may only have the usual exponent.
	maxExponent     = 1<<31 - 1
	maxLongExponent = 65537
	// usualRSABits is the length of most keys.
	usualRSABits = 2048
)

const (
	errRecordTooLong problem = "longer than 16,384 octets"
	errNoKey         problem = "no p=, so this is no key"
	errKeyVersion    problem = "v= is not DKIM1"
	errKeyOrder      problem = "v= is not the first tag"
	errKeyType       problem = "k= names an unknown key type"
	errKeyHash       problem = "h= names no known hash"
	errKeyService    problem = "s= does not allow email"
	errKeyBase64     problem = "p= is not base64"
	errNotRSA        problem = "p= is not an RSA public key"
	errNotEd25519    problem = "p= is not an Ed25519 public key of 32 octets"
	errSmallOrder    problem = "the Ed25519 key is of small order: anybody can sign with it"
	errEd25519Point  problem = "p= is not a point of Ed25519's curve (RFC 8032 §5.1.3)"
	errKeyTooShort   problem = "the RSA key is too short (RFC 8301)"
	errKeyTooLong    problem = "the RSA key is longer than 4,096 bits"
	errExponent      problem = "the RSA key's exponent is not usable"
)

// ErrKeyRevoked is ParseKey's error for a record whose p= is empty (§3.6.1).
const ErrKeyRevoked problem = "the key is revoked"

// KeyType is the k= of a key record.
type KeyType string

const (
	RSA     KeyType = "rsa"     // RFC 6376
	Ed25519 KeyType = "ed25519" // RFC 8463
)

// Key is a key record that may be used for mail. Signatures of many messages may share
// one: it never changes.
type Key struct {
	Type KeyType
	// Public is an *rsa.PublicKey or an ed25519.PublicKey.
	Public crypto.PublicKey
	// Bits is the length of the modulus; 256 for Ed25519.
	Bits int
	// Testing is t=y. Strict is t=s: i= must not be in a subdomain of d=.
	Testing, Strict bool

	sha1, sha256 bool // h=
}

// Octets is about how much memory the key takes.
func (key *Key) Octets() int { return 256 + key.Bits/8 }

// ParseKey reads the text of a key record (§3.6.1). The error is in constant words; it
// is ErrKeyRevoked for a revoked key. RSA keys under 1024 bits are refused.
func ParseKey(record string) (*Key, error) {
	key, err := parseKey(record, defaultMinRSABits, "")
	if err == nil && !key.decodes() {
		return key, errEd25519Point
	}
	return key, err
}

// decodes is false for an Ed25519 key that is not a point of the curve.
func (key *Key) decodes() bool {
	public, ok := key.Public.(ed25519.PublicKey)
	return !ok || decodes(public)
}

// keyTags are the tags of a key record that affect a result. n= is a comment, and g= of
// RFC 4871 is unknown today (Appendix C).
type keyTags struct {
	k, h, s, t, p optional
}

func (tags *keyTags) of(name string) *optional {
	switch name {
	case "k":
		return &tags.k
	case "h":
		return &tags.h
	case "s":
		return &tags.s
	case "t":
		return &tags.t
	case "p":
		return &tags.p
	}
	return nil
}

// parseKey is ParseKey without the check that an Ed25519 key decodes. service, if it is not empty, is
// allowed beside email.
func parseKey(record string, minBits int, service string) (*Key, error) {
	if len(record) > maxRecordOctets {
		return nil, errRecordTooLong
	}
	var tags keyTags
	r := tagReader{list: record, record: true}
	for t, ok := r.next(); ok; t, ok = r.next() {
		// §3.6.1: v= is optional, but where it stands it "MUST be the first tag".
		// §6.1.2 step 5: a record of another form MUST be ignored.
		switch {
		case t.name == "v" && t.value != "DKIM1":
			return nil, errKeyVersion
		case t.name == "v" && r.count != 1:
			return nil, errKeyOrder
		}
		if o := tags.of(t.name); o != nil {
			*o = optional{t.value, true}
		}
	}
	switch {
	case r.err != nil:
		return nil, r.err
	case !tags.p.set:
		return nil, errNoKey
	}
	key := &Key{Type: RSA, sha1: true, sha256: true}
	if err := key.restrict(&tags, service); err != nil {
		return nil, err
	}
	if tags.p.value == "" {
		return nil, ErrKeyRevoked
	}
	return key, key.read(tags.p.value, minBits)
}

// restrict reads the tags that limit the use of the key.
func (key *Key) restrict(tags *keyTags, service string) error {
	if tags.k.set {
		switch {
		case message.EqualFold(tags.k.value, string(RSA)):
		case message.EqualFold(tags.k.value, string(Ed25519)):
			key.Type = Ed25519
		default:
			return errKeyType
		}
	}
	if tags.h.set {
		key.sha1, key.sha256 = listed(tags.h.value, "sha1"), listed(tags.h.value, "sha256")
		if !key.sha1 && !key.sha256 {
			return errKeyHash
		}
	}
	if tags.s.set && !listed(tags.s.value, "*") && !listed(tags.s.value, "email") && (service == "" || !listed(tags.s.value, service)) {
		return errKeyService
	}
	key.Testing, key.Strict = listed(tags.t.value, "y"), listed(tags.t.value, "s")
	return nil
}

// listed reports whether a colon-separated list contains the word.
func listed(value, word string) bool {
	found := false
	list(value, func(item string) bool {
		found = message.EqualFold(item, word)
		return !found
	})
	return found
}

// read decodes p=.
func (key *Key) read(p string, minBits int) error {
	octets, ok := appendBase64(make([]byte, 0, min(len(p)/4*3+3, maxKeyOctets)), p, maxKeyOctets)
	switch {
	case !ok && len(octets) == maxKeyOctets:
		return errKeyTooLong
	case !ok:
		return errKeyBase64
	}
	if key.Type == Ed25519 {
		// RFC 8463 §4.2
		if err := checkEd25519(octets); err != nil {
			return err
		}
		key.Public, key.Bits = append(ed25519.PublicKey(nil), octets...), 8*ed25519.PublicKeySize
		return nil
	}
	public, err := parseRSA(octets, minBits)
	if err != nil {
		return err
	}
	key.Public, key.Bits = public, public.N.BitLen()
	return nil
}

// verify reports whether data is the key's signature of a hash. verifyRSA may be nil.
func (key *Key) verify(verifyRSA RSAVerifier, hash crypto.Hash, sum, data []byte) bool {
	switch public := key.Public.(type) {
	case *rsa.PublicKey:
		if verifyRSA != nil && verifyRSA(public, hash, sum, data) {
			return true
		}
		return verifyPKCS1v15(public, hash, sum, data)
	case ed25519.PublicKey:
		// RFC 8463 §3: the hash is the message of PureEdDSA.
		return ed25519.Verify(public, sum, data)
	}
	return false
}

// KeyRecord returns the text of the key record for a public key, an *rsa.PublicKey or
// an ed25519.PublicKey. It may be longer than one character-string of DNS.
func KeyRecord(pub crypto.PublicKey) (string, error) {
	switch pub := pub.(type) {
	case *rsa.PublicKey:
		return "v=DKIM1; k=rsa; p=" + base64.StdEncoding.EncodeToString(marshalRSA(pub)), nil
	case ed25519.PublicKey:
		return "v=DKIM1; k=ed25519; p=" + base64.StdEncoding.EncodeToString(pub), nil
	}
	return "", fmt.Errorf("a public key of type %T has no key record: use RSA or Ed25519", pub)
}
