package dns

import "strings"

// zoneEntry is what a zone file has for one record: one line, or several between
// parentheses (RFC 1035 §5.1).
type zoneEntry struct {
	line    int // on which it begins
	indent  bool
	tokens  []token
	problem string // why it cannot be read at all
}

// token is a word of a zone file, with its escapes still in it.
type token struct {
	text   string
	quoted bool
	glued  bool // a comment follows without a blank in between
}

// lexer cuts a zone file into entries. It looks at each octet once.
type lexer struct {
	text string
	at   int
	line int
}

// next returns the next entry that has tokens or a problem; ok is false at the end.
func (l *lexer) next() (zoneEntry, bool) {
	for l.at < len(l.text) {
		e := zoneEntry{line: l.line, indent: blank(l.text[l.at])}
		l.read(&e)
		if len(e.tokens) > 0 || e.problem != "" {
			return e, true
		}
	}
	return zoneEntry{}, false
}

func blank(c byte) bool { return c == ' ' || c == '\t' || c == '\r' }

// read reads up to the line end that ends the entry.
func (l *lexer) read(e *zoneEntry) {
	depth := 0
	for l.at < len(l.text) {
		switch c := l.text[l.at]; {
		case c == '\n':
			l.at++
			l.line++
			if depth == 0 {
				return
			}
		case blank(c):
			l.at++
		case c == ';':
			if n := len(e.tokens); n > 0 && !blank(l.text[l.at-1]) && l.text[l.at-1] != '\n' {
				e.tokens[n-1].glued = true
			}
			l.at += lineLength(l.text[l.at:])
		case c == '(':
			l.at++
			depth++
		case c == ')':
			l.at++
			if depth--; depth < 0 {
				depth = 0
				e.complain("there is a ) without a ( before it: take it out, or quote it")
			}
		case c == '"':
			l.quoted(e)
		default:
			l.word(e)
		}
	}
	if depth > 0 {
		e.complain("the ( on this line or one that follows is never closed: write ) behind the last part of the record")
	}
}

func lineLength(s string) int {
	if n := strings.IndexByte(s, '\n'); n >= 0 {
		return n
	}
	return len(s)
}

// quoted reads a quoted string, which ends on its own line.
func (l *lexer) quoted(e *zoneEntry) {
	l.at++
	start := l.at
	for ; l.at < len(l.text) && l.text[l.at] != '\n'; l.at++ {
		switch l.text[l.at] {
		case '"':
			e.tokens = append(e.tokens, token{text: l.text[start:l.at], quoted: true})
			l.at++
			return
		case '\\':
			if l.at+1 < len(l.text) && l.text[l.at+1] != '\n' {
				l.at++
			}
		}
	}
	e.complain(`a quotation mark is not closed on its line: write " at the end of the text, and \" for one inside it`)
}

func (l *lexer) word(e *zoneEntry) {
	start := l.at
	for ; l.at < len(l.text); l.at++ {
		switch c := l.text[l.at]; {
		case blank(c) || c == '\n' || strings.IndexByte(`;()"`, c) >= 0:
			e.tokens = append(e.tokens, token{text: l.text[start:l.at]})
			return
		case c == '\\' && l.at+1 < len(l.text) && l.text[l.at+1] != '\n':
			l.at++
		}
	}
	e.tokens = append(e.tokens, token{text: l.text[start:l.at]})
}

// complain keeps the first problem: the later ones follow from it.
func (e *zoneEntry) complain(problem string) {
	if e.problem == "" {
		e.problem = problem
	}
}
