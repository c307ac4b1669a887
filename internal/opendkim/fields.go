package opendkim

import "strings"

// fields takes over which fields are signed.
func (m *migrator) fields() error {
	for _, name := range []string{"SignHeaders", "OmitHeaders", "OversignHeaders"} {
		s, ok := m.config.value(name)
		if !ok {
			continue
		}
		d, err := m.config.dataSet(name)
		if err != nil {
			return err
		}
		var names []string
		for _, r := range d.rows {
			names = append(names, r.key)
		}
		m.note("%s %s: which fields are signed and oversigned is not taken over; signpost explain shows those of a message", s, strings.Join(names, ","))
	}
	return nil
}
