package traffic

import (
	"cmp"
	"context"

	"signpost/internal/reports/store"
)

const (
	// maxDayRows bounds the rows of a UTC day, maxPolicyRows those of one policy domain in it,
	// and maxOutboundRows those of mail of ours. What is known goes on counting beyond.
	maxDayRows, maxPolicyRows, maxOutboundRows = 200_000, 50_000, 20_000
	// maxFoldedPolicies bounds the policies that have folded rows of their own in a day. A domain may
	// publish another one for each message.
	maxFoldedPolicies = 1000
	// recountAfter is how many new rows may be written until a day's rows are counted again: other
	// daemons write, too.
	recountAfter = 10_000
	// maxKnownPolicies bounds the policies that are not written again.
	maxKnownPolicies = 10_000
)

// limits remembers the approximate number of rows of the last days, and which policies the database has.
// The zero value remembers nothing.
type limits struct {
	days map[Day]*dayRows
	most struct{ day, policy, outbound, recount int } // for tests; 0: the constants

	// policies are those that were written for policyDay, the last one. Pruning leaves that day alone;
	// of an earlier day, each policy is written.
	policyDay Day
	policies  map[key]bool
}

// dayRows is the number of rows of a day, by policy domain.
type dayRows struct {
	rows, outbound int
	policies       map[string]int
	folded         map[key]bool // policies with folded rows
	since          int          // new rows since they were counted
}

func (l *limits) bounds() (day, policy, outbound int) {
	return cmp.Or(l.most.day, maxDayRows), cmp.Or(l.most.policy, maxPolicyRows), cmp.Or(l.most.outbound, maxOutboundRows)
}

// forget makes the next batch count again, and write its policies: the transaction did not come to its
// end, or rows were deleted.
func (l *limits) forget() { l.days, l.policies = nil, nil }

// hasPolicy says that the database has a policy, seen on this day.
func (l *limits) hasPolicy(id key, day Day) bool { return day == l.policyDay && l.policies[id] }

// notePolicy notes that a policy is written.
func (l *limits) notePolicy(id key, day Day) {
	if day < l.policyDay {
		return
	}
	if day > l.policyDay || l.policies == nil || len(l.policies) >= maxKnownPolicies {
		l.policyDay, l.policies = day, map[key]bool{}
	}
	l.policies[id] = true
}

func countDay(ctx context.Context, tx store.Tx, day Day) (*dayRows, error) {
	d := &dayRows{policies: map[string]int{}, folded: map[key]bool{}}
	rows, err := tx.Query(ctx, `SELECT coalesce(p.domain, ''), CASE WHEN t.folded <> 0 THEN t.policy END, count(*)
		FROM traffic t LEFT JOIN traffic_policies p ON p.id = t.policy WHERE t.day = ? GROUP BY 1, 2`, int64(day))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var domain string
		var folded []byte // NULL for rows with details
		var n int
		if err := rows.Scan(&domain, &folded, &n); err != nil {
			return nil, err
		}
		d.rows += n
		if folded != nil {
			d.folded[key(folded)] = true
		} else {
			d.policies[domain] += n
		}
	}
	if err := rows.Err(); err != nil {
		return nil, err
	}
	rows.Close()
	return d, tx.QueryRow(ctx, `SELECT count(*) FROM traffic_outbound WHERE day = ?`, int64(day)).Scan(&d.outbound)
}

// isWhole says that the database has as many rows of a day as are known: no other daemon has written any.
// That takes the index alone.
func (d *dayRows) isWhole(ctx context.Context, tx store.Tx, day Day) (bool, error) {
	var rows, outbound int
	err := tx.QueryRow(ctx, `SELECT (SELECT count(*) FROM traffic WHERE day = ?), (SELECT count(*) FROM traffic_outbound WHERE day = ?)`,
		int64(day), int64(day)).Scan(&rows, &outbound)
	return rows == d.rows && outbound == d.outbound, err
}

// apply folds those rows of a batch for which there is no room. None of the batch was in the
// database.
func (l *limits) apply(ctx context.Context, tx store.Tx, fresh *freshRows) (folded int64, err error) {
	if err := l.know(ctx, tx, fresh); err != nil {
		return 0, err
	}
	changed := false
	for i := range fresh.judged {
		r := &fresh.judged[i]
		if l.fits(r.Row) {
			continue
		}
		changed = true
		if !r.Folded {
			folded += r.Count
		}
		without := r.Row.folded(l.foldsAll(r.Row))
		r.Row = &without
		r.Key = r.Row.appendTo(nil).key()
	}
	for i := range fresh.outbound {
		if o := &fresh.outbound[i]; !l.fitsOutbound(o.Day) {
			changed = true
			if !o.Folded {
				folded += o.Count
			}
			without := o.Outbound.folded()
			o.Outbound = &without
			o.Key = o.Outbound.appendTo(nil).key()
		}
	}
	if changed { // several rows may have become the same
		fresh.sort()
		fresh.merge()
	}
	return folded, nil
}

// know counts the rows of the days of a batch where too little is known of them.
func (l *limits) know(ctx context.Context, tx store.Tx, fresh *freshRows) error {
	days := map[Day]bool{}
	for i := range fresh.judged {
		days[fresh.judged[i].Day] = true
	}
	for i := range fresh.outbound {
		days[fresh.outbound[i].Day] = true
	}
	if len(l.days) > 8 { // days in the spool
		l.days = nil
	}
	for day := range days {
		if d := l.days[day]; d != nil {
			if d.since < cmp.Or(l.most.recount, recountAfter) {
				continue
			}
			whole, err := d.isWhole(ctx, tx, day)
			if err != nil {
				return err
			}
			if whole {
				d.since = 0
				continue
			}
		}
		d, err := countDay(ctx, tx, day)
		if err != nil {
			return err
		}
		if l.days == nil {
			l.days = map[Day]*dayRows{}
		}
		l.days[day] = d
	}
	return nil
}

// fits counts a new row, and says whether there is room for it.
func (l *limits) fits(r *Row) bool {
	most, perPolicy, _ := l.bounds()
	d := l.days[r.Day]
	if d.rows >= most || d.policies[r.Policy.Domain] >= perPolicy {
		return false
	}
	d.rows++
	d.since++
	d.policies[r.Policy.Domain]++
	return true
}

// foldsAll says that no room is left for folded rows of the policy.
func (l *limits) foldsAll(r *Row) bool {
	d := l.days[r.Day]
	id := r.Policy.id()
	if !d.folded[id] && len(d.folded) >= maxFoldedPolicies {
		return true
	}
	d.folded[id] = true
	return false
}

func (l *limits) fitsOutbound(day Day) bool {
	_, _, most := l.bounds()
	d := l.days[day]
	if d.outbound >= most {
		return false
	}
	d.outbound++
	d.since++
	return true
}
