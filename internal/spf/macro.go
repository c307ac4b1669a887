package spf

import (
	"errors"
	"strings"
)

// macroString is a text with macros of valid syntax (§7.1). Without macros it has no
// segments and is literal.
type macroString struct {
	text     string
	segments []segment
}

// segment is a piece of a macroString: literal text, or one macro.
type segment struct {
	literal string // if letter is 0
	letter  byte   // lower case
	// escape: the letter was upper case; the value is URL-escaped (§7.3).
	escape bool
	// split: the value is split and joined with dots.
	split      bool
	reverse    bool
	keep       int // number of right-hand parts to keep; 0 means all
	delimiters delimiterSet
}

// delimiterSet is a set of the seven delimiters; the zero value is the default, the
// dot.
type delimiterSet uint8

const delimiters = ".-+,/_="

func (d delimiterSet) has(c byte) bool {
	if d == 0 {
		return c == '.'
	}
	i := strings.IndexByte(delimiters, c)
	return i >= 0 && d&(1<<i) != 0
}

// macroUse is the place of a macro-string, which decides which letters are valid.
type macroUse uint8

const (
	inDomainSpec      macroUse = iota // no c, r, t (§7.2)
	inUnknownModifier                 // every letter
	inExplanation                     // every letter, and spaces
)

// The letters of §7.2.
const (
	termLetters        = "slodiphv"
	explanationLetters = "slodiphvcrt"
)

var (
	errMacroSyntax = errors.New("a % begins no macro (RFC 7208 section 7.1)")
	errMacroLetter = errors.New("no such macro letter, or not one allowed here (RFC 7208 section 7.2)")
	errMacroZero   = errors.New("a macro keeps no parts (RFC 7208 section 7.3)")
	errCharacter   = errors.New("a character other than visible ASCII (RFC 7208 section 7.1)")
	errDomainEnd   = errors.New("ends neither in a top-level domain nor in a macro (RFC 7208 section 7.1)")
)

// parseMacroString checks the syntax of a macro-string or explain-string.
func parseMacroString(s string, use macroUse) (macroString, error) {
	m := macroString{text: s}
	for rest := s; rest != ""; {
		literal := rest
		if i := strings.IndexByte(rest, '%'); i >= 0 {
			literal = rest[:i]
		}
		for _, c := range []byte(literal) {
			if c <= ' ' && (c != ' ' || use != inExplanation) || c > '~' {
				return m, errCharacter
			}
		}
		rest = rest[len(literal):]
		if rest == "" && m.segments == nil {
			return m, nil
		}
		if literal != "" {
			m.segments = append(m.segments, segment{literal: literal})
		}
		if rest != "" {
			seg, err := cutMacro(&rest, use)
			if err != nil {
				return m, err
			}
			m.segments = append(m.segments, seg)
		}
	}
	return m, nil
}

// cutMacro cuts a macro-expand from a text that begins with "%".
func cutMacro(rest *string, use macroUse) (segment, error) {
	s := *rest
	if len(s) < 2 {
		return segment{}, errMacroSyntax
	}
	switch s[1] {
	case '%', '_', '-':
		*rest = s[2:]
		return segment{letter: '%', literal: percentMacro(s[1])}, nil
	case '{':
	default:
		return segment{}, errMacroSyntax
	}
	end := strings.IndexByte(s, '}')
	if end < len("%{x") {
		return segment{}, errMacroSyntax
	}
	*rest = s[end+1:]
	return parseMacro(s[2:end], use)
}

// percentMacro returns the value of a macro without a letter (§7.1).
func percentMacro(c byte) string {
	switch c {
	case '_':
		return " "
	case '-':
		return "%20"
	}
	return "%"
}

// parseMacro reads the text between the braces: a letter, digits, "r", delimiters. s is
// not empty.
func parseMacro(s string, use macroUse) (segment, error) {
	seg := segment{letter: s[0] | 0x20, escape: 'A' <= s[0] && s[0] <= 'Z', split: len(s) > 1}
	letters := explanationLetters
	if use == inDomainSpec {
		letters = termLetters
	}
	if !isAlpha(s[0]) || strings.IndexByte(letters, seg.letter) < 0 {
		return seg, errMacroLetter
	}
	s = s[1:]
	digits := len(s)
	for ; s != "" && isDigit(s[0]); s = s[1:] {
		// A value larger than any number of parts means all parts.
		seg.keep = min(seg.keep*10+int(s[0]-'0'), maxRecord)
	}
	// §7.3: a DIGIT that is specified must be nonzero.
	if len(s) < digits && seg.keep == 0 {
		return seg, errMacroZero
	}
	if s != "" && s[0]|0x20 == 'r' {
		seg.reverse = true
		s = s[1:]
	}
	for _, c := range []byte(s) {
		i := strings.IndexByte(delimiters, c)
		if i < 0 {
			return seg, errMacroSyntax
		}
		seg.delimiters |= 1 << i
	}
	return seg, nil
}

// parseDomainSpec checks the syntax of a domain-spec: a macro-string that ends in
// a macro, or in a dot and a top-level label (§7.1).
func parseDomainSpec(s string) (macroString, error) {
	m, err := parseMacroString(s, inDomainSpec)
	if err != nil {
		return m, err
	}
	end := s
	if n := len(m.segments); n > 0 {
		if last := m.segments[n-1]; last.letter != 0 {
			return m, nil
		}
		end = m.segments[n-1].literal
	}
	end = strings.TrimSuffix(end, ".")
	if dot := strings.LastIndexByte(end, '.'); dot < 0 || !isTopLabel(end[dot+1:]) {
		return m, errDomainEnd
	}
	return m, nil
}

// isTopLabel checks for letters, digits and hyphens, no hyphen at either end, and not
// only digits (§7.1).
func isTopLabel(s string) bool {
	if s == "" || s[0] == '-' || s[len(s)-1] == '-' {
		return false
	}
	digitsOnly := true
	for _, c := range []byte(s) {
		switch {
		case isAlpha(c), c == '-':
			digitsOnly = false
		case !isDigit(c):
			return false
		}
	}
	return !digitsOnly
}
