package message

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// mailbox is one address as the grammar reads it. Its domain is not yet checked.
type mailbox struct {
	local   string // content, without quotes
	domain  string // dots and atoms, or the text between the brackets
	literal bool
}

// addressList parses the address-list of RFC 5322 §3.4 and §4.4 with the groups of RFC
// 6854 and the UTF-8 of RFC 6532, in one pass from left to right without backtracking:
// each octet is examined a bounded number of times. Encoded words are atoms here and
// never decoded (RFC 2047 §5).
type addressList struct {
	scanner
	to   *collector // receives the addresses
	room [64]byte   // for the local part of most addresses
	// doubt names the first construct that the grammar allows and that programs read
	// differently.
	doubt string
	// reordered: an address is not displayed in the order of its characters.
	reordered bool
	// gaps: there is white space or a comment inside an address. This is a doubt only
	// if the visible text shows another domain.
	gaps bool
}

// parse reports whether the whole text is an address-list; if not, problem says why.
// Addresses before the error have been emitted.
func (p *addressList) parse() bool {
	inGroup := false
	for {
		r, ok := p.run()
		if !ok {
			return false
		}
		afterAddress := false
		switch c := p.peek(); {
		case c == '<':
			if !p.angleAddr() {
				return false
			}
			afterAddress = true
		case c == '@':
			if !p.bareAddr(r) {
				return false
			}
			afterAddress = true
		case c == ':' && !inGroup && r.words > 0:
			inGroup = true
			p.pos++
			continue
		case r.words > 0 || r.last == '.':
			return p.fail("text without an address")
		}
		switch c := p.peek(); {
		case p.atEnd():
			if inGroup {
				return p.fail("a group without its final semicolon")
			}
			return true
		// §4.4: empty members of a list are allowed.
		case (c == ',' || c == ';' && inGroup) && len(p.to.author.Addresses) >= MaxAuthors:
			p.limit = true
			return p.fail(fmt.Sprintf("it has more than %d addresses", MaxAuthors))
		case c == ',':
			p.pos++
		case c == ';' && inGroup:
			inGroup = false
			p.pos++
			if !p.afterGroup() {
				return false
			}
		case afterAddress:
			return p.unexpected("after an address")
		default:
			return p.unexpected("")
		}
	}
}

// afterGroup accepts the end or a comma after a group.
func (p *addressList) afterGroup() bool {
	if !p.cfws() {
		return false
	}
	if p.atEnd() {
		return true
	}
	if p.peek() != ',' {
		return p.unexpected("after a group")
	}
	return true
}

// A wordRun is a run of words and dots: the display name before "<" or ":", or the
// local part before "@". Only the octet after it decides which.
type wordRun struct {
	words int
	last  byte   // 'w' word, '.' dot, 0 none yet
	local []byte // content, while it can be a local part
	// isLocal: words and dots alternate, as in a local part.
	isLocal bool
	// gap: white space or a comment between the parts, or after the last.
	gap bool
}

// run reads words, dots and CFWS up to any other octet.
func (p *addressList) run() (wordRun, bool) {
	r := wordRun{isLocal: true, local: p.room[:0]}
	for {
		start := p.pos
		if !p.cfws() {
			return r, false
		}
		spaced := p.pos > start
		c := p.peek()
		switch {
		case p.atEnd():
			return r, true
		case c == '.':
			// §4.1 allows dots in a phrase, but not at its beginning.
			if r.last != 'w' {
				r.isLocal = false
			}
			if r.words == 0 {
				return r, p.unexpected("")
			}
			p.pos++
			r.gap = r.gap || spaced
			r.last = '.'
			r.local = append(r.local, '.')
		case c == '"' || isAtext(c):
			if r.last == 'w' {
				r.isLocal = false
			}
			r.gap = r.gap || spaced && r.last != 0
			word, ok := p.word()
			if !ok {
				return r, false
			}
			r.words++
			r.last = 'w'
			if r.isLocal {
				r.local = append(r.local, word...)
			}
		default:
			r.gap = r.gap || spaced && r.last != 0
			return r, true
		}
	}
}

// bareAddr reads "@" and the domain after the run; the run is the local part.
func (p *addressList) bareAddr(r wordRun) bool {
	if r.words == 0 || !r.isLocal || r.last != 'w' {
		return p.unexpected("behind what is no local part")
	}
	p.pos++ // "@"
	m := mailbox{local: string(r.local)}
	p.gaps = p.gaps || r.gap
	if !p.domainPart(&m) {
		return false
	}
	p.check(m)
	p.to.mailbox(m)
	return true
}

// angleAddr reads "<", an optional source route, an address and ">".
func (p *addressList) angleAddr() bool {
	p.pos++ // "<"
	if !p.cfws() {
		return false
	}
	if c := p.peek(); c == '@' || c == ',' {
		if !p.route() {
			return false
		}
	}
	r, ok := p.run()
	if !ok {
		return false
	}
	if p.peek() != '@' {
		return p.unexpected("where an address should be")
	}
	if !p.bareAddr(r) {
		return false
	}
	if p.peek() != '>' {
		return p.unexpected("where > should be")
	}
	p.pos++
	return p.cfws()
}

// route skips the obs-route of §4.4. None of its domains is the author's, but some
// programs read the first one as the author's.
func (p *addressList) route() bool {
	p.doubts("a source route")
	for {
		if !p.cfws() {
			return false
		}
		switch p.peek() {
		case ',':
			p.pos++
		case '@':
			p.pos++
			var m mailbox
			if !p.domainPart(&m) {
				return false
			}
		case ':':
			p.pos++
			return true
		default:
			return p.unexpected("in a source route")
		}
	}
}

// domainPart reads a domain and the CFWS around it.
func (p *addressList) domainPart(m *mailbox) bool {
	start := p.pos
	if !p.cfws() {
		return false
	}
	p.gap(start)
	if p.peek() == '[' {
		m.literal = true
		return p.literal(m) && p.cfws()
	}
	// dot-atom of §3.2.3, or the atoms with CFWS around the dots of §4.4.
	from, spaced := p.pos, false
	var parts []byte
	for {
		atom := p.atom()
		if atom == "" {
			return p.unexpected("where a domain should be")
		}
		end := p.pos
		if !p.cfws() {
			return false
		}
		behind := p.pos
		if p.peek() != '.' {
			if !spaced {
				m.domain = p.s[from:end]
			} else {
				m.domain = string(append(parts, atom...))
			}
			return true
		}
		p.pos++
		parts = append(append(parts, atom...), '.')
		dot := p.pos
		if !p.cfws() {
			return false
		}
		if behind > end || p.pos > dot {
			spaced = true
			p.gap(end)
		}
	}
}

// literal reads a domain literal, §3.4.1.
func (p *addressList) literal(m *mailbox) bool {
	start := p.pos + 1
	for i := start; i < len(p.s); i++ {
		switch p.s[i] {
		case ']':
			m.domain = p.s[start:i]
			p.pos = i + 1
			return true
		case '[', '\\', '"', '<', '>', '(', ')', '@', ',', ';':
			p.pos = i
			return p.unexpected("in an address literal")
		}
	}
	return p.fail("an address literal without its final bracket")
}

// check reports addresses that are grammatical and displayed as something else.
func (p *addressList) check(m mailbox) {
	// RFC 2047 §5 (3): an encoded word must not appear in an addr-spec. Readers that
	// decode before they parse show its content.
	if i := strings.Index(m.local, "=?"); i >= 0 && strings.Contains(m.local[i+2:], "?=") {
		p.doubts("an encoded word inside the address")
	}
	for _, c := range m.local {
		switch {
		// "admin@good.example> "@bad.example is an address at bad.example.
		case c == '@' || c == '<' || c == '>' || c == '\uff20' || c == '\ufe6b':
			p.doubts("an @ or angle bracket inside the local part")
		case c >= utf8.RuneSelf && !unicode.IsPrint(c):
			p.doubts(fmt.Sprintf("the invisible character %U inside the address", c))
			p.reordered = p.reordered || unicode.Is(unicode.Bidi_Control, c)
		}
	}
}

// gap records the CFWS skipped since start, inside a domain or before it. §3.4.1 says
// that it SHOULD NOT be there: "a@good.example (x) .bad.example" is displayed as the
// first domain and is the second.
func (p *addressList) gap(start int) {
	p.gaps = p.gaps || p.pos > start
	if strings.IndexByte(p.s[start:p.pos], '(') >= 0 {
		p.doubts("a comment inside the domain")
	}
}

func (p *addressList) doubts(what string) {
	if p.doubt == "" {
		p.doubt = what
	}
}
