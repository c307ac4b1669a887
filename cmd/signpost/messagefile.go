package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"signpost/internal/message"
)

// openMessage opens a message file; - is standard input.
func openMessage(name string, stdin io.Reader) (io.ReadCloser, error) {
	if name == "-" {
		return io.NopCloser(stdin), nil
	}
	return os.Open(name)
}

// feed passes a message to a transaction, up to its end, as the milter does.
func feed(t message.Transaction, env message.Envelope, h message.Header, body io.Reader) error {
	more := t.Header(env, h)
	chunk := make([]byte, 64<<10)
	for more {
		n, err := body.Read(chunk)
		if n > 0 {
			more = t.Body(chunk[:n])
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// writeField writes a header field with its folds, and with LF line ends.
func writeField(w io.Writer, f message.Field) {
	fmt.Fprintf(w, "%s: %s\n", f.Name, strings.ReplaceAll(f.Value, "\r\n", "\n"))
}

// printable replaces control characters, and those that change the direction of writing, so
// that foreign text is safe on a terminal.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, s)
}

// asciiControls escapes in JSON what printable replaces in text. JSON itself escapes only the
// control characters below U+0020.
func asciiControls(text []byte) []byte {
	var b bytes.Buffer
	for _, r := range string(text) {
		switch {
		case r < 0x7f || unicode.IsPrint(r):
			b.WriteRune(r)
		case r > 0xffff:
			high, low := utf16.EncodeRune(r)
			fmt.Fprintf(&b, `\u%04x\u%04x`, high, low)
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
	}
	return b.Bytes()
}
