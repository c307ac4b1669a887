package signer

import (
	"errors"
	"fmt"
	"strings"

	"signpost/internal/config"
)

// ParseEntry reads an entry from the words of a table's line, one at least: a domain, its selectors
// and options. The error is the first mistake.
func ParseEntry(words []string) (Domain, error) { return parseEntry(words, nil) }

// parseEntry appends the selectors to an empty slice, to use its memory.
func parseEntry(words []string, selectors []Selector) (Domain, error) {
	d := Domain{Domain: words[0], Selectors: selectors}
	for _, word := range words[1:] {
		key, value, assigned := strings.Cut(word, "=")
		switch {
		case assigned && key == "keys_of":
			d.KeysOf = value
		case assigned && key == "sdid":
			d.SDID = value
		case assigned:
			return d, fmt.Errorf("unknown key %q: a line takes a domain, its selectors, subdomains, keys_of=DOMAIN, sdid=DOMAIN", key)
		case word == "subdomains":
			d.Subdomains = true
		default:
			for s := range strings.SplitSeq(word, ",") {
				if option := meantOption(s); option != "" {
					return d, fmt.Errorf("%q is no selector of a table: did you mean %s? (a selector of that name has to stand in signer.domains)", s, option)
				}
				if s != "" {
					d.Selectors = append(d.Selectors, Selector{Selector: s})
				}
			}
		}
	}
	d.noteCanonical()
	var first error
	d.validate("", func(path, problem string) {
		if first == nil {
			first = errors.New(problem)
		}
	})
	return d, first
}

// meantOption returns the option that a misspelt word probably means, or "" if the word is a
// selector. Only words that are close to an option count.
func meantOption(word string) string {
	const near = 2
	word = strings.ReplaceAll(strings.ToLower(word), "-", "_")
	lengths := len(word) - len("subdomains") // a greater difference is a greater distance
	switch {
	case word == "subdomains":
		return "subdomains, as a word of its own"
	case strings.HasPrefix(word, "subdom"), max(lengths, -lengths) <= near && config.Distance(word, "subdomains") <= near:
		return "subdomains"
	case word == "sdid":
		return "sdid=DOMAIN"
	case word == "keys_of", word == "keysof", word == "key_of":
		return "keys_of=DOMAIN"
	}
	return ""
}
