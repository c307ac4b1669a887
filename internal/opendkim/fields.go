package opendkim

import (
	"slices"
	"strings"
)

// fields takes over which fields are signed: SignHeaders, OmitHeaders and
// OversignHeaders. A list with "*" in it is a change to opendkim's default, +Name and
// -Name; without, it stands in its place.
func (m *migrator) fields() error {
	for _, f := range []struct {
		name string
		to   *[]string
		said string
	}{
		{"SignHeaders", &m.Sign, "these are signed here too; opendkim signs no others, but Signpost signs more by itself (signer.fields in config.example.yaml). If something behind it changes one of these, take it out: signer.fields: {sign: [-NAME]}"},
		{"OmitHeaders", &m.Omit, "these are not signed here either"},
		{"OversignHeaders", &m.Oversign, "these are oversigned here too; Signpost oversigns more by itself (signer.fields in config.example.yaml)"},
	} {
		s, ok := m.config.value(f.name)
		if !ok {
			continue
		}
		d, err := m.config.dataSet(f.name)
		if err != nil {
			return err
		}
		delta := slices.ContainsFunc(d.rows, func(r row) bool { return r.key == "*" })
		for _, r := range d.rows {
			name := strings.TrimPrefix(r.key, "+")
			switch {
			case r.key == "*" || name == "" || name == "." || name == "-":
			case delta && strings.HasPrefix(name, "-"):
				m.less(f.name, name[1:])
			case strings.ContainsAny(name, "*?[]()|{}\\^$"):
				m.note("%s: a pattern of fields is not taken over; name them in signer.fields", d.where(r))
			default:
				*f.to = append(*f.to, name)
			}
		}
		m.note("%s %s: %s", s, s.Value, f.said)
	}
	m.Oversign = slices.DeleteFunc(m.Oversign, func(name string) bool {
		omitted := slices.ContainsFunc(m.Omit, func(o string) bool { return strings.EqualFold(o, name) })
		if omitted {
			m.note("OversignHeaders and OmitHeaders both have %s: here, what is not signed is not oversigned", name)
		}
		return omitted
	})
	return nil
}

// less takes over a -Name in a list that changes opendkim's default. In OmitHeaders it
// is without effect: SignHeaders does not have such a field by default.
func (m *migrator) less(list, name string) {
	if list == "SignHeaders" {
		m.Omit = append(m.Omit, name)
	}
}
