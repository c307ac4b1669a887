package authres

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"signpost/internal/message"
)

const (
	// maxField limits how many octets of a field are read.
	maxField = 128 << 10
	// maxNesting limits the depth of nested comments.
	maxNesting = 256
)

// lexer reads tokens of RFC 8601 §2.2 with the CFWS between them. The first error stays
// in err; later reads then return nothing.
type lexer struct {
	s   string
	pos int
	err error
}

// newLexer refuses octets that no field may contain.
func newLexer(value string) *lexer {
	l := &lexer{s: value}
	if len(value) > maxField {
		l.fail(fmt.Sprintf("longer than %d octets", maxField))
		return l
	}
	for i := 0; i < len(value); i++ {
		switch c := value[i]; {
		case c == '\r' && i+1 < len(value) && value[i+1] == '\n':
		case c == '\n' && i+1 < len(value) && (value[i+1] == ' ' || value[i+1] == '\t'):
		case c < ' ' && c != '\t' || c == 0x7f:
			l.fail(fmt.Sprintf("control character 0x%02x at octet %d", c, i))
			return l
		}
	}
	if !utf8.ValidString(value) {
		l.fail("octets that are not UTF-8")
	}
	return l
}

func (l *lexer) fail(why string) {
	l.pos = min(l.pos, len(l.s)) // after a final backslash it is too large
	if l.err == nil {
		l.err = errors.New("reading " + Name + ": " + why)
	}
}

// expected sets the error that names the expected token.
func (l *lexer) expected(what string) {
	if l.pos >= len(l.s) {
		l.fail(what + " expected at the end")
		return
	}
	r, _ := utf8.DecodeRuneInString(l.s[l.pos:])
	l.fail(fmt.Sprintf("%s expected at octet %d, not %+q", what, l.pos, r))
}

// next skips CFWS and returns the next octet without consuming it; 0 at the end or
// after an error.
func (l *lexer) next() byte {
	l.cfws()
	return l.peek()
}

func (l *lexer) peek() byte {
	if l.err != nil || l.pos >= len(l.s) {
		return 0
	}
	return l.s[l.pos]
}

// take skips CFWS and then consumes the octet c, if it is next.
func (l *lexer) take(c byte) bool {
	if l.next() != c {
		return false
	}
	l.pos++
	return true
}

// cfws skips comments and folding white space (RFC 5322 §3.2.2).
func (l *lexer) cfws() {
	for l.err == nil && l.pos < len(l.s) {
		switch l.s[l.pos] {
		case ' ', '\t', '\r', '\n':
			l.pos++
		case '(':
			l.comment()
		default:
			return
		}
	}
}

func (l *lexer) comment() {
	depth := 0
	for ; l.pos < len(l.s); l.pos++ {
		switch l.s[l.pos] {
		case '(':
			depth++
			if depth > maxNesting {
				l.fail(fmt.Sprintf("comments nested more than %d deep", maxNesting))
				return
			}
		case ')':
			depth--
			if depth == 0 {
				l.pos++
				return
			}
		case '\\':
			l.pos++
		}
	}
	l.fail("a comment without its final parenthesis")
}

// keyword reads a name: letters, digits, hyphen, and the underscore of real fields. It
// returns lower case, since names ignore case.
func (l *lexer) keyword(what string) string {
	l.cfws()
	start := l.pos
	for isKeyword(l.peek()) {
		l.pos++
	}
	if l.pos == start {
		l.expected(what)
	}
	return message.LowerASCII(l.s[start:l.pos])
}

// number reads digits; the number of digits is limited.
func (l *lexer) number() int {
	l.cfws()
	n, start := 0, l.pos
	for c := l.peek(); '0' <= c && c <= '9'; c = l.peek() {
		n = min(n*10+int(c-'0'), 1000)
		l.pos++
	}
	if l.pos == start {
		l.expected("a version number")
	}
	return n
}

// value reads a token or quoted string (RFC 2045 §5.1).
func (l *lexer) value(what string) string {
	if l.next() == '"' {
		return l.quoted()
	}
	start := l.pos
	for isToken(l.peek()) {
		l.pos++
	}
	if l.pos == start {
		l.expected(what)
	}
	return l.s[start:l.pos]
}

// loose reads a property's value: a quoted string, or text up to white space, semicolon
// or parenthesis. Quoted strings inside keep their quotes.
func (l *lexer) loose() string {
	l.cfws()
	start, content := l.pos, ""
	for l.err == nil {
		switch c := l.peek(); {
		case c == '"':
			at := l.pos
			content = l.quoted()
			if at == start && !isLoose(l.peek()) && l.peek() != '"' {
				return content
			}
		case isLoose(c):
			l.pos++
		default:
			// An empty text is not a value, but some programs write it for an empty
			// one.
			if l.pos == start && c != ';' && l.pos < len(l.s) {
				l.expected("a property's value")
			}
			return l.s[start:l.pos]
		}
	}
	return ""
}

// quoted reads a quoted string and returns its content, unfolded and with quoted pairs
// resolved (RFC 5322 §3.2.4).
func (l *lexer) quoted() string {
	l.pos++
	start := l.pos
	var built []byte // only if the content differs from the text
	for ; l.pos < len(l.s); l.pos++ {
		switch l.s[l.pos] {
		case '"':
			content := l.s[start:l.pos]
			l.pos++
			if built != nil {
				content = string(append(built, content...))
			}
			return content
		case '\r', '\n':
			built = append(built, l.s[start:l.pos]...)
			start = l.pos + 1
		case '\\':
			built = append(built, l.s[start:l.pos]...)
			l.pos++
			start = l.pos
			if c := l.peek(); c == '\r' || c == '\n' {
				l.fail("a backslash before a line end")
				return ""
			}
		}
	}
	l.fail("a quoted string without its final quote")
	return ""
}

func isKeyword(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '_'
}

// isToken checks RFC 2045 §5.1, extended by UTF-8.
func isToken(c byte) bool {
	return c > ' ' && c != 0x7f && strings.IndexByte("()<>@,;:\\\"/[]?=", c) < 0
}

func isLoose(c byte) bool {
	return c > ' ' && c != 0x7f && strings.IndexByte("();\"\\", c) < 0
}
