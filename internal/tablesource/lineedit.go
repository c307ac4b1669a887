package tablesource

import (
	"fmt"
	"strings"

	"signpost/signer"
)

// ReplaceSelector returns a line of a table file with one selector replaced. Blanks, commas and
// comment stay. The line is without its line end.
func ReplaceSelector(line, from, to string) (string, error) {
	text := uncommented(line)
	domain := len(text) - len(strings.TrimLeft(text, " \t\r")) // start of the first word
	for i := domain; i < len(text); {
		start := i
		for i < len(text) && !blank(rune(text[i])) && text[i] != ',' {
			i++
		}
		word := text[start:i]
		i++ // the blank or comma
		if start == domain || !(signer.Selector{Selector: word}).Is(from) {
			continue
		}
		edited := line[:start] + to + line[start+len(word):]
		if !editedAlone(text, uncommented(edited), from, to) {
			break
		}
		return edited, nil
	}
	return "", fmt.Errorf("the line does not list the selector %s in a way that can be edited", from)
}

// editedAlone reports whether two lines differ only in one selector.
func editedAlone(before, after, from, to string) bool {
	a, err := signer.ParseEntry(strings.FieldsFunc(before, blank))
	b, err2 := signer.ParseEntry(strings.FieldsFunc(after, blank))
	if err != nil || err2 != nil || len(a.Selectors) != len(b.Selectors) ||
		a.Domain != b.Domain || a.KeysOf != b.KeysOf || a.SDID != b.SDID || a.Subdomains != b.Subdomains {
		return false
	}
	changed := 0
	for i, s := range a.Selectors {
		if s != b.Selectors[i] {
			changed++
			if !s.Is(from) || b.Selectors[i].Selector != to {
				return false
			}
		}
	}
	return changed == 1
}
