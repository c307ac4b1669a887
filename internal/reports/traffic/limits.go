package traffic

import (
	"context"

	"signpost/internal/reports/store"
)

const (
	// maxDayRows bounds the rows of a UTC day, maxPolicyRows those of one policy domain in it,
	// and maxOutboundRows those of mail of ours. What is known goes on counting beyond.
	maxDayRows, maxPolicyRows, maxOutboundRows = 200_000, 50_000, 20_000
	// maxFoldedPolicies bounds the policy domains that have folded rows of their own in a day.
	maxFoldedPolicies = 1000
	// recountAfter is how many rows may be written until a day's rows are counted again. The
	// number in between is too high, because rows that were there are counted too.
	recountAfter = 10_000
)

// limits knows about how many rows the database has of the last days. The zero value knows none.
type limits struct {
	days map[Day]*dayRows
	most struct{ day, policy, outbound int } // for tests; 0: the constants
}

// dayRows is the number of rows of a day, by policy domain.
type dayRows struct {
	rows, outbound int
	policies       map[string]int
	folded         map[string]bool // policy domains with folded rows
	since          int             // rows since they were counted
	over           bool            // one of them did not fit
}

func (l *limits) bounds() (day, policy, outbound int) {
	pick := func(set, usual int) int {
		if set > 0 {
			return set
		}
		return usual
	}
	return pick(l.most.day, maxDayRows), pick(l.most.policy, maxPolicyRows), pick(l.most.outbound, maxOutboundRows)
}

// forget makes the next batch count again: the transaction did not come to its end, or rows
// were deleted.
func (l *limits) forget() { l.days = nil }

// wantsCount says that the day seems to be full, and that the last count is too old to be sure.
func (l *limits) wantsCount(d *dayRows) bool {
	most, _, _ := l.bounds()
	return d.over && d.since >= min(recountAfter, most/10)
}

func countDay(ctx context.Context, tx store.Tx, day Day) (*dayRows, error) {
	d := &dayRows{policies: map[string]int{}, folded: map[string]bool{}}
	rows, err := tx.Query(ctx, `SELECT coalesce(p.domain, ''), t.folded, count(*) FROM traffic t LEFT JOIN traffic_policies p ON p.id = t.policy
		WHERE t.day = ? GROUP BY 1, 2`, int64(day))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var domain string
		var folded int64
		var n int
		if err := rows.Scan(&domain, &folded, &n); err != nil {
			return nil, err
		}
		d.rows += n
		if folded != 0 {
			d.folded[domain] = true
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

// apply returns the rows of a batch as they are written: beyond the limits, new ones are folded.
func (l *limits) apply(ctx context.Context, tx store.Tx, b *batch) (rows []keyedRow, outbound []keyedOutbound, folded int64, err error) {
	if err := l.know(ctx, tx, b); err != nil {
		return nil, nil, 0, err
	}
	over, overOutbound := map[Day][]keyedRow{}, map[Day][]keyedOutbound{}
	for _, r := range b.Rows {
		if l.fits(&r.Row) {
			rows = append(rows, r)
		} else {
			over[r.Day] = append(over[r.Day], r)
		}
	}
	for _, o := range b.Outbound {
		if l.fitsOutbound(o.Day) {
			outbound = append(outbound, o)
		} else {
			overOutbound[o.Day] = append(overOutbound[o.Day], o)
		}
	}
	for day, list := range over {
		n, err := l.foldRows(ctx, tx, day, list, &rows)
		if err != nil {
			return nil, nil, 0, err
		}
		folded += n
	}
	for day, list := range overOutbound {
		n, err := foldOutbound(ctx, tx, day, list, &outbound)
		if err != nil {
			return nil, nil, 0, err
		}
		folded += n
	}
	if len(over)+len(overOutbound) > 0 {
		// A folded row of the batch may be the same as one that was made here.
		whole := batch{Rows: rows, Outbound: outbound}
		whole.sort()
		rows, outbound = whole.merged()
	}
	return rows, outbound, folded, nil
}

// know counts the rows of the days of a batch where too little is known of them.
func (l *limits) know(ctx context.Context, tx store.Tx, b *batch) error {
	days := map[Day]bool{}
	for i := range b.Rows {
		days[b.Rows[i].Day] = true
	}
	for i := range b.Outbound {
		days[b.Outbound[i].Day] = true
	}
	if len(l.days) > 8 { // days in the spool
		l.days = nil
	}
	for day := range days {
		if d := l.days[day]; d != nil && !l.wantsCount(d) {
			continue
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

// fits counts a row that may be new, and says whether there is room for it.
func (l *limits) fits(r *Row) bool {
	most, perPolicy, _ := l.bounds()
	d := l.days[r.Day]
	d.since++
	if d.rows >= most || d.policies[r.Policy.Domain] >= perPolicy {
		d.over = true
		return false
	}
	d.rows++
	d.policies[r.Policy.Domain]++
	return true
}

func (l *limits) fitsOutbound(day Day) bool {
	_, _, most := l.bounds()
	d := l.days[day]
	d.since++
	if d.outbound >= most {
		d.over = true
		return false
	}
	d.outbound++
	return true
}

// foldRows adds to rows those of the list that the database has, and folds the others.
func (l *limits) foldRows(ctx context.Context, tx store.Tx, day Day, list []keyedRow, rows *[]keyedRow) (folded int64, err error) {
	known, err := existing(ctx, tx, "traffic", day, list, func(r *keyedRow) key { return r.Key })
	if err != nil {
		return 0, err
	}
	d := l.days[day]
	together := map[key]Row{}
	for i := range list {
		r := &list[i]
		if known[r.Key] {
			*rows = append(*rows, *r)
			continue
		}
		if !r.Folded {
			folded += r.Count
		}
		domain := r.Policy.Domain
		all := !d.folded[domain] && len(d.folded) >= maxFoldedPolicies
		if !all {
			d.folded[domain] = true
		}
		f := r.Row.folded(all)
		k := f.appendTo(nil).key()
		if before, is := together[k]; is {
			f.Tally = before.plus(f.Tally)
		}
		together[k] = f
	}
	for k, f := range together {
		*rows = append(*rows, keyedRow{k, f})
	}
	return folded, nil
}

func foldOutbound(ctx context.Context, tx store.Tx, day Day, list []keyedOutbound, rows *[]keyedOutbound) (folded int64, err error) {
	known, err := existing(ctx, tx, "traffic_outbound", day, list, func(o *keyedOutbound) key { return o.Key })
	if err != nil {
		return 0, err
	}
	var together Outbound
	for i := range list {
		o := &list[i]
		if known[o.Key] {
			*rows = append(*rows, *o)
			continue
		}
		folded += o.Count
		f := o.Outbound.folded()
		f.Tally = together.plus(f.Tally)
		together = f
	}
	if together.Count > 0 {
		*rows = append(*rows, keyedOutbound{together.appendTo(nil).key(), together})
	}
	return folded, nil
}

// existing returns which of the tuples the database has.
func existing[T any](ctx context.Context, tx store.Tx, table string, day Day, list []T, of func(*T) key) (map[key]bool, error) {
	known := map[key]bool{}
	for from := 0; from < len(list); from += chunk {
		part := list[from:min(from+chunk, len(list))]
		args := []any{int64(day)}
		for i := range part {
			k := of(&part[i])
			args = append(args, k[:])
		}
		rows, err := tx.Query(ctx, `SELECT tuple FROM `+table+` WHERE day = ? AND tuple IN (`+store.Arguments(len(part))+`)`, args...)
		if err != nil {
			return nil, err
		}
		for rows.Next() {
			var k []byte
			if err = rows.Scan(&k); err != nil {
				break
			}
			known[key(k)] = true
		}
		if err := firstError(err, rows.Err()); err != nil {
			rows.Close()
			return nil, err
		}
		rows.Close()
	}
	return known, nil
}

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
