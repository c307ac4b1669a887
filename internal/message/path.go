package message

import "strings"

// SplitPath splits a reverse-path, or forward-path, at the last "@" that is
// outside quotes. Angle brackets and a source route are dropped first. Both parts
// are as they were written: quotes kept, case kept, the domain perhaps a U-label
// or an address literal.
//
// A path without "@" has domain "". So has a malformed one (an unclosed quote; an
// unquoted parenthesis, angle bracket, comma, semicolon or control character),
// whose local is the whole path: such a path is not the null sender, whose path
// is empty, and no domain may be read from it, lest another program reads
// another one.
func SplitPath(reversePath string) (local, domain string) {
	path := reversePath
	if len(path) >= 2 && path[0] == '<' && path[len(path)-1] == '>' {
		path = path[1 : len(path)-1]
	}
	// RFC 5321 §4.1.2, appendix C: the source route is ignored.
	if strings.HasPrefix(path, "@") {
		if i := routeEnd(path); i >= 0 {
			path = path[i+1:]
		}
	}
	at, ok := lastAt(path)
	if !ok || at < 0 || !plainDomain(path[at+1:]) {
		return path, ""
	}
	return path[:at], path[at+1:]
}

// routeEnd finds the colon that ends a source route; those inside an IPv6
// literal do not.
func routeEnd(path string) int {
	inLiteral := false
	for i := range len(path) {
		switch path[i] {
		case '[':
			inLiteral = true
		case ']':
			inLiteral = false
		case '"':
			return -1
		case ':':
			if !inLiteral {
				return i
			}
		}
	}
	return -1
}

// lastAt finds the last "@" outside quotes; ok is false for a malformed path.
func lastAt(path string) (at int, ok bool) {
	at = -1
	quoted := false
	for i := 0; i < len(path); i++ {
		c := path[i]
		switch {
		case isControl(c):
			return -1, false
		case c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '@':
			at = i
		case strings.IndexByte("()<>,;", c) >= 0:
			return -1, false
		}
	}
	return at, !quoted
}

// plainDomain reports that nothing follows the "@" that could begin another
// local part or hide part of the name; colons stand in address literals only, and
// nothing behind those.
func plainDomain(s string) bool {
	if strings.HasPrefix(s, "[") {
		return strings.IndexByte(s, ']') == len(s)-1 && !strings.ContainsAny(s, "\"\\ ")
	}
	return !strings.ContainsAny(s, "\"\\ :")
}

// isControl says of an octet that no text of a mail header has it (RFC 5322
// §2.2): C0 controls, among them NUL, CR, LF and tab, and DEL.
func isControl(c byte) bool { return c < ' ' || c == 0x7f }
