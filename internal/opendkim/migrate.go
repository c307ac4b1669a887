package opendkim

import (
	"fmt"
	"net/netip"
	"strings"
)

// Migration is a Config in terms of our configuration.
type Migration struct {
	Keys    []Key
	Entries []Entry
	// Networks and DaemonNames are those of signer.ours.
	Networks    []netip.Prefix
	DaemonNames []string
	// Canonicalization is header/body; "" is our default.
	Canonicalization string
	// Sign, Omit and Oversign are names of header fields.
	Sign, Omit, Oversign []string
	// Notes name what is not taken over, and what has another meaning here.
	Notes []string
}

// Key is a key to be copied. The domain "*" is one key for every domain.
type Key struct {
	Domain, Selector string
	// File is the path of the key. With EachDomain it has a % in the place of the domain:
	// there is one key for each such file whose domain matches Pattern, and Domain is "*".
	File       string
	EachDomain bool
	Pattern    string
	// Inline is the key itself, in base64, if there is no file.
	Inline string
}

// Entry is one of signer.domains.
type Entry struct {
	Domain     string
	Selectors  []string
	Subdomains bool
	KeysOf     string
	SDID       string
}

// AnyDomain stands for every domain.
const AnyDomain = "*"

type migrator struct {
	Migration
	config  *Config
	entries map[string]int // of Entries, by Domain
	keyAt   map[string]int // of Keys, by selector and domain
	globs   []string       // the entries that are patterns
	muted   int            // notes beyond maxNotes
}

// Migrate makes the entries, and notes for what they cannot express.
func (c *Config) Migrate() (Migration, error) {
	m := &migrator{config: c, entries: map[string]int{}, keyAt: map[string]int{}}
	if !c.signs() {
		mode, _ := c.value("Mode")
		m.note("%s %s: opendkim signs nothing, so no entry is made and no key is copied; to sign, import a copy with Mode sv", mode, mode.Value)
	} else {
		m.signing()
	}
	if err := m.ours(); err != nil {
		return m.Migration, err
	}
	if err := m.settings(); err != nil {
		return m.Migration, err
	}
	if m.muted > 0 {
		m.Notes = append(m.Notes, fmt.Sprintf("and %d more of these", m.muted))
	}
	return m.Migration, nil
}

func (m *migrator) note(format string, args ...any) {
	if len(m.Notes) >= maxNotes {
		m.muted++
		return
	}
	m.Notes = append(m.Notes, fmt.Sprintf(format, args...))
}

// signing makes the entries of SigningTable, or of Domain.
func (m *migrator) signing() {
	c := m.config
	d := c.signing
	if d == nil {
		d = c.domains
	}
	if d == nil {
		m.note("it signs nothing: neither SigningTable nor Domain, Selector and KeyFile are set")
		return
	}
	if c.assumed != "" {
		m.note("%s", c.assumed)
	}
	for _, set := range []*dataSet{c.keys, d} {
		if set != nil {
			m.Notes = append(m.Notes, set.notes...)
		}
	}
	var regions []region
	for i, r := range d.rows {
		var one reading
		if c.signing != nil {
			one = readKey(d, i)
		} else {
			one = m.readDomainRow(d, i)
		}
		if one.problem != "" {
			m.note("%s: %s", d.where(r), one.problem)
			continue
		}
		regions = append(regions, one.region)
		if c.signing != nil && r.keyName() == "%" && one.kind >= pattern {
			regions = append(regions, m.namedByDomain(one.region)...)
		}
	}
	ordered(regions, c.signing == nil || c.signing.kind != "refile")
	m.place(regions, d)
	m.identities()
	m.unusedKeys()
}

// readDomainRow reads an element of Domain.
func (m *migrator) readDomainRow(d *dataSet, i int) reading {
	r := d.rows[i]
	switch {
	case r.re != nil:
		return reading{problem: "this is a regular expression, and is not taken over; write the domains out", lost: true}
	case strings.HasPrefix(r.key, "."):
		return reading{problem: "opendkim never matches it, since a domain has no dot in front; write the domain, with SubDomains yes for the names below"}
	case strings.Contains(r.key, "*") && r.key != "*" && d.kind != "refile":
		return reading{problem: "opendkim never matches it: in a plain file or list a star is no pattern; with refile: it would be one"}
	}
	return readDomain(r.key, i)
}

// namedByDomain are the domains after which a key is named, where a row of the
// SigningTable has "%" as the key's name.
func (m *migrator) namedByDomain(r region) []region {
	var found []region
	for _, k := range m.config.keys.rows {
		name, ok := domainName(k.key)
		if ok && lower(k.key) == k.key && (r.kind == all || glob(r.domain, name)) {
			found = append(found, region{kind: exact, domain: name, row: r.row})
		}
	}
	return found
}

// identities adds a note for i=, which is not taken over.
func (m *migrator) identities() {
	if m.config.signing == nil {
		return
	}
	for _, r := range m.config.signing.rows {
		if _, identity, ok := strings.Cut(r.value, ":"); ok && identity != "" {
			m.note("%s: i=%s is not taken over: signatures have no i=, which means i=@ and the domain in d= (RFC 6376 §3.5); this line is the first of those", m.config.signing.where(r), identity)
			return
		}
	}
}

// unusedKeys adds a note for each key that is not copied because no line names it.
func (m *migrator) unusedKeys() {
	if m.config.signing == nil || m.config.keys == nil {
		return
	}
	named := map[string]bool{}
	for _, r := range m.config.signing.rows {
		name := r.keyName()
		if name == "%" {
			return
		}
		if k, ok := m.config.keys.first(name); ok {
			named[k.key] = true
		}
	}
	seen := map[string]bool{}
	for _, k := range m.config.keys.rows {
		switch {
		case seen[k.key]:
			m.note("%s: the name stands in the KeyTable already, and the first counts", m.config.keys.where(k))
		case !named[k.key]:
			m.note("%s: no line of SigningTable names this key, and it is not copied", m.config.keys.where(k))
		}
		seen[k.key] = true
	}
}
