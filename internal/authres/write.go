package authres

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"signpost/internal/message"
)

const (
	// softLine is the length at which lines are folded (RFC 5322 §2.1.1).
	softLine = 78
	// maxText limits the octets of one value, reason or comment; it keeps every line
	// below the 998 of RFC 5322 §2.1.1.
	maxText = 512
	// maxKeyword limits the octets of a name.
	maxKeyword = 64
	// usualResult is the length of one result in most fields.
	usualResult = 128
)

// Value returns the field's value: no leading space, folded with CRLF and spaces before
// each result and, if a line would be longer than 78, between its parts.
//
// The strings of the Field cannot break out of their places, even for readers that know
// neither quoted strings nor escapes: names keep only letters, digits and hyphens; in
// values, CR, LF, NUL, other controls, quotes, backslashes, parentheses, semicolons and
// (unless UTF8 is set) octets above 127 become "?"; in reasons and comments they become
// harmless characters. They are replaced and not removed, so that no value turns into
// another valid one. A result without method or value, and a property without type or
// name, is not written.
func (f Field) Value() string {
	w := writer{utf8: f.UTF8, line: len(Name) + len(": ")}
	w.b.Grow(len(f.AuthservID) + usualResult*len(f.Results))
	w.text(w.value(f.AuthservID))
	if f.Version > 0 {
		w.part(strconv.Itoa(f.Version))
	}
	wrote := false
	for _, r := range f.Results {
		wrote = w.result(r) || wrote
	}
	if !wrote {
		// §2.2 no-result
		w.text(";")
		w.part(None)
	}
	return w.b.String()
}

// writer tracks the length of the current line.
type writer struct {
	b    strings.Builder
	line int
	utf8 bool
}

func (w *writer) text(s string) {
	w.b.WriteString(s)
	w.line += len(s)
}

// part writes a space and s, or a fold and s if the line would be too long, including a
// semicolon that may follow.
func (w *writer) part(s string) {
	if w.line+1+len(s)+1 > softLine {
		w.b.WriteString("\r\n ")
		w.line = 1
	}
	w.b.WriteByte(' ')
	w.line++
	w.text(s)
}

// result writes one resinfo after a semicolon, on a line of its own.
func (w *writer) result(r Result) bool {
	method, value := keyword(r.Method), keyword(r.Value)
	if method == "" || value == "" {
		return false
	}
	w.b.WriteString(";\r\n ")
	w.line = 1
	w.text(method)
	if r.Version > 0 {
		w.text("/" + strconv.Itoa(r.Version))
	}
	w.text("=" + value)
	if comment := w.prose(r.Comment); comment != "" {
		w.part("(" + comment + ")")
	}
	if reason := w.prose(r.Reason); reason != "" {
		w.part(`reason="` + reason + `"`)
	}
	for _, p := range r.Properties {
		ptype, name := keyword(p.Type), keyword(p.Name)
		if ptype != "" && name != "" {
			w.part(ptype + "." + name + "=" + w.pvalue(p.Value))
		}
	}
	return true
}

// keyword keeps the characters of a Keyword (RFC 5321 §4.1.2), in lower case.
func keyword(s string) string {
	if allOf(s)&isWord != 0 && len(s) <= maxKeyword {
		return s
	}
	return keywordIn(s)
}

func keywordIn(s string) string {
	clean := strings.Map(func(r rune) rune {
		if r < utf8.RuneSelf && r != '_' && isKeyword(byte(r)) {
			return r
		}
		return -1
	}, s)
	return strings.Trim(message.LowerASCII(clean[:min(len(clean), maxKeyword)]), "-")
}

// Properties that all octets of a text may have, so that it is written as it is.
const (
	isWord     = 1 << iota // a keyword in lower case; without hyphens, which may not stand at its ends
	isClean                // a token in ASCII
	isHarmless             // visible ASCII and spaces without special characters
)

var octetIs = func() (table [256]uint8) {
	for c := byte(' '); c < 0x7f; c++ {
		if strings.IndexByte(`"\();`, c) < 0 {
			table[c] |= isHarmless
		}
		if isToken(c) {
			table[c] |= isClean
		}
		if 'a' <= c && c <= 'z' || '0' <= c && c <= '9' {
			table[c] |= isWord
		}
	}
	return table
}()

// allOf returns the properties that all octets of s have; none for the empty text.
func allOf(s string) uint8 {
	if s == "" {
		return 0
	}
	all := uint8(0xff)
	for i := range len(s) {
		all &= octetIs[s[i]]
	}
	return all
}

// value writes a token if s is one, otherwise a quoted string.
func (w *writer) value(s string) string {
	if allOf(s)&isClean != 0 && len(s) <= maxText {
		return s
	}
	s = w.clean(s, markUnsafe)
	if isAll(s, isToken) {
		return s
	}
	return `"` + s + `"`
}

// pvalue writes an address or its domain without quotes, as §2.2 requires for
// mailboxes; other values as value does.
func (w *writer) pvalue(s string) string {
	if allOf(s)&isClean != 0 && len(s) <= maxText {
		return s
	}
	if !w.utf8 {
		s = aLabels(s)
	}
	if len(s) <= maxText && isAddress(s) && (w.utf8 || isAll(s, isASCII)) {
		return s
	}
	return w.value(s)
}

// prose writes the text of a reason or comment.
func (w *writer) prose(s string) string {
	return strings.TrimSpace(w.clean(s, proseUnsafe))
}

// clean replaces every character that replace handles, and every non-printing character
// of the charset.
func (w *writer) clean(s string, replace func(rune) rune) string {
	if s == "" || allOf(s)&isHarmless != 0 && len(s) <= maxText && !strings.Contains(s, "=?") {
		return s
	}
	return w.replaced(s, replace)
}

func (w *writer) replaced(s string, replace func(rune) rune) string {
	if !w.utf8 {
		s = aLabels(s)
	}
	s = strings.Map(func(r rune) rune {
		if r == utf8.RuneError || !unicode.IsPrint(r) || r >= utf8.RuneSelf && !w.utf8 {
			return '?'
		}
		return replace(r)
	}, clip(s))
	// "=?" begins an encoded word; some readers decode before they parse.
	return strings.ReplaceAll(s, "=?", "-?")
}

func markUnsafe(r rune) rune {
	if strings.ContainsRune(`"\();`, r) {
		return '?'
	}
	return r
}

func proseUnsafe(r rune) rune {
	switch r {
	case '"':
		return '\''
	case '\\':
		return '/'
	case '(':
		return '['
	case ')':
		return ']'
	case ';':
		return ','
	}
	return r
}

// aLabels converts a domain, or the domain of an address, to A-labels if it has octets
// above 127 (RFC 8601 §2.5).
func aLabels(s string) string {
	if isAll(s, isASCII) {
		return s
	}
	at := strings.LastIndexByte(s, '@') + 1
	if ascii, ok := message.DomainToASCII(s[at:]); ok {
		return s[:at] + ascii
	}
	return s
}

// clip shortens a text to maxText octets at a character boundary, and marks the cut.
func clip(s string) string {
	const mark = "..."
	if len(s) <= maxText {
		return s
	}
	end := maxText - len(mark)
	for end > 0 && !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end] + mark
}

// isAddress checks for [[local-part] "@"] domain-name. The local part is a dot-atom, or
// a quoted string without characters that a reader could misread. A local part in UTF-8
// must be printable.
func isAddress(s string) bool {
	at := strings.LastIndexByte(s, '@')
	if at < 0 || strings.Contains(s, "=?") {
		return false
	}
	local, domain := s[:at], s[at+1:]
	if _, ok := message.DomainToASCII(domain); !ok || !isAll(domain, isDomainOctet) || !isPrinting(s) {
		return false
	}
	if len(local) > 2 && local[0] == '"' && local[len(local)-1] == '"' {
		return isAll(local[1:len(local)-1], func(c byte) bool { return c >= ' ' && strings.IndexByte(`"\();`, c) < 0 })
	}
	if local == "" {
		return true
	}
	return isAll(local, isDotAtom) && local[0] != '.' && local[len(local)-1] != '.' && !strings.Contains(local, "..")
}

func isPrinting(s string) bool {
	for _, r := range s {
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			return false
		}
	}
	return true
}

func isDomainOctet(c byte) bool { return isKeyword(c) || c == '.' || c >= utf8.RuneSelf }

// isDotAtom checks RFC 5322 §3.2.3, extended by UTF-8.
func isDotAtom(c byte) bool {
	return isKeyword(c) || c == '.' || c >= utf8.RuneSelf || strings.IndexByte("!#$%&'*+/=?^`{|}~", c) >= 0 && c != 0
}

func isASCII(c byte) bool { return c < utf8.RuneSelf }

// isAll reports whether s is not empty and all its octets have this property.
func isAll(s string, property func(byte) bool) bool {
	for i := range len(s) {
		if !property(s[i]) {
			return false
		}
	}
	return s != ""
}
