package aggregate

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"strconv"
	"strings"
	"unicode/utf8"

	"signpost/internal/reports/refusal"
)

// Limits of one document. No real report comes near.
const (
	maxTag   = 16 << 10 // octets of one tag, comment or instruction
	maxValue = 64 << 10 // octets of one value
	maxName  = 64
	maxDepth = 32
)

type tokenKind int

const (
	tokenText tokenKind = iota
	tokenStart
	tokenEnd
)

// A token is one piece of XML. Its text is valid until the next one.
type token struct {
	kind   tokenKind
	name   string // local name in lower case, of a start or an end
	prefix string
	text   []byte // the value, or the source of a tag
	empty  bool   // a start that is its end, too: <name/>
}

// A scanner cuts XML into tokens, and is forgiving: what only looks like a tag is text, as in
// <email><reports@example.com></email>. It expands no entities but the five of XML and
// characters by number, and refuses document types.
type scanner struct {
	in  *bufio.Reader
	buf []byte
}

// next returns the next token; io.EOF is the end.
func (s *scanner) next() (token, error) {
	for {
		c, err := s.in.ReadByte()
		if err != nil {
			return token{}, err
		}
		if c != '<' {
			s.in.UnreadByte()
			return s.text()
		}
		t, skip, err := s.markup()
		if err != nil || !skip {
			return t, err
		}
	}
}

// text reads up to the next "<".
func (s *scanner) text() (token, error) {
	s.buf = s.buf[:0]
	for {
		chunk, err := s.in.ReadSlice('<')
		if err == nil {
			chunk = chunk[:len(chunk)-1]
			s.in.UnreadByte()
		}
		s.buf = append(s.buf, chunk...)
		switch {
		case len(s.buf) > maxValue:
			return token{}, refusal.Token.With("a value of more than %d octets", maxValue)
		case err == nil, err == io.EOF && len(s.buf) > 0:
			return token{kind: tokenText, text: unescape(s.buf)}, nil
		case err != bufio.ErrBufferFull:
			return token{}, err
		}
	}
}

// markup reads what follows a "<". skip tells that it has no meaning for us.
func (s *scanner) markup() (t token, skip bool, err error) {
	head, _ := s.in.Peek(len("![CDATA[") + 1) // an error comes again
	if len(head) == 0 {
		return token{kind: tokenText, text: []byte("<")}, false, nil
	}
	switch {
	case head[0] == '?':
		return token{}, true, s.skipTo(">") // some end without the second "?"
	case strings.HasPrefix(string(head), "!--"):
		s.in.Discard(len("!--"))
		return token{}, true, s.skipTo("-->")
	case strings.HasPrefix(string(head), "![CDATA["):
		s.in.Discard(len("![CDATA["))
		t, err = s.cdata()
		return t, false, err
	case head[0] == '!' && len(head) > 1 && isLetter(head[1]|0x20):
		return token{}, false, refusal.Doctype.With("<%q", string(head))
	}
	t, err = s.tag()
	return t, false, err
}

// skipTo reads up to the end of a comment or an instruction.
func (s *scanner) skipTo(end string) error {
	s.buf = s.buf[:0]
	for !strings.HasSuffix(string(s.buf[max(0, len(s.buf)-len(end)):]), end) {
		c, err := s.in.ReadByte()
		if err != nil {
			return unexpected(err)
		}
		if s.buf = append(s.buf, c); len(s.buf) > maxTag {
			return refusal.Token.With("a comment of more than %d octets", maxTag)
		}
	}
	return nil
}

func (s *scanner) cdata() (token, error) {
	s.buf = s.buf[:0]
	for {
		c, err := s.in.ReadByte()
		if err != nil {
			return token{}, unexpected(err)
		}
		s.buf = append(s.buf, c)
		if strings.HasSuffix(string(s.buf[max(0, len(s.buf)-3):]), "]]>") {
			return token{kind: tokenText, text: s.buf[:len(s.buf)-3]}, nil
		}
		if len(s.buf) > maxValue {
			return token{}, refusal.Token.With("a value of more than %d octets", maxValue)
		}
	}
}

// tag reads a start or an end, or text that began like one.
func (s *scanner) tag() (token, error) {
	s.buf = append(s.buf[:0], '<')
	closing := s.accept('/')
	nameAt := len(s.buf)
	for s.acceptName() {
	}
	name := string(s.buf[nameAt:])
	if !isName(name) || !s.endsName() {
		return token{kind: tokenText, text: s.buf}, nil
	}
	empty, err := s.attributes()
	if err != nil {
		return token{}, err
	}
	t := token{kind: tokenStart, text: s.buf, empty: empty && !closing}
	if closing {
		t.kind = tokenEnd
	}
	t.prefix, t.name = cutPrefix(name)
	return t, nil
}

// accept takes c if it is next.
func (s *scanner) accept(c byte) bool {
	b, err := s.in.Peek(1)
	if err != nil || b[0] != c {
		return false
	}
	s.in.Discard(1)
	s.buf = append(s.buf, c)
	return true
}

func (s *scanner) acceptName() bool {
	b, err := s.in.Peek(1)
	return err == nil && len(s.buf) <= maxName && isNameOctet(b[0]) && s.accept(b[0])
}

// endsName tells whether what is next may follow a name in a tag.
func (s *scanner) endsName() bool {
	b, err := s.in.Peek(1)
	return err == nil && strings.IndexByte(" \t\r\n/>", b[0]) >= 0
}

// attributes reads up to the end of the tag, and tells whether a "/" stands before it.
func (s *scanner) attributes() (empty bool, err error) {
	quote := byte(0)
	for {
		c, err := s.in.ReadByte()
		if err != nil {
			return false, unexpected(err)
		}
		if s.buf = append(s.buf, c); len(s.buf) > maxTag {
			return false, refusal.Token.With("a tag of more than %d octets", maxTag)
		}
		switch {
		case quote != 0:
			if c == quote {
				quote = 0
			}
		case c == '"' || c == '\'':
			quote = c
		case c == '>':
			return s.buf[len(s.buf)-2] == '/', nil
		}
	}
}

// unexpected returns err, and says of the end that it came too early.
func unexpected(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return refusal.Truncated.With("in the middle of a tag")
	}
	return err
}

func cutPrefix(name string) (prefix, local string) {
	if p, l, ok := strings.Cut(name, ":"); ok {
		return p, strings.ToLower(l)
	}
	return "", strings.ToLower(name)
}

func isLetter(c byte) bool { return 'a' <= c|0x20 && c|0x20 <= 'z' || c == '_' || c >= utf8.RuneSelf }

func isNameOctet(c byte) bool {
	return isLetter(c) || '0' <= c && c <= '9' || c == '-' || c == '.' || c == ':'
}

func isName(name string) bool { return name != "" && len(name) < maxName && isLetter(name[0]) }

// unescape replaces references in place. One that XML does not have stays as it is.
func unescape(b []byte) []byte {
	n := max(0, bytes.IndexByte(b, '&'))
	if n == 0 && (len(b) == 0 || b[0] != '&') {
		return b
	}
	for i := n; i < len(b); {
		if c, size := reference(b[i:]); size > 0 {
			n += copy(b[n:], string(c)) // never longer than the reference
			i += size
			continue
		}
		b[n] = b[i]
		n, i = n+1, i+1
	}
	return b[:n]
}

var references = map[string]rune{"lt": '<', "gt": '>', "amp": '&', "quot": '"', "apos": '\''}

// reference returns the character that b begins with a reference to, and the reference's length:
// 0 if it does not.
func reference(b []byte) (c rune, size int) {
	const longest = len("&#x10ffff;")
	if b[0] != '&' {
		return 0, 0
	}
	end := strings.IndexByte(string(b[:min(len(b), longest)]), ';')
	if end < 2 {
		return 0, 0
	}
	name := string(b[1:end])
	if c, known := references[name]; known {
		return c, end + 1
	}
	digits, numeric := strings.CutPrefix(name, "#")
	base := 10
	if hex, isHex := strings.CutPrefix(digits, "x"); isHex {
		digits, base = hex, 16
	}
	n, err := strconv.ParseUint(digits, base, 21)
	if !numeric || err != nil || !utf8.ValidRune(rune(n)) || !isXML(rune(n)) {
		return 0, 0
	}
	return rune(n), end + 1
}
