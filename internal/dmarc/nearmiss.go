package dmarc

import (
	"fmt"
	"slices"
	"strings"

	"signpost/internal/message"
)

// maxNearMiss limits how much of a TXT record is examined.
const maxNearMiss = 512

// nearMiss says, for a person, what prevents a TXT record from being a DMARC record; ""
// for a DMARC record and for other texts. It affects no result.
func nearMiss(text string) string {
	head, _, _ := strings.Cut(text, ";")
	if isVersion(head) {
		return ""
	}
	text = text[:min(len(text), maxNearMiss)]
	lower := strings.ToLower(text)
	at := strings.Index(lower, "dmarc")
	if !asksForPolicy(lower) && (at < 0 || !hasVersionNear(lower, at)) {
		return ""
	}
	if startsWithQuote(text) || startsWithQuote(strings.TrimLeft(afterVersionName(text), "= ")) {
		return "it stands in quotation marks, which are part of the text: take them out"
	}
	name, value, ok := strings.Cut(strings.SplitN(text, ";", 2)[0], "=")
	switch {
	case ok && message.EqualFold(trim(name), "v"):
		return wrongVersion(trim(value))
	case at > 0 && at <= 3 && lower[0] == 'v':
		return fmt.Sprintf(`there is no "=" between v and %s`, text[at:min(len(text), at+len("DMARC1"))])
	case at >= 0:
		return "it does not begin with v=DMARC1: something stands before it, or the v= is missing"
	}
	return "it has no v=DMARC1 in front"
}

// asksForPolicy reports whether there is a tag p= with the name of a policy.
func asksForPolicy(lower string) bool {
	for tag := range strings.SplitSeq(lower, ";") {
		name, value, _ := strings.Cut(tag, "=")
		if strings.Trim(name, " \t\"'") == "p" && slices.Contains([]string{"none", "quarantine", "reject"}, strings.Trim(value, " \t\"'\\")) {
			return true
		}
	}
	return false
}

// hasVersionNear reports whether "dmarc" at an index is probably the version of a
// record and not a word of another text: "1" follows it, or only v= precedes it.
func hasVersionNear(lower string, at int) bool {
	return strings.HasPrefix(lower[at:], "dmarc1") || strings.Trim(lower[:at], " \t\"'\\=:") == "v"
}

// afterVersionName returns the text after "v" and "=", or "".
func afterVersionName(text string) string {
	name, value, ok := strings.Cut(text, "=")
	if !ok || !message.EqualFold(trim(name), "v") {
		return ""
	}
	return value
}

func startsWithQuote(text string) bool {
	text = strings.TrimLeft(text, " \t\\")
	return slices.ContainsFunc([]string{`"`, "'", "`", "“", "”", "„", "‘", "’", "«"}, func(quote string) bool { return strings.HasPrefix(text, quote) })
}

// wrongVersion describes the mistake in the value of v=, which ends at the first
// semicolon.
func wrongVersion(value string) string {
	const version = "DMARC1"
	if len(value) < len(version) || !message.EqualFold(value[:len(version)], version) {
		return fmt.Sprintf("the version is %+q, not DMARC1", quoted(value))
	}
	if value[:len(version)] != version {
		return fmt.Sprintf("%q is to be written DMARC1, in upper case", value[:len(version)])
	}
	rest := value[len(version):]
	if rest == "" { // what follows stands behind more blanks than are examined
		return "there is no semicolon after v=DMARC1"
	}
	switch c := rest[0]; {
	case c == '\\':
		return "a backslash before the semicolon is part of the text: take it out"
	case '0' <= c && c <= '9':
		return fmt.Sprintf("the version is %+q, not DMARC1", quoted(value))
	case c == ' ' || c == '\t' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z':
		return "there is no semicolon after v=DMARC1"
	}
	for _, c := range rest {
		return fmt.Sprintf("%+q stands where a semicolon should, after v=DMARC1", string(c))
	}
	return ""
}
