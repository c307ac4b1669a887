package unpack

import (
	"bytes"
	"fmt"
	"io"
	"mime"
	"strings"
)

// entity looks into a message or a part of one: all its parts, whatever their types say.
func (f *finder) entity(data []byte, where string, depth int) {
	if depth > maxDepth {
		f.refuse(where, refusedDepth())
		return
	}
	header, body := splitHeader(data)
	if boundary := boundaryOf(fieldOf(header, "content-type"), body); boundary != "" {
		f.multipart(body, boundary, where, depth)
		return
	}
	f.leaf(fieldOf(header, "content-transfer-encoding"), body, where, depth)
}

// multipart looks at the parts between lines of the boundary (RFC 2046 §5.1.1). The last may
// have no end.
func (f *finder) multipart(body []byte, boundary, where string, depth int) {
	delimiter := []byte("--" + boundary)
	start, n := -1, 0
	finish := func(end int) bool {
		if start < 0 {
			return true
		}
		n++
		at := join(where, fmt.Sprintf("part %d", n))
		if !f.another(at) {
			return false
		}
		f.entity(body[start:end], at, depth+1)
		return true
	}
	for at := 0; at < len(body); {
		line := body[at:]
		next := len(body)
		if i := bytes.IndexByte(line, '\n'); i >= 0 {
			line, next = line[:i+1], at+i+1
		}
		if rest, isDelimiter := bytes.CutPrefix(line, delimiter); isDelimiter {
			rest = bytes.TrimRight(rest, space)
			if len(rest) == 0 || string(rest) == "--" {
				if !finish(at) {
					return
				}
				start = next
				if len(rest) > 0 {
					return
				}
			}
		}
		at = next
	}
	finish(len(body))
}

// leaf looks at the body as it is, and if that is nothing, decoded.
func (f *finder) leaf(encoding string, body []byte, where string, depth int) {
	if len(bytes.TrimLeft(body, space)) == 0 {
		return
	}
	plain := content{open: func() io.Reader { return bytes.NewReader(body) }, all: body}
	kind := sniff(body[:min(len(body), sniffed)])
	quoted := strings.EqualFold(encoding, "quoted-printable")
	switch {
	case kind == isUnknown && strings.EqualFold(encoding, "base64"):
		f.look(content{open: f.layer(func() io.Reader { return newBase64(bytes.NewReader(body)) })}, where, depth+1)
	case quoted && kind != isGzip && kind != isZip && kind != isBase64:
		f.look(content{open: func() io.Reader { return bytes.NewReader(unquote(body)) }}, where, depth+1)
	default:
		f.look(plain, where, depth+1)
	}
}

// splitHeader returns the header and the body of a message or a part. Lines may end with CRLF or LF.
func splitHeader(data []byte) (header, body []byte) {
	for at := 0; at < len(data); {
		i := bytes.IndexByte(data[at:], '\n')
		if i < 0 {
			break
		}
		line := bytes.TrimRight(data[at:at+i], "\r")
		if len(line) == 0 {
			return data[:at], data[at+i+1:]
		}
		if at == 0 && !isFieldLine(line) { // a part without any field and without its empty line
			return nil, data
		}
		at += i + 1
	}
	return data, nil
}

func isFieldLine(line []byte) bool {
	name, _, isField := bytes.Cut(line, []byte(":"))
	return isField && isFieldName(bytes.TrimRight(name, " \t")) || bytes.HasPrefix(line, []byte("From "))
}

// fieldOf returns the value of the first field of this name, unfolded.
func fieldOf(header []byte, name string) string {
	for len(header) > 0 {
		line, rest, _ := bytes.Cut(header, []byte("\n"))
		found, value, isField := bytes.Cut(line, []byte(":"))
		if isField && strings.EqualFold(string(bytes.TrimRight(found, " \t")), name) {
			return string(bytes.TrimSpace(unfolded(value, rest)))
		}
		header = rest
	}
	return ""
}

// maxField is the length of a value that is looked at.
const maxField = 8 << 10

// unfolded appends the lines that continue a value.
func unfolded(value, rest []byte) []byte {
	value = bytes.Clone(bytes.TrimRight(value, "\r"))
	for len(value) < maxField && len(rest) > 0 && (rest[0] == ' ' || rest[0] == '\t') {
		var line []byte
		line, rest, _ = bytes.Cut(rest, []byte("\n"))
		value = append(value, bytes.TrimRight(line, "\r")...)
	}
	return value
}

// boundaryOf returns the boundary of a multipart, or "". Where it is missing, the first line of the body
// that looks like one counts.
func boundaryOf(contentType string, body []byte) string {
	kind, params, err := mime.ParseMediaType(contentType)
	if err != nil {
		kind, _, _ = strings.Cut(contentType, ";")
	}
	if !strings.HasPrefix(strings.ToLower(strings.TrimSpace(kind)), "multipart/") {
		return ""
	}
	if b := params["boundary"]; b != "" {
		return b
	}
	if b := looseBoundary(contentType); b != "" {
		return b
	}
	line, _, _ := bytes.Cut(bytes.TrimLeft(body, space), []byte("\n"))
	guess, isBoundary := strings.CutPrefix(strings.TrimRight(string(line[:min(len(line), 200)]), space), "--")
	if !isBoundary {
		return ""
	}
	return guess
}

// looseBoundary finds the parameter in a type that is not well-formed.
func looseBoundary(contentType string) string {
	i := strings.Index(lowerASCII(contentType), "boundary=")
	if i < 0 {
		return ""
	}
	value := strings.TrimLeft(contentType[i+len("boundary="):], " \t")
	if quoted, isQuoted := strings.CutPrefix(value, `"`); isQuoted {
		value, _, _ = strings.Cut(quoted, `"`)
		return value
	}
	value, _, _ = strings.Cut(value, ";")
	return strings.TrimSpace(value)
}

// lowerASCII keeps the length, which strings.ToLower does not where the text is no UTF-8.
func lowerASCII(s string) string {
	b := []byte(s)
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
	return string(b)
}
