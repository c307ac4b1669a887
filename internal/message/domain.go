package message

import (
	"strings"
	"unicode/utf8"

	"golang.org/x/net/idna"
)

const (
	// maxDomainInput limits the input of IDNA processing, in octets. A domain name of
	// 253 octets in A-labels has fewer than 1,000 in UTF-8.
	maxDomainInput = 1024
	maxLabel       = 63  // RFC 1035 §2.3.4
	maxDomain      = 253 // RFC 1035 §2.3.4: 255 octets on the wire
)

// lookup is the mapping of RFC 8616 §3 (RFC 5891 §5, UTS 46 non-transitional). Hyphens
// are allowed at any position: names like r3---sn.example are in use. Underscores pass
// here; every other octet outside LDH is refused after the mapping.
var lookup = idna.New(
	idna.MapForLookup(),
	idna.Transitional(false),
	idna.StrictDomainName(false),
	idna.CheckHyphens(false),
	idna.CheckJoiners(true),
	idna.BidiRule(),
)

// DomainToASCII returns the form of a domain name for comparison and look-up: A-labels,
// lower case, no final dot. ok is false for unusable names: an empty or too long label,
// a name over 253 octets, an octet other than letters, digits, hyphen and underscore,
// an address literal, invalid UTF-8, or a label that IDNA refuses (also an "xn--" label
// that is not a valid encoding, since a reader could display it as another name). Full
// stops of other scripts separate labels only by the IDNA mapping. A name of one label
// is usable; the caller decides whether it is acceptable.
func DomainToASCII(domain string) (ascii string, ok bool) {
	if len(domain) > maxDomainInput {
		return "", false
	}
	if !plainASCII(domain) {
		if !utf8.ValidString(domain) {
			return "", false
		}
		mapped, err := lookup.ToASCII(domain)
		// UTS 46 §4: these four separate labels. A character that resembles or
		// contains a full stop must not create labels by its mapping.
		if err != nil || strings.Count(mapped, ".") != countStops(domain) {
			return "", false
		}
		domain = mapped
	}
	domain = strings.TrimSuffix(domain, ".")
	if !hostLabels(domain) {
		return "", false
	}
	return LowerASCII(domain), true
}

// countStops counts the label separators of IDNA.
func countStops(s string) int {
	n := 0
	for _, r := range s {
		switch r {
		case '.', '\u3002', '\uff0e', '\uff61':
			n++
		}
	}
	return n
}

// plainASCII reports whether IDNA changes nothing: no octet above 127, and no label
// that begins with "xn--".
func plainASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
		if (i == 0 || s[i-1] == '.') && len(s)-i >= 4 && EqualFold(s[i:i+4], "xn--") {
			return false
		}
	}
	return true
}

// hostLabels checks the lengths and the octets of a name without final dot.
func hostLabels(s string) bool {
	if len(s) == 0 || len(s) > maxDomain {
		return false
	}
	start := 0
	for i := 0; i <= len(s); i++ {
		if i < len(s) && s[i] != '.' {
			if !isLDH(s[i]) && s[i] != '_' {
				return false
			}
			continue
		}
		if n := i - start; n == 0 || n > maxLabel {
			return false
		}
		start = i + 1
	}
	return true
}

func isLDH(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-'
}

// isFQDN reports whether a name from DomainToASCII can be a public domain: two labels
// or more, the last one not a number (that would be an IPv4 address without brackets).
func isFQDN(ascii string) bool {
	dot := strings.LastIndexByte(ascii, '.')
	if dot < 0 {
		return false
	}
	for _, c := range []byte(ascii[dot+1:]) {
		if c < '0' || c > '9' {
			return true
		}
	}
	return false
}
