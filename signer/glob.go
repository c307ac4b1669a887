package signer

import "strings"

// glob reports whether a name fits a pattern in which each "*" stands for any run
// of characters, none included. Its time is at most the product of both lengths,
// and a name is no longer than DNS allows.
func glob(pattern, name string) bool {
	star, from := -1, 0 // the last "*", and where in the name it was tried
	p, n := 0, 0
	for n < len(name) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, from = p, n
			p++
		case p < len(pattern) && pattern[p] == name[n]:
			p, n = p+1, n+1
		case star >= 0: // let it stand for one character more
			from++
			p, n = star+1, from
		default:
			return false
		}
	}
	return strings.Trim(pattern[p:], "*") == ""
}

// domainPattern returns the form in which a pattern of domain names is compared: in
// lower case and A-labels. ok is false where it is no pattern that a domain name
// could fit, or none with a "*".
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
