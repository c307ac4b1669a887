package message

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
)

// ErrHeaderTooLarge is Split's error if a limit was exceeded.
var ErrHeaderTooLarge = errors.New("message header too large")

// Limits bounds how much Split reads. Zero means the default.
type Limits struct {
	HeaderBytes int // default 1 MiB
	Fields      int // default 2,000
}

const (
	defaultHeaderBytes = 1 << 20
	defaultFields      = 2000
)

// Split reads the header of a message file and returns it with a reader of the body.
// The body reader converts bare LF line ends to CRLF; a lone CR is kept. Lines of the
// header may end in LF or CRLF. An mbox "From " line (or ">From ") at the top is
// skipped. A file may end within the header: the body is then empty.
//
// The header ends at the empty line or, as in Postfix's cleanup, before the first line
// that is neither a field nor a continuation: a line without a colon, or with a space,
// control or 8-bit octet inside the name, or a first line that begins with white space.
// That line begins the body. White space between name and colon stays in the name
// ("From "), so that callers can distinguish it from the real field.
//
// The body reader reads from r on demand and is valid as long as r is.
func Split(r io.Reader, limits Limits) (Header, io.Reader, error) {
	s := splitter{br: bufio.NewReaderSize(r, 32<<10), limits: limits}
	if s.limits.HeaderBytes <= 0 {
		s.limits.HeaderBytes = defaultHeaderBytes
	}
	if s.limits.Fields <= 0 {
		s.limits.Fields = defaultFields
	}
	rest, err := s.header()
	if err != nil {
		return nil, nil, err
	}
	var body io.Reader = s.br
	if len(rest) > 0 {
		body = io.MultiReader(bytes.NewReader(rest), s.br)
	}
	return s.fields.Header(), &crlfReader{r: body}, nil
}

type splitter struct {
	br     *bufio.Reader
	limits Limits
	read   int
	fields Builder
	// name and value are the field that may still be continued.
	name, value []byte
	open        bool
	buf         []byte // the line read last
}

// header collects the fields. rest is the text that was read after them: the non-empty
// line that ended the header.
func (s *splitter) header() (rest []byte, err error) {
	for first := true; ; first = false {
		line, err := s.line()
		if err != nil && err != io.EOF {
			return nil, err
		}
		text := trimLineEnd(line)
		atEnd := err == io.EOF
		switch {
		case len(line) == 0 && atEnd, len(text) == 0:
			return nil, s.close()
		case first && isMboxFrom(text):
		case s.open && (text[0] == ' ' || text[0] == '\t'):
			s.value = append(append(s.value, '\r', '\n'), text...)
		default:
			colon := fieldColon(text)
			if err := s.close(); err != nil {
				return nil, err
			}
			if colon < 0 {
				return line, nil
			}
			s.name = append(s.name[:0], text[:colon]...)
			s.value = append(s.value[:0], text[colon+1:]...)
			s.open = true
		}
		if atEnd {
			return nil, s.close()
		}
	}
}

// close adds the open field to the others.
func (s *splitter) close() error {
	if !s.open {
		return nil
	}
	s.open = false
	if s.fields.Len() >= s.limits.Fields {
		return fmt.Errorf("%w: more than %d fields", ErrHeaderTooLarge, s.limits.Fields)
	}
	s.fields.Add(s.name, s.value)
	return nil
}

// line reads up to and including the next LF, within the limit. The result is valid
// until the next call.
func (s *splitter) line() ([]byte, error) {
	s.buf = s.buf[:0]
	for {
		part, err := s.br.ReadSlice('\n')
		s.read += len(part)
		if s.read > s.limits.HeaderBytes {
			return nil, fmt.Errorf("%w: more than %d bytes before the empty line", ErrHeaderTooLarge, s.limits.HeaderBytes)
		}
		s.buf = append(s.buf, part...)
		if err == bufio.ErrBufferFull {
			continue
		}
		if err != nil && err != io.EOF {
			return nil, fmt.Errorf("reading the message header: %w", err)
		}
		return s.buf, err
	}
}

func trimLineEnd(line []byte) []byte {
	line = bytes.TrimSuffix(line, []byte("\n"))
	return bytes.TrimSuffix(line, []byte("\r"))
}

func isMboxFrom(text []byte) bool {
	return bytes.HasPrefix(bytes.TrimPrefix(text, []byte(">")), []byte("From ")) && fieldColon(text) < 0
}

// fieldColon returns the position of the colon of a header field line, or -1 if the
// line is not a field: a name of printing ASCII, with optional white space before the
// colon (RFC 5322 §4.5.8).
func fieldColon(text []byte) int {
	blank := false
	for i, c := range text {
		switch {
		case c == ':':
			if i == 0 {
				return -1
			}
			return i
		case c == ' ' || c == '\t':
			if i == 0 {
				return -1
			}
			blank = true
		case c < '!' || c > '~' || blank:
			return -1
		}
	}
	return -1
}

// crlfReader turns bare LF into CRLF.
type crlfReader struct {
	r    io.Reader
	in   []byte // read and not yet returned
	buf  [8 << 10]byte
	last byte // the last octet returned
	err  error
}

// Read may return fewer bytes than available; it returns none only at the end.
func (c *crlfReader) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	for len(c.in) == 0 {
		if c.err != nil {
			return 0, c.err
		}
		n, err := c.r.Read(c.buf[:])
		c.in, c.err = c.buf[:n], err
	}
	n := 0
	for n < len(p) && len(c.in) > 0 {
		lf := bytes.IndexByte(c.in, '\n')
		run := c.in
		if lf >= 0 {
			run = c.in[:lf]
		}
		if len(run) > 0 {
			k := copy(p[n:], run)
			n += k
			c.last = run[k-1]
			c.in = c.in[k:]
			continue
		}
		if c.last != '\r' {
			p[n] = '\r'
			c.last = '\r'
		} else {
			p[n] = '\n'
			c.last = '\n'
			c.in = c.in[1:]
		}
		n++
	}
	return n, nil
}
