package dkim

import (
	"crypto"
	"errors"
)

const (
	// maxRecords bounds how many TXT records at one name are read.
	maxRecords = 16
	// maxKeysTried bounds how many keys at one name are tried. If there are more, none
	// is: the result must not depend on the order of an answer.
	maxKeysTried = 2
)

// keysFound are the usable keys at one name; if there are none, the reason.
type keysFound struct {
	keys   [maxKeysTried]*Key
	n      int
	reason string
}

// parseKeys reads the records at a selector. §6.1.2: there should be one. Records that
// are not keys, such as the answer of a wildcard, are skipped.
func (opt *Options) parseKeys(records []string) keysFound {
	found := keysFound{reason: reasonNoRecord}
	for i, record := range records[:min(len(records), maxRecords)] {
		key, err := opt.key(record)
		switch {
		case err == nil && found.n == maxKeysTried:
			return keysFound{reason: reasonManyKeys}
		case err == nil:
			found.keys[found.n] = key
			found.n++
		case i == 0 || errors.Is(err, ErrKeyRevoked): // the most specific reason wins
			found.reason = "key record: " + err.Error()
		}
	}
	return found
}

// key reads a record with ReadKey, or itself.
func (opt *Options) key(record string) (*Key, error) {
	if opt.ReadKey != nil {
		return opt.ReadKey(record)
	}
	return opt.Key(record)
}

// verify tries the keys on the header hash. Its verdict is final only after the body.
func (c *check) verify(found *keysFound, verifyRSA RSAVerifier) {
	c.verdict = verdict{PermError, found.reason}
	for _, key := range found.keys[:found.n] {
		decided := verdict{PermError, key.unsuited(&c.sig)}
		if decided.reason == "" {
			decided = verdict{result: Pass}
			if !key.verify(verifyRSA, c.sig.hash, c.headerSum[:c.sig.hash.Size()], c.sig.data) {
				decided = key.failed()
			}
		}
		// Of several keys, the one that gets furthest decides.
		if c.keyBits == 0 || decided.result == Pass || decided.result == Fail && c.verdict.result != Fail {
			c.verdict, c.keyBits, c.testing = decided, key.Bits, key.Testing
		}
		if decided.result == Pass {
			return
		}
	}
}

// failed returns the verdict for a signature that no key verifies.
func (key *Key) failed() verdict {
	if !key.decodes() {
		return verdict{PermError, "key record: " + string(errEd25519Point)}
	}
	return verdict{Fail, reasonHeader}
}

// unsuited says why a key must not be used for a signature (§6.1.2); "" if it may.
func (key *Key) unsuited(s *Signature) string {
	switch {
	case key.Type != s.keyType:
		return reasonKeyType
	case s.hash == crypto.SHA256 && !key.sha256, s.hash == crypto.SHA1 && !key.sha1:
		return reasonHashBarred
	case key.Strict && s.auidDomain != s.Domain:
		return reasonStrict // §3.6.1, t=s
	}
	return ""
}
