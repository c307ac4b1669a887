package signer

import (
	"signpost/internal/message"
	"signpost/keys"
)

// Selection is what signs a message of ours.
type Selection struct {
	SDID string // d=
	Keys []*keys.Key
	// Why names the entry that decided, or says why nothing signs.
	Why string
}

// Select says what would sign the message with this header, if it were ours and its
// client allowed to be its author. It does not wait for DNS: a key of which DNS was
// not heard yet does not sign.
func (s *Signer) Select(h message.Header) Selection {
	author := h.Author()
	if (author.Problem != "" && !author.Lax) || len(author.Domains) == 0 || author.Fields > 1 {
		return Selection{Why: unsignable(author)}
	}
	c, ok := s.table.find(author, nil)
	if !ok {
		return Selection{Why: c.rule}
	}
	return Selection{SDID: c.sdid, Keys: c.keys, Why: c.rule}
}
