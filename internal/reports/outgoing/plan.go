package outgoing

import (
	"cmp"
	"context"
	"crypto/sha256"
	"fmt"
	"hash/fnv"
	"slices"
	"strings"
	"time"

	"golang.org/x/net/publicsuffix"

	"signpost/internal/reports/aggregate"
	"signpost/internal/reports/store"
)

const (
	// The reports about a day begin some time after it, which differs from one submitter to
	// the next: receivers of many reports need not take all at midnight. By then all hosts have
	// written their counters.
	minDelay, maxDelay = 5 * time.Minute, 120 * time.Minute
	// spreadEach is the time between two reports on average, until spreadMost is reached.
	spreadEach, spreadMost = 2 * time.Second, 6 * time.Hour
	// maxPolicies is how many policies of one domain and day have a report each. A domain
	// whose record differs at each question cannot make more.
	maxPolicies = 3
	// maxRelated is how many domains of one organization have reports about a day: names below
	// a domain cost its owner nothing.
	maxRelated = 100
)

// candidate is one policy of a record with rua=, and the mail that it applied to on a day.
type candidate struct {
	domain   string
	policy   []byte // see policyKey
	last     int64  // when it was seen last
	messages int64
	accepted int64 // how many of them are a reason to report, and were not refused
	refused  int64 // how many would be a reason, and were refused
	flaws    string
}

// candidatesSQL selects the policies of a day; more conditions may follow. These rows are
// those of traffic.Row.Reportable.
const candidatesSQL = `SELECT p.domain, p.p, p.sp, p.np, p.adkim, p.aspf, p.fo, p.testing, p.method, max(t.last_seen), sum(t.count),
	sum(CASE WHEN t.optional = 0 AND t.disposition <> 'reject' THEN t.count ELSE 0 END),
	sum(CASE WHEN t.optional = 0 AND t.disposition = 'reject' THEN t.count ELSE 0 END), max(p.flaws)
	FROM traffic t JOIN traffic_policies p ON p.id = t.policy
	WHERE t.day = ? AND p.rua <> '' AND ` + reportable

const reportable = `t.result IN ('pass', 'fail') AND t.disposition <> '' AND t.folded = 0 AND t.source <> ''`

// candidates returns the policies of a day; of one domain, or of all with domain "".
func candidates(ctx context.Context, db *store.DB, day int64, domain string) ([]candidate, error) {
	statement, args := candidatesSQL, []any{day}
	if domain != "" {
		statement, args = statement+` AND p.domain = ?`, append(args, domain)
	}
	rows, err := db.Query(ctx, statement+` GROUP BY p.domain, p.p, p.sp, p.np, p.adkim, p.aspf, p.fo, p.testing, p.method`, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []candidate
	for rows.Next() {
		var c candidate
		var p aggregate.Policy
		var testing bool
		if err := rows.Scan(&p.Domain, &p.P, &p.SP, &p.NP, &p.ADKIM, &p.ASPF, &p.FO, &testing, &p.DiscoveryMethod, &c.last, &c.messages, &c.accepted, &c.refused, &c.flaws); err != nil {
			return nil, err
		}
		c.domain, c.policy = p.Domain, policyKey(published(p, testing))
		all = append(all, c)
	}
	return all, rows.Err()
}

// published is a policy with the words of a report.
func published(p aggregate.Policy, testing bool) aggregate.Policy {
	p.Testing = "n"
	if testing {
		p.Testing = "y"
	}
	return p
}

// policyKey identifies a policy as a report shows it. Records that differ in their addresses
// alone have the same one.
func policyKey(p aggregate.Policy) []byte {
	sum := sha256.Sum256(fmt.Appendf(nil, "%q", []string{p.Domain, p.P, p.SP, p.NP, p.ADKIM, p.ASPF, p.FO, p.Testing, p.DiscoveryMethod}))
	return sum[:16]
}

// asking is a domain that asks for reports, with its policies, the last one first.
type asking struct {
	domain   string
	policies []candidate
	accepted int64
	refused  int64
	known    bool // mail from it was accepted on a day that is remembered
}

// byDomain groups policies, and orders the domains: those whose mail is accepted first, then
// those with more of it. The caps cut from the end.
func byDomain(all []candidate, known map[string]bool) []asking {
	index := map[string]int{}
	var domains []asking
	for _, c := range all {
		i, ok := index[c.domain]
		if !ok {
			i = len(domains)
			index[c.domain] = i
			domains = append(domains, asking{domain: c.domain, known: known[c.domain]})
		}
		d := &domains[i]
		d.policies = append(d.policies, c)
		d.accepted += c.accepted
		d.refused += c.refused
	}
	for i := range domains {
		slices.SortFunc(domains[i].policies, func(a, b candidate) int {
			return cmp.Or(cmp.Compare(b.last, a.last), cmp.Compare(b.messages, a.messages), strings.Compare(string(a.policy), string(b.policy)))
		})
	}
	slices.SortFunc(domains, func(a, b asking) int {
		return cmp.Or(cmp.Compare(b.accepted, a.accepted), cmp.Compare(b.refused, a.refused), strings.Compare(a.domain, b.domain))
	})
	return domains
}

// noReason says why the mail of a day is no reason to report; "" if it is one.
func (d asking) noReason() string {
	switch {
	case d.accepted > 0 || d.refused > 0 && d.known:
		return ""
	case d.refused > 0:
		return "all of its mail was refused, and none was ever accepted: forgers invent such domains, and would get the reports"
	}
	return "all of its mail was reports, or went to the address of reports"
}

// plan plans the reports about the days that are over.
func (s *Sender) plan(ctx context.Context) error {
	now := s.Now()
	today := now.Unix() / 86400
	for day := today - 2; day < today; day++ {
		if now.Before(dayEnd(day).Add(delay(s.cfg.Submitter(), day))) {
			return nil
		}
		planned, err := s.planned(ctx, day)
		if err == nil && !planned {
			err = s.planDay(ctx, day, now)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func dayEnd(day int64) time.Time { return time.Unix((day+1)*86400, 0) }

// delay is the time from the end of a day to its reports. All hosts of a fleet have the same.
func delay(submitter string, day int64) time.Duration {
	return minDelay + time.Duration(hashOf(fmt.Sprintf("%s %d", submitter, day))%uint64(maxDelay-minDelay))
}

func hashOf(s string) uint64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(s)) // it never fails
	x := h.Sum64()
	x ^= x >> 33 // FNV's high bits depend little on the last letters
	x *= 0xff51afd7ed558ccd
	return x ^ x>>33
}

// planned tells whether the reports about a day are planned. The day before yesterday counts
// only if a day was planned before: counters from before reports.out was set are not reported.
func (s *Sender) planned(ctx context.Context, day int64) (bool, error) {
	var done, any int64
	err := s.queue.db.QueryRow(ctx, `SELECT coalesce(sum(CASE WHEN day = ? THEN 1 ELSE 0 END), 0), count(*) FROM outgoing_days`, day).Scan(&done, &any)
	return done > 0 || any == 0 && dayEnd(day+1).Before(s.Now()), err
}

// planDay makes a row for each report about a day, in one transaction. Hosts that do it at
// once make the same rows.
func (s *Sender) planDay(ctx context.Context, day int64, now time.Time) error {
	all, err := candidates(ctx, s.queue.db, day, "")
	if err != nil {
		return err
	}
	known, err := s.queue.known(ctx)
	if err != nil {
		return err
	}
	domains := byDomain(all, known)
	chosen, left := s.choose(domains)
	err = s.queue.db.Write(ctx, func(tx store.Tx) error {
		for _, d := range domains {
			if d.accepted > 0 {
				if err := remember(ctx, tx, d.domain, day); err != nil {
					return err
				}
			}
		}
		spread := min(time.Duration(len(chosen)-1)*spreadEach, spreadMost)
		for _, d := range chosen {
			if err := s.insert(ctx, tx, d, day, now, spread); err != nil {
				return err
			}
		}
		_, err := tx.Exec(ctx, `INSERT INTO outgoing_days (day, planned) VALUES (?, ?) ON CONFLICT (day) DO NOTHING`, day, now.Unix())
		return err
	})
	if err == nil {
		s.Log.Info("reports are planned", "day", time.Unix(day*86400, 0).UTC().Format(time.DateOnly), "domains", len(chosen), "no_reason", len(domains)-len(chosen)-left)
	}
	if err == nil && left > 0 {
		s.Log.Warn("some domains get no report about the day: there are too many", "domains", left, "per_day", s.cfg.PerDay,
			"remedy", fmt.Sprintf("raise reports.out.per_day, unless they are many names below few domains (%d of each get one)", maxRelated))
	}
	return err
}

// choose leaves out the domains without a reason, and those beyond the caps; left is how many
// these are.
func (s *Sender) choose(domains []asking) (chosen []asking, left int) {
	related := map[string]int{}
	for _, d := range domains {
		if d.noReason() != "" {
			continue
		}
		organization, err := publicsuffix.EffectiveTLDPlusOne(d.domain)
		if err != nil {
			organization = d.domain
		}
		if len(chosen) >= s.cfg.PerDay || related[organization] >= maxRelated {
			left++
			continue
		}
		related[organization]++
		chosen = append(chosen, d)
	}
	return chosen, left
}

// known returns the domains whose mail was accepted on a day that is remembered.
func (q *queue) known(ctx context.Context) (map[string]bool, error) {
	rows, err := q.db.Query(ctx, `SELECT domain FROM outgoing_known`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	known := map[string]bool{}
	for rows.Next() {
		var domain string
		if err := rows.Scan(&domain); err != nil {
			return nil, err
		}
		known[domain] = true
	}
	return known, rows.Err()
}

func remember(ctx context.Context, tx store.Tx, domain string, day int64) error {
	_, err := tx.Exec(ctx, `INSERT INTO outgoing_known (domain, day) VALUES (?, ?)
		ON CONFLICT (domain) DO UPDATE SET day = {greatest}(outgoing_known.day, excluded.day)`, domain, day)
	return err
}

// insert makes the reports of one domain, one for each policy. They begin within the time over
// which the day's reports are spread.
func (s *Sender) insert(ctx context.Context, tx store.Tx, d asking, day int64, now time.Time, spread time.Duration) error {
	due := now
	if spread > 0 {
		due = now.Add(time.Duration(hashOf(d.domain) % uint64(spread)))
	}
	for i, c := range d.policies[:min(len(d.policies), maxPolicies)] {
		r := identity{submitter: s.cfg.Submitter(), domain: d.domain, day: day, policy: c.policy}
		id := r.reportID()
		_, err := tx.Exec(ctx, `INSERT INTO outgoing_reports
			(day, domain, policy, report_id, file_name, note, state, why, messages, records, created, due, attempts, finished, claimed_by, claimed_until)
			VALUES (?, ?, ?, ?, ?, ?, ?, '', ?, 0, ?, ?, 0, 0, '', 0) ON CONFLICT (day, domain, policy) DO NOTHING`,
			day, d.domain, c.policy, id, r.fileName(id), d.note(i), stateBuilding, c.messages, now.Unix(), due.Unix())
		if err != nil {
			return err
		}
	}
	return nil
}

// note is the text of the element error about the record (RFC 9990 §3.1.5): what is wrong with
// it, and, in the report about the final policy, the policies that have no report.
func (d asking) note(i int) string {
	var notes []string
	if flaws := d.policies[i].flaws; flaws != "" {
		notes = append(notes, "in the DMARC record: "+flaws)
	}
	if i == 0 && len(d.policies) > 1 {
		notes = append(notes, fmt.Sprintf("the record changed during the day: %d policies were seen, and each of the last %d has a report", len(d.policies), min(len(d.policies), maxPolicies)))
		var left int64
		for _, c := range d.policies[min(len(d.policies), maxPolicies):] {
			left += c.messages
		}
		if left > 0 {
			notes = append(notes, fmt.Sprintf("%d messages under earlier policies are in none", left))
		}
	}
	return strings.Join(notes, "; ")
}
