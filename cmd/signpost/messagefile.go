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

// feed takes a message through a transaction up to its end, as the milter does.
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

// writeField writes a header field as it will stand in the message, with the
// line ends of the terminal.
func writeField(w io.Writer, f message.Field) {
	fmt.Fprintf(w, "%s: %s\n", f.Name, strings.ReplaceAll(f.Value, "\r\n", "\n"))
}

// printable makes strangers' text safe to show on a terminal.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || (r >= 0x80 && r < 0xa0) || r == '\uFFFD' {
			return '?'
		}
		return r
	}, s)
}
