package opendkim

import (
	"slices"
	"strings"

	"signpost/internal/message"
)

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

// as makes an entry for authors that are signed as another domain, which needs an entry too.
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

// contains reports whether a domain is in the region.
func (w work) contains(domain string) bool {
	return w.kind == all || (w.kind == pattern && glob(w.domain, domain))
}

// sameSelectors adds notes if an entry signs with other keys than opendkim does.
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

// addKey adds a key to an entry, and to the keys to be copied into the domain's folder.
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

// shortKey names a key for a note. A key that is not a path is a secret.
func shortKey(key string) string {
	if isPath(key) || strings.HasPrefix(key, "/") {
		return key
	}
	return "within the table"
}
