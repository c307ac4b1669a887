package signer

import (
	"signpost/internal/message"
	"signpost/keys"
)

// Selection is the d= and the keys for one message.
type Selection struct {
	SDID string // d=
	Keys []*keys.Key
	// Why names the entry that was found, or the reason why no key signs.
	Why string
}

// Select returns the keys that would sign a message with this header, if it were ours and
// its author allowed. It does not wait for DNS: a key that DNS has not confirmed yet does
// not sign.
func (s *Signer) Select(h message.Header) Selection {
	author := h.Author()
	if why := unsignable(author); why != "" {
		return Selection{Why: why}
	}
	c, _ := s.table.find(author, s.table.now, nil)
	return Selection{SDID: c.sdid, Keys: c.keys, Why: c.rule}
}
