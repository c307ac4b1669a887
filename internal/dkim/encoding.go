package dkim

import "strings"

const (
	base64Alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
	notBase64      = 0xff
)

var base64Value = func() (table [256]byte) {
	for i := range table {
		table[i] = notBase64
	}
	for i := range len(base64Alphabet) {
		table[base64Alphabet[i]] = byte(i)
	}
	return table
}()

// appendBase64 decodes a base64string (§2.10). White space is allowed anywhere; padding
// is optional. It returns false at any other character, and when the result would
// exceed limit octets.
func appendBase64(dst []byte, s string, limit int) ([]byte, bool) {
	var acc uint32
	var digits, padding int
	end := len(dst) + limit
	for i := 0; i < len(s); i++ {
		if digits%4 == 0 && padding == 0 {
			dst, i = appendQuads(dst, s, i, end)
			if i == len(s) {
				break
			}
		}
		c := s[i]
		v := base64Value[c]
		switch {
		case v != notBase64 && padding == 0:
			acc = acc<<6 | uint32(v)
			digits++
			if digits%4 != 1 {
				if len(dst) == end {
					return dst, false
				}
				dst = append(dst, byte(acc>>(uint(8-2*(digits%4))%8)))
			}
		case isFWS(c):
		case c == '=':
			padding++
		default:
			return dst, false
		}
	}
	ok := digits%4 != 1 && (padding == 0 || padding <= 2 && (digits+padding)%4 == 0)
	return dst, ok
}

// appendQuads decodes the digits at s[i:] while there are four together and dst stays
// within end. It returns the position at which it stopped.
func appendQuads(dst []byte, s string, i, end int) ([]byte, int) {
	for i+4 <= len(s) && len(dst)+3 <= end {
		q := s[i : i+4]
		v0, v1, v2, v3 := base64Value[q[0]], base64Value[q[1]], base64Value[q[2]], base64Value[q[3]]
		if v0|v1|v2|v3 == notBase64 {
			break
		}
		dst = append(dst, v0<<2|v1>>4, v1<<4|v2>>2, v2<<6|v3)
		i += 4
	}
	return dst, i
}

// stripFWS returns s without folding white space.
func stripFWS(s string) string {
	n := runOf(s, ' '+1)
	if n == len(s) {
		return s
	}
	var b strings.Builder
	b.Grow(len(s))
	for {
		b.WriteString(s[:n])
		for n < len(s) && isFWS(s[n]) {
			n++
		}
		if s = s[n:]; s == "" {
			return b.String()
		}
		n = max(runOf(s, ' '+1), 1)
	}
}

// decodeQP decodes dkim-quoted-printable (§2.11) without white space.
func decodeQP(s string) string {
	if strings.IndexByte(s, '=') < 0 {
		return s
	}
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c == '=' && i+2 < len(s) {
			hi, lo := unhex(s[i+1]), unhex(s[i+2])
			if hi >= 0 && lo >= 0 {
				c = byte(hi<<4 | lo)
				i += 2
			}
		}
		b = append(b, c)
	}
	return string(b)
}

// unhex reads a hexadecimal digit; §2.11 allows upper case only.
func unhex(c byte) int {
	switch {
	case '0' <= c && c <= '9':
		return int(c - '0')
	case 'A' <= c && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}

// encodeQP encodes text as dkim-quoted-printable. If utf8 is set, octets above 127 stay
// as they are (RFC 8616 §5).
func encodeQP(text string, utf8 bool) string {
	const hex = "0123456789ABCDEF"
	var b strings.Builder
	for i := range len(text) {
		c := text[i]
		switch {
		case c > ' ' && c < 0x7f && c != ';' && c != '=', c >= 0x80 && utf8:
			b.WriteByte(c)
		default:
			b.Write([]byte{'=', hex[c>>4], hex[c&15]})
		}
	}
	return b.String()
}
