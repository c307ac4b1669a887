package incoming

import (
	"cmp"
	"context"
	"encoding/json"
	"net/netip"
	"slices"
	"strings"

	"golang.org/x/net/publicsuffix"

	"signpost/internal/reports/aggregate"
	"signpost/internal/reports/store"
)

// SourceKind says what a source of mail in our name is.
type SourceKind string

const (
	OwnHost     SourceKind = "own-host"     // a host of ours: by its address, or it signs with our key and SPF has it
	KnownSender SourceKind = "known-sender" // our SPF record has it, or it signs as us with a key that is not this host's
	Forwarder   SourceKind = "forwarder"    // DKIM passes, SPF does not: our mail on its way through others
	Forgery     SourceKind = "forgery"      // nothing passes: it looks like forgery
)

// Known is what this host knows of itself, to tell sources apart.
type Known struct {
	// Networks are those of our own hosts.
	Networks []netip.Prefix
	// Signs tells whether a key of ours has this domain and selector; nil if it is not known.
	Signs func(domain, selector string) bool
}

// A Source is an address from which mail in the name of one domain came.
type Source struct {
	Address      netip.Addr
	Name         string // confirmed host name: the address has the name, and the name the address; "" if none is known
	Organization string // the organizational domain of the name, by the public suffix list
	Kind         SourceKind

	Messages  int64
	Aligned   int64 // passed DMARC
	DKIM, SPF int64 // passed DMARC by it
	Stopped   int64 // quarantined or rejected by the reporters
	ourKey    int64 // with a valid signature of a key of ours
}

// maxSources bounds what one question keeps in memory; those with fewest messages are left out.
const maxSources = 50_000

// sources returns the sources of a domain's mail in reports of a time, the largest first.
func (q *Query) sources(ctx context.Context, t span) ([]Source, error) {
	condition, args := `r.domain = ?`, []any{q.Domain}
	if len(q.parents) > 0 {
		condition, args = `r.domain IN (`+store.Arguments(len(q.parents))+`) AND m.header_from = ?`, append(slices.Clone(q.parents), q.Domain)
	}
	rows, err := q.DB.Query(ctx, `SELECT m.source, m.dkim, m.spf, m.disposition, m.signatures, h.name, sum(m.count)
		FROM incoming_records m JOIN incoming_reports r ON r.id = m.report LEFT JOIN incoming_hosts h ON h.address = m.source
		WHERE r.kind = 'aggregate' AND r.begins >= ? AND r.begins < ? AND `+condition+`
		GROUP BY m.source, m.dkim, m.spf, m.disposition, m.signatures, h.name ORDER BY sum(m.count) DESC`, append([]any{t.begin, t.end}, args...)...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	found := map[string]*Source{}
	signed := map[string]bool{} // the results for lists of signatures; most recur
	for rows.Next() {
		var address, did, signatures string
		var name *string
		var dkim, spf bool
		var n int64
		if err := rows.Scan(&address, integerBool{&dkim}, integerBool{&spf}, &did, &signatures, &name, &n); err != nil {
			return nil, err
		}
		s := found[address]
		if s == nil {
			if len(found) == maxSources {
				continue
			}
			s = newSource(address, name)
			found[address] = s
		}
		ours, known := signed[signatures]
		if !known {
			ours = q.Known.signed(signatures)
			if len(signatures) <= usualText && len(signed) < maxSources {
				signed[signatures] = ours
			}
		}
		s.add(n, dkim, spf, ours, did == "quarantine" || did == "reject")
	}
	return q.Known.sorted(found), rows.Err()
}

// integerBool scans 0 and 1.
type integerBool struct{ b *bool }

func (i integerBool) Scan(v any) error {
	n, _ := v.(int64)
	*i.b = n != 0
	return nil
}

func newSource(address string, name *string) *Source {
	s := &Source{}
	s.Address, _ = netip.ParseAddr(address)
	if name != nil {
		s.Name = *name
	}
	s.Organization, _ = publicsuffix.EffectiveTLDPlusOne(s.Name)
	return s
}

func (s *Source) add(n int64, dkim, spf, ours, stopped bool) {
	s.Messages += n
	for _, c := range []struct {
		is    bool
		count *int64
	}{{dkim || spf, &s.Aligned}, {dkim, &s.DKIM}, {spf, &s.SPF}, {ours, &s.ourKey}, {stopped, &s.Stopped}} {
		if c.is {
			*c.count += n
		}
	}
}

// signed tells whether one of the signatures is valid and of a key of ours.
func (k Known) signed(text string) bool {
	if k.Signs == nil || text == "" {
		return false
	}
	var list []aggregate.Signature
	if json.Unmarshal([]byte(text), &list) != nil {
		return false
	}
	return slices.ContainsFunc(list, func(s aggregate.Signature) bool {
		return s.Result == "pass" && k.Signs(s.Domain, s.Selector)
	})
}

func (k Known) sorted(found map[string]*Source) []Source {
	list := make([]Source, 0, len(found))
	for _, s := range found {
		s.Kind = k.kind(s)
		list = append(list, *s)
	}
	slices.SortFunc(list, func(a, b Source) int {
		return cmp.Or(cmp.Compare(b.Messages, a.Messages), a.Address.Compare(b.Address))
	})
	return list
}

// kind decides in this order. A single message that SPF lets through shows that our SPF record has
// the host; a signature alone shows only that the mail was ours.
func (k Known) kind(s *Source) SourceKind {
	switch {
	case slices.ContainsFunc(k.Networks, func(p netip.Prefix) bool { return p.Contains(s.Address) }):
		return OwnHost
	case s.SPF > 0 && s.ourKey*2 >= s.Messages:
		return OwnHost
	case s.SPF > 0:
		return KnownSender
	case k.Signs != nil && s.DKIM > s.ourKey && s.DKIM*2 >= s.Messages:
		return KnownSender
	case s.DKIM*5 >= s.Messages:
		return Forwarder
	}
	return Forgery
}

// Label is the kind in words.
func (k SourceKind) Label() string {
	switch k {
	case OwnHost:
		return "our own host"
	case KnownSender:
		return "known sender"
	case Forwarder:
		return "forwarder"
	}
	return "looks like forgery"
}

// Group is the name under which a source is shown with others: its organization, else its name
// or address.
func (s *Source) Group() string {
	for _, name := range []string{s.Organization, s.Name} {
		if name != "" {
			return strings.ToLower(name)
		}
	}
	return s.Address.String()
}
