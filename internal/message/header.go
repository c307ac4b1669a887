// Package message holds what every other part of Signpost says about one mail
// message: its header with the exact bytes, its envelope, its author, and what
// is to be done with it. It is the leaf of the import graph: pure, without I/O,
// clock or log (RFC 5322, 6532, 6854; RFC 5890 and UTS 46 for domain names).
//
// Known deviations, all in [Header.Author]: what RFC 5322 §4 wants accepted of
// obsolete addresses (a source route, a comment inside a domain, white space that
// makes an address look like another), encoded words and invisible characters in
// a local part, and an "@" in a quoted one, are parsed and yet reported as a
// problem, because mail readers differ on which domain they show.
package message

import (
	"bytes"
	"strings"
)

// A Field is one header field exactly as it stands in the message. The field on
// the wire is Name + ":" + Value + CRLF.
type Field struct {
	// Name as it was spelled, without the colon.
	Name string
	// Value is everything after the colon: leading white space and folding
	// (CRLF followed by a blank or tab) are kept, the final CRLF is not.
	Value string
}

// Is reports whether the field has this name. Field names are compared without
// regard to ASCII case (RFC 5322 §1.2.2).
func (f Field) Is(name string) bool { return EqualFold(f.Name, name) }

// Header is a message's header: its fields in the order of the message, the top
// one first. It is immutable once built and may be shared between goroutines.
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

// A Builder collects the fields of a header as they arrive and makes one Header
// of them with two allocations, however many fields there are. The zero value is
// ready; Reset makes it ready for the next message and keeps its memory.
type Builder struct {
	buf   []byte
	spans []span
}

// span is where one field lies in the buffer: name, then value.
type span struct{ start, colon, end int }

var cr = []byte("\r")

// Add appends a field below those already there. Line ends inside the value may
// be LF, as the milter protocol has them, or CRLF; they are stored as CRLF. A CR
// that is not before an LF stays what it is.
func (b *Builder) Add(name, value []byte) {
	s := span{start: len(b.buf)}
	b.buf = append(b.buf, name...)
	s.colon = len(b.buf)
	for {
		lf := bytes.IndexByte(value, '\n')
		if lf < 0 {
			b.buf = append(b.buf, value...)
			break
		}
		b.buf = append(b.buf, bytes.TrimSuffix(value[:lf], cr)...)
		b.buf = append(b.buf, '\r', '\n')
		value = value[lf+1:]
	}
	s.end = len(b.buf)
	b.spans = append(b.spans, s)
}

// Len returns the number of fields, Size their bytes (names and values).
func (b *Builder) Len() int  { return len(b.spans) }
func (b *Builder) Size() int { return len(b.buf) }

// Header returns what was collected. It does not share memory with the builder.
func (b *Builder) Header() Header {
	text := string(b.buf)
	h := make(Header, len(b.spans))
	for i, s := range b.spans {
		h[i] = Field{Name: text[s.start:s.colon], Value: text[s.colon:s.end]}
	}
	return h
}

// Reset forgets the fields. The memory of an unusually large header is let go.
func (b *Builder) Reset() {
	const keep = 64 << 10
	if cap(b.buf) > keep {
		b.buf = nil
	}
	b.buf, b.spans = b.buf[:0], b.spans[:0]
	if cap(b.spans) > 1024 {
		b.spans = nil
	}
}

// EqualFold compares two names without regard to the case of ASCII letters only,
// unlike strings.EqualFold, for which U+212A is a k.
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

// LowerASCII lowers ASCII letters only, as DNS does (RFC 4343 §3), and allocates
// only if there are any to be lowered.
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

// String returns the header as it stands on the wire, without the empty line.
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
