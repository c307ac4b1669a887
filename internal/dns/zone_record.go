package dns

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	wire "github.com/miekg/dns"
)

// data reads the data of one record.
func (p *zoneParser) data(line int, rrtype uint16, ttl uint32, words []token) {
	if rrtype == wire.TypeTXT {
		p.txt(line, ttl, words)
		return
	}
	// The library takes a record without data for a dynamic update's (RFC 2136).
	if len(words) == 0 {
		p.bad(line, "the record has no data%s", rrHint(rrtype))
		return
	}
	var text strings.Builder
	fmt.Fprintf(&text, "%s %d IN %s", present(p.owner), ttl, wire.TypeToString[rrtype])
	for _, w := range words {
		if w.quoted {
			text.WriteString(` "` + w.text + `"`)
		} else {
			text.WriteString(" " + w.text)
		}
	}
	text.WriteByte('\n')
	reader := wire.NewZoneParser(strings.NewReader(text.String()), p.origin, "")
	rr, _ := reader.Next()
	if err := reader.Err(); err != nil || rr == nil {
		p.bad(line, "%s%s", rrProblem(err), rrHint(rrtype))
		return
	}
	p.put(line, rr)
}

// txt reads the data of a TXT record. Words outside quotes are legal there, and
// joined without the blanks that were between them: surely not what was meant.
func (p *zoneParser) txt(line int, ttl uint32, words []token) {
	if len(words) == 0 {
		p.bad(line, "the TXT record has no text%s", rrHint(wire.TypeTXT))
		return
	}
	strs := make([]string, len(words))
	for i, w := range words {
		if !w.quoted && (w.glued || len(words) > 1) {
			p.bad(line, "the TXT record has a blank or a semicolon outside quotation marks, where they end the string%s", rrHint(wire.TypeTXT))
			return
		}
		strs[i] = unescape(w.text)
	}
	p.zone.AddTXT(p.owner, strs...)
	p.zone.setTTL(p.owner, wire.TypeTXT, ttl)
}

// put adds a record. Of types that nobody asks for only the fact remains: the name
// has it, so the name exists.
func (p *zoneParser) put(line int, rr wire.RR) {
	host := func(s string) string {
		name, ok := rawName(s)
		if !ok || !ascii(name) {
			p.bad(line, "%q cannot be a host's name: labels have 1 to %d octets, and are A-labels (xn--..) where they are internationalized", s, maxLabel)
		}
		return name
	}
	rrtype := rr.Header().Rrtype
	switch rr := rr.(type) {
	case *wire.A:
		addr, _ := netip.AddrFromSlice(rr.A.To4())
		p.zone.AddA(p.owner, addr)
	case *wire.AAAA:
		addr, _ := netip.AddrFromSlice(rr.AAAA.To16())
		p.zone.AddA(p.owner, addr)
	case *wire.MX:
		p.zone.AddMX(p.owner, rr.Preference, host(rr.Mx))
	case *wire.PTR:
		p.zone.AddPTR(p.owner, host(rr.Ptr))
	case *wire.CNAME:
		if first, twice := p.aliases[p.owner]; twice {
			p.bad(line, "%q has a CNAME record already, on line %d: a name can have one", p.owner, first)
			return
		}
		p.aliases[p.owner] = line
		p.zone.AddCNAME(p.owner, host(rr.Target))
	default:
		p.zone.add(p.owner, rrtype, func(*rrset) {})
	}
	p.zone.setTTL(p.owner, rrtype, rr.Header().Ttl)
}

// checkAliases finds the names that have a CNAME and other records.
// §3.6.2 of RFC 1034.
func (p *zoneParser) checkAliases() {
	for name, line := range p.aliases {
		if len(p.zone.nodes[name].sets) > 1 {
			p.bad(line, "%q has a CNAME and other records: an alias has nothing else", name)
		}
	}
}

// setTTL sets the TTL of a record set; the last one given holds for all of it
// (RFC 2181 §5.2).
func (z *Zone) setTTL(name string, rrtype uint16, ttl uint32) {
	z.add(name, rrtype, func(s *rrset) { s.ttl = ttl })
}

// rrProblem takes from the library's error what a reader of the file can use.
func rrProblem(err error) string {
	if err == nil {
		return "the record has no data"
	}
	text := strings.TrimPrefix(err.Error(), "dns: ")
	if at := strings.LastIndex(text, " at line: "); at >= 0 {
		text = text[:at]
	}
	return strings.ReplaceAll(text, strconv.Quote("\n"), "the end of the line")
}

func rrHint(rrtype uint16) string {
	example := map[uint16]string{
		wire.TypeA:     `example.com A 192.0.2.1`,
		wire.TypeAAAA:  `example.com AAAA 2001:db8::1`,
		wire.TypeMX:    `example.com MX 10 mail.example.com`,
		wire.TypePTR:   `1.2.0.192.in-addr.arpa PTR mail.example.com`,
		wire.TypeCNAME: `www.example.com CNAME example.com`,
		wire.TypeTXT:   `example.com TXT "v=spf1 -all"`,
	}[rrtype]
	if example == "" {
		return ""
	}
	return "; write it like this: " + example
}
