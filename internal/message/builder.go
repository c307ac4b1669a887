package message

import (
	"bytes"
	"strings"
)

// A Builder collects the fields of a header and makes one Header of them. A header of
// the usual size takes two allocations for any number of fields. A large one is copied
// in pieces as it arrives: builder and header together hold little more than the text
// itself. The zero value is ready; Reset prepares it for the next message and keeps its
// memory.
type Builder struct {
	buf   []byte // the text of spans
	spans []span
	done  Header // the fields above those, with strings of their own
	text  int    // octets of done
}

// span is the position of one field in the buffer: name, then value.
type span struct{ start, colon, end int }

const (
	// block is how much text is collected before it is copied: much more than an
	// ordinary header has.
	block = 48 << 10
	// usualBuffer and usualSpans are the memory that a builder keeps for the next message.
	usualBuffer = 16 << 10
	usualSpans  = 256
)

var cr = []byte("\r")

// Add appends a field below the others. Line ends inside the value may be LF, as in the
// milter protocol, or CRLF; they are stored as CRLF. A CR that is not followed by an LF
// is kept.
func (b *Builder) Add(name, value []byte) {
	if len(name)+len(value) > block {
		b.addLarge(name, value)
		return
	}
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
	if len(b.buf) >= block {
		b.seal()
	}
}

// addLarge is Add for a field that is copied once, into its own memory.
func (b *Builder) addLarge(name, value []byte) {
	b.seal()
	var text strings.Builder
	text.Grow(len(name) + len(value) + bytes.Count(value, lf) - bytes.Count(value, crlf))
	text.Write(name)
	for {
		line, rest, more := bytes.Cut(value, lf)
		if !more {
			text.Write(line)
			break
		}
		text.Write(bytes.TrimSuffix(line, cr))
		text.WriteString("\r\n")
		value = rest
	}
	b.done = append(b.done, Field{Name: text.String()[:len(name)], Value: text.String()[len(name):]})
	b.text += text.Len()
}

var lf, crlf = []byte("\n"), []byte("\r\n")

// seal turns the buffer into fields.
func (b *Builder) seal() {
	if len(b.spans) == 0 {
		return
	}
	b.done = b.appendTo(b.done)
	b.text += len(b.buf)
	b.buf, b.spans = b.buf[:0], b.spans[:0]
}

// appendTo appends the fields in the buffer, which share one string.
func (b *Builder) appendTo(h Header) Header {
	text := string(b.buf)
	for _, s := range b.spans {
		h = append(h, Field{Name: text[s.start:s.colon], Value: text[s.colon:s.end]})
	}
	return h
}

// Len returns the number of fields, Size their bytes (names and values).
func (b *Builder) Len() int  { return len(b.done) + len(b.spans) }
func (b *Builder) Size() int { return b.text + len(b.buf) }

// Memory returns how many octets of memory the builder holds.
func (b *Builder) Memory() int {
	return b.text + cap(b.done)*fieldMemory + cap(b.buf) + cap(b.spans)*spanMemory
}

// The octets of a Field and of a span, on a machine of 64 bits.
const (
	fieldMemory = 32
	spanMemory  = 24
)

// Header returns the collected fields. It shares no memory with the builder.
func (b *Builder) Header() Header {
	h := b.done[:len(b.done):len(b.done)]
	if len(h) == 0 {
		h = make(Header, 0, len(b.spans))
	}
	return b.appendTo(h)
}

// Reset removes the fields. It releases the memory of an unusually large header.
func (b *Builder) Reset() {
	*b = Builder{buf: b.buf[:0], spans: b.spans[:0]}
	if cap(b.buf) > usualBuffer {
		b.buf = nil
	}
	if cap(b.spans) > usualSpans {
		b.spans = nil
	}
}
