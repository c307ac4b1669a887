package milter

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxLogValue bounds each value of a log line that comes from outside.
const maxLogValue = 512

// clean makes foreign text fit for a log line: controls, octets that are not UTF-8
// and what turns the direction of writing become "?"; a text longer than limit
// octets is cut and ends in "...".
func clean(text string, limit int) string {
	if len(text) <= limit && plain(text) {
		return text
	}
	var b strings.Builder
	for _, c := range text {
		if c == utf8.RuneError || !unicode.IsPrint(c) {
			c = '?'
		}
		if b.Len()+utf8.RuneLen(c) > limit {
			b.WriteString("...")
			break
		}
		b.WriteRune(c)
	}
	return b.String()
}

func plain(text string) bool {
	for i := range len(text) {
		if text[i] < ' ' || text[i] > '~' {
			return false
		}
	}
	return true
}
