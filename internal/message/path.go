package message

import "strings"

// SplitPath splits a reverse-path, or forward-path, at the last "@" outside quotes. It
// first drops angle brackets and a source route. Both parts are as written: quotes and
// case kept, the domain perhaps a U-label or an address literal.
//
// A path without "@" has domain "". So has a malformed one (an unclosed quote; an
// unquoted parenthesis, angle bracket, comma, semicolon or control character); its
// local is the whole path. Such a path is not the null sender, whose path is empty, and
// it has no domain because other programs might read a different one.
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

// routeEnd finds the colon that ends a source route. It ignores colons inside an IPv6
// literal.
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

// plainDomain reports that the text after the "@" cannot begin another local part or
// hide a part of the name. Colons are allowed in address literals only, and nothing may
// follow a literal.
func plainDomain(s string) bool {
	if strings.HasPrefix(s, "[") {
		return strings.IndexByte(s, ']') == len(s)-1 && !strings.ContainsAny(s, "\"\\ ")
	}
	return !strings.ContainsAny(s, "\"\\ :")
}

// isControl reports an octet that the text of a mail header must not contain (RFC 5322
// §2.2): C0 controls, including NUL, CR, LF and tab, and DEL.
func isControl(c byte) bool { return c < ' ' || c == 0x7f }
