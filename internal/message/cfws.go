package message

// SkipCFWS returns the text behind the white space and comments that it begins with (RFC 5322
// §3.2.2). A comment without an end is none.
func SkipCFWS(s string) string {
	for s != "" {
		switch s[0] {
		case ' ', '\t', '\r', '\n':
			s = s[1:]
		case '(':
			n := commentEnd(s)
			if n == 0 {
				return s
			}
			s = s[n:]
		default:
			return s
		}
	}
	return s
}

// commentEnd is the length of the comment that s begins with; 0 if it has no end.
func commentEnd(s string) int {
	depth := 0
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '(':
			depth++
		case ')':
			if depth--; depth == 0 {
				return i + 1
			}
		}
	}
	return 0
}
