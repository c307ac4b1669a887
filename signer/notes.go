package signer

import (
	"strings"

	"signpost/internal/message"
)

// notes are the facts of an outcome for the log line.
func (t *Signing) notes(out *message.Outcome) []message.Note {
	notes := make([]message.Note, 0, 4) // three for a usual message, and its hazard
	add := func(key, value string) {
		if value != "" {
			notes = append(notes, message.Note{Key: key, Value: value})
		}
	}
	add("error", out.Failure)
	add("unsigned", out.Unsigned)
	add("decided", out.Refused)
	if len(out.Signatures) > 0 {
		add("signed", out.Signatures[0].Domain)
		add("selectors", selectors(out.Signatures))
		add("entry", t.match.rule)
		add("not_as_listed", t.match.override)
	}
	add("fragile", out.Fragile)
	if n := len(out.Remove); n > 0 {
		notes = append(notes, message.Removed(n))
	}
	return notes
}

func selectors(signatures []message.Signature) string {
	var b strings.Builder
	for i, s := range signatures {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(s.Selector)
	}
	return b.String()
}
