package dns

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"net/netip"
	"os"
	"regexp"
	"slices"
	"strings"

	wire "github.com/miekg/dns"

	"signpost/internal/message"
)

// maxZoneBytes bounds a zone file.
const maxZoneBytes = 64 << 20

// LoadZone reads a zone file. The error names the first mistake with its line.
func LoadZone(path string) (*Zone, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return ParseZone(f, path)
}

// ParseZone reads a zone in the form that the package comment describes. name is the
// file's name in errors; the error is "name:line: .." for the first mistake.
func ParseZone(r io.Reader, name string) (*Zone, error) {
	text, err := io.ReadAll(io.LimitReader(r, maxZoneBytes+1))
	if err != nil {
		return nil, fmt.Errorf("read zone file %s: %w", name, err)
	}
	if len(text) > maxZoneBytes {
		return nil, fmt.Errorf("read zone file %s: it is larger than %d bytes; leave out what is not needed", name, maxZoneBytes)
	}
	z := NewZone()
	records, err := z.takeFailures(string(text), name)
	if err != nil {
		return nil, err
	}
	// The origin is the root, so that names without a final dot are complete.
	p := wire.NewZoneParser(strings.NewReader(records), ".", "")
	p.SetDefaultTTL(defaultTTL)
	for rr, ok := p.Next(); ok; rr, ok = p.Next() {
		if err := z.addRecord(rr); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	if err := p.Err(); err != nil {
		return nil, zoneError(name, err)
	}
	if err := z.checkAliases(name); err != nil {
		return nil, err
	}
	return z, nil
}

var (
	// failureLine is "name TIMEOUT", "name TYPE SERVFAIL" or "name NXDOMAIN".
	failureLine = regexp.MustCompile(`(?i)^([^\s;"]+)[ \t]+(?:([a-z0-9]+)[ \t]+)?(TIMEOUT|SERVFAIL|NXDOMAIN)[ \t\r]*(?:;.*)?$`)
	// unquotedText is a TXT record with a space or a semicolon outside quotation
	// marks. It is legal but misleading: spaces vanish, and a comment begins at a
	// semicolon.
	unquotedText = regexp.MustCompile(`(?i)^[^;"]*[ \t]TXT[ \t]+[^\s;"(]+(?:;|[ \t]+[^\s;])`)
)

// takeFailures moves the lines with failures into the zone. It returns the text with
// these lines empty, so that the others keep their numbers.
func (z *Zone) takeFailures(text, name string) (string, error) {
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		if unquotedText.MatchString(line) {
			return "", fmt.Errorf(`%s:%d: the TXT record has a blank or a semicolon outside quotation marks; write it like this: example.com TXT "v=spf1 -all"`, name, i+1)
		}
		m := failureLine.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		owner, rrtype, how := m[1], strings.ToUpper(m[2]), Failure(strings.ToUpper(m[3]))
		raw, ok := rawName(wire.Fqdn(owner))
		if !ok || !ascii(raw) {
			return "", fmt.Errorf("%s:%d: %q cannot be a domain name", name, i+1, owner)
		}
		if _, known := wire.StringToType[rrtype]; rrtype != "" && (!known || how == NXDomain) {
			return "", fmt.Errorf("%s:%d: %q cannot fail with %s: write a type of records and TIMEOUT or SERVFAIL, or one of these or NXDOMAIN without a type", name, i+1, m[2], how)
		}
		z.Fail(raw, rrtype, how)
		lines[i] = ""
	}
	return strings.Join(lines, "\n"), nil
}

// addRecord adds a record. For types that this package never looks up, only the
// existence of the name is kept.
func (z *Zone) addRecord(rr wire.RR) error {
	h := rr.Header()
	owner, ok := rawName(h.Name)
	if !ok || !ascii(owner) {
		return fmt.Errorf("%q cannot be a domain name; write internationalized names as A-labels (xn--..)", h.Name)
	}
	if h.Class != wire.ClassINET {
		return fmt.Errorf("%q has a record of class %s: write IN, or nothing", h.Name, wire.ClassToString[h.Class])
	}
	var host string
	empty := false
	switch rr := rr.(type) {
	case *wire.TXT:
		strs := make([]string, len(rr.Txt))
		for i, s := range rr.Txt {
			strs[i] = unescape(s)
		}
		empty = len(strs) == 0
		z.AddTXT(owner, strs...)
	case *wire.A:
		addr, ok := netip.AddrFromSlice(rr.A.To4())
		empty = !ok
		z.AddA(owner, addr)
	case *wire.AAAA:
		addr, ok := netip.AddrFromSlice(rr.AAAA.To16())
		empty = !ok
		z.AddA(owner, addr)
	case *wire.MX:
		host, empty = rr.Mx, rr.Mx == ""
		z.AddMX(owner, rr.Preference, hostOf(host))
	case *wire.PTR:
		host, empty = rr.Ptr, rr.Ptr == ""
		z.AddPTR(owner, hostOf(host))
	case *wire.CNAME:
		host, empty = rr.Target, rr.Target == "" || z.has(owner, wire.TypeCNAME)
		z.AddCNAME(owner, hostOf(host))
	}
	if empty { // the library reads a record without data as a dynamic update (RFC 2136)
		return fmt.Errorf("the %s record of %q has no data, or there are two that exclude each other", wire.TypeToString[h.Rrtype], h.Name)
	}
	if raw, ok := rawName(host); host != "" && (!ok || !ascii(raw)) {
		return fmt.Errorf("%q, which %q points to, cannot be a host's name; write internationalized names as A-labels (xn--..)", host, h.Name)
	}
	// The last TTL holds for the whole set (RFC 2181 §5.2).
	z.add(owner, h.Rrtype, func(s *rrset) { s.ttl = h.Ttl })
	return nil
}

// has reports whether the name has records of a type.
func (z *Zone) has(name string, rrtype uint16) bool {
	key, _ := canonical(name)
	n := z.nodes[message.LowerASCII(key)]
	return n != nil && n.sets[rrtype] != nil
}

func hostOf(presented string) string {
	raw, _ := rawName(presented)
	return raw
}

// checkAliases refuses names that have a CNAME and other records (RFC 1034 §3.6.2).
func (z *Zone) checkAliases(name string) error {
	for _, owner := range slices.Sorted(maps.Keys(z.nodes)) {
		sets := z.nodes[owner].sets
		if sets[wire.TypeCNAME] != nil && len(sets) > 1 {
			return fmt.Errorf("%s: %q has a CNAME and other records: an alias has nothing else", name, owner)
		}
	}
	return nil
}

// zoneError formats the library's error as name:line: text.
func zoneError(name string, err error) error {
	text := strings.TrimPrefix(err.Error(), "dns: ")
	at := strings.LastIndex(text, " at line: ")
	if at < 0 {
		return fmt.Errorf("%s: %s", name, text)
	}
	line, _, _ := strings.Cut(text[at+len(" at line: "):], ":")
	return errors.New(name + ":" + line + ": " + strings.ReplaceAll(text[:at], `"\n"`, "the end of the line"))
}
