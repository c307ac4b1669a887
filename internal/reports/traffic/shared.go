package traffic

import (
	"bytes"
	"context"
	"database/sql"
	"slices"
	"strings"

	"signpost/internal/reports/store"
)

const (
	// chunk is how many rows one statement for PostgreSQL has: each is a question over the network.
	chunk = 100
	// askAtOnce is how many keys one question has.
	askAtOnce = 1000
)

// addition is what is added to one row of a table that several daemons write.
type addition struct {
	key key
	day Day
	Tally
	known  bool // the database had the row
	values func(args []any, t Tally) []any
}

// writeShared is for PostgreSQL, where several daemons write at the same time. A transaction locks rows in one
// order: that of its writer, policies by their ids, rows of traffic by their keys, then those of
// traffic_outbound, known and new ones alike. So two transactions never wait for each other.
func writeShared(ctx context.Context, tx store.Tx, l *limits, rows []*counter, outbound []keyedOutbound) (folded int64, err error) {
	judged, counters, err := ask(ctx, tx, "traffic", rows, func(c **counter) (*key, Day) { return &(*c).key, (*c).day })
	if err != nil {
		return 0, err
	}
	fresh := &freshRows{judged: keyed(counters)}
	ours, rest, err := ask(ctx, tx, "traffic_outbound", outbound, func(o *keyedOutbound) (*key, Day) { return &o.Key, o.Day })
	if err != nil {
		return 0, err
	}
	fresh.outbound = rest
	if folded, err = l.apply(ctx, tx, fresh); err != nil {
		return 0, err
	}
	if err := writePolicies(ctx, tx, fresh.judged, l); err != nil {
		return 0, err
	}
	var list []addition
	for _, c := range judged {
		list = append(list, addition{c.key, c.day, c.Tally, true, func(args []any, t Tally) []any {
			r := keyedRow{c.key, c.row()}
			r.Tally = t
			return rowValues(args, &r)
		}})
	}
	for _, r := range fresh.judged {
		list = append(list, addition{r.Key, r.Day, r.Tally, false, func(args []any, t Tally) []any {
			row := *r.Row
			row.Tally = t
			return rowValues(args, &keyedRow{r.Key, &row})
		}})
	}
	if err := addInOrder(ctx, tx, "traffic", list, intoTraffic, rowColumnCount); err != nil {
		return 0, err
	}
	list = list[:0]
	for i, o := range slices.Concat(ours, fresh.outbound) {
		list = append(list, addition{o.Key, o.Day, o.Tally, i < len(ours), func(args []any, t Tally) []any {
			row := *o.Outbound
			row.Tally = t
			return outboundValues(args, &keyedOutbound{o.Key, &row})
		}})
	}
	return folded, addInOrder(ctx, tx, "traffic_outbound", list, intoOutbound, outboundColumnCount)
}

// ask parts the rows that the database has from the others. It locks none.
func ask[T any](ctx context.Context, tx store.Tx, table string, list []T, of func(*T) (*key, Day)) (known, fresh []T, err error) {
	for part := range slices.Chunk(list, askAtOnce) {
		var args []any
		for i := range part {
			k, day := of(&part[i])
			args = append(args, int64(day), k[:])
		}
		// A join, since for a list of pairs PostgreSQL reads the whole day until it has statistics of it.
		keys, err := readKeys(tx.Query(ctx, `SELECT t.tuple FROM `+valueList(len(part), `(CAST(? AS BIGINT), CAST(? AS {blob}))`)+`
			JOIN `+table+` t ON t.day = v.column1 AND t.tuple = v.column2`, args...))
		if err != nil {
			return nil, nil, err
		}
		for i := range part {
			if k, _ := of(&part[i]); keys[*k] {
				known = append(known, part[i])
			} else {
				fresh = append(fresh, part[i])
			}
		}
	}
	return known, fresh, nil
}

// valueList is a table v of n rows.
func valueList(n int, row string) string {
	return `(VALUES ` + strings.TrimSuffix(strings.Repeat(row+", ", n), ", ") + `) AS v`
}

// addInOrder adds to the rows of a table in the order of their keys. The database has most of them.
func addInOrder(ctx context.Context, tx store.Tx, table string, list []addition, into string, columns int) error {
	slices.SortFunc(list, func(a, b addition) int { return bytes.Compare(a.key[:], b.key[:]) })
	list = joined(list)
	for part := range slices.Chunk(list, chunk) {
		if !slices.ContainsFunc(part, func(a addition) bool { return !a.known }) {
			var err error
			if part, err = addToKnown(ctx, tx, table, part); err != nil {
				return err
			}
		}
		// The whole chunk, so that known and new rows are locked in one order.
		err := insert(ctx, tx, part, into, columns, adding(table), func(args []any, a *addition) []any { return a.values(args, a.Tally) })
		if err != nil {
			return err
		}
	}
	return nil
}

// joined adds up neighbours with one key: messages that were folded in memory and now. A statement must not have
// a key twice.
func joined(list []addition) []addition {
	var sum []addition
	for _, a := range list {
		if n := len(sum); n > 0 && sum[n-1].key == a.key {
			sum[n-1].Tally = sum[n-1].plus(a.Tally)
			sum[n-1].known = sum[n-1].known || a.known
			continue
		}
		sum = append(sum, a)
	}
	return sum
}

// addToKnown adds to the rows that are there. It returns those that were deleted meanwhile.
func addToKnown(ctx context.Context, tx store.Tx, table string, part []addition) (gone []addition, err error) {
	var args []any
	for i := range part {
		a := &part[i]
		args = append(args, int64(a.day), a.key[:], a.Count, a.First, a.Last)
	}
	values := valueList(len(part), `(CAST(? AS BIGINT), CAST(? AS {blob}), CAST(? AS BIGINT), CAST(? AS BIGINT), CAST(? AS BIGINT))`)
	if err := lock(ctx, tx, table, values, args); err != nil {
		return nil, err
	}
	keys, err := readKeys(tx.Query(ctx, `UPDATE `+table+` SET count = count + v.column3, first_seen = {least}(first_seen, v.column4), last_seen = {greatest}(last_seen, v.column5)
		FROM `+values+` WHERE day = v.column1 AND tuple = v.column2 RETURNING tuple`, args...))
	for i := range part {
		if !keys[part[i].key] {
			gone = append(gone, part[i])
		}
	}
	return gone, err
}

// lock locks the rows in the order of their keys: an UPDATE locks them in any order. values and args are
// those of the UPDATE.
func lock(ctx context.Context, tx store.Tx, table, values string, args []any) error {
	_, err := readKeys(tx.Query(ctx, `SELECT t.tuple FROM `+values+` JOIN `+table+` t ON t.day = v.column1 AND t.tuple = v.column2
		ORDER BY t.tuple FOR UPDATE OF t`, args...))
	return err
}

func readKeys(rows *sql.Rows, err error) (map[key]bool, error) {
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	keys := map[key]bool{}
	for rows.Next() {
		var k []byte
		if err := rows.Scan(&k); err != nil {
			return nil, err
		}
		keys[key(k)] = true
	}
	return keys, rows.Err()
}
