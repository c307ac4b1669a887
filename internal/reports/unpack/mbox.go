package unpack

import (
	"bufio"
	"bytes"
	"errors"
	"io"

	"signpost/internal/reports/refusal"
)

// IsMbox tells whether a file that begins like this is a mailbox of several messages.
func IsMbox(head []byte) bool { return bytes.HasPrefix(head, []byte("From ")) }

// separates tells whether a line stands before a message: "From ADDRESS Sun Nov  1 00:00:00 2026". Where the empty
// line before it is missing, or the time, a field has to follow.
func separates(line, next []byte, afterEmpty bool) bool {
	rest, is := bytes.CutPrefix(line, []byte("From "))
	if !is {
		return false
	}
	name, _, isField := bytes.Cut(next, []byte(":"))
	isField = isField && isFieldName(name)
	if hasTime(rest) {
		return afterEmpty || isField
	}
	return afterEmpty && isField
}

func hasTime(b []byte) bool {
	for i := 2; i < len(b)-2; i++ {
		if b[i] == ':' && isNumber(b[i-2:i]) && isNumber(b[i+1:i+3]) {
			return true
		}
	}
	return false
}

func isNumber(b []byte) bool {
	for _, c := range b {
		if c < '0' || c > '9' {
			return false
		}
	}
	return true
}

// Mbox calls each for every message of a mailbox. A line with the word From, an address and a time begins one, after
// an empty line or at the start, or where the line after it is a field. For a message beyond MaxMessage, err is a
// *refusal.Error. each may keep the octets.
func Mbox(r io.Reader, each func(message []byte, err error) error) error {
	in := bufio.NewReaderSize(r, 64<<10)
	var message []byte
	started, empty, tooBig := false, true, false
	finish := func() error {
		defer func() { message, tooBig = nil, false }()
		switch {
		case !started:
			return nil
		case tooBig:
			return each(nil, refusal.TooBig.With("more than %d octets", MaxMessage))
		}
		return each(message, nil)
	}
	for lineStart := true; ; {
		line, err := in.ReadSlice('\n')
		separator := false
		if lineStart && IsMbox(line) {
			line = bytes.Clone(line) // following moves the buffer
			separator = separates(line, following(in, err), empty)
		}
		if separator {
			if err := finish(); err != nil {
				return err
			}
			started = true
		} else if tooBig = tooBig || len(message)+len(line) > MaxMessage; tooBig {
			message = nil
		} else {
			message = append(message, line...)
		}
		empty = lineStart && len(bytes.TrimRight(line, "\r\n")) == 0
		lineStart = err == nil
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			return errors.Join(finish(), notEOF(err))
		}
	}
}

// following is the start of the next line, as far as a field's name may go.
func following(in *bufio.Reader, err error) []byte {
	if err != nil {
		return nil
	}
	next, _ := in.Peek(100)
	return next
}

func notEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}
