package aggregate

import (
	"bufio"
	"bytes"
	"io"
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/htmlindex"
	"golang.org/x/text/encoding/unicode"
)

// sniffed is how many octets decide about the encoding: an XML declaration fits many times.
const sniffed = 1024

// utf8Text returns r as text in UTF-8. The byte order mark decides about the encoding, then the
// zeros of UTF-16, then the declaration; what is not valid after all is read as windows-1252,
// octet by octet, which is what programs write that do not know their encoding. Characters that XML
// does not allow are left out.
func utf8Text(r io.Reader) *bufio.Reader {
	in := bufio.NewReaderSize(r, 32<<10)
	head, _ := in.Peek(sniffed)
	if enc := encodingOf(head); enc != nil {
		in = bufio.NewReaderSize(enc.NewDecoder().Reader(in), 32<<10)
	}
	return bufio.NewReaderSize(&mender{in: in}, 32<<10)
}

var utf8BOM = []byte("\xef\xbb\xbf")

// encodingOf returns the encoding of a document, or nil for UTF-8.
func encodingOf(head []byte) encoding.Encoding {
	switch {
	case bytes.HasPrefix(head, []byte("\xff\xfe")), bytes.HasPrefix(head, []byte("<\x00")):
		return unicode.UTF16(unicode.LittleEndian, unicode.UseBOM)
	case bytes.HasPrefix(head, []byte("\xfe\xff")), bytes.HasPrefix(head, []byte("\x00<")):
		return unicode.UTF16(unicode.BigEndian, unicode.UseBOM)
	case bytes.HasPrefix(head, utf8BOM):
		return nil
	}
	return declared(head)
}

// declared returns the encoding that the XML declaration names, if it is one that keeps ASCII:
// a document whose declaration could be read is not UTF-16, even if it says so.
func declared(head []byte) encoding.Encoding {
	head = bytes.TrimLeft(head, " \t\r\n")
	declaration, _, closed := bytes.Cut(head, []byte("?>"))
	if !closed || !bytes.HasPrefix(declaration, []byte("<?xml")) {
		return nil
	}
	_, rest, _ := bytes.Cut(declaration, []byte("encoding"))
	rest = bytes.TrimLeft(rest, " \t\r\n=\"'")
	if end := bytes.IndexAny(rest, " \t\r\n\"'"); end >= 0 {
		rest = rest[:end]
	}
	enc, err := htmlindex.Get(string(rest))
	if err != nil || enc == unicode.UTF8 || isUTF16(enc) {
		return nil
	}
	return enc
}

func isUTF16(enc encoding.Encoding) bool {
	name, err := htmlindex.Name(enc)
	return err == nil && (name == "utf-16le" || name == "utf-16be" || name == "replacement")
}

// A mender reads UTF-8, with each octet that is none read as windows-1252, and without the
// characters that XML does not allow.
type mender struct {
	in     *bufio.Reader
	buffer [utf8.UTFMax]byte
	rest   []byte // of a character that did not fit, in buffer
}

func (m *mender) Read(p []byte) (n int, err error) {
	for n < len(p) {
		if len(m.rest) == 0 {
			if copied := m.ascii(p[n:]); copied > 0 {
				n += copied
				continue
			}
			if err = m.next(); err != nil {
				break
			}
		}
		written := copy(p[n:], m.rest)
		n, m.rest = n+written, m.rest[written:]
	}
	return n, err
}

// ascii copies characters that need no mending, of those that are in memory already.
func (m *mender) ascii(p []byte) (n int) {
	ready, _ := m.in.Peek(m.in.Buffered())
	for n < len(p) && n < len(ready) && ready[n] < utf8.RuneSelf && isXML(rune(ready[n])) {
		n++
	}
	copy(p, ready[:n])
	m.in.Discard(n)
	return n
}

// next reads one character into rest, or none if it is left out.
func (m *mender) next() error {
	c, size, err := m.in.ReadRune()
	if err != nil {
		return err
	}
	if c == utf8.RuneError && size == 1 {
		m.in.UnreadRune()
		b, _ := m.in.ReadByte()
		c = charmap.Windows1252.DecodeByte(b)
	}
	if !isXML(c) || c == 0xfeff {
		return nil
	}
	m.rest = utf8.AppendRune(m.buffer[:0], c)
	return nil
}

// isXML tells whether XML allows a character (XML 1.0 §2.2).
func isXML(c rune) bool {
	return c >= ' ' && c != 0xfffe && c != 0xffff || c == '\t' || c == '\r' || c == '\n'
}
