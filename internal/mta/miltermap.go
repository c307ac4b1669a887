package mta

import (
	"net/netip"
	"strings"
)

// MilterMaps is smtpd_milter_maps: milters by the client's address, in place of smtpd_milters.
type MilterMaps struct {
	entries []mapEntry
	// Complete is false where a table is of a kind that cannot be read here, such as hash.
	Complete bool
}

type mapEntry struct {
	network netip.Prefix // the zero value: every client
	milters string
}

// disabled is the value that switches milters off.
const disabled = "DISABLE"

// MilterMaps reads the tables of the service. Kinds that are read are cidr, inline, static and texthash.
func (p *Postfix) MilterMaps(s Service) MilterMaps {
	m := MilterMaps{Complete: true}
	for _, table := range List(p.For(s, "smtpd_milter_maps")) {
		kind, name, _ := strings.Cut(table, ":")
		switch kind {
		case "static":
			m.entries = append(m.entries, mapEntry{milters: name})
		case "inline":
			for _, pair := range List(strings.TrimSuffix(strings.TrimPrefix(name, "{"), "}")) {
				if key, value, ok := nameValue(strings.Trim(pair, "{}")); ok {
					m.add(key, value)
				}
			}
		case "cidr", "texthash":
			text, err := readConfig(name)
			m.Complete = m.Complete && err == nil
			for _, line := range logicalLines(text) {
				if key, value, ok := strings.Cut(strings.ReplaceAll(line, "\t", " "), " "); ok {
					m.add(key, value)
				}
			}
		default:
			m.Complete = false
		}
	}
	return m
}

func (m *MilterMaps) add(key, value string) {
	value = strings.TrimSpace(value)
	if n, err := netip.ParsePrefix(key); err == nil {
		m.entries = append(m.entries, mapEntry{n.Masked(), value})
	} else if a, err := netip.ParseAddr(strings.Trim(key, "[]")); err == nil {
		m.entries = append(m.entries, mapEntry{netip.PrefixFrom(a, a.BitLen()), value})
	}
}

// Disabled reports whether the maps switch milters off for a client.
func (m MilterMaps) Disabled(client netip.Addr) bool {
	for _, e := range m.entries {
		if e.network == (netip.Prefix{}) || e.network.Contains(client) {
			return strings.EqualFold(e.milters, disabled)
		}
	}
	return false
}

// DisabledForAll reports whether the maps switch milters off for every client of IPv4 or of IPv6.
func (m MilterMaps) DisabledForAll() bool {
	for _, e := range m.entries {
		if e.network == (netip.Prefix{}) || e.network.Bits() == 0 {
			return strings.EqualFold(e.milters, disabled)
		}
		if e.network.Bits() > 0 && !strings.EqualFold(e.milters, disabled) {
			return false
		}
	}
	return false
}
