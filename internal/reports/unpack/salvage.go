package unpack

import (
	"bytes"
	"fmt"
	"io"
	"slices"

	"signpost/internal/reports/refusal"
)

// salvage looks for reports in a text whose structure does not lead to one: a message with a boundary that is not
// its own, without Content-Type, with a line in its header that is no field, or with a report below other text.
func (f *finder) salvage(c content) {
	head, _ := peek(c.open())
	if bytes.IndexByte(head, 0) >= 0 { // no text
		return
	}
	text, _ := f.inMemory(c) // what came before an error is looked at
	for len(text) > 0 && !f.full {
		line, next := firstLine(text)
		switch {
		case bytes.HasPrefix(line, []byte("begin ")) && startsUuencode(line, lineAfter(text[next:])):
			f.refuse("within the text", refusal.UnreadFormat.With("uuencode"))
			return
		case startsBase64(line):
			block := base64Block(text)
			f.salvaged(content{open: f.layer(func() io.Reader { return newBase64(bytes.NewReader(block)) })})
			next = len(block)
		case startsXML(line):
			document := document(text)
			next = len(document)
			if bytes.Contains(line, []byte("=3D")) {
				document = unquote(document)
			}
			f.salvaged(content{open: func() io.Reader { return bytes.NewReader(document) }, all: document})
		}
		text = text[next:]
	}
}

func (f *finder) salvaged(c content) {
	const where = "within the text"
	if f.another(where) {
		f.look(c, where, 1)
	}
}

// firstLine returns the first line without its end and white space around, and where the next begins.
func firstLine(text []byte) (line []byte, next int) {
	end := bytes.IndexAny(text, "\r\n")
	if end < 0 {
		end, next = len(text), len(text)
	} else {
		next = end + 1
	}
	return bytes.Trim(text[:end], space), next
}

// lineAfter returns the line that begins at text, or after the rest of a line end.
func lineAfter(text []byte) []byte {
	line, _ := firstLine(bytes.TrimPrefix(text, []byte("\n")))
	return line
}

// startsBase64 tells whether a line is base64 of what a report begins with.
func startsBase64(line []byte) bool {
	const shortest = 40
	return len(line) >= shortest && isBase64Line(line) &&
		slices.ContainsFunc(base64Starts, func(start string) bool { return bytes.HasPrefix(line, []byte(start)) })
}

func isBase64Line(line []byte) bool {
	for _, c := range bytes.TrimRight(line, "=") {
		if !isDigit(c) {
			return false
		}
	}
	return len(line) > 0
}

// base64Block returns the lines of base64 that text begins with.
func base64Block(text []byte) []byte {
	end := 0
	for end < len(text) {
		line, next := firstLine(text[end:])
		isLineEnd := len(line) == 0 && next == 1 && end > 0 && text[end-1] == '\r' && text[end] == '\n'
		if !isLineEnd && !isBase64Line(line) {
			break
		}
		end += next
	}
	return text[:end]
}

func startsXML(line []byte) bool {
	start := bytes.ToLower(line[:min(len(line), len("<feedback"))])
	return bytes.HasPrefix(start, []byte("<?xml")) || bytes.HasPrefix(start, []byte("<feedback"))
}

// document returns text up to the end of the first report in it.
func document(text []byte) []byte {
	const end = "</feedback>"
	if i := bytes.Index(text, []byte(end)); i >= 0 {
		return text[:i+len(end)]
	}
	return text
}

// mailbox looks at the messages of a mailbox within something else.
func (f *finder) mailbox(all []byte, where string, depth int) {
	n := 0
	_ = Mbox(bytes.NewReader(all), func(message []byte, _ error) error { // it is within the limit of one message
		n++
		at := join(where, fmt.Sprintf("message %d", n))
		if !f.another(at) {
			return io.EOF // enough
		}
		f.entity(message, at, depth+1)
		return nil
	})
}
