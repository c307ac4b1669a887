package traffic

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"signpost/internal/reports/store"
	"signpost/verifier"
)

// Refusals is what enforce mode would have refused, or has refused, in a period.
type Refusals struct {
	From, To Day
	// Recorded is the first day with counters, 0 without any. Judged is the number of messages of
	// the period, Affected of those that enforce mode refuses, holds or tags, and Taken of those where it
	// was done.
	Recorded                Day
	Judged, Affected, Taken int64
	// Actions are the affected messages by action: reject, quarantine, tag, tempfail.
	Actions map[string]int64
	Domains []RefusedDomain // the largest first, like Hosts and Excuses
	Hosts   []RefusedHost
	Flows   []RefusedFlow
	Excuses []Excuse
}

// Ways are affected messages by the way that they probably came.
type Ways struct {
	// List and Forwarded bear marks of a mailing list, and of a forwarder. Service authenticates
	// as somebody else, as mail of a service that the domain has not set up. Unknown authenticates
	// as nobody: nearly all of it is forged.
	List, Forwarded, Service, Unknown int64
}

// Total is their sum.
func (w Ways) Total() int64 { return w.List + w.Forwarded + w.Service + w.Unknown }

func (w *Ways) add(kind string, n int64) {
	switch kind {
	case wayList:
		w.List += n
	case wayForwarded:
		w.Forwarded += n
	case wayService:
		w.Service += n
	default:
		w.Unknown += n
	}
}

const (
	wayList, wayForwarded, wayService, wayUnknown = "list", "forwarded", "service", "unknown"
)

// RefusedDomain is an author domain with affected mail. Domain is "" for a message without a
// certain author, and for messages that were counted without details.
type RefusedDomain struct {
	Domain, Policy string
	// Messages are all of the domain in the period, Aligned those that passed DMARC.
	Messages, Aligned int64
	Ways
	// Excused are the affected messages that one of Excuses would let pass.
	Excused int64
}

// RefusedHost is a client with affected mail. Name is its name as the MTA says, or "".
type RefusedHost struct {
	Address, Name string
	Ways
	// Domains is the number of author domains of that mail, and Largest the one with the most.
	Domains int
	Largest string
}

// RefusedFlow is the affected mail of one author domain from one client with one outcome.
type RefusedFlow struct {
	Domain, Address, Name, Action, Rule, Way string
	Taken                                    bool
	Messages                                 int64
}

// maxKnown bounds the distinct domains, hosts and flows in memory. Further ones count as "".
const maxKnown = 50_000

// Refused reads what enforce mode refuses in a period. today is for the excuses that fit now:
// those that the configuration has already are left out.
func Refused(ctx context.Context, db *store.DB, from, to Day, now verifier.Config) (Refusals, error) {
	r := Refusals{From: from, To: to, Actions: map[string]int64{}}
	var err error
	if r.Recorded, _, _, err = Recorded(ctx, db); err != nil {
		return r, err
	}
	if err := db.QueryRow(ctx, `SELECT coalesce(sum(count), 0) FROM traffic WHERE day >= ? AND day <= ?`, int64(from), int64(to)).Scan(&r.Judged); err != nil {
		return r, err
	}
	c := newCollection()
	for row, err := range Rows(ctx, db, Filter{From: from, To: to, Failing: true}) {
		if err != nil {
			return r, err
		}
		c.add(&row, &r)
	}
	c.excuses = excuses(c.candidates, now)
	if err := c.addTotals(ctx, db, from, to); err != nil {
		return r, err
	}
	c.finish(&r)
	return r, nil
}

// collection adds affected rows up.
type collection struct {
	domains    map[string]*RefusedDomain
	hosts      map[string]*hostSum
	flows      map[RefusedFlow]int64
	candidates map[candidate]*candidateSum
	excuses    []Excuse
}

type hostSum struct {
	RefusedHost
	domains map[string]int64
}

func newCollection() *collection {
	return &collection{domains: map[string]*RefusedDomain{}, hosts: map[string]*hostSum{}, flows: map[RefusedFlow]int64{}, candidates: map[candidate]*candidateSum{}}
}

// wayOf says how an affected message probably came.
func wayOf(r *Row) string {
	switch {
	case r.Route == "list":
		return wayList
	case r.Route == "forwarded" || r.Forwarder != "":
		return wayForwarded
	case r.SPFResult == "pass" || slices.ContainsFunc(r.DKIM, func(s Signature) bool { return s.Result == "pass" }):
		return wayService
	}
	return wayUnknown
}

func (c *collection) add(r *Row, all *Refusals) {
	action, taken := r.Would, false
	if action == "" {
		action, taken = r.Action, true
		all.Taken += r.Count
	}
	all.Affected += r.Count
	all.Actions[action] += r.Count
	way, address := wayOf(r), ""
	if r.Source.IsValid() {
		address = r.Source.String()
	}
	domain := known(c.domains, r.HeaderFrom)
	d := c.domains[domain]
	if d == nil {
		d = &RefusedDomain{Domain: domain}
		c.domains[domain] = d
	}
	d.Policy = stricter(d.Policy, r.Requested)
	d.Ways.add(way, r.Count)
	c.addHost(r, address, domain, way)
	flow := RefusedFlow{Domain: domain, Address: address, Name: r.Host, Action: action, Rule: r.Rule, Way: way, Taken: taken}
	if _, is := c.flows[flow]; !is && len(c.flows) >= maxKnown {
		flow.Domain, flow.Address, flow.Name = "", "", ""
	}
	c.flows[flow] += r.Count
	c.suggest(r, way, domain)
}

func (c *collection) addHost(r *Row, address, domain, way string) {
	address = known(c.hosts, address)
	h := c.hosts[address]
	if h == nil {
		h = &hostSum{RefusedHost: RefusedHost{Address: address, Name: r.Host}, domains: map[string]int64{}}
		c.hosts[address] = h
	}
	if h.Name == "" && address != "" {
		h.Name = r.Host
	}
	h.Ways.add(way, r.Count)
	h.domains[known(h.domains, domain)] += r.Count
}

// known is the name, or "" where it is new and the map is full.
func known[T any](m map[string]T, name string) string {
	if _, is := m[name]; !is && len(m) >= maxKnown {
		return ""
	}
	return name
}

// stricter is the stricter of two policies: a domain may change its own, and has one for subdomains.
func stricter(a, b string) string {
	order := []string{"", "none", "quarantine", "reject"}
	if slices.Index(order, b) > slices.Index(order, a) {
		return b
	}
	return a
}

// addTotals adds the number of all messages of each affected domain, and of the aligned ones.
func (c *collection) addTotals(ctx context.Context, db *store.DB, from, to Day) error {
	rows, err := db.Query(ctx, `SELECT header_from, sum(count), sum(CASE WHEN result = 'pass' THEN count ELSE 0 END) FROM traffic
		WHERE day >= ? AND day <= ? GROUP BY header_from`, int64(from), int64(to))
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var domain string
		var messages, aligned int64
		if err := rows.Scan(&domain, &messages, &aligned); err != nil {
			return err
		}
		if d := c.domains[domain]; d != nil {
			d.Messages, d.Aligned = messages, aligned
		}
	}
	return rows.Err()
}

// finish sorts everything, the largest first.
func (c *collection) finish(r *Refusals) {
	for _, e := range c.excuses {
		for domain, n := range e.domains {
			if d := c.domains[domain]; d != nil {
				d.Excused += n
			}
		}
	}
	for _, d := range c.domains {
		d.Excused = min(d.Excused, d.Total())
		r.Domains = append(r.Domains, *d)
	}
	slices.SortFunc(r.Domains, func(a, b RefusedDomain) int {
		return cmp.Or(cmp.Compare(b.Total(), a.Total()), strings.Compare(a.Domain, b.Domain))
	})
	for _, h := range c.hosts {
		h.Domains = len(h.domains)
		for domain, n := range h.domains {
			if most := h.domains[h.Largest]; h.Largest == "" || n > most || n == most && domain < h.Largest {
				h.Largest = domain
			}
		}
		r.Hosts = append(r.Hosts, h.RefusedHost)
	}
	slices.SortFunc(r.Hosts, func(a, b RefusedHost) int {
		return cmp.Or(cmp.Compare(b.Total(), a.Total()), strings.Compare(a.Address, b.Address))
	})
	for f, n := range c.flows {
		f.Messages = n
		r.Flows = append(r.Flows, f)
	}
	slices.SortFunc(r.Flows, func(a, b RefusedFlow) int {
		return cmp.Or(cmp.Compare(b.Messages, a.Messages), strings.Compare(a.Domain, b.Domain), strings.Compare(a.Address, b.Address),
			strings.Compare(a.Action, b.Action), strings.Compare(a.Way, b.Way), strings.Compare(a.Rule, b.Rule))
	})
	r.Excuses = c.excuses
}
