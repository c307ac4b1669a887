package message

import (
	"encoding/base64"
	"slices"
	"strings"
	"unicode/utf8"
)

// readings returns the other texts in which programs may look for addresses: with
// encoded words decoded, leniently or strictly, perhaps twice, or with words ended
// early; without escape sequences. known is false if the content of a word depends on
// the program.
func readings(text string) (others []string, known bool) {
	known = true
	add := func(other string) {
		if other != text && !slices.Contains(others, other) {
			others = append(others, other)
		}
	}
	if strings.Contains(text, "=?") {
		for _, strict := range []bool{false, true} {
			once, ok := openWords(text, strict)
			twice, okAgain := openWords(once, strict)
			apart, _ := openWords(strings.ReplaceAll(text, "?=", "?= "), strict)
			add(once)
			add(twice)
			add(apart)
			known = known && ok && okAgain
		}
	}
	for _, other := range slices.Concat([]string{text}, others) {
		add(withoutEscapes(other))
	}
	return others, known
}

// openWords decodes the encoded words of RFC 2047 at any position, as some programs do
// before they look for addresses. strict applies §2: no white space and no "?" in a
// word. decoded has their octets, with 0xff for octets beyond ASCII that are not UTF-8.
// known is false if a word is in a character set in which the octets of ASCII could
// mean other characters, or is base64 that decoders read differently.
func openWords(text string, strict bool) (decoded string, known bool) {
	if !strings.Contains(text, "=?") {
		return text, true
	}
	var d strings.Builder
	known = true
	ends := len(text) - strings.LastIndex(text, "?=") // no word ends in the last so many octets
	for afterWord := false; text != ""; {
		start := strings.Index(text, "=?")
		w, ok := encodedWord{}, false
		if start >= 0 && len(text)-start > ends {
			w, ok = cutWord(text[start:], strict)
		}
		if !ok { // no further word
			n := len(text)
			if start >= 0 && n-start > ends {
				n = start + 2
			}
			d.WriteString(text[:n])
			text, afterWord = text[n:], false
			continue
		}
		between := text[:start]
		// §6.2: white space between two encoded words is not part of the text.
		if !afterWord || strings.Trim(between, " \t\r\n") != "" {
			d.WriteString(between)
		}
		octets, exact := w.decoded()
		known = known && exact && extendsASCII(w.charset)
		d.WriteString(octets)
		text, afterWord = text[start+w.size:], true
	}
	return d.String(), known
}

// An encodedWord is "=?charset?encoding?content?=".
type encodedWord struct {
	charset, content string
	base64, strict   bool
	size             int
}

// cutWord reads the encoded word at the beginning of a text.
func cutWord(text string, strict bool) (w encodedWord, ok bool) {
	const longest = 64 // octets of a charset
	rest := text[len("=?"):]
	n := strings.IndexByte(rest[:min(len(rest), longest)], '?')
	if n <= 0 || len(rest) < n+3 || rest[n+2] != '?' {
		return w, false
	}
	w.charset, w.strict = rest[:n], strict
	switch rest[n+1] {
	case 'b', 'B':
		w.base64 = true
	case 'q', 'Q':
	default:
		return w, false
	}
	rest = rest[n+3:]
	end := strings.Index(rest, "?=")
	if strict {
		// Stop here: each octet is examined a bounded number of times.
		if end = strings.IndexAny(rest, "? \t\r\n"); end >= 0 && !strings.HasPrefix(rest[end:], "?=") {
			end = -1
		}
	}
	if end < 0 {
		return w, false
	}
	w.content = rest[:end]
	w.size = len(text) - len(rest) + end + len("?=")
	return w, true
}

// decoded returns the content of the word. exact is false if decoders differ.
func (w encodedWord) decoded() (octets string, exact bool) {
	octets, exact = w.octets()
	if charset := LowerASCII(w.charset); strings.HasPrefix(charset, "utf-8") || strings.HasPrefix(charset, "utf8") {
		return octets, exact
	}
	beyond := []byte(octets)
	for i, b := range beyond {
		if b >= utf8.RuneSelf {
			beyond[i] = 0xff
		}
	}
	return string(beyond), exact
}

// base64Octets skips foreign characters. exact is false if there is text after the
// padding, at which some decoders stop, or a last character that gives no octet in
// every decoder. Foreign characters, at which some decoders stop too, count only in a
// strictly valid word: other text need not be base64.
func base64Octets(content string, strict bool) (octets string, exact bool) {
	exact = true
	padded, foreign := false, false
	kept := strings.Map(func(c rune) rune {
		switch {
		case c < 0x80 && (isAlnum(byte(c)) || c == '+' || c == '/'):
			exact = exact && !padded
			return c
		case c == '=':
			padded = true
		case c != ' ' && c != '\t' && c != '\r' && c != '\n':
			foreign = true
		}
		return -1
	}, content)
	if len(kept)%4 == 1 {
		kept, exact = kept[:len(kept)-1], false
	}
	decoded, _ := base64.RawStdEncoding.DecodeString(kept) // no error is possible
	if foreign {
		exact = !strict
	}
	return string(decoded), exact
}

// octets decodes leniently.
func (w encodedWord) octets() (decoded string, exact bool) {
	if w.base64 {
		return base64Octets(w.content, w.strict)
	}
	octets := make([]byte, 0, len(w.content))
	for i := 0; i < len(w.content); i++ {
		b := w.content[i]
		switch {
		case b == '_':
			b = ' '
		case b == '=' && i+2 < len(w.content) && hexDigit(w.content[i+1]) >= 0 && hexDigit(w.content[i+2]) >= 0:
			b = byte(hexDigit(w.content[i+1])<<4 | hexDigit(w.content[i+2]))
			i += 2
		}
		octets = append(octets, b)
	}
	return string(octets), true
}

func hexDigit(c byte) int { return strings.IndexByte("0123456789abcdef", c|0x20) }

// extendsASCII reports whether a character set, by the beginning of its name, contains
// ASCII unchanged. UTF-7, UTF-16 and EBCDIC do not.
func extendsASCII(charset string) bool {
	charset, _, _ = strings.Cut(LowerASCII(charset), "*") // RFC 2231 §5: a language suffix
	for _, prefix := range []string{
		"us-ascii", "ascii", "ansi_x3", "utf-8", "utf8", "iso-8859", "iso8859", "iso_8859", "latin", "windows-", "cp125", "cp-125",
		"cp437", "cp85", "cp86", "ibm437", "ibm85", "ibm86", "iso646-us", "armscii-8", "hp-roman8", "tcvn", "cp932", "cp936", "cp949", "cp950", "gb", "x-gbk", "big5", "euc", "x-euc", "shift", "sjis", "x-sjis",
		"ms_kanji", "koi8", "ks_c", "iso-2022-", "tis-620", "mac", "x-mac", "unknown", "x-unknown", "default", "viscii", "johab",
	} {
		if strings.HasPrefix(charset, prefix) {
			return true
		}
	}
	return false
}

const escape = 0x1b

// withoutEscapes drops what a reader that knows escape sequences does not display: those
// that switch between character sets (ECMA-35 §13.2), and the control sequences and
// control strings of terminals (ECMA-48 §5.4, §5.6).
func withoutEscapes(text string) string {
	if strings.IndexByte(text, escape) < 0 {
		return text
	}
	kept := make([]byte, 0, len(text))
	for i := 0; i < len(text); {
		if text[i] != escape {
			kept = append(kept, text[i])
			i++
			continue
		}
		i += escapeSequence(text[i:])
	}
	return string(kept)
}

// escapeSequence returns the length of the escape sequence at the beginning of text. A
// control string without its end has no content.
func escapeSequence(text string) int {
	i := 1
	if i < len(text) {
		switch text[i] {
		case '[':
			for i++; i < len(text) && 0x20 <= text[i] && text[i] <= 0x3f; i++ {
			}
			return min(i+1, len(text)) // with the final octet
		case 'P', 'X', ']', '^', '_':
			return 2 + controlString(text[2:])
		}
	}
	for i < len(text) && 0x20 <= text[i] && text[i] <= 0x2f {
		i++
	}
	return min(i+1, len(text))
}

// controlString returns the length of a control string's content and end, ST or BEL. It is
// 0 without an end, which is searched up to the next escape.
func controlString(text string) int {
	end := strings.IndexAny(text, "\a\x1b")
	switch {
	case end < 0:
		return 0
	case text[end] == '\a':
		return end + 1
	case strings.HasPrefix(text[end:], "\x1b\\"):
		return end + 2
	}
	return 0
}

// switchesCharset reports whether an escape sequence has the form of those that switch
// between character sets.
func switchesCharset(text string) bool {
	return len(text) > 1 && 0x20 <= text[1] && text[1] <= 0x2f
}
