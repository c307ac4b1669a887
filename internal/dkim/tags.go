package dkim

import "strings"

// maxTags bounds a tag list. Signatures in use have fewer than 20.
const maxTags = 64

// A problem is a mistake in a signature or a key, in constant words. It contains no
// foreign text, so it may be shown to anyone.
type problem string

func (p problem) Error() string { return string(p) }

const (
	errEmptyList    problem = "the tag list is empty"
	errEmptyTag     problem = "an empty tag (two semicolons in a row)"
	errNoEquals     problem = "a tag without ="
	errTagName      problem = "a tag name that is not letters and digits"
	errDuplicateTag problem = "a tag that stands twice"
	errManyTags     problem = "more than 64 tags"
	errControl      problem = "a control character in the tag list"
)

// tag is one tag-spec of a tag list.
type tag struct {
	name  string
	value string // without the white space around it; white space inside is kept
	// start and end enclose the value and the white space around it: from the "=" to
	// the ";" or the end of the list.
	start, end int
}

// tagReader reads a tag list (§3.2) from left to right, without allocating.
type tagReader struct {
	list string
	// record allows what key records may contain: empty tag-specs, and CR and LF in
	// any order as white space.
	record bool

	pos   int
	count int
	names [maxTags]string
	err   error
}

// next returns the next tag. It returns false at the end of the list and at the first
// mistake; then r.err is set.
func (r *tagReader) next() (tag, bool) {
	for r.err == nil && r.pos <= len(r.list) {
		t := tag{start: r.pos, end: len(r.list)}
		if i := strings.IndexByte(r.list[r.pos:], ';'); i >= 0 {
			t.end = r.pos + i
		}
		r.pos = t.end + 1
		spec := r.list[t.start:t.end]
		if !r.printable(spec) {
			r.err = errControl
			break
		}
		if trimFWS(spec) == "" {
			r.empty(t.end == len(r.list))
			continue
		}
		eq := strings.IndexByte(spec, '=')
		if eq < 0 {
			r.err = errNoEquals
			break
		}
		t.name, t.value = trimFWS(spec[:eq]), trimFWS(spec[eq+1:])
		t.start += eq + 1
		if r.add(t.name) {
			return t, true
		}
	}
	return tag{}, false
}

// empty checks a tag-spec of white space only. §3.2: only the last semicolon of a list
// may be followed by no tag.
func (r *tagReader) empty(last bool) {
	switch {
	case last && r.count == 0:
		r.err = errEmptyList
	case !last && !r.record:
		r.err = errEmptyTag
	}
}

// add checks a tag name and records it.
func (r *tagReader) add(name string) bool {
	if !isTagName(name) {
		r.err = errTagName
		return false
	}
	if r.count == maxTags {
		r.err = errManyTags
		return false
	}
	// §3.2: tags are case-sensitive, and one that occurs twice, known or not,
	// makes the whole list invalid.
	for _, seen := range r.names[:r.count] {
		if seen == name {
			r.err = errDuplicateTag
			return false
		}
	}
	r.names[r.count] = name
	r.count++
	return true
}

// printable checks that a tag-spec has no control characters other than FWS. Octets
// above 127 are allowed: §3.2's note, RFC 8616 §5.
func (r *tagReader) printable(s string) bool {
	if strings.IndexByte(s, 0x7f) >= 0 {
		return false
	}
	for i := runOf(s, ' '); i < len(s); i += runOf(s[i:], ' ') {
		switch c := s[i]; {
		case c == '\t', r.record && (c == '\r' || c == '\n'):
			i++
		case c == '\r' && i+2 < len(s) && s[i+1] == '\n' && isWSP(s[i+2]):
			i += 3
		default:
			return false
		}
	}
	return true
}

// isTagName checks a name. The grammar has no hyphen, but private tags are written
// x-something.
func isTagName(s string) bool {
	for i := range len(s) {
		c := s[i]
		letter := 'a' <= c|0x20 && c|0x20 <= 'z'
		if !letter && (i == 0 || (c < '0' || c > '9') && c != '_' && c != '-') {
			return false
		}
	}
	return s != ""
}

// list splits a colon-separated list. It calls use for each item, without the white
// space around it, until use returns false.
func list(value string, use func(item string) bool) {
	start := 0
	for i := range len(value) {
		if value[i] == ':' {
			if !use(trimFWS(value[start:i])) {
				return
			}
			start = i + 1
		}
	}
	use(trimFWS(value[start:]))
}

// trimFWS removes folding white space (§2.8) from both ends.
func trimFWS(s string) string {
	for s != "" && isFWS(s[0]) {
		s = s[1:]
	}
	for s != "" && isFWS(s[len(s)-1]) {
		s = s[:len(s)-1]
	}
	return s
}

// trimWSP removes spaces and tabs from the end.
func trimWSP(s string) string {
	for s != "" && isWSP(s[len(s)-1]) {
		s = s[:len(s)-1]
	}
	return s
}

func isWSP(c byte) bool { return c == ' ' || c == '\t' }
func isFWS(c byte) bool { return c == ' ' || c == '\t' || c == '\r' || c == '\n' }
