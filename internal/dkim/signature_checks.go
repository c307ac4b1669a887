package dkim

import (
	"crypto"
	"math"
	"strings"
	"unicode/utf8"

	"signpost/internal/message"
)

// The checks of §6.1.1, one for each tag or group of tags.

func (s *Signature) readVersion(tags *sigTags, opt Options) error {
	switch {
	case opt.AllowMissingV && (!tags.v.set || strings.HasPrefix(tags.v.value, "0.")):
		return nil
	case !tags.v.set:
		return errNoVersion
	case tags.v.value != "1":
		return errVersion
	}
	return nil
}

func (s *Signature) readAlgorithm(tags *sigTags, opt Options) error {
	switch {
	case !tags.a.set:
		return errNoAlgorithm
	case s.hash == 0:
		return errAlgorithm
	case s.hash == crypto.SHA1 && !opt.AllowSHA1:
		return errSHA1
	}
	return nil
}

// readDomain checks d= and s= before either is used in DNS.
func (s *Signature) readDomain(tags *sigTags, _ Options) error {
	switch {
	case !tags.d.set:
		return errNoDomain
	case s.Domain == "":
		return errDomain
	case !tags.s.set:
		return errNoSelector
	case s.Selector == "":
		return errSelector
	case len(s.Selector)+len(keyLabel)+len(s.Domain) > 253:
		return errKeyName
	}
	return nil
}

func (s *Signature) readCanon(tags *sigTags, _ Options) error {
	if !tags.c.set {
		return nil
	}
	// §3.5: a single name is the header's; the body's is simple then.
	header, body, both := strings.Cut(tags.c.value, "/")
	s.HeaderCanon = canonicalization(header)
	if both {
		s.BodyCanon = canonicalization(body)
	}
	if s.HeaderCanon == "" || s.BodyCanon == "" {
		return errCanon
	}
	return nil
}

func canonicalization(name string) Canonicalization {
	switch {
	case message.EqualFold(name, string(Simple)):
		return Simple
	case message.EqualFold(name, string(Relaxed)):
		return Relaxed
	}
	return ""
}

func (s *Signature) readQuery(tags *sigTags, opt Options) error {
	if !tags.q.set {
		return nil
	}
	// §3.5: unknown methods are ignored.
	known := false
	list(tags.q.value, func(method string) bool {
		// The drafts before RFC 4871, which had no v=, had no options in q=.
		known = message.EqualFold(method, "dns/txt") || opt.AllowMissingV && method == "dns"
		return !known
	})
	if !known {
		return errQuery
	}
	return nil
}

func (s *Signature) readHeaders(tags *sigTags, _ Options) error {
	s.Headers = tags.h.value
	if s.Headers == "" {
		return errNoHeaders
	}
	valid, from, n := true, false, 0
	list(s.Headers, func(name string) bool {
		n++
		valid = isFieldName(name) && n <= maxSignedNames
		from = from || message.EqualFold(name, "From")
		return valid
	})
	switch {
	case n > maxSignedNames:
		return errManyHeaders
	case !valid:
		return errHeaders
	case !from:
		return errFromNotSigned // §5.4
	}
	return nil
}

func (s *Signature) readTimes(tags *sigTags, _ Options) error {
	var ok bool
	if tags.l.set {
		if s.Length, ok = number(tags.l.value, maxLengthDigits); !ok {
			return errLength
		}
	}
	if tags.t.set {
		if s.Time, ok = number(tags.t.value, maxTimeDigits); !ok {
			return errTime
		}
	}
	if tags.x.set {
		if s.Expires, ok = number(tags.x.value, maxTimeDigits); !ok {
			return errExpires
		}
	}
	if tags.t.set && tags.x.set && s.Expires <= s.Time {
		return errExpiresFirst
	}
	return nil
}

// readAUID checks i=. §6.1.1: its default is "@" and the SDID.
func (s *Signature) readAUID(tags *sigTags, _ Options) error {
	if !tags.i.set {
		s.AUID, s.auidDomain = "@"+s.Domain, s.Domain
		return nil
	}
	// §2.11: white space in the encoded text is not part of the value.
	text := stripFWS(tags.i.value)
	value := decodeQP(text)
	at := strings.LastIndexByte(value, '@')
	if at < 0 || !utf8.ValidString(value) {
		return errAUID
	}
	s.auidDomain = domainName(value[at+1:])
	switch {
	case s.auidDomain == "":
		return errAUID
	case !within(s.auidDomain, s.Domain):
		return errAUIDDomain
	}
	s.AUID = text
	return nil
}

func (s *Signature) readHashes(tags *sigTags, _ Options) error {
	hash, ok := appendBase64(s.bodyHash[:0], tags.bh.value, maxHashOctets)
	switch {
	case !tags.bh.set:
		return errNoBodyHash
	case !ok || len(hash) != s.hash.Size():
		return errBodyHash
	case tags.b.value == "":
		return errNoData
	case s.B == "":
		return errData
	}
	return nil
}

// number reads an unsigned decimal of at most so many digits. A value too large for an
// int64 becomes the largest one.
func number(s string, digits int) (int64, bool) {
	if s == "" || len(s) > digits {
		return -1, false
	}
	var n int64
	for i := range len(s) {
		d := int64(s[i]) - '0'
		if d < 0 || d > 9 {
			return -1, false
		}
		if n > (math.MaxInt64-d)/10 {
			n = math.MaxInt64
			continue
		}
		n = n*10 + d
	}
	return n, true
}

// isFieldName checks a name in h=: field-name of RFC 5322 §2.2, without the semicolon,
// which a tag list cannot contain.
func isFieldName(s string) bool {
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c >= 0x7f || c == ':' || c == ';' {
			return false
		}
	}
	return s != ""
}

// isAlgorithm reports whether a= has the form of §3.5.
func isAlgorithm(s string) bool {
	for i := range len(s) {
		c := s[i]
		if !('a' <= c|0x20 && c|0x20 <= 'z') && (c < '0' || c > '9') && c != '-' {
			return false
		}
	}
	return s != "" && len(s) <= 64
}
