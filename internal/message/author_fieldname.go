package message

import "strings"

type kindOfName int

const (
	otherName kindOfName = iota
	fromName
	spacedFromName // "From " and the like
	lookAlikeName  // "-From", "From" with a no-break space or 8-bit octets
	oddName        // malformed, though nothing like From
)

// nameKind says what a field name is for the purpose of finding the author. A
// name that a lax reader could take for From is a look-alike, never From.
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

// letters drops from a name what is no printing ASCII, then the marks around what
// remains. It gives up, with "", on names much longer than any look-alike.
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
