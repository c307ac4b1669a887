package opendkim

import (
	"slices"
	"strings"
)

// place makes an entry for each region that its own line signs for.
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

// neverUsed adds a note for a row that does not sign for its own authors.
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
