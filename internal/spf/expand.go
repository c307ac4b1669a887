package spf

import (
	"net/netip"
	"strconv"
	"strings"
)

// targetName expands a domain-spec to the name to query, without a final dot; "" if the
// result cannot be queried (§4.8). A mechanism without a domain-spec means the current
// domain.
func (e *evaluation) targetName(m macroString, domain string) (string, *exception) {
	if m.text == "" {
		return domain, nil
	}
	name := m.text
	if m.segments != nil {
		// RFC 8616 §4: a non-ASCII local part cannot be used in a name.
		if e.localUnusable && m.usesLocalPart() {
			return "", nil
		}
		var tail nameTail
		for i := len(m.segments) - 1; i >= 0 && !tail.full(); i-- {
			piece, ex := e.expand(e.scratch[:0], &m.segments[i], domain)
			if ex != nil {
				return "", ex
			}
			tail.prepend(piece)
			e.scratch = piece
		}
		name = tail.String()
	}
	name = fitName(strings.TrimSuffix(name, "."))
	if !usableName(name) {
		return "", nil
	}
	return name, nil
}

// fitName drops labels from the left until the name has at most 253 octets (§7.3).
func fitName(name string) string {
	if len(name) <= maxName {
		return name
	}
	over := len(name) - maxName - 1
	if i := strings.IndexByte(name[over:], '.'); i >= 0 {
		return name[over+i+1:]
	}
	return ""
}

// nameTail collects a name from its right end and keeps only the octets that fitName
// can need, so that macros cannot multiply: a full name, the final dot, and one octet
// that shows that there was more.
type nameTail struct {
	buf  [maxName + 2]byte
	used int
}

func (t *nameTail) full() bool { return t.used == len(t.buf) }

func (t *nameTail) prepend(piece []byte) {
	n := min(len(piece), len(t.buf)-t.used)
	end := len(t.buf) - t.used
	copy(t.buf[end-n:end], piece[len(piece)-n:])
	t.used += n
}

func (t *nameTail) String() string { return string(t.buf[len(t.buf)-t.used:]) }

func (m macroString) usesLocalPart() bool {
	for i := range m.segments {
		if l := m.segments[i].letter; l == 's' || l == 'l' {
			return true
		}
	}
	return false
}

// expand appends the expansion of a segment (§7.3).
func (e *evaluation) expand(dst []byte, seg *segment, domain string) ([]byte, *exception) {
	if seg.letter == 0 || seg.letter == '%' {
		return append(dst, seg.literal...), nil
	}
	value, ex := e.macroValue(seg.letter, domain)
	if ex != nil {
		return dst, ex
	}
	start := len(dst)
	if seg.split {
		dst = seg.appendParts(dst, value)
	} else {
		dst = append(dst, value...)
	}
	if seg.escape {
		dst = append(dst[:start], urlEscape(string(dst[start:]))...)
	}
	return dst, nil
}

// macroValue returns the value of a macro letter before transformation (§7.2).
func (e *evaluation) macroValue(letter byte, domain string) (string, *exception) {
	switch letter {
	case 's':
		return e.sender, nil
	case 'l':
		return e.local, nil
	case 'o':
		return e.domain, nil
	case 'd':
		return domain, nil
	case 'i':
		return dotted(e.addr), nil
	case 'c':
		return e.addr.String(), nil
	case 'p':
		return e.validatedName(domain)
	case 'v':
		if e.addr.Is4() {
			return "in-addr", nil
		}
		return "ip6", nil
	case 'h':
		return e.helo, nil
	case 'r':
		if e.query.Receiver == "" {
			return "unknown", nil
		}
		return e.query.Receiver, nil
	default: // 't'
		return strconv.FormatInt(e.query.Now.Unix(), 10), nil
	}
}

// dotted returns the address with dots between its parts: octets for IPv4, nibbles for
// IPv6.
func dotted(addr netip.Addr) string {
	if addr.Is4() {
		return addr.String()
	}
	const hex = "0123456789ABCDEF"
	var b [63]byte
	for i, octet := range addr.As16() {
		n := 4 * i
		b[n], b[n+2] = hex[octet>>4], hex[octet&15]
		b[n+1] = '.'
		if n+3 < len(b) {
			b[n+3] = '.'
		}
	}
	return string(b[:])
}

// appendParts splits the value at the delimiters, reverses and truncates the parts as
// requested, and joins them with dots (§7.3). It reads only the parts that it keeps.
func (seg *segment) appendParts(dst []byte, value string) []byte {
	if !seg.reverse {
		start := len(value)
		for kept := 0; start > 0; start-- {
			if seg.delimiters.has(value[start-1]) {
				if kept++; kept == seg.keep {
					break
				}
			}
		}
		for _, c := range []byte(value[start:]) {
			if seg.delimiters.has(c) {
				c = '.'
			}
			dst = append(dst, c)
		}
		return dst
	}
	// The right-hand parts of the reversed value are the left-hand parts of the value.
	end := 0
	for kept := 0; end < len(value); end++ {
		if seg.delimiters.has(value[end]) {
			if kept++; kept == seg.keep {
				break
			}
		}
	}
	for i := end - 1; i >= 0; i-- {
		if seg.delimiters.has(value[i]) {
			dst = append(append(dst, value[i+1:end]...), '.')
			end = i
		}
	}
	return append(dst, value[:end]...)
}

// urlEscape escapes all characters except the unreserved ones (RFC 3986 §2.3).
func urlEscape(s string) string {
	const hex = "0123456789ABCDEF"
	var b strings.Builder
	for _, c := range []byte(s) {
		if isAlpha(c) || isDigit(c) || strings.IndexByte("-._~", c) >= 0 {
			b.WriteByte(c)
			continue
		}
		b.WriteByte('%')
		b.WriteByte(hex[c>>4])
		b.WriteByte(hex[c&15])
	}
	return b.String()
}
