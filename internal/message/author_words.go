package message

import (
	"encoding/base64"
	"strings"
	"unicode/utf8"
)

// openWords undoes the encoded words of RFC 2047 in a text, without regard to where
// they may stand, as some programs do before they look for addresses. decoded has
// their octets, with 0xff for those beyond ASCII that are not UTF-8. known is false where a word is of a character set in which the octets of
// ASCII could stand for something else.
func openWords(text string) (decoded string, known bool) {
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
			w, ok = cutWord(text[start:])
		}
		if !ok { // no word here, or no more at all
			n := len(text)
			if start >= 0 && n-start > ends {
				n = start + 2
			}
			d.WriteString(text[:n])
			text, afterWord = text[n:], false
			continue
		}
		between := text[:start]
		// §6.2: white space between two encoded words is no part of the text.
		if !afterWord || strings.Trim(between, " \t\r\n") != "" {
			d.WriteString(between)
		}
		known = known && extendsASCII(w.charset)
		d.WriteString(w.decoded())
		text, afterWord = text[start+w.size:], true
	}
	return d.String(), known
}

// An encodedWord is "=?charset?encoding?content?=".
type encodedWord struct {
	charset, content string
	base64           bool
	size             int
}

// cutWord reads the encoded word that a text begins with.
func cutWord(text string) (w encodedWord, ok bool) {
	const longest = 64 // octets of a charset
	rest := text[len("=?"):]
	n := strings.IndexByte(rest[:min(len(rest), longest)], '?')
	if n <= 0 || len(rest) < n+3 || rest[n+2] != '?' {
		return w, false
	}
	w.charset = rest[:n]
	switch rest[n+1] {
	case 'b', 'B':
		w.base64 = true
	case 'q', 'Q':
	default:
		return w, false
	}
	rest = rest[n+3:]
	end := strings.Index(rest, "?=")
	if end < 0 {
		return w, false
	}
	w.content = rest[:end]
	w.size = len(text) - len(rest) + end + len("?=")
	return w, true
}

func (w encodedWord) decoded() string {
	octets := w.octets()
	if charset := LowerASCII(w.charset); strings.HasPrefix(charset, "utf-8") || strings.HasPrefix(charset, "utf8") {
		return octets
	}
	beyond := []byte(octets)
	for i, b := range beyond {
		if b >= utf8.RuneSelf {
			beyond[i] = 0xff
		}
	}
	return string(beyond)
}

// octets decodes leniently: what does not belong is passed over.
func (w encodedWord) octets() string {
	if w.base64 {
		kept := strings.Map(func(c rune) rune {
			if c < 0x80 && (isAlnum(byte(c)) || c == '+' || c == '/') {
				return c
			}
			return -1
		}, w.content)
		if len(kept)%4 == 1 {
			kept = kept[:len(kept)-1]
		}
		octets, _ := base64.RawStdEncoding.DecodeString(kept) // no error is possible
		return string(octets)
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
	return string(octets)
}

func hexDigit(c byte) int { return strings.IndexByte("0123456789abcdef", c|0x20) }

// extendsASCII reports whether the octets of ASCII are themselves in a character set,
// by what its name begins with. UTF-7, UTF-16 and EBCDIC are among those where not.
func extendsASCII(charset string) bool {
	charset, _, _ = strings.Cut(LowerASCII(charset), "*") // RFC 2231 §5: a language
	for _, prefix := range []string{
		"us-ascii", "ascii", "ansi_x3", "utf-8", "utf8", "iso-8859", "iso8859", "iso_8859", "latin", "windows-", "cp125", "cp-125",
		"cp437", "cp850", "cp852", "cp866", "cp932", "cp936", "cp949", "cp950", "gb", "x-gbk", "big5", "euc", "x-euc", "shift", "sjis", "x-sjis",
		"ms_kanji", "koi8", "ks_c", "iso-2022-", "tis-620", "mac", "x-mac", "unknown", "x-unknown", "default", "viscii", "johab",
	} {
		if strings.HasPrefix(charset, prefix) {
			return true
		}
	}
	return false
}

const escape = 0x1b

// withoutEscapes drops the escape sequences by which the character sets of ISO 2022
// change (ECMA-35 §13.2): a reader that knows them does not show them.
func withoutEscapes(text string) string {
	if strings.IndexByte(text, escape) < 0 {
		return text
	}
	kept := make([]byte, 0, len(text))
	for i := 0; i < len(text); i++ {
		if text[i] != escape {
			kept = append(kept, text[i])
			continue
		}
		for i+1 < len(text) && text[i+1] >= 0x20 && text[i+1] <= 0x2f {
			i++
		}
		i++ // the final octet
	}
	return string(kept)
}
