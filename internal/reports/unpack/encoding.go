package unpack

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"io"

	"signpost/internal/reports/refusal"
)

func refusedDepth() error {
	return refusal.TooDeep.With("more than %d containers within each other", maxDepth)
}

// newBase64 decodes base64 as it is in mail: other characters are left out (RFC 2045 §6.8), padding may be
// missing or stand in between, and one digit left at the end is nothing.
func newBase64(r io.Reader) io.Reader { return &base64Reader{in: bufio.NewReaderSize(r, 32<<10)} }

type base64Reader struct {
	in      *bufio.Reader
	decoded [3]byte
	rest    []byte
	err     error
}

func (b *base64Reader) Read(p []byte) (n int, err error) {
	for n < len(p) {
		if len(b.rest) == 0 {
			if b.err != nil {
				break
			}
			b.next()
			continue
		}
		copied := copy(p[n:], b.rest)
		n, b.rest = n+copied, b.rest[copied:]
	}
	if n == 0 && len(p) > 0 {
		return 0, b.err
	}
	return n, nil
}

// next decodes up to four digits.
func (b *base64Reader) next() {
	var digits [4]byte
	n := 0
	for n < 4 {
		c, err := b.in.ReadByte()
		if err != nil {
			b.err = err
			break
		}
		if c == '=' && n > 0 {
			break
		}
		if isDigit(c) {
			digits[n], n = standard(c), n+1
		}
	}
	if n > 1 {
		size, _ := base64.RawStdEncoding.Decode(b.decoded[:], digits[:n])
		b.rest = b.decoded[:size]
	}
}

func isDigit(c byte) bool {
	switch {
	case 'a' <= c|0x20 && c|0x20 <= 'z', '0' <= c && c <= '9', c == '+', c == '/', c == '-', c == '_':
		return true
	}
	return false
}

// standard replaces the digits of the URL alphabet.
func standard(c byte) byte {
	switch c {
	case '-':
		return '+'
	case '_':
		return '/'
	}
	return c
}

// unquote decodes quoted-printable. What is no valid escape stays as it is.
func unquote(body []byte) []byte {
	out := make([]byte, 0, len(body))
	for len(body) > 0 {
		line, rest, more := bytes.Cut(body, []byte("\n"))
		line = bytes.TrimRight(line, " \t\r")
		line, soft := bytes.CutSuffix(line, []byte("="))
		out = appendUnquoted(out, line)
		if more && !soft {
			out = append(out, '\n')
		}
		body = rest
	}
	return out
}

func appendUnquoted(out, line []byte) []byte {
	for i := 0; i < len(line); i++ {
		if line[i] == '=' && i+2 < len(line) {
			high, low := hexDigit(line[i+1]), hexDigit(line[i+2])
			if high >= 0 && low >= 0 {
				out = append(out, byte(high<<4|low))
				i += 2
				continue
			}
		}
		out = append(out, line[i])
	}
	return out
}

func hexDigit(c byte) int {
	switch {
	case '0' <= c && c <= '9':
		return int(c - '0')
	case 'a' <= c|0x20 && c|0x20 <= 'f':
		return int(c|0x20-'a') + 10
	}
	return -1
}
