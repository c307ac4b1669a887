package message

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// scanner reads the lexical tokens of RFC 5322 §3.2 from text without faults by
// badText.
type scanner struct {
	s       string
	pos     int
	problem string
	limit   bool // our own limit was exceeded
}

// peek returns the next octet, 0 at the end.
func (p *scanner) peek() byte {
	if p.pos < len(p.s) {
		return p.s[p.pos]
	}
	return 0
}

func (p *scanner) atEnd() bool { return p.pos >= len(p.s) }

func (p *scanner) fail(why string) bool {
	p.problem = why
	return false
}

// unexpected sets an error that names the octet.
func (p *scanner) unexpected(where string) bool {
	what := "unexpected end"
	if !p.atEnd() {
		r, _ := utf8.DecodeRuneInString(p.s[p.pos:])
		what = fmt.Sprintf("unexpected %+q at octet %d", r, p.pos)
	}
	return p.fail(strings.TrimSpace(what + " " + where))
}

// cfws skips comments and folding white space, §3.2.2.
func (p *scanner) cfws() bool {
	for p.pos < len(p.s) {
		switch p.s[p.pos] {
		case ' ', '\t', '\r', '\n':
			p.pos++
		case '(':
			if !p.comment() {
				return false
			}
		default:
			return true
		}
	}
	return true
}

// comment skips one comment. A counter replaces the recursion of the grammar, so
// nesting has no cost.
func (p *scanner) comment() bool {
	depth := 0
	for ; p.pos < len(p.s); p.pos++ {
		switch p.s[p.pos] {
		case '(':
			depth++
			if depth > maxCommentNesting {
				p.limit = true
				return p.fail(fmt.Sprintf("comments nested more than %d deep", maxCommentNesting))
			}
		case ')':
			depth--
			if depth == 0 {
				p.pos++
				return true
			}
		case '\\':
			if !p.quotedPair() {
				return false
			}
		}
	}
	return p.fail("a comment without its final parenthesis")
}

// quotedPair advances to the octet after a backslash, §3.2.1: a printing character or
// white space, not a line end.
func (p *scanner) quotedPair() bool {
	p.pos++
	if p.atEnd() || p.s[p.pos] == '\r' || p.s[p.pos] == '\n' {
		return p.fail("a backslash before nothing")
	}
	return true
}

// word reads an atom or the content of a quoted string.
func (p *scanner) word() (string, bool) {
	if p.peek() == '"' {
		return p.quotedString()
	}
	return p.atom(), true
}

// atom reads a run of atext, §3.2.3, "" if there is none.
func (p *scanner) atom() string {
	start := p.pos
	for p.pos < len(p.s) && isAtext(p.s[p.pos]) {
		p.pos++
	}
	return p.s[start:p.pos]
}

// quotedString returns the content, unfolded and with quoted pairs resolved, §3.2.4.
func (p *scanner) quotedString() (string, bool) {
	p.pos++
	start := p.pos
	var built []byte // only if the content differs from the text
	for ; p.pos < len(p.s); p.pos++ {
		switch p.s[p.pos] {
		case '"':
			content := p.s[start:p.pos]
			p.pos++
			if built == nil {
				return content, true
			}
			return string(append(built, content...)), true
		case '\\', '\r':
			built = append(built, p.s[start:p.pos]...)
			if p.s[p.pos] == '\r' {
				p.pos++ // its LF
				start = p.pos + 1
				continue
			}
			if !p.quotedPair() {
				return "", false
			}
			start = p.pos
		}
	}
	return "", p.fail("a quoted string without its final quote")
}

// isAtext checks §3.2.3, with the octets of UTF-8 (RFC 6532 §3.2).
func isAtext(c byte) bool {
	return isLDH(c) || c >= utf8.RuneSelf || c > ' ' && strings.IndexByte("!#$%&'*+/=?^_`{|}~", c) >= 0
}
