package message

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxMappings limits how many names of a malformed From field are converted by IDNA.
const maxMappings = 100

// everyName adds to the author domains every domain name after an "@" at any position,
// in every reading that a program could make of the text: it may decode encoded words
// first, drop quotes and control characters, or ignore white space around a dot. It
// returns the addresses that every reader finds; exact is false if readers could find
// different ones. The time is linear in the length of the text.
func (c *collector) everyName(text string) (found []Address, exact bool) {
	others, known := readings(text)
	if !known {
		c.doubtful, c.author.Incomplete = true, true
	}
	isUTF8 := utf8.ValidString(text)
	decoded, _ := openWords(text, false)
	r := rereading{to: c, utf8: isUTF8, words: decoded != text, sent: true, exact: true}
	r.read(text)
	found, exact = r.found, r.exact
	for _, other := range others {
		r := rereading{to: c, utf8: isUTF8}
		r.read(other)
		exact = exact && strings.Count(other, "@") == strings.Count(text, "@")
	}
	c.doubtful = c.doubtful || overrides(text) || slices.ContainsFunc(others, overrides)
	return found, exact
}

// overrides reports whether a text has a character that makes programs display the
// following text backwards. The other direction marks occur in names of their scripts.
func overrides(text string) bool {
	return strings.Contains(text, "\u202d") || strings.Contains(text, "\u202e")
}

// rereading looks for "@" in one text.
type rereading struct {
	to    *collector
	text  string
	utf8  bool // the field is UTF-8, so names beyond ASCII are readable
	words bool // the text may have encoded words, not decoded
	sent  bool // the text is as it was sent, with its control characters
	angle bool // the position is behind a "<" without its ">"
	names int  // domain names met
	found []Address
	exact bool
	// The last ")" of the text with a dot and a name, a name, and a name at once behind it, computed before the
	// search; 0: none.
	dotBehindComment, nameBehindComment, joinedToComment int

	name []byte // the current name, without the octets that some readers drop
	last string // the last name judged, since most repeat
	room [64]byte
}

func (r *rereading) read(text string) {
	r.text, r.name = text, r.room[:0]
	r.lookBehindComments()
	behind := 0 // the last "@"
	for pos := 0; pos < len(text); {
		size := atSign(text[pos:])
		if size == 0 {
			r.angle = text[pos] == '<' || r.angle && text[pos] != '>'
			pos++
			continue
		}
		if c := r.to; c.author.Incomplete && len(c.author.Domains) >= MaxAuthorDomains {
			r.exact = false
			return // more would change nothing
		}
		local := r.localPart(behind, pos)
		behind = pos + size
		pos = r.behindAt(behind, local)
	}
}

// atSign returns the length of the "@" at the beginning of text, 0 if there is none.
// Some programs accept its full-width and its small form.
func atSign(text string) int {
	switch {
	case text[0] == '@':
		return 1
	case strings.HasPrefix(text, "\uff20"), strings.HasPrefix(text, "\ufe6b"):
		return len("\uff20")
	}
	return 0
}

// localPart returns the start of the atoms before an "@", but not before floor. A
// character in them that changes the display direction leaves the author in doubt.
func (r *rereading) localPart(floor, at int) (start int) {
	start, ascii := at, true
	for start > floor && (isAtext(r.text[start-1]) || r.text[start-1] == '.') {
		start--
		ascii = ascii && r.text[start] < utf8.RuneSelf
	}
	if !ascii {
		for _, c := range r.text[start:at] {
			r.to.doubtful = r.to.doubtful || unicode.Is(unicode.Bidi_Control, c)
		}
	}
	return start
}

// behindAt reads the name after an "@" until an octet that no reader takes as part of
// it, and returns that position. local is the start of the local part.
func (r *rereading) behindAt(pos, local int) int {
	at := pos
	r.name = r.name[:0]
	short := 0 // length of the name for a reader that drops nothing inside it
	control := false
loop:
	for pos < len(r.text) && atSign(r.text[pos:]) == 0 {
		b := r.text[pos]
		space := r.space(pos)
		switch {
		case space > 0:
			next := r.skip(pos)
			joins := len(r.name) == 0 || r.name[len(r.name)-1] == '.'
			if !joins && (next == len(r.text) || r.text[next] != '.' && r.text[next] != '(') {
				break loop
			}
			for ; pos < next; pos++ {
				control = r.dropped(pos) || control
			}
		case b == '"' || b == '\\' || isControl(b):
			control = r.dropped(pos) || control
			pos++
		case isAtext(b) || b == '.':
			if control && len(r.name) > 0 {
				r.unknown()
			}
			r.name = append(r.name, b)
			pos++
			continue
		case b == '(':
			if r.text[pos-1] != escape {
				r.comment(pos)
			}
			break loop
		case b == '[' && len(r.name) == 0:
			if n := addressLiteral(r.text[pos:]); n > 0 {
				r.to.literal, r.exact = true, false
				return pos + n
			}
			pos++
		default:
			break loop
		}
		if short == 0 {
			short = len(r.name)
		}
	}
	r.judgeAll(string(r.name))
	if short > 0 && short < len(r.name) {
		r.judgeAll(string(r.name[:short]))
	}
	if r.sent {
		r.judgeJoined(pos)
	}
	if r.exact {
		r.exactly(local, at)
	}
	return pos
}

// judgeJoined judges the name that ends at a position as readers see it that drop white
// space and brackets inside an address: "<a@x.exa mple>", "a@x.exa<>mple". Before another
// "@", and before the "<" of another address, the text is the display name of another address.
func (r *rereading) judgeJoined(pos int) {
	own := len(r.name)
	for ; pos < len(r.text) && !r.endsAddress(pos); pos++ {
		space := r.space(pos)
		switch b := r.text[pos]; {
		case atSign(r.text[pos:]) > 0, b == '<' && r.beginsAddress(pos), len(r.name) > maxDomainInput:
			return
		case space > 0:
			pos += space - 1
		case isAtext(b) || b == '.':
			r.name = append(r.name, b)
		}
	}
	if len(r.name) > own {
		r.judgeAll(string(r.name))
	}
}

// beginsAddress reports whether the "<" at a position is that of another address.
func (r *rereading) beginsAddress(pos int) bool {
	return !strings.HasPrefix(r.text[pos:], "<>") && (!r.angle || r.space(pos-1) > 0)
}

// endsAddress reports whether every reader takes the octet at a position for the end of
// an address whose domain has begun.
func (r *rereading) endsAddress(pos int) bool {
	switch r.text[pos] {
	case '"', '\\', '(', ')', ':', '[', ']':
		return true
	case ',', ';':
		return len(r.name) > 0
	case '>':
		return len(r.name) > 0 && r.text[pos-1] != '<'
	case '\n':
		return pos+1 == len(r.text) || r.text[pos+1] != ' ' && r.text[pos+1] != '\t'
	}
	return false
}

// dropped looks at an octet that some readers drop, and reports whether it is a control
// character that others obey, or at which they end the name. What an escape sequence
// leaves of a name depends on the program. Those that switch between character sets do
// not count, since the octets before them can be of other characters; neither do the
// control characters of decoded words, which may be no text.
func (r *rereading) dropped(pos int) bool {
	b := r.text[pos]
	if !r.sent || !isControl(b) || r.space(pos) > 0 || b == escape && switchesCharset(r.text[pos:]) {
		return false
	}
	if b == escape && len(r.name) > 0 {
		r.unknown()
	}
	return true
}

// unknown records that readers may find domains that are not listed.
func (r *rereading) unknown() { r.to.doubtful, r.to.author.Incomplete = true, true }

// space returns the length of the white space character at a position, 0 if there is
// none.
func (r *rereading) space(pos int) int {
	switch b := r.text[pos]; {
	case b == ' ' || b == '\t' || b == '\r' || b == '\n':
		return 1
	case b >= utf8.RuneSelf && r.utf8:
		if c, size := utf8.DecodeRuneInString(r.text[pos:]); unicode.IsSpace(c) {
			return size
		}
	}
	return 0
}

// skip returns the end of the white space and of the octets that some readers drop.
func (r *rereading) skip(pos int) int {
	for pos < len(r.text) {
		n := r.space(pos)
		if b := r.text[pos]; b == '"' || b == '\\' || isControl(b) {
			n = 1
		}
		if n == 0 {
			break
		}
		pos += n
	}
	return pos
}

// comment records that a comment follows a name or is inside it. It does not search for
// the closing parenthesis: after each one, an octet that cannot continue the name has
// to follow.
func (r *rereading) comment(pos int) {
	inside := len(r.name) == 0 || r.name[len(r.name)-1] == '.'
	touches := isAtext(r.text[pos-1]) // so a name remains for readers that remove comments
	if r.dotBehindComment > pos || inside && r.nameBehindComment > pos || touches && r.joinedToComment > pos {
		r.to.doubtful, r.to.author.Incomplete = true, true
	}
}

func (r *rereading) lookBehindComments() {
	for pos := 0; pos < len(r.text); {
		if r.text[pos] != ')' {
			pos++
			continue
		}
		closes := pos
		pos = r.skip(closes + 1)
		if pos == len(r.text) {
			break
		}
		if next := r.text[closes+1]; next != '.' && isNamePart(next) {
			r.joinedToComment = closes
		}
		dots := pos
		for dots < len(r.text) && r.text[dots] == '.' {
			dots = r.skip(dots + 1)
		}
		if dots == len(r.text) {
			continue
		}
		b := r.text[dots]
		if dots > pos && isNameOctet(b) {
			r.dotBehindComment = closes
		}
		if isAtext(b) || b == '[' {
			r.nameBehindComment = closes
		}
	}
}

// addressLiteral returns the length of the address literal at the beginning of text
// (RFC 5322 §3.4.1, RFC 5321 §4.1.3), 0 if there is none. Other bracketed text may be
// read as a name.
func addressLiteral(text string) int {
	const longest = 64
	content, _, closed := strings.Cut(text[1:min(len(text), longest)], "]")
	if !closed {
		return 0
	}
	size := len(content) + len("[]")
	if tag := len("IPv6:"); len(content) > tag && EqualFold(content[:tag], "IPv6:") {
		content = content[tag:]
	}
	if !isAddress(content) {
		return 0
	}
	return size
}
