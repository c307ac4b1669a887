package dkim

import (
	"bytes"

	"signpost/internal/message"
)

// AppendField appends a header field in canonical form, with its CRLF, and returns the
// extended slice. Every value other than Relaxed means Simple.
func AppendField(dst []byte, f message.Field, c Canonicalization) []byte {
	dst = appendName(dst, f.Name, c)
	if c == Relaxed {
		dst = appendRelaxed(dst, f.Value)
	} else {
		dst = append(dst, f.Value...)
	}
	return append(dst, "\r\n"...)
}

// appendName appends the field's name and the colon. §3.4.1: simple keeps even the
// white space before the colon.
func appendName(dst []byte, name string, c Canonicalization) []byte {
	if c != Relaxed {
		dst = append(dst, name...)
		return append(dst, ':')
	}
	for _, b := range []byte(trimWSP(name)) {
		if 'A' <= b && b <= 'Z' {
			b += 'a' - 'A'
		}
		dst = append(dst, b)
	}
	return append(dst, ':')
}

// appendSignature appends the DKIM-Signature field that is made or checked, with b=
// emptied and without CRLF (§3.7). The value of b=, with the white space around it, is
// f.Value[start:end].
func appendSignature(dst []byte, f message.Field, start, end int, c Canonicalization) []byte {
	dst = appendName(dst, f.Name, c)
	if c != Relaxed {
		dst = append(dst, f.Value[:start]...)
		return append(dst, f.Value[end:]...)
	}
	mark := len(dst)
	dst = appendRelaxed(dst, f.Value[:start])
	// White space on both sides of the gap would be one run. But the left side always
	// ends with "=", and the right side begins with ";" or is empty.
	return appendRelaxedAfter(dst, mark, f.Value[end:])
}

// appendRelaxed appends a field's value as §3.4.2 says: unfolded, each run of white
// space as one space, none at either end.
func appendRelaxed(dst []byte, value string) []byte {
	return appendRelaxedAfter(dst, len(dst), value)
}

// appendRelaxedAfter continues a value that began at mark.
func appendRelaxedAfter(dst []byte, mark int, value string) []byte {
	for i := 0; i < len(value); {
		run := i
		i += runOf(value[i:], ' '+1)
		dst = append(dst, value[run:i]...)
		blank := false
		for i < len(value) && value[i] <= ' ' {
			switch c := value[i]; {
			case isWSP(c):
				blank = true
			case c == '\r' && i+1 < len(value) && value[i+1] == '\n':
				i++
			default:
				// A lone CR or LF and other controls are text.
				if blank && len(dst) > mark {
					dst = append(dst, ' ')
				}
				blank = false
				dst = append(dst, c)
			}
			i++
		}
		if blank && i < len(value) && len(dst) > mark {
			dst = append(dst, ' ')
		}
	}
	return dst
}

var (
	lineEnd   = []byte("\r\n")
	blankLine = bytes.Repeat(lineEnd, 512)
)
