package dns

import (
	"net/netip"
	"strconv"
	"strings"

	"signpost/internal/message"
)

// RFC 1035 §2.3.4: 255 octets on the wire are 253 in text without a final dot.
const (
	maxLabel = 63
	maxName  = 253
)

// canonical returns the name as the key of tables: lower case, no final dot. ok is
// false for a string that cannot be a domain name, and for the root, which mail checks
// never query. A canonical name costs no allocation.
func canonical(name string) (string, bool) {
	name = strings.TrimSuffix(name, ".")
	if name == "" || len(name) > maxName {
		return name, false
	}
	label, upper := 0, false
	for i := range len(name) {
		switch c := name[i]; {
		case c == '.':
			if label == 0 {
				return name, false
			}
			label = 0
			continue
		case 'A' <= c && c <= 'Z':
			upper = true
		}
		if label++; label > maxLabel {
			return name, false
		}
	}
	if upper {
		name = message.LowerASCII(name)
	}
	return name, label > 0
}

// parent returns the name without its first label; "" is the root.
func parent(name string) string {
	_, rest, _ := strings.Cut(name, ".")
	return rest
}

// present writes a raw name in presentation form with a final dot, the form that the
// message library takes (RFC 1035 §5.1, RFC 4343 §2.1).
func present(name string) string {
	if plain(name) {
		return name + "."
	}
	var b strings.Builder
	for i := range len(name) {
		switch c := name[i]; {
		case c <= ' ' || c > '~':
			writeDDD(&b, c)
		case strings.IndexByte(`'@;()"\$`, c) >= 0:
			b.WriteByte('\\')
			b.WriteByte(c)
		default:
			b.WriteByte(c)
		}
	}
	b.WriteByte('.')
	return b.String()
}

func plain(name string) bool {
	for i := range len(name) {
		switch c := name[i]; {
		case 'a' <= c && c <= 'z', '0' <= c && c <= '9', c == '.', c == '-', c == '_':
		default:
			return false
		}
	}
	return true
}

func ascii(s string) bool {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}

func writeDDD(b *strings.Builder, c byte) {
	b.WriteByte('\\')
	b.WriteByte('0' + c/100)
	b.WriteByte('0' + c/10%10)
	b.WriteByte('0' + c%10)
}

// unescape decodes the presentation form of a character string: "\X" and "\DDD". A text
// without a backslash is returned as it is.
func unescape(s string) string {
	i := strings.IndexByte(s, '\\')
	if i < 0 {
		return s
	}
	b := append(make([]byte, 0, len(s)), s[:i]...)
	for i < len(s) {
		c, n := octet(s[i:])
		b = append(b, c)
		i += n
	}
	return string(b)
}

// octet reads one octet in presentation form and returns the number of bytes read.
func octet(s string) (byte, int) {
	if s[0] != '\\' || len(s) == 1 {
		return s[0], 1
	}
	if len(s) >= 4 && digit(s[1]) && digit(s[2]) && digit(s[3]) {
		if v, err := strconv.ParseUint(s[1:4], 10, 8); err == nil {
			return byte(v), 4
		}
	}
	return s[1], 2
}

func digit(c byte) bool { return '0' <= c && c <= '9' }

// rawName converts a name from presentation form to a raw one, lower case and without
// the final dot; the root is ".". ok is false if a label contains a dot: such a name
// has no raw form, and host names have no such labels.
func rawName(s string) (string, bool) {
	if s == "." || s == "" {
		return ".", true
	}
	if strings.IndexByte(s, '\\') >= 0 {
		for i := 0; i < len(s); {
			c, n := octet(s[i:])
			if n > 1 && c == '.' {
				return "", false
			}
			i += n
		}
		s = unescape(s)
	}
	name, ok := canonical(s)
	return name, ok
}

// reverseName is the name of the PTR records of an address (RFC 1035 §3.5, RFC 3596
// §2.5); "" for an invalid address.
func reverseName(addr netip.Addr) string {
	addr = addr.Unmap().WithZone("")
	if !addr.IsValid() {
		return ""
	}
	const hex = "0123456789abcdef"
	octets := addr.AsSlice()
	b := make([]byte, 0, 72)
	for i := len(octets) - 1; i >= 0; i-- {
		if addr.Is4() {
			b = append(strconv.AppendUint(b, uint64(octets[i]), 10), '.')
		} else {
			b = append(b, hex[octets[i]&15], '.', hex[octets[i]>>4], '.')
		}
	}
	if addr.Is4() {
		return string(append(b, "in-addr.arpa"...))
	}
	return string(append(b, "ip6.arpa"...))
}
