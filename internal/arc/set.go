package arc

import (
	"strings"

	"signpost/internal/dkim"
	"signpost/internal/message"
)

// The names of the three fields of a set (§4.1).
const (
	NameSeal    = "ARC-Seal"
	NameMessage = "ARC-Message-Signature"
	NameResults = "ARC-Authentication-Results"
)

// MaxSets is how many sets a message may have (§4.2.1).
const MaxSets = 50

// set is one ARC set.
type set struct {
	seal, message dkim.ARCSignature
	has           [kinds]bool
	at            [kinds]int // indexes in the header
	simple        int        // among the related signatures: the message signature read as simple; 0 for none
}

// kind is which of the three fields one is.
type kind int

const (
	other kind = iota
	sealField
	messageField
	resultsField
	kinds
)

var fieldNames = [kinds]string{sealField: NameSeal, messageField: NameMessage, resultsField: NameResults}

// put adds a field. It returns false if the set has one of the kind.
func (s *set) put(k kind, at int, signature dkim.ARCSignature) bool {
	if s.has[k] {
		return false
	}
	s.has[k], s.at[k] = true, at
	switch k {
	case sealField:
		s.seal = signature
	case messageField:
		s.message = signature
	}
	return true
}

// missing is the first field that the set lacks; other if it has all.
func (s *set) missing() kind {
	for k := sealField; k < kinds; k++ {
		if !s.has[k] {
			return k
		}
	}
	return other
}

// kindOf tells the three names apart from all others.
func kindOf(name string) kind {
	if len(name) < len(NameSeal) || name[3] != '-' {
		return other
	}
	switch {
	case message.EqualFold(name, NameSeal):
		return sealField
	case message.EqualFold(name, NameMessage):
		return messageField
	case message.EqualFold(name, NameResults):
		return resultsField
	}
	return other
}

// instance reads the value of an instance tag: 1*2DIGIT, from 1 to 50 (§3.9). It returns 0
// for other text, and MaxSets+1 for more than two digits.
func instance(s string) int {
	n := 0
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return 0
		}
		n = min(10*n+int(s[i]-'0'), 10*MaxSets)
	}
	if len(s) > 2 || n > MaxSets {
		return MaxSets + 1
	}
	return n
}

// splitResults reads the instance of an ARC-Authentication-Results field's value, and
// returns what follows it: the payload, which is like the value of an
// Authentication-Results field (§4.1.1). An instance of 0 is none.
func splitResults(value string) (i int, payload string) {
	rest, ok := word(value, "i")
	if ok {
		rest, ok = word(rest, "=")
	}
	if !ok {
		return 0, ""
	}
	rest = message.SkipCFWS(rest)
	digits := 0
	for digits < len(rest) && '0' <= rest[digits] && rest[digits] <= '9' {
		digits++
	}
	i = instance(rest[:digits])
	if rest, ok = word(rest[digits:], ";"); !ok {
		return 0, ""
	}
	return i, rest
}

// word takes white space, comments and then the word.
func word(s, wanted string) (rest string, ok bool) {
	return strings.CutPrefix(message.SkipCFWS(s), wanted)
}
