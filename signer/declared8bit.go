package signer

import (
	"strings"

	"signpost/internal/message"
)

// declared8Bit reports whether a header announces a body with octets of 8 bits: that it
// is MIME (RFC 2045 §4) and encoded as 8bit or binary (§6.1). A multipart without an
// encoding of its own counts too: its parts have theirs.
//
// This is what a host on the way looks at. The BODY= of MAIL FROM is not known for mail of
// sendmail(1): Postfix's cleanup(8) shows milters the sender's address alone.
func declared8Bit(h message.Header) bool {
	mime, composite, encoding := false, false, ""
	for _, f := range h {
		switch {
		case f.Is("MIME-Version"):
			mime = true
		case f.Is("Content-Type"):
			kind := firstWord(f.Value)
			composite = hasPrefixFold(kind, "multipart/") || hasPrefixFold(kind, "message/")
		case f.Is("Content-Transfer-Encoding"):
			encoding = firstWord(f.Value)
		}
	}
	if encoding == "" {
		return mime && composite
	}
	return mime && (message.EqualFold(encoding, "8bit") || message.EqualFold(encoding, "binary"))
}

// firstWord is the value up to the first parameter, comment or white space within.
func firstWord(value string) string {
	value = strings.TrimLeft(value, " \t\r\n")
	if end := strings.IndexAny(value, " \t\r\n;("); end >= 0 {
		value = value[:end]
	}
	return value
}

func hasPrefixFold(s, prefix string) bool {
	return len(s) >= len(prefix) && message.EqualFold(s[:len(prefix)], prefix)
}
