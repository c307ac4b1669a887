package outgoing

import (
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"signpost/internal/dmarc"
	"signpost/internal/message"
)

// mailbox returns the address of a mailto URI (RFC 6068): one mailbox whose local part is a
// dot-atom, with its domain as A-labels. Header fields of the URI are not used.
func mailbox(u dmarc.URI) (string, error) {
	if u.Scheme != "mailto" {
		return "", fmt.Errorf("reports go by mail only, not by %s", u.Scheme)
	}
	_, rest, _ := strings.Cut(u.Text, ":")
	path, _, _ := strings.Cut(rest, "?")
	address, err := percentDecoded(path)
	if err != nil {
		return "", err
	}
	return plainAddress(address)
}

// plainAddress checks an address and returns it with its domain as A-labels in lower case.
func plainAddress(address string) (string, error) {
	at := strings.LastIndexByte(address, '@')
	if at < 0 {
		return "", errors.New("no address with an @")
	}
	local := address[:at]
	if !dotAtom(local) || len(local) > 64 { // RFC 5321 §4.5.3.1.1
		return "", errors.New("its local part is not made of atoms and dots")
	}
	domain, ok := message.DomainToASCII(address[at+1:])
	if !ok || !strings.Contains(domain, ".") || strings.Trim(domain[strings.LastIndexByte(domain, '.')+1:], "0123456789") == "" {
		return "", errors.New("its domain is not a host name")
	}
	if len(local)+1+len(domain) > 254 {
		return "", errors.New("the address is too long")
	}
	return local + "@" + domain, nil
}

// dotAtom checks a local part: dot-atom-text of RFC 5322 §3.2.3 with the letters of RFC 6532 §3.2.
func dotAtom(s string) bool {
	if s == "" || s[0] == '.' || s[len(s)-1] == '.' || strings.Contains(s, "..") || !utf8.ValidString(s) {
		return false
	}
	for _, r := range s {
		switch {
		case 'a' <= r && r <= 'z', 'A' <= r && r <= 'Z', '0' <= r && r <= '9', r >= 0xa0 && !formatting(r):
		case r == '.' || strings.ContainsRune("!#$%&'*+-/=?^_`{|}~", r):
		default:
			return false
		}
	}
	return true
}

// formatting are characters beyond ASCII that no address has, and that would hide what stands
// in a log or a header field: separators, directions, joiners and noncharacters.
func formatting(r rune) bool {
	return r == 0xa0 || r == 0xad || r >= 0x2000 && r <= 0x200f || r >= 0x2028 && r <= 0x202f || r >= 0x205f && r <= 0x206f ||
		r == 0x3000 || r == 0xfeff || r >= 0xfff0 && r <= 0xffff || r >= 0xe0000
}

func percentDecoded(s string) (string, error) {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '%' {
			b.WriteByte(s[i])
			continue
		}
		octet, err := hex.DecodeString(s[i+1 : min(i+3, len(s))])
		if err != nil || len(octet) != 1 {
			return "", errors.New("a percent sign without two hexadecimal digits")
		}
		b.WriteByte(octet[0])
		i += 2
	}
	return b.String(), nil
}

// sameAddress is the form in which addresses are compared: servers that tell upper from lower
// case in a local part are unknown.
func sameAddress(address string) string { return strings.ToLower(address) }

func domainOf(address string) string { return address[strings.LastIndexByte(address, '@')+1:] }
