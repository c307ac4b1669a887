package message

import (
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"
)

// The slow reader is a second reading of a From field for the tests alone, without
// limits. It cuts the text into tokens, compares the sequence of their kinds with the
// grammar of RFC 5322 §3.4 and §4.4 as one regular expression, and then examines the
// text after each "@".

const (
	slowLocal   = `[wq](?:\.[wq])*`
	slowDomain  = `(?:w(?:\.w)*|l)`
	slowAddr    = slowLocal + `@` + slowDomain
	slowPhrase  = `[wq][wq.]*`
	slowRoute   = `(?:,*@` + slowDomain + `(?:,+(?:@` + slowDomain + `)?)*:)`
	slowMailbox = `(?:` + slowAddr + `|(?:` + slowPhrase + `)?<` + slowRoute + `?` + slowAddr + `>)`
	slowGroup   = `(?:` + slowPhrase + `:,*(?:` + slowMailbox + `(?:,+` + slowMailbox + `)*)?,*;)`
	slowMember  = `(?:` + slowMailbox + `|` + slowGroup + `)`
)

var (
	slowGrammar = regexp.MustCompile(`^,*(?:` + slowMember + `(?:,+` + slowMember + `)*)?,*$`)
	slowInAddr  = regexp.MustCompile(slowLocal + `@`)
	slowName    = regexp.MustCompile(`^[\s"\\\x00-\x20]*((?:[-_.0-9A-Za-z!#$%&'*+/=?^\x60{|}~]|[^\x00-\x7f\pZ\x{85}\x{ff20}\x{fe6b}])+)`)
	slowWord    = regexp.MustCompile(`(?s)=\?[^?]+\?[bBqQ]\?.*?\?=`)
	slowBlank   = regexp.MustCompile(`_[^.]*$`)
	slowEscape  = regexp.MustCompile(`\x1b(?:\[[ -?]*[@-~]|[PX\]^_][^\x07\x1b]*(?:\x07|\x1b\\)|[ -/]*[0-~])`)
	slowFold    = regexp.MustCompile(`\r\n[ \t]`)
)

type slowToken struct {
	kind       byte // w atom, q quoted string, c comment, l literal, or the octet itself
	start, end int
}

// slowTokens reports false if the text has no tokens of RFC 5322 §3.2.
func slowTokens(s string) ([]slowToken, bool) {
	var tokens []slowToken
	for i := 0; i < len(s); {
		start := i
		kind := s[i]
		switch {
		case strings.IndexByte(" \t\r\n", s[i]) >= 0:
			i++
			continue
		case s[i] == '"':
			kind = 'q'
			if i = slowQuoted(s, i+1); i < 0 {
				return nil, false
			}
		case s[i] == '(':
			kind = 'c'
			if i = slowComment(s, i+1); i < 0 {
				return nil, false
			}
		case s[i] == '[':
			kind = 'l'
			n := strings.IndexAny(s[i+1:], "[]\\\"<>()@,;")
			if n < 0 || s[i+1+n] != ']' {
				return nil, false
			}
			i += n + 2
		case strings.IndexByte("<>@,;:.", s[i]) >= 0:
			i++
		case strings.IndexByte(`)]\`, s[i]) >= 0:
			return nil, false
		default:
			kind = 'w'
			for i < len(s) && strings.IndexByte(" \t\r\n\"()[]<>@,;:.\\", s[i]) < 0 {
				i++
			}
		}
		tokens = append(tokens, slowToken{kind, start, i})
	}
	return tokens, true
}

func slowQuoted(s string, i int) int {
	for ; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
			if i >= len(s) || s[i] == '\r' {
				return -1
			}
		case '"':
			return i + 1
		}
	}
	return -1
}

func slowComment(s string, i int) int {
	for i >= 0 && i < len(s) {
		switch s[i] {
		case '\\':
			i += 2
			if i > len(s) || s[i-1] == '\r' {
				return -1
			}
		case '(':
			i = slowComment(s, i+1)
		case ')':
			return i + 1
		default:
			i++
		}
	}
	return -1
}

// slowDomains are the domains of two labels or more behind every "@" that counts:
// in a well-formed field those outside comments and quoted display names, in any
// other field all. A name that is no domain is there as it stands.
func slowDomains(value string) []string {
	text := strings.NewReplacer("\uff20", "@", "\ufe6b", "@").Replace(value)
	if tokens, ok := slowWellFormed(value); ok {
		kinds, at := slowKinds(tokens)
		local := make([]bool, len(kinds))
		for _, m := range slowInAddr.FindAllStringIndex(kinds, -1) {
			for i := m[0]; i < m[1]; i++ {
				local[i] = true
			}
		}
		octets := []byte(value)
		blank := func(t slowToken) {
			for i := t.start; i < t.end; i++ {
				octets[i] = ' '
			}
		}
		for _, t := range tokens {
			if t.kind == 'c' {
				blank(t)
			}
		}
		for i, t := range at {
			if t.kind == 'q' && !local[i] {
				blank(t)
			}
		}
		text = string(octets)
	}
	words := slowWord.MatchString(text)
	names := slowNames(text, words)
	for _, name := range slowNames(slowEscape.ReplaceAllString(text, ""), words) {
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

// slowWellFormed reports whether the whole value is an address-list of UTF-8.
func slowWellFormed(value string) ([]slowToken, bool) {
	unfolded := slowFold.ReplaceAllString(value, "   ")
	if !utf8.ValidString(value) || strings.ContainsFunc(unfolded, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }) {
		return nil, false
	}
	tokens, ok := slowTokens(value)
	if !ok {
		return nil, false
	}
	kinds, _ := slowKinds(tokens)
	return tokens, slowGrammar.MatchString(kinds)
}

// slowKinds omits the comments.
func slowKinds(tokens []slowToken) (string, []slowToken) {
	var kinds []byte
	var at []slowToken
	for _, t := range tokens {
		if t.kind != 'c' {
			kinds = append(kinds, t.kind)
			at = append(at, t)
		}
	}
	return string(kinds), at
}

// slowNames reads the names. In words, a field with encoded words, an underscore may be
// a blank.
func slowNames(text string, words bool) []string {
	var found []string
	for _, rest := range strings.Split(text, "@")[1:] {
		m := slowName.FindStringSubmatch(rest)
		if m == nil {
			continue
		}
		for _, name := range strings.FieldsFunc(m[1], func(c rune) bool { return strings.ContainsRune("!#$%&'*+/=?^`{|}~", c) }) {
			name = strings.Trim(name, ".")
			if words { // no top-level domain has an underscore, which is a blank in an encoded word, RFC 2047 §4.2
				name = strings.TrimRight(slowBlank.ReplaceAllString(name, ""), ".")
			}
			labels := slices.DeleteFunc(strings.Split(name, "."), func(l string) bool { return l == "" })
			if len(labels) < 2 {
				continue
			}
			if d, ok := DomainToASCII(name); ok {
				name = d
			}
			if !slices.Contains(found, name) {
				found = append(found, name)
			}
		}
	}
	return found
}
