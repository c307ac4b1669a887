package spf

import "strconv"

// maxQuote bounds foreign text in a reason or as a mechanism, in octets.
const maxQuote = 100

// quote makes foreign text safe to use in a sentence.
func quote(s string) string {
	if len(s) > maxQuote {
		return strconv.QuoteToASCII(s[:maxQuote]) + "..."
	}
	return strconv.QuoteToASCII(s)
}

func isAlpha(c byte) bool { return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' }
func isDigit(c byte) bool { return '0' <= c && c <= '9' }

// usableName reports whether this name, without a final dot, can be queried. Every
// printable character is accepted: §4.8 leaves the result of the expansion to the
// publisher.
func usableName(s string) bool {
	if s == "" || len(s) > maxName {
		return false
	}
	label := 0
	for i := range len(s) {
		switch c := s[i]; {
		case c == '.':
			if label == 0 {
				return false
			}
			label = 0
		case c < ' ' || c > '~':
			return false
		default:
			label++
			if label > maxLabel {
				return false
			}
		}
	}
	return label > 0
}

const (
	maxName  = 253 // §7.3, without the final dot
	maxLabel = 63  // §4.3
)

// printable makes the text of a resolver's error safe for a reason.
func printable(s string) string {
	const most = 3 * maxQuote
	b := []byte(s[:min(len(s), most)])
	for i, c := range b {
		if c < ' ' || c > '~' {
			b[i] = '?'
		}
	}
	return string(b)
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] > '~' {
			return false
		}
	}
	return true
}
