package message

import (
	"net/netip"
	"strings"
	"unicode/utf8"
)

// judgeAll judges the parts of a name between characters that occur in atoms but not in
// domain names: "bob@x.example'" can only be of x.example, "bob@x.example!y.example" of
// either.
func (r *rereading) judgeAll(name string) {
	for name != "" {
		end := strings.IndexFunc(name, func(c rune) bool { return c < utf8.RuneSelf && !isNameOctet(byte(c)) })
		if end < 0 {
			r.judge(name)
			return
		}
		r.judge(name[:end])
		name = name[end+1:]
	}
}

// judge adds a name as an author domain if it has two labels or more. A single label
// ("Jane @ Home") has no policy and does not count.
func (r *rereading) judge(name string) {
	name = strings.Trim(name, ".")
	// RFC 2047 §4.2: in "=?utf-8?Q?bob@x.example_Bob?=" an underscore is a space. No
	// top-level domain has an underscore.
	if last := strings.LastIndexByte(name, '.') + 1; r.words {
		if n := strings.IndexByte(name[last:], '_'); n >= 0 {
			name = strings.TrimRight(name[:last+n], ".")
		}
	}
	if labels(name) < 2 {
		return
	}
	c := r.to
	if r.names++; r.names > MaxAuthors {
		c.doubtful = true
	}
	if name == r.last {
		return
	}
	r.last = name
	if !plainASCII(name) {
		if c.mappings++; c.mappings > maxMappings {
			c.doubtful, c.author.Incomplete = true, true
			return
		}
	}
	d, ok := DomainToASCII(name)
	switch {
	case ok && isFQDN(d):
		c.domain(d)
		if !r.utf8 && strings.IndexFunc(name, func(c rune) bool { return c >= utf8.RuneSelf }) >= 0 {
			c.doubtful, c.author.Incomplete = true, true // another domain in another character set
		}
	case ok && isAddress(name):
		c.literal = true // without its brackets
	case ok:
		c.doubtful = true
	default:
		c.doubtful, c.author.Incomplete = true, true
		r.mended(name)
	}
}

func isAddress(name string) bool {
	_, err := netip.ParseAddr(name)
	return err == nil
}

// mended adds the domains that a tolerant reader could find in a name that cannot be
// looked up: without empty labels, or its ASCII part.
func (r *rereading) mended(name string) {
	ascii := 0
	for ascii < len(name) && isNameOctet(name[ascii]) {
		ascii++
	}
	kept := strings.FieldsFunc(name[:ascii], func(c rune) bool { return c == '.' })
	if d, ok := DomainToASCII(strings.Join(kept, ".")); ok && isFQDN(d) {
		r.to.domain(d)
	}
}

// labels counts the labels of a name that are not empty, up to two.
func labels(name string) int {
	n, inLabel := 0, false
	for _, c := range name {
		switch c {
		case '.', '\u3002', '\uff0e', '\uff61':
			inLabel = false
		default:
			if !inLabel {
				n++
			}
			inLabel = true
		}
		if n == 2 {
			break
		}
	}
	return n
}

// exactly returns the address around an "@" if no reader can read it differently: atoms
// between angle brackets, or between the start of the field and a space, bracket,
// comma, semicolon or the end.
func (r *rereading) exactly(local, behind int) {
	at := behind - 1
	end := behind
	for end < len(r.text) && isNameOctet(r.text[end]) {
		end++
	}
	opens := strings.TrimLeft(r.text[:local], " \t") == "" || r.text[local-1] == '<'
	closes := end == len(r.text) || strings.IndexByte(" \t\r\n>,;<", r.text[end]) >= 0
	d, ok := DomainToASCII(r.text[behind:end])
	name := r.text[local:max(at, local)]
	r.exact = opens && closes && ok && isFQDN(d) && name != "" && r.text[at] == '@' && !strings.Contains(name, "=?") && strings.IndexFunc(name, func(c rune) bool { return c >= utf8.RuneSelf }) < 0
	if r.exact && len(r.found) <= MaxAuthors {
		r.found = append(r.found, Address{name, d})
	}
}

// isNamePart accepts the characters of domain names in any character set.
func isNamePart(c byte) bool { return isNameOctet(c) || c >= utf8.RuneSelf }

// isNameOctet accepts the octets of ASCII domain names.
func isNameOctet(c byte) bool { return isLDH(c) || c == '.' || c == '_' }
