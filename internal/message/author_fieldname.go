package message

import "strings"

type kindOfName int

const (
	otherName kindOfName = iota
	fromName
	spacedFromName // "From " and the like
	lookAlikeName  // "-From", "From" with a no-break space or 8-bit octets
	oddName        // malformed, but not similar to From
)

// nameKind classifies a field name for the search for the author. A name that a lenient
// reader could take for From is a look-alike, never From.
func nameKind(name string) kindOfName {
	if EqualFold(name, "From") {
		return fromName
	}
	// RFC 5322 §4.5.8 allows white space before the colon.
	trimmed := strings.TrimRight(name, " \t\r\n")
	if EqualFold(trimmed, "From") {
		return spacedFromName
	}
	clean := trimmed != ""
	for i := range len(trimmed) {
		if trimmed[i] < '!' || trimmed[i] > '~' {
			clean = false
		}
	}
	if clean && isAlnum(trimmed[0]) && isAlnum(trimmed[len(trimmed)-1]) {
		return otherName
	}
	if EqualFold(letters(trimmed), "From") {
		return lookAlikeName
	}
	if !clean {
		return oddName
	}
	return otherName
}

func isAlnum(c byte) bool { return isLDH(c) && c != '-' }

// letters drops the octets of a name that are not printing ASCII, then the punctuation
// around the rest. It returns "" for names much longer than any look-alike.
func letters(name string) string {
	const longest = 32
	if len(name) > longest {
		return ""
	}
	var kept []byte
	for i := range len(name) {
		if name[i] > ' ' && name[i] < 0x7f {
			kept = append(kept, name[i])
		}
	}
	return strings.TrimFunc(string(kept), func(r rune) bool { return !isAlnum(byte(r)) })
}
