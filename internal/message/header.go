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

import (
	"iter"
	"strings"
)

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

// Hidden returns the fields inside the value that a reader finds if it ends lines at a CR or an
// LF alone, too. They fold nothing (RFC 5322 §2.2), and nearly no field has them.
func (f Field) Hidden() iter.Seq[Field] {
	return func(yield func(Field) bool) {
		if onlyFolds(f.Value) { // the fast way for nearly all
			return
		}
		for _, rest := cutLine(f.Value); rest != ""; {
			var line string
			line, rest = cutLine(rest)
			name, value, ok := strings.Cut(line, ":")
			if ok && name != "" && !yield(Field{name, value}) {
				return
			}
		}
	}
}

// onlyFolds says that each CR and LF of a value is part of a fold.
func onlyFolds(s string) bool {
	for {
		end := strings.IndexByte(s, '\r')
		if end < 0 {
			return strings.IndexByte(s, '\n') < 0
		}
		if strings.IndexByte(s[:end], '\n') >= 0 || len(s) < end+3 || s[end+1] != '\n' || s[end+2] != ' ' && s[end+2] != '\t' {
			return false
		}
		s = s[end+3:]
	}
}

// cutLine cuts a text behind its first line, for a reader to whom CR, LF and CRLF are line
// ends. A line that begins with white space continues the one before it.
func cutLine(s string) (line, rest string) {
	for end := 0; ; {
		n := strings.IndexAny(s[end:], "\r\n")
		if n < 0 {
			return s, ""
		}
		line = s[:end+n]
		rest = strings.TrimPrefix(s[len(line):], "\r\n")
		if len(rest)+len(line) == len(s) {
			rest = rest[1:]
		}
		if rest == "" || rest[0] != ' ' && rest[0] != '\t' {
			return line, rest
		}
		end = len(s) - len(rest)
	}
}

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
