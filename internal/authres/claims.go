package authres

import (
	"strings"
	"unicode"

	"signpost/internal/message"
)

// Claims reports whether an incoming field, given by its value, must be removed
// from a message that comes from outside the trust boundary (§5): because its
// authserv-id is one of ours in whatever spelling, because it is of a version that
// we do not know, or because we cannot read it, for then nobody knows what another
// reader takes it for.
func Claims(value string, ids []string) bool {
	f, err := Parse(value)
	if err != nil {
		return true
	}
	// A plain host name is compared as a whole. In a quoted id that is none, ours
	// is looked for anywhere, as "our.id 1" or "our.id;" may be cut by a reader.
	id := plainID(f.AuthservID)
	_, isHost := message.DomainToASCII(f.AuthservID)
	for _, ours := range ids {
		ours = plainID(ours)
		if ours == "" {
			continue
		}
		if id == ours || !isHost && strings.Contains(id, ours) {
			return true
		}
	}
	return false
}

// plainID is an authserv-id without what does not show, as A-labels if it is a
// domain name (RFC 8601 §2.5, §5), in lower case.
func plainID(id string) string {
	id = strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) || !unicode.IsPrint(r) || r == '"' || r == '\\' {
			return -1
		}
		return unicode.ToLower(r)
	}, id)
	if ascii, ok := message.DomainToASCII(id); ok {
		return ascii
	}
	return strings.Trim(id, ".")
}
