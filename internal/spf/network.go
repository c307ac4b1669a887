package spf

import (
	"errors"
	"net/netip"
	"strings"
)

// parseNetwork reads the argument of ip4 and ip6 (§5.6):
// ":" network [ "/" length ].
func (t *term) parseNetwork(argument string) error {
	if len(argument) < 2 || argument[0] != ':' {
		return errors.New("an address is missing (RFC 7208 section 5.6)")
	}
	text, length, hasLength := strings.Cut(argument[1:], "/")
	// ParseAddr is as strict as the grammar: four decimal numbers without leading
	// zeros for IPv4, RFC 4291 §2.2 for IPv6. Only zones must be refused here.
	addr, err := netip.ParseAddr(text)
	if err != nil || addr.Zone() != "" || addr.Is4() != (t.mechanism == mechanismIP4) {
		return errors.New("not a complete address of the family (RFC 7208 section 5.6)")
	}
	bits := addr.BitLen()
	if hasLength {
		n, ok := parsePrefixLength(length, bits)
		if !ok {
			return errPrefixLength
		}
		bits = int(n)
	}
	t.network = netip.PrefixFrom(addr, bits)
	return nil
}

var errPrefixLength = errors.New("the prefix length is out of range or has leading zeros (RFC 7208 section 5.6)")

// cutDualCIDR cuts [ "/" ip4-length ] [ "//" ip6-length ] from the end of an argument.
// It works from the right: a domain-spec may contain slashes and digits, but cannot end
// in them.
func (t *term) cutDualCIDR(argument *string) error {
	digits := trailingDigits(*argument)
	rest := strings.TrimSuffix(*argument, digits)
	if digits != "" && strings.HasSuffix(rest, "//") {
		n, ok := parsePrefixLength(digits, 128)
		if !ok {
			return errPrefixLength
		}
		t.bits.ip6 = n
		*argument = strings.TrimSuffix(rest, "//")
		digits = trailingDigits(*argument)
		rest = strings.TrimSuffix(*argument, digits)
	}
	if digits != "" && strings.HasSuffix(rest, "/") {
		n, ok := parsePrefixLength(digits, 32)
		if !ok {
			return errPrefixLength
		}
		t.bits.ip4 = n
		*argument = strings.TrimSuffix(rest, "/")
	}
	return nil
}

func trailingDigits(s string) string {
	i := len(s)
	for i > 0 && isDigit(s[i-1]) {
		i--
	}
	return s[i:]
}

// parsePrefixLength reads "0" or a number without leading zeros, up to most.
func parsePrefixLength(s string, most int) (n uint8, ok bool) {
	if s == "" || len(s) > 3 || len(s) > 1 && s[0] == '0' {
		return 0, false
	}
	value := 0
	for _, c := range []byte(s) {
		if !isDigit(c) {
			return 0, false
		}
		value = value*10 + int(c-'0')
	}
	return uint8(value), value <= most
}
