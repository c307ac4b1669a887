package traffic

import (
	"strings"

	"signpost/milter"
)

// signed fills the tuple of a message of ours; ok is false if none was counted. Texts are bounded,
// and belong to the message.
func (o *Outbound) signed(d *milter.Decided, room []byte) (_ []byte, ok bool) {
	out := &d.Outcome
	if !d.Outbound || out.Author == nil || out.Disposition == "" {
		return room, false
	}
	if out.Author.Certain() && len(out.Author.Domains) == 1 {
		o.Author = out.Author.Domains[0]
	}
	o.Entry, o.Unsigned = bounded(out.Rule), bounded(reason(out.Unsigned, out.Refused, out.Failure))
	for i := range out.Signatures {
		s := &out.Signatures[i]
		if i > 0 {
			room = append(room, '\n')
		}
		room = append(append(append(append(append(room, s.Domain...), ' '), s.Selector...), ' '), s.Algorithm...)
	}
	return room, true
}

// reason is the first that there is.
func reason(texts ...string) string {
	for _, t := range texts {
		if t != "" {
			return t
		}
	}
	return ""
}

// bounded shortens a text, at the beginning of a character.
func bounded(text string) string {
	if len(text) <= maxText {
		return text
	}
	return strings.ToValidUTF8(text[:maxText], "")
}

func (o Outbound) keep() Outbound {
	o.Author, o.Entry, o.Signatures, o.Unsigned = strings.Clone(o.Author), strings.Clone(o.Entry), strings.Clone(o.Signatures), strings.Clone(o.Unsigned)
	return o
}
