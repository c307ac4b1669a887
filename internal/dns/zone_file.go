package dns

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	wire "github.com/miekg/dns"
)

const (
	maxZoneBytes    = 64 << 20 // of a zone file
	maxEntryBytes   = 64 << 10 // of one record: its data has at most 65535 octets (RFC 1035 §3.2.1)
	maxZoneProblems = 100      // reported at once
)

// LoadZone reads a zone file. The error has one line for each mistake.
func LoadZone(path string) (*Zone, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return ParseZone(f, path)
}

// ParseZone reads a zone in the form that the package comment describes. name is
// what errors call the file; the error has one line "name:line: .." for each
// mistake.
func ParseZone(r io.Reader, name string) (*Zone, error) {
	text, err := io.ReadAll(io.LimitReader(r, maxZoneBytes+1))
	if err != nil {
		return nil, fmt.Errorf("read zone file %s: %w", name, err)
	}
	if len(text) > maxZoneBytes {
		return nil, fmt.Errorf("read zone file %s: it is larger than %d bytes; leave out what is not needed", name, maxZoneBytes)
	}
	p := &zoneParser{zone: NewZone(), name: name, origin: ".", ttl: defaultTTL, aliases: map[string]int{}}
	lex := lexer{text: string(text), line: 1}
	for len(p.problems) < maxZoneProblems {
		e, ok := lex.next()
		if !ok {
			break
		}
		p.entry(e)
	}
	p.checkAliases()
	if err := p.err(); err != nil {
		return nil, err
	}
	return p.zone, nil
}

// zoneParser holds what carries over from one entry to the next.
type zoneParser struct {
	zone     *Zone
	name     string
	origin   string // presentation form, with a final dot
	ttl      uint32
	owner    string // the last one, raw; "" before the first
	aliases  map[string]int
	problems []problem
}

type problem struct {
	line int
	text string
}

func (p *zoneParser) bad(line int, format string, args ...any) {
	p.problems = append(p.problems, problem{line, fmt.Sprintf(format, args...)})
}

// err returns all problems by line; nil if there are none.
func (p *zoneParser) err() error {
	slices.SortStableFunc(p.problems, func(a, b problem) int { return a.line - b.line })
	errs := make([]error, len(p.problems))
	for i, q := range p.problems {
		errs[i] = fmt.Errorf("%s:%d: %s", p.name, q.line, q.text)
	}
	return errors.Join(errs...)
}

func (p *zoneParser) entry(e zoneEntry) {
	size := 0
	for _, t := range e.tokens {
		size += len(t.text) + 1
	}
	switch {
	case e.problem != "":
		p.bad(e.line, "%s", e.problem)
	case size > maxEntryBytes:
		p.bad(e.line, "the record is longer than %d bytes: no record can be", maxEntryBytes)
	case !e.indent && !e.tokens[0].quoted && strings.HasPrefix(e.tokens[0].text, "$"):
		p.directive(e)
	default:
		p.record(e)
	}
}

// directive takes in $ORIGIN and $TTL (RFC 1035 §5.1, RFC 2308 §4).
func (p *zoneParser) directive(e zoneEntry) {
	word := strings.ToUpper(e.tokens[0].text)
	switch {
	case word == "$INCLUDE" || word == "$GENERATE":
		p.bad(e.line, "%s is not supported: write the records into this file", word)
	case word != "$ORIGIN" && word != "$TTL":
		p.bad(e.line, "%q is not a directive: there are $ORIGIN and $TTL", e.tokens[0].text)
	case len(e.tokens) != 2:
		p.bad(e.line, "write %s and one value", word)
	case word == "$TTL":
		ttl, ok := parseTTL(e.tokens[1].text)
		if !ok {
			p.bad(e.line, "%q is not a TTL: write seconds, or a number with s, m, h, d or w", e.tokens[1].text)
			return
		}
		p.ttl = ttl
	default:
		if raw, problem := p.absolute(e.tokens[1].text); problem != "" {
			p.bad(e.line, "$ORIGIN %s", problem)
		} else if raw == "." {
			p.origin = "."
		} else {
			p.origin = present(raw)
		}
	}
}

// absolute returns the raw name that a name of the file stands for, or what is
// wrong with it.
func (p *zoneParser) absolute(text string) (raw, problem string) {
	full := text
	switch {
	case text == "@":
		full = p.origin
	case !wire.IsFqdn(text) && p.origin == ".":
		full = text + "."
	case !wire.IsFqdn(text):
		full = text + "." + p.origin
	}
	if !ascii(full) {
		return "", fmt.Sprintf("%q is not ASCII: write internationalized names as A-labels (xn--..)", text)
	}
	raw, ok := rawName(full)
	if !ok {
		return "", fmt.Sprintf("%q cannot be a domain name: it has an empty label, one over %d octets, a dot in a label, or more than %d octets in all",
			text, maxLabel, maxName)
	}
	return raw, ""
}

// record takes in "owner [ttl] [class] TYPE data" and the lines on failures.
func (p *zoneParser) record(e zoneEntry) {
	words := e.tokens
	if !e.indent {
		owner, problem := p.absolute(words[0].text)
		if problem != "" {
			p.bad(e.line, "the name %s", problem)
			return
		}
		p.owner, words = owner, words[1:]
	}
	if p.owner == "" {
		p.bad(e.line, "the line begins with a blank, which means the name of the record before it, and there is none: write the name")
		return
	}
	ttl := p.ttl
	for ; len(words) > 0 && !words[0].quoted; words = words[1:] {
		word := strings.ToUpper(words[0].text)
		if t, ok := parseTTL(word); ok {
			ttl = t
		} else if word == "CH" || word == "HS" || word == "CS" {
			p.bad(e.line, "the class %s is not supported: write IN, or nothing", word)
			return
		} else if word != "IN" {
			break
		}
	}
	if p.failure(e, words) {
		return
	}
	if len(words) == 0 {
		p.bad(e.line, "the record has no type: write %q TYPE and the data", p.owner)
		return
	}
	rrtype, ok := wire.StringToType[strings.ToUpper(words[0].text)]
	if !ok || words[0].quoted {
		p.bad(e.line, "%q is not a type of records: write A, AAAA, TXT, MX, PTR or CNAME, or TIMEOUT, SERVFAIL or NXDOMAIN for a name that fails", words[0].text)
		return
	}
	p.data(e.line, rrtype, ttl, words[1:])
}

// failure takes in "name TIMEOUT", "name TYPE SERVFAIL" and "name NXDOMAIN".
func (p *zoneParser) failure(e zoneEntry, words []token) bool {
	n := len(words)
	if n == 0 || n > 2 || words[0].quoted || words[n-1].quoted {
		return false
	}
	how := Failure(strings.ToUpper(words[n-1].text))
	if how != Timeout && how != ServFail && how != NXDomain {
		return false
	}
	rrtype := ""
	if n == 2 {
		rrtype = strings.ToUpper(words[0].text)
		if _, ok := wire.StringToType[rrtype]; !ok {
			p.bad(e.line, "%q is not a type of records that could fail: write one, as TXT, or nothing for all of them", words[0].text)
			return true
		}
		if how == NXDomain {
			p.bad(e.line, "a name that does not exist has no type: write %q NXDOMAIN", p.owner)
			return true
		}
	}
	p.zone.Fail(p.owner, rrtype, how)
	return true
}

// parseTTL reads seconds, or numbers with units as in "1h30m".
func parseTTL(s string) (uint32, bool) {
	const limit = 1<<31 - 1 // RFC 2181 §8
	if s == "" || !digit(s[0]) {
		return 0, false
	}
	total, n, pending := uint64(0), uint64(0), false
	for i := range len(s) {
		unit := uint64(0)
		switch c := s[i] | 0x20; {
		case digit(s[i]):
			n, pending = n*10+uint64(s[i]-'0'), true
			if n > limit {
				return 0, false
			}
			continue
		case c == 's':
			unit = 1
		case c == 'm':
			unit = 60
		case c == 'h':
			unit = 3600
		case c == 'd':
			unit = 86400
		case c == 'w':
			unit = 604800
		}
		if unit == 0 || !pending {
			return 0, false
		}
		if total += n * unit; total > limit {
			return 0, false
		}
		n, pending = 0, false
	}
	total += n
	return uint32(total), total <= limit
}
