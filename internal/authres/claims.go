package authres

import (
	"strings"
	"unicode"

	"signpost/internal/message"
)

// Claims reports whether an incoming field, given by its value, must be removed from a
// message from outside the trust boundary (§5): its authserv-id is one of ours in any
// spelling, its version is unknown, or it cannot be parsed, since another reader may
// then read it differently.
func Claims(value string, ids []string) bool {
	f, err := Parse(value)
	if err != nil {
		return true
	}
	// A plain host name is compared as a whole. In another quoted id, ours is searched
	// for at any position, since a reader may cut "our.id 1" or "our.id;".
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

// plainID returns an authserv-id without invisible characters, in lower case, as
// A-labels if it is a domain name (RFC 8601 §2.5, §5).
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
