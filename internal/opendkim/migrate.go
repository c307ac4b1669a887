// Package opendkim reads the signing tables of opendkim and says what the same is
// in our terms.
package opendkim

import (
	"fmt"
	"slices"
	"strings"

	"signpost/internal/message"
)

// Config is what an installation of opendkim says of its signing: the values of
// its configuration, the tables as their text.
type Config struct {
	KeyTable, SigningTable string
	// Multiple is MultipleSignatures: every line that matches signs, not the first.
	Multiple bool
	// Domains, Selector and KeyFile are used where there is no SigningTable.
	Domains           []string
	Selector, KeyFile string
	Subdomains        bool
}

// Migration is the same in our terms.
type Migration struct {
	Keys    []Key
	Entries []Entry
	// Notes say what could not be taken over, or means something else here.
	Notes []string
}

// Key is a key to be copied. The domain "*" is one key for every domain.
type Key struct {
	Domain, Selector string
	// File is where the key is. EachDomain says that it has a % in the place of the
	// domain, and stands for as many keys as there are files; the domain is then "*".
	File       string
	EachDomain bool
	// Inline is the key itself, in base64, where there is no file.
	Inline string
}

// Entry is one of signer.domains.
type Entry struct {
	Domain     string
	Selectors  []string
	Subdomains bool
}

// AnyDomain stands for every domain.
const AnyDomain = "*"

// domainName returns a name in A-labels. It is ok with two labels at least, and for
// AnyDomain.
func domainName(name string) (ascii string, ok bool) {
	if name == AnyDomain {
		return name, true
	}
	ascii, ok = message.DomainToASCII(name)
	return ascii, ok && strings.Contains(ascii, ".")
}

// Limits of the tables.
const (
	maxTable      = 64 << 20 // bytes; half a million lines
	maxTableNotes = 100
)

// Migrate reads the tables. An error means that they cannot be read at all.
func (o Config) Migrate() (Migration, error) {
	var m migrator
	if len(o.KeyTable)+len(o.SigningTable) > maxTable {
		return m.Migration, fmt.Errorf("the tables are larger than %d bytes", maxTable)
	}
	m.multiple, m.entries = o.Multiple, map[string]int{}
	if o.SigningTable == "" && o.KeyTable == "" {
		for _, domain := range o.Domains {
			m.add(pattern{domain: domain, below: o.Subdomains}, keyRow{domain, o.Selector, o.KeyFile})
		}
		return m.Migration, nil
	}
	rows := m.keyTable(o.KeyTable)
	var lines []tableLine
	for number, line := range tableLines(o.SigningTable) {
		what, name, ok := strings.Cut(line, " ")
		if !ok {
			m.note("SigningTable, line %d: there is no key name behind %q", number, what)
			continue
		}
		name, _, _ = strings.Cut(strings.TrimSpace(name), ":") // behind the colon is i=, which is ours to choose
		row, known := rows[name]
		if !known {
			m.note("SigningTable, line %d: the key %q is not in the KeyTable", number, name)
			continue
		}
		p, problem := readPattern(what)
		if problem != "" {
			m.note("SigningTable, line %d: %s: %s", number, what, problem)
			continue
		}
		if m.closed {
			m.note("SigningTable, line %d: opendkim never comes to it, since one before it matches everybody", number)
			continue
		}
		m.closed = p.domain == AnyDomain && !m.multiple
		lines = append(lines, tableLine{p, row})
	}
	// A domain's own line chooses its key, before one for a name below it.
	slices.SortStableFunc(lines, func(a, b tableLine) int { return a.distance() - b.distance() })
	for _, l := range lines {
		m.add(l.pattern, l.keyRow)
	}
	return m.Migration, nil
}

// tableLine is one line of the SigningTable, with its key.
type tableLine struct {
	pattern
	keyRow
}

// distance is 0 for mail of the domain that signs, 1 for that of others.
func (l tableLine) distance() int {
	own := l.keyRow.domain == "%" || strings.EqualFold(l.keyRow.domain, l.pattern.domain)
	if own && !l.only {
		return 0
	}
	return 1
}

// tableLines yields the lines that say something, with one blank between words.
func tableLines(text string) func(func(int, string) bool) {
	return func(yield func(int, string) bool) {
		number := 0
		for line := range strings.Lines(text) {
			number++
			line, _, _ = strings.Cut(line, "#")
			if words := strings.Fields(line); len(words) > 0 && !yield(number, strings.Join(words, " ")) {
				return
			}
		}
	}
}

// keyRow is a value of the KeyTable: domain:selector:key.
type keyRow struct{ domain, selector, key string }

type migrator struct {
	Migration
	multiple bool
	entries  map[string]int // by domain
	closed   bool           // a pattern for everybody has been read, and the first match decides
}

func (m *migrator) note(format string, args ...any) {
	if len(m.Notes) < maxTableNotes {
		m.Notes = append(m.Notes, fmt.Sprintf(format, args...))
	}
}

func (m *migrator) keyTable(text string) map[string]keyRow {
	rows := map[string]keyRow{}
	for number, line := range tableLines(text) {
		name, value, _ := strings.Cut(line, " ")
		parts := strings.SplitN(value, ":", 3)
		if len(parts) != 3 || parts[0] == "" || parts[1] == "" || parts[2] == "" {
			m.note("KeyTable, line %d: %q is not domain:selector:key", number, value)
			continue
		}
		if _, twice := rows[name]; twice {
			m.note("KeyTable, line %d: the name %q stands there twice, and the first counts", number, name)
			continue
		}
		key := parts[2]
		if strings.HasPrefix(key, "/") || strings.HasPrefix(key, ".") {
			key, _, _ = strings.Cut(key, ":") // a fourth field, the algorithm, is the key's own
		}
		rows[name] = keyRow{parts[0], parts[1], key}
	}
	return rows
}

// pattern is the left side of a SigningTable's line.
type pattern struct {
	domain string // AnyDomain for all
	below  bool   // the names below, too
	only   bool   // the names below, and not the domain itself
}

// readPattern reads what may stand in a file: or refile: table.
func readPattern(text string) (p pattern, problem string) {
	local, domain, at := strings.Cut(text, "@")
	if !at {
		local, domain = "*", text
	}
	switch {
	case local != "*" && local != "":
		return p, "one address alone cannot be given keys here; sign for the whole domain, or leave it out"
	case domain == "*" || domain == "":
		return pattern{domain: AnyDomain}, ""
	case strings.HasPrefix(domain, "*."):
		p = pattern{domain[2:], true, true}
	case strings.HasPrefix(domain, "."):
		p = pattern{domain[1:], true, true}
	case strings.HasPrefix(domain, "*"):
		p = pattern{domain[1:], true, false}
	default:
		p = pattern{domain: domain}
	}
	var ok bool
	if p.domain, ok = domainName(p.domain); !ok {
		return p, "this is no pattern that can be taken over; write an entry by hand"
	}
	return p, ""
}

// add makes an entry and a key of one line.
func (m *migrator) add(p pattern, row keyRow) {
	sdid := row.domain
	if sdid == "%" {
		sdid = p.domain
	}
	selector, ok := message.DomainToASCII(row.selector)
	if !ok {
		m.note("%s: %q is not a selector", p.domain, row.selector)
		return
	}
	row.selector = selector
	if sdid, ok = domainName(sdid); !ok {
		m.note("%s: %q is not a domain", p.domain, row.domain)
		return
	}
	e := Entry{Domain: sdid, Subdomains: p.below}
	switch {
	case p.domain == AnyDomain && sdid != AnyDomain:
		m.note("mail of every domain was signed as %s: such a signature is not aligned, and helps nobody's DMARC; it is taken over for %s alone", sdid, sdid)
	case p.domain != sdid && strings.HasSuffix(p.domain, "."+sdid):
		e.Subdomains = true
		m.note("%s is signed as %s: here, that is subdomains: true, and holds for every name below %s", p.domain, sdid, sdid)
	case p.domain != sdid:
		m.note("%s is signed as %s, which is not taken over: the signature is not aligned; make %s a key of its own", p.domain, sdid, p.domain)
		return
	case p.only && !m.has(sdid):
		m.note("the names below %s are signed as %s: here, %s itself is as well", sdid, sdid, sdid)
	}
	if m.has(sdid) && (p.only || p.domain != sdid) && !m.multiple {
		i := m.entries[sdid]
		m.Entries[i].Subdomains = m.Entries[i].Subdomains || e.Subdomains
		return
	}
	m.entry(e, row)
}

func (m *migrator) has(domain string) bool {
	_, there := m.entries[domain]
	return there
}

// entry puts a selector into the domain's entry, and the key beside it.
func (m *migrator) entry(e Entry, row keyRow) {
	selector := row.selector
	i, there := m.entries[e.Domain]
	if !there {
		i = len(m.Entries)
		m.entries[e.Domain] = i
		m.Entries = append(m.Entries, e)
	}
	entry := &m.Entries[i]
	entry.Subdomains = entry.Subdomains || e.Subdomains
	switch {
	case slices.Contains(entry.Selectors, selector):
		return
	case len(entry.Selectors) > 0 && !m.multiple:
		m.note("%s: the key %s was never used beside %s, since MultipleSignatures is off; it is left out", e.Domain, selector, entry.Selectors[0])
		return
	}
	entry.Selectors = append(entry.Selectors, selector)
	key := Key{Domain: e.Domain, Selector: selector}
	if strings.HasPrefix(row.key, "/") || strings.HasPrefix(row.key, ".") {
		key.File = row.key
		key.EachDomain = e.Domain == AnyDomain && strings.Contains(row.key, "%")
		if e.Domain != AnyDomain {
			key.File = strings.ReplaceAll(row.key, "%", e.Domain)
		}
	} else {
		key.Inline = row.key
	}
	m.Keys = append(m.Keys, key)
}
