package keys

import (
	"cmp"
	"crypto"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"signpost/internal/dkim"
	"signpost/internal/message"
)

// Algorithm is a signature algorithm as the a= tag names it (RFC 6376 §3.3,
// RFC 8463 §3).
type Algorithm string

const (
	RSA     Algorithm = "rsa-sha256"
	Ed25519 Algorithm = "ed25519-sha256"
)

// The bounds of RSA keys, in bits.
const (
	minRSABits  = 1024 // RFC 8301 §3.2: verifiers must not accept less
	goodRSABits = 2048 // RFC 8301 §3.2: signers should use no less
	wideRSABits = 4096 // RFC 8301 §3.2: verifiers need not accept more
	maxRSABits  = 8192 // beyond, one signature takes a good part of a second
)

// weak is the error for an RSA key that is too short, with its bits. Weak tells it from other
// errors of Load.
type weak int

func (w weak) Error() string {
	return fmt.Sprintf("an RSA key of %d bits is refused by every verifier (RFC 8301 §3.2): make a new key of %d bits under a new selector", int(w), goodRSABits)
}

func (weak) Weak() bool { return true }

// Key is one private key under one name in DNS. It is immutable, except for the time of its last
// use, and safe for concurrent use.
type Key struct {
	// Domain is the SDID in A-labels and lower case; "*" for a key of every domain.
	Domain string
	// Selector is in A-labels, lower case.
	Selector string
	// Private is the key itself.
	*Private
	// Warnings are faults of a key that signs nevertheless.
	Warnings []string

	used atomic.Int64 // Unix seconds
}

// Private is a private key without a name. Thousands of domains may sign with the same one.
type Private struct {
	Algorithm Algorithm
	// Bits is the length of an RSA key's modulus, or 256.
	Bits int
	// Signer signs as crypto/rsa and crypto/ed25519 do; see crypto.Signer.
	Signer crypto.Signer
	// Path is the file that the key was read from.
	Path string

	print string // see Fingerprint
}

// Ref is the name of the key.
func (k *Key) Ref() Ref { return Ref{k.Domain, k.Selector} }

// Used notes that the key has signed a message.
func (k *Key) Used(now time.Time) {
	if second := now.Unix(); k.used.Load() < second {
		k.used.Store(second)
	}
}

// LastUsed is when the key last signed in this process; zero: never.
func (k *Key) LastUsed() time.Time {
	if second := k.used.Load(); second != 0 {
		return time.Unix(second, 0).UTC()
	}
	return time.Time{}
}

// Ref is the name of a key.
type Ref struct{ Domain, Selector string }

// AnyDomain, as the domain of a Ref, means the keys with this selector of every domain that has
// a folder, and those in the folder "*".
const AnyDomain = "*"

// maxName bounds the name of a key record (RFC 1035 §2.3.4).
const maxName = 253

// Canonical returns the ref in A-labels and lower case. It is then safe in a path.
func (r Ref) Canonical() (Ref, error) {
	selector, ok := message.DomainToASCII(r.Selector)
	if !ok {
		return r, fmt.Errorf("%q is not a selector: write letters, digits and hyphens, such as s2026", r.Selector)
	}
	// opendkim's tables often name a key by its record.
	if alone, _, whole := strings.Cut(selector, recordLabel); whole {
		return r, fmt.Errorf("%q is the name of a record: write the selector alone, %s", r.Selector, alone)
	}
	if r.Domain == AnyDomain {
		return Ref{AnyDomain, selector}, nil
	}
	domain, ok := message.DomainToASCII(r.Domain)
	if !ok || !strings.Contains(domain, ".") {
		return r, fmt.Errorf("%q is not a domain: write it like example.com", r.Domain)
	}
	c := Ref{domain, selector}
	if len(selector)+len(recordLabel)+len(domain) > maxName {
		return r, fmt.Errorf("the name %s is longer than DNS allows (%d octets): choose a shorter selector", c.RecordName(), maxName)
	}
	return c, nil
}

// RecordName is the name of the key's TXT record, without a final dot (RFC 6376
// §3.6.2.1). The ref is canonical.
func (r Ref) RecordName() string { return r.Selector + recordLabel + r.Domain }

const recordLabel = "._domainkey."

// Compare orders keys by domain and selector.
func (r Ref) Compare(o Ref) int {
	return cmp.Or(strings.Compare(r.Domain, o.Domain), strings.Compare(r.Selector, o.Selector))
}

func (r Ref) String() string { return r.Selector + " of " + r.Domain }

// newKey checks the strength of a parsed key.
func newKey(ref Ref, signer crypto.Signer) (*Key, error) {
	k := &Key{Domain: ref.Domain, Selector: ref.Selector, Private: &Private{Signer: signer, print: fingerprint(signer.Public())}}
	switch pub := signer.Public().(type) {
	case ed25519.PublicKey:
		k.Algorithm, k.Bits = Ed25519, 256
		if err := dkim.CheckPublicKey(pub); err != nil {
			return nil, fmt.Errorf("no verifier accepts its public key (%w): make a new key under a new selector", err)
		}
	case *rsa.PublicKey:
		k.Algorithm, k.Bits = RSA, pub.N.BitLen()
		if err := k.judgeRSA(); err != nil {
			return nil, err
		}
	default:
		return nil, fmt.Errorf("DKIM has no algorithm for a key of the type %T: make an RSA or Ed25519 key", pub)
	}
	return k, nil
}

// judgeRSA applies the key lengths of RFC 8301.
func (k *Key) judgeRSA() error {
	switch {
	// §3.2
	case k.Bits < minRSABits:
		return weak(k.Bits)
	case k.Bits > maxRSABits:
		return fmt.Errorf("an RSA key of %d bits is more than the %d that are supported: make one of %d bits", k.Bits, maxRSABits, goodRSABits)
	case k.Bits < goodRSABits:
		k.warn("an RSA key of %d bits is weak: make one of %d bits under a new selector", k.Bits, goodRSABits)
	case k.Bits > wideRSABits:
		k.warn("verifiers need not accept an RSA key of %d bits, only up to %d (RFC 8301 §3.2)", k.Bits, wideRSABits)
	}
	return nil
}

func (k *Key) warn(format string, args ...any) {
	k.Warnings = append(k.Warnings, fmt.Sprintf(format, args...))
}

// Fingerprint is a hash of the public key.
func (k *Private) Fingerprint() string { return k.print }

func fingerprint(public crypto.PublicKey) string {
	record, err := dkim.KeyRecord(public)
	if err != nil {
		return ""
	}
	sum := sha256.Sum256([]byte(record))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// KnownKey returns a key with its fingerprint alone, because another
// process reads its file. Its Signer is nil.
func KnownKey(ref Ref, algorithm Algorithm, bits int, fingerprint string) *Key {
	return &Key{Domain: ref.Domain, Selector: ref.Selector, Private: &Private{Algorithm: algorithm, Bits: bits, print: fingerprint}}
}
