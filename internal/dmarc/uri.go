package dmarc

import (
	"strings"

	"signpost/internal/message"
)

// A URI is one destination for reports (RFC 9989 §4.6). It is only the domain owner's
// claim: RFC 9990 §4 says when reports may be sent there.
type URI struct {
	// Text is the URI without the obsolete size limit ("!10m").
	Text string
	// Scheme is its scheme in lower case; only "mailto" is commonly usable.
	Scheme string
}

// uris reads the list of rua= or ruf=. Items that are not URIs are skipped (§4.8).
func (p *parser) uris(list string) []URI {
	var out []URI
	for list != "" {
		var item string
		item, list, _ = strings.Cut(list, ",")
		item = trim(item)
		u, ok := parseURI(item)
		switch {
		case !ok:
			p.mistake(item, "not a valid report URI")
		case len(out) == maxURIs:
			p.ignore(item, "too many report URIs")
			return out
		default:
			out = append(out, u)
		}
	}
	return out
}

// parseURI checks one URI and removes the obsolete size limit. Commas and exclamation
// points must be encoded in it (§4.8).
func parseURI(s string) (URI, bool) {
	if i := strings.IndexByte(s, '!'); i >= 0 {
		if !isReportSize(s[i+1:]) {
			return URI{}, false
		}
		s = s[:i]
	}
	scheme, rest, ok := strings.Cut(s, ":")
	if !ok || !isScheme(scheme) || rest == "" || !uriOctets(rest) {
		return URI{}, false
	}
	u := URI{Text: s, Scheme: strings.ToLower(scheme)}
	if u.Scheme == "mailto" && !hasMailbox(rest) {
		return URI{}, false
	}
	return u, true
}

// hasMailbox reports whether a mailto URI names an address to send to (RFC 6068 §2).
func hasMailbox(rest string) bool {
	path, _, _ := strings.Cut(rest, "?")
	at := strings.LastIndexByte(path, '@')
	if at <= 0 || hidesControl(path) {
		return false
	}
	domain := path[at+1:]
	_, ok := message.DomainToASCII(domain)
	return ok || strings.HasPrefix(domain, "[")
}

// hidesControl reports a percent-encoded control character, such as a line end that
// would inject a field into the report's header: no address contains one.
func hidesControl(path string) bool {
	for i := 0; i+2 < len(path); i++ {
		if path[i] == '%' && (path[i+1] == '0' || path[i+1] == '1' || path[i+1] == '7' && path[i+2]|0x20 == 'f') {
			return true
		}
	}
	return false
}

// isReportSize reports whether s is digits and at most one unit (§4.8,
// obs-dmarc-report-size).
func isReportSize(s string) bool {
	if s != "" && strings.IndexByte("kmgtKMGT", s[len(s)-1]) >= 0 {
		s = s[:len(s)-1]
	}
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != ""
}

// isScheme checks a scheme (RFC 3986 §3.1).
func isScheme(s string) bool {
	for i := range len(s) {
		if !isAlpha(s[i]) && (i == 0 || !isDigit(s[i]) && s[i] != '+' && s[i] != '-' && s[i] != '.') {
			return false
		}
	}
	return s != ""
}

// uriOctets checks that s has only characters allowed in a URI (RFC 3986 §2), and that
// each percent sign begins an encoded octet.
func uriOctets(s string) bool {
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case isAlpha(c) || isDigit(c):
		case c == '%':
			if i+2 >= len(s) || !isHex(s[i+1]) || !isHex(s[i+2]) {
				return false
			}
			i += 2
		case strings.IndexByte("-._~:/?#[]@$&'()*+;=", c) < 0:
			return false
		}
	}
	return true
}

func isAlpha(c byte) bool { return 'a' <= c|0x20 && c|0x20 <= 'z' }
func isDigit(c byte) bool { return '0' <= c && c <= '9' }
func isHex(c byte) bool   { return isDigit(c) || 'a' <= c|0x20 && c|0x20 <= 'f' }
