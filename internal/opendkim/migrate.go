package opendkim

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"signpost/internal/message"
)

// Migration is the same as a Config in our terms.
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
	// Notes say what is not taken over, or means something else here.
	Notes []string
}

// Key is a key to be copied. The domain "*" is one key for every domain.
type Key struct {
	Domain, Selector string
	// File is where the key is. EachDomain says that it has a % in the place of the
	// domain, and stands for as many keys as there are files of domains that fit
	// Pattern; the domain is then "*".
	File       string
	EachDomain bool
	Pattern    string
	// Inline is the key itself, in base64, where there is no file.
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

// Migrate makes the entries and says what they do not have.
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

// place makes an entry of each region in which its own line decides.
func (m *migrator) place(regions []region, d *dataSet) {
	seen := map[region]bool{}
	var own, others []work
	for _, r := range regions {
		row := r.row
		if r.row = 0; seen[r] { // an equal line before it, or the same by "%"
			m.neverUsed(d, row, r)
			continue
		}
		seen[r] = true
		r.row = row
		a := m.config.Sign(r.author())
		switch {
		case a.Refused != "":
			m.refused(d, r, a)
		case len(a.Signatures) == 0:
			m.note("%s: %s: opendkim does not sign it, and no entry is made", d.where(d.rows[r.row]), a.Unsigned)
		case m.config.signing != nil && !slices.Contains(a.used, r.row):
			m.neverUsed(d, r.row, r)
		default:
			w := work{r, m.chosen(d, r, a.Signatures)}
			if sdid, _ := domainName(w.rows[0].Domain); r.kind == exact && sdid == r.domain {
				own = append(own, w)
			} else {
				others = append(others, w)
			}
		}
	}
	for _, w := range own {
		m.ownEntry(w)
	}
	for _, w := range others {
		m.entry(w)
	}
}

// work is a region with the signatures that it gets, all with one d=.
type work struct {
	region
	rows []Signature
}

func (m *migrator) where(r region) string {
	d := m.config.signing
	if d == nil {
		d = m.config.domains
	}
	return d.where(d.rows[r.row])
}

// neverUsed tells of a row that its own authors are not signed by.
func (m *migrator) neverUsed(d *dataSet, row int, r region) {
	user, domain := r.author()
	a := m.config.Sign(user, domain)
	switch {
	case m.config.signing == nil || len(a.seen) == 0 || a.Refused != "" || slices.Contains(a.used, row):
		return
	case slices.Contains(a.seen, row) && m.config.yes("MultipleSignatures"):
		m.note("%s: with MultipleSignatures, opendkim signs with the first and the last of the lines that match, and with none between: this one is between, and is left out", d.where(d.rows[row]))
	default:
		m.note("%s: opendkim never comes to it, since %s matches first", d.where(d.rows[row]), d.where(d.rows[a.seen[0]]))
	}
}

func (m *migrator) refused(d *dataSet, r region, a Answer) {
	if r.kind >= pattern && d.rows[r.row].keyName() == "%" {
		m.note("%s: mail of domains without a key of their name was refused by opendkim (451: %s); here it leaves unsigned", d.where(d.rows[r.row]), a.Refused)
		return
	}
	m.note("%s: opendkim refuses this mail (451), and no entry is made for it: %s; correct the table, or put the entry in by hand", d.where(d.rows[r.row]), a.Refused)
}

// chosen returns the signatures that one entry can make: all with the same d=, that of
// the author if there is one.
func (m *migrator) chosen(d *dataSet, r region, all []Signature) []Signature {
	_, domain := r.author()
	d0 := all[0]
	for _, s := range all[1:] {
		if !near(d0.Domain, domain) && near(s.Domain, domain) {
			d0 = s
		}
	}
	var same []Signature
	for _, s := range all {
		if s.Domain == d0.Domain {
			same = append(same, s)
			continue
		}
		m.note("%s: MultipleSignatures: %s is signed as %s and as %s too; here a message has signatures of one domain, and that of d=%s s=%s is left out", d.where(s.row), who(r), d0.d, s.d, s.d, s.Selector)
	}
	return same
}

// near reports whether one domain is the other or below it.
func near(sdid, author string) bool {
	sdid = lower(sdid)
	return sdid == author || strings.HasSuffix(author, "."+sdid)
}

// who names the authors of a region.
func who(r region) string {
	switch r.kind {
	case address:
		return r.local + "@" + r.domain
	case all:
		return "mail of every domain"
	case pattern:
		return "mail of " + r.domain
	}
	return r.domain
}

// ownEntry is for a domain that signs as itself.
func (m *migrator) ownEntry(w work) {
	e := Entry{Domain: w.domain}
	for _, s := range w.rows {
		m.addKey(&e, w, s, w.domain)
	}
	if m.config.signing == nil && m.config.yes("SubDomains") && !m.config.domains.has("*") {
		e.Subdomains = true
	}
	m.put(e)
}

func (m *migrator) put(e Entry) {
	if len(e.Selectors) == 0 && e.SDID == "" {
		return
	}
	if _, there := m.entries[e.Domain]; there {
		return
	}
	m.entries[e.Domain] = len(m.Entries)
	m.Entries = append(m.Entries, e)
	if strings.Contains(e.Domain, "*") && e.Domain != AnyDomain {
		m.globs = append(m.globs, e.Domain)
	}
}

// entry is for all other regions.
func (m *migrator) entry(w work) {
	s := w.rows[0]
	name := w.domain
	if w.kind == address {
		name = w.local + "@" + w.domain
	}
	if (w.kind >= pattern && s.d == "%") || (m.config.signing == nil && w.kind >= pattern) {
		m.eachOwn(w, name)
		return
	}
	sdid, ok := domainName(s.Domain)
	switch {
	case !ok:
		m.note("%s: %s is not a domain name, and cannot be d= of a signature; %s leaves unsigned", m.where(w.region), quoted(s.Domain), who(w.region))
		return
	case w.kind == address && sdid == w.domain:
		e := Entry{Domain: name}
		for _, s := range w.rows {
			m.addKey(&e, w, s, sdid)
		}
		m.put(e)
		return
	}
	m.as(w, name, sdid)
}

// eachOwn is for many domains that sign as themselves.
func (m *migrator) eachOwn(w work, name string) {
	e := Entry{Domain: name}
	for _, s := range w.rows {
		if m.config.signing == nil || !strings.Contains(s.file, "%") || !isPath(s.file) {
			m.addKey(&e, w, s, AnyDomain)
			if w.kind == pattern {
				e.KeysOf = AnyDomain
			}
			continue
		}
		if selector, ok := m.selector(w, s); ok {
			e.Selectors = append(e.Selectors, selector)
			m.Keys = append(m.Keys, Key{Domain: AnyDomain, Selector: selector, File: s.file, EachDomain: true, Pattern: w.domain})
			m.note("%s: the keys of %s are the files that exist now: a domain that gets one later needs signpost keys import again; opendkim refuses mail (451) of a domain without a file, and here it leaves unsigned", m.where(w.region), s.file)
		}
	}
	m.put(e)
}

// as has authors signed as another domain, which needs an entry.
func (m *migrator) as(w work, name, sdid string) {
	where := m.where(w.region)
	if !near(sdid, w.rows[0].author(w)) {
		m.note("%s: %s is signed as %s, as opendkim did it: such a signature is not aligned unless both are of one organization, and then DMARC takes no account of it", where, who(w.region), sdid)
	}
	i, there := m.entries[sdid]
	if !there {
		e := Entry{Domain: sdid}
		for _, s := range w.rows {
			m.addKey(&e, w, s, sdid)
		}
		if len(e.Selectors) == 0 {
			return
		}
		if !w.contains(sdid) {
			m.note("%s: %s is signed as %s, which has to have an entry: mail of %s itself is signed too, and opendkim did not sign it", where, who(w.region), sdid, sdid)
		}
		m.put(e)
		i = m.entries[sdid]
	}
	target := &m.Entries[i]
	if target.SDID != "" {
		m.note("%s: %s is signed as %s, which is itself signed as %s: that cannot be said here, and %s leaves unsigned", where, who(w.region), sdid, target.SDID, who(w.region))
		return
	}
	m.sameSelectors(w, target)
	if w.kind == pattern && w.domain == "*."+sdid && !m.patternBefore(w.domain) {
		target.Subdomains = true
		return
	}
	m.put(Entry{Domain: name, SDID: sdid})
}

// author is an author domain of the region that a signature is for.
func (Signature) author(w work) string {
	_, domain := w.region.author()
	return domain
}

// contains reports whether a region has a domain.
func (w work) contains(domain string) bool {
	return w.kind == all || (w.kind == pattern && glob(w.domain, domain))
}

// sameSelectors tells where an entry signs with other keys than opendkim did.
func (m *migrator) sameSelectors(w work, target *Entry) {
	var were []string
	for _, s := range w.rows {
		selector, ok := message.DomainToASCII(s.Selector)
		if !ok {
			selector = s.Selector
		}
		were = append(were, selector)
		at, there := m.keyAt[selector+" "+target.Domain]
		if there && m.Keys[at].File+m.Keys[at].Inline != s.Key {
			m.note("%s: the key of d=%s s=%s is %s here, and another one there; %s is signed with the first", m.where(w.region), target.Domain, selector, shortKey(s.Key), who(w.region))
		}
	}
	slices.Sort(were)
	have := slices.Sorted(slices.Values(target.Selectors))
	if !slices.Equal(have, were) {
		m.note("%s: opendkim signs %s with d=%s s=%s; here, all that is signed as %s has the same keys, and this is signed with s=%s",
			m.where(w.region), who(w.region), target.Domain, strings.Join(were, " and s="), target.Domain, strings.Join(have, " and s="))
	}
}

// patternBefore reports whether an entry by a pattern may be for a name below the
// domain of *.DOMAIN: an entry with subdomains would go before it.
func (m *migrator) patternBefore(below string) bool {
	return slices.ContainsFunc(m.globs, func(glob string) bool {
		suffix := glob[strings.LastIndexByte(glob, '*')+1:]
		return strings.HasSuffix(suffix, below[1:]) || strings.HasSuffix(below[1:], suffix)
	})
}

func (m *migrator) selector(w work, s Signature) (string, bool) {
	selector, ok := message.DomainToASCII(s.Selector)
	if !ok {
		m.note("%s: %s is not a selector; %s leaves unsigned", m.where(w.region), quoted(s.Selector), who(w.region))
	}
	return selector, ok
}

// addKey has an entry sign with a key, and the key copied into the domain's folder.
func (m *migrator) addKey(e *Entry, w work, s Signature, folder string) {
	selector, ok := m.selector(w, s)
	if !ok || slices.Contains(e.Selectors, selector) {
		return
	}
	e.Selectors = append(e.Selectors, selector)
	k := Key{Domain: folder, Selector: selector, File: s.Key}
	if folder == AnyDomain {
		k.File = s.file
	}
	if !isPath(s.file) && m.config.signing != nil {
		k.File, k.Inline = "", s.Key
	}
	name := selector + " " + folder
	if i, there := m.keyAt[name]; there {
		if m.Keys[i] != k {
			m.note("%s: opendkim signs %s with the key %s, but s=%s of %s is another key already (%s), and signs here; give one of them another selector",
				m.where(w.region), who(w.region), shortKey(s.Key), selector, folder, shortKey(m.Keys[i].File+m.Keys[i].Inline))
		}
		return
	}
	m.keyAt[name] = len(m.Keys)
	m.Keys = append(m.Keys, k)
}

// shortKey names a key; what is not a path is a secret.
func shortKey(key string) string {
	if isPath(key) || strings.HasPrefix(key, "/") {
		return key
	}
	return "within the table"
}

// identities tells that i= is not taken over.
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

// unusedKeys tells which keys are not copied since no line names them.
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
