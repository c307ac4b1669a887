package main

import (
	"fmt"
	"io"
	"os"
	"strings"

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

// printable replaces control characters, so that foreign text is safe on a terminal.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || (r >= 0x80 && r < 0xa0) || r == '\uFFFD' {
			return '?'
		}
		return r
	}, s)
}
