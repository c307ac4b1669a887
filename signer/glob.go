package signer

import "strings"

// glob reports whether a name matches a pattern in which each "*" stands for any number of
// characters, also none. Its time is at most the product of both lengths; DNS limits the
// length of a name.
func glob(pattern, name string) bool {
	star, from := -1, 0 // the last "*", and where its match in the name ends
	p, n := 0, 0
	for n < len(name) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, from = p, n
			p++
		case p < len(pattern) && pattern[p] == name[n]:
			p, n = p+1, n+1
		case star >= 0: // extend the match of "*" by one character
			from++
			p, n = star+1, from
		default:
			return false
		}
	}
	return strings.Trim(pattern[p:], "*") == ""
}

// domainPattern returns a pattern of domain names in lower case and A-labels. ok is false
// if it has no "*", or if no domain name can match it.
func domainPattern(text string) (pattern string, ok bool) {
	pattern = strings.ToLower(text)
	if !strings.Contains(pattern, "*") || len(pattern) > 253 {
		return "", false
	}
	for i := range len(pattern) {
		c := pattern[i]
		if c != '*' && c != '.' && c != '-' && c != '_' && (c < 'a' || c > 'z') && (c < '0' || c > '9') {
			return "", false
		}
	}
	for label := range strings.SplitSeq(pattern, ".") {
		if label == "" || len(label) > 63 {
			return "", false
		}
	}
	return pattern, strings.Contains(pattern, ".")
}
