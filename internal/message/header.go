// Package message has the types that all parts of Signpost share for one mail
// message: its header with the exact bytes, its envelope, its author, and the outcome.
// It imports no other package of ours and is pure: no I/O, clock or log (RFC 5322,
// 6532, 6854; RFC 5890 and UTS 46 for domain names).
//
// Known deviations, all in [Header.Author]: obsolete addresses that RFC 5322 §4
// accepts (a source route, a comment inside a domain, white space that makes an
// address look like another), encoded words and invisible characters in a local part,
// and an "@" in a quoted one, are parsed but reported as a problem, because mail
// readers display different domains.
package message

import "strings"

// A Field is one header field exactly as in the message. On the wire it is Name + ":" +
// Value + CRLF.
type Field struct {
	// Name as spelled, without the colon.
	Name string
	// Value is everything after the colon, with leading white space and folds (CRLF
	// followed by a space or tab), without the final CRLF.
	Value string
}

// Is reports whether the field has this name. Field names are compared without
// regard to ASCII case (RFC 5322 §1.2.2).
func (f Field) Is(name string) bool { return EqualFold(f.Name, name) }

// Header is a message's header: its fields in message order, the top one first. It is
// immutable and may be shared between goroutines.
type Header []Field

// Count returns how many fields have this name.
func (h Header) Count(name string) int {
	n := 0
	for _, f := range h {
		if f.Is(name) {
			n++
		}
	}
	return n
}

// First returns the topmost field of this name.
func (h Header) First(name string) (Field, bool) {
	for _, f := range h {
		if f.Is(name) {
			return f, true
		}
	}
	return Field{}, false
}

// Memory returns the octets of memory that the header holds, if a Builder made it.
func (h Header) Memory() int {
	n := cap(h) * fieldMemory
	for _, f := range h {
		n += len(f.Name) + len(f.Value)
	}
	return n
}

// EqualFold compares two names without regard to the case of ASCII letters. Unlike
// strings.EqualFold it does not equate U+212A and k.
func EqualFold(a, b string) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range len(a) {
		if lower(a[i]) != lower(b[i]) {
			return false
		}
	}
	return true
}

// LowerASCII converts ASCII letters to lower case, as DNS does (RFC 4343 §3). It
// allocates only if there are capitals.
func LowerASCII(s string) string {
	for i := range len(s) {
		if 'A' <= s[i] && s[i] <= 'Z' {
			b := []byte(s)
			for ; i < len(b); i++ {
				b[i] = lower(b[i])
			}
			return string(b)
		}
	}
	return s
}

func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}

// String returns the header as on the wire, without the empty line.
func (h Header) String() string {
	var b strings.Builder
	for _, f := range h {
		b.WriteString(f.Name)
		b.WriteByte(':')
		b.WriteString(f.Value)
		b.WriteString("\r\n")
	}
	return b.String()
}
