package signer

import (
	"strings"

	"signpost/internal/message"
)

// declared8Bit reports whether the header announces an 8-bit body: it has MIME-Version (RFC
// 2045 §4) and the encoding 8bit or binary (§6.1). A multipart without an encoding of its
// own counts too, since its parts have theirs.
//
// Hosts on the way look at the header. BODY= of MAIL FROM does not help for mail of
// sendmail(1): Postfix's cleanup(8) shows milters only the sender's address.
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

// firstWord is the value up to the first parameter, comment or inner white space.
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
