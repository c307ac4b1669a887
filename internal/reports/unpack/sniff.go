package unpack

import (
	"bufio"
	"bytes"
	"io"
)

type contentKind int

const (
	isUnknown contentKind = iota
	isXML
	isJSON
	isGzip
	isZip
	isBase64
	isMessage
)

const (
	gzipMagic     = "\x1f\x8b\x08"
	zipMagic      = "PK\x03\x04"
	zipEntryMagic = "PK\x01\x02" // of an entry of the directory
	utf8BOM       = "\xef\xbb\xbf"
	space         = " \t\r\n"
)

// base64Starts are how what we know begins in base64: gzip, zip, "<?x", "<fe", "{", and a byte order mark.
var base64Starts = []string{"H4sI", "UEsDB", "PD94", "PGZl", "eyJ", "ewo", "ew0K", "eyA", "77u/"}

// sniff tells from its first octets what a piece is. Other mail, images and pages are unknown.
func sniff(head []byte) contentKind {
	head = bytes.TrimPrefix(bytes.TrimLeft(head, space), []byte(utf8BOM))
	head = bytes.TrimLeft(head, space)
	has := func(prefix string) bool { return bytes.HasPrefix(head, []byte(prefix)) }
	switch {
	case has(gzipMagic):
		return isGzip
	case has(zipMagic):
		return isZip
	case has("{"):
		return jsonKind(head)
	}
	for _, start := range base64Starts {
		if has(start) {
			return isBase64
		}
	}
	if looksLikeHeader(head) {
		return isMessage
	}
	text := bytes.ReplaceAll(head, []byte{0}, nil) // UTF-16
	text = bytes.TrimLeft(text, "\xff\xfe"+space)
	if bytes.HasPrefix(text, []byte("<")) && bytes.Contains(bytes.ToLower(text), []byte("feedback")) {
		return isXML
	}
	return isUnknown
}

func jsonKind(head []byte) contentKind {
	for _, member := range []string{`"policies"`, `"date-range"`, `"organization-name"`} {
		if bytes.Contains(head, []byte(member)) {
			return isJSON
		}
	}
	return isUnknown
}

// looksLikeHeader tells whether text begins with the header of a message: every line is a field
// or continues one, up to an empty line or as far as can be seen, and one field is of MIME or of mail.
func looksLikeHeader(head []byte) bool {
	known := false
	for first := true; ; first = false {
		line, rest, more := bytes.Cut(head, []byte("\n"))
		line = bytes.TrimRight(line, "\r")
		switch {
		case !more, len(line) == 0:
			return known && !first
		case first && bytes.HasPrefix(line, []byte("From ")), !first && (line[0] == ' ' || line[0] == '\t'):
		default:
			name, _, isField := bytes.Cut(line, []byte(":"))
			if !isField || !isFieldName(bytes.TrimRight(name, " \t")) {
				return false
			}
			known = known || isMailField(name)
		}
		head = rest
	}
}

func isFieldName(name []byte) bool {
	for _, c := range name {
		if c <= ' ' || c > '~' {
			return false
		}
	}
	return len(name) > 0
}

func isMailField(name []byte) bool {
	switch string(bytes.ToLower(name)) {
	case "content-type", "content-transfer-encoding", "mime-version", "received", "return-path", "from", "to", "date", "message-id", "subject":
		return true
	}
	return false
}

// skipSpace returns r without white space in front.
func skipSpace(r io.Reader) io.Reader {
	b := bufio.NewReader(r)
	for {
		c, err := b.ReadByte()
		if err != nil {
			return b
		}
		if !bytes.ContainsRune([]byte(space), rune(c)) {
			b.UnreadByte()
			return b
		}
	}
}
