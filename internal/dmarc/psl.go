package dmarc

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"golang.org/x/net/publicsuffix"

	"signpost/internal/message"
)

const (
	// maxSuffixLine is the longest line of a suffix list, in bytes.
	maxSuffixLine = 4096
	// maxSuffixes limits the rules of a suffix list; the public one has about ten
	// thousand.
	maxSuffixes = 1 << 20
)

// A SuffixList is a list of public suffixes in the form of publicsuffix.org, both of
// its sections. It is immutable and may be shared.
type SuffixList struct {
	root  suffixNode
	count int
}

// suffixNode is one label in the tree of rules; the top-level domains are below the
// root.
type suffixNode struct {
	below map[string]*suffixNode
	kind  suffixKind
}

// suffixKind is the set of kinds of rules that end at a label.
type suffixKind uint8

const (
	suffixRule      suffixKind = 1 << iota // "co.uk"
	suffixException                        // "!www.ck"
)

// wildcard is the label of a rule that any label matches; it can only be the leftmost.
const wildcard = "*"

// ParseSuffixList reads a list. Rules may have U-labels or A-labels. A line that is not
// a rule is an error with its number, since a damaged list could align unrelated
// domains.
func ParseSuffixList(r io.Reader) (*SuffixList, error) {
	l := &SuffixList{}
	lines := bufio.NewScanner(r)
	lines.Buffer(make([]byte, 0, maxSuffixLine), maxSuffixLine)
	number := 0
	for lines.Scan() {
		number++
		// a rule ends at the first white space; the rest of the line is a remark
		rule, _, _ := strings.Cut(strings.ReplaceAll(strings.TrimSpace(lines.Text()), "\t", " "), " ")
		if rule == "" || strings.HasPrefix(rule, "//") {
			continue
		}
		if err := l.add(rule); err != nil {
			return nil, fmt.Errorf("public suffix list, line %d: %w", number, err)
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("reading the public suffix list after line %d: %w", number, err)
	}
	if l.count == 0 {
		return nil, errors.New("the public suffix list has no rules: fetch it from https://publicsuffix.org/list/")
	}
	return l, nil
}

// Len returns the number of rules.
func (l *SuffixList) Len() int { return l.count }

func (l *SuffixList) add(rule string) error {
	if l.count >= maxSuffixes {
		return fmt.Errorf("more than %d rules", maxSuffixes)
	}
	if !utf8.ValidString(rule) {
		return errors.New("not UTF-8")
	}
	kind := suffixRule
	text := rule
	if rest, ok := strings.CutPrefix(text, "!"); ok {
		kind, text = suffixException, rest
	}
	labels, wild := strings.CutPrefix(text, wildcard+".")
	ascii, ok := message.DomainToASCII(labels)
	if !ok && text != wildcard {
		return fmt.Errorf("%q is not a rule", quoted(rule))
	}
	switch {
	case text == wildcard:
		ascii = wildcard
	case wild:
		ascii = wildcard + "." + ascii
	}
	l.root.insert(ascii, kind)
	l.count++
	return nil
}

func (n *suffixNode) insert(domain string, kind suffixKind) {
	for domain != "" {
		var label string
		domain, label = cutLast(domain)
		next := n.below[label]
		if next == nil {
			if n.below == nil {
				n.below = make(map[string]*suffixNode)
			}
			next = &suffixNode{}
			n.below[strings.Clone(label)] = next
		}
		n = next
	}
	n.kind |= kind
}

// cutLast cuts the rightmost label off a domain.
func cutLast(domain string) (rest, label string) {
	i := strings.LastIndexByte(domain, '.')
	if i < 0 {
		return "", domain
	}
	return domain[:i], domain[i+1:]
}

// suffixLabels returns how many labels of a domain are its public suffix: those of the
// longest rule that matches, one less for an exception, which beats all others, and one
// if none does (the algorithm of publicsuffix.org).
func (l *SuffixList) suffixLabels(domain string) int {
	longest := 1
	n := &l.root
	for depth := 1; domain != ""; depth++ {
		var label string
		domain, label = cutLast(domain)
		// a wildcard occurs only leftmost in a rule, so no label follows it
		if n.below[wildcard] != nil {
			longest = max(longest, depth)
		}
		n = n.below[label]
		if n == nil {
			break
		}
		if n.kind&suffixException != 0 {
			return depth - 1
		}
		if n.kind&suffixRule != 0 {
			longest = max(longest, depth)
		}
	}
	return longest
}

// Registrable returns the domain, in A-labels, that is directly below a public suffix
// and contains domain; ok is false for a public suffix and for text that is not a
// domain name. A nil list means the built-in one.
func (l *SuffixList) Registrable(domain string) (registrable string, ok bool) {
	ascii, ok := message.DomainToASCII(domain)
	if !ok {
		return "", false
	}
	suffix := 0
	if l != nil {
		suffix = l.suffixLabels(ascii)
	} else {
		s, _ := publicsuffix.PublicSuffix(ascii)
		suffix = strings.Count(s, ".") + 1
	}
	if strings.Count(ascii, ".")+1 <= suffix {
		return "", false
	}
	return lastLabels(ascii, suffix+1), true
}

// icannSuffix reports whether a domain, in lower-case A-labels, is a public suffix of
// the ICANN section of the built-in list: unrelated parties register names below it.
func icannSuffix(domain string) bool {
	suffix, icann := publicsuffix.PublicSuffix(domain)
	return icann && suffix == domain
}

// registered returns the organizational domain by the list: a public suffix is its own
// (RFC 7489 §3.2).
func (f Finder) registered(domain string) string {
	if org, ok := f.Suffixes.Registrable(domain); ok {
		return org
	}
	return domain
}
