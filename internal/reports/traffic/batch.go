package traffic

import (
	"bytes"
	"context"
	"database/sql"
	"runtime"
	"slices"
	"strings"

	"signpost/internal/reports/store"
)

// batch is what is added to the database in one transaction. Writer and Number are its identity:
// a batch whose commit was not confirmed is written again, and counts once.
type batch struct {
	Writer   []byte
	Number   int64
	Rows     []*counter
	Outbound []keyedOutbound
}

type keyedOutbound struct {
	Key key
	*Outbound
}

// freshRows are those of a batch that the database does not have.
type freshRows struct {
	judged   []keyedRow
	outbound []keyedOutbound
}

type keyedRow struct {
	Key key
	*Row
}

// messages is how many messages a batch counts.
func (b *batch) messages() int64 {
	var n int64
	for i := range b.Rows {
		n += b.Rows[i].Count
	}
	for i := range b.Outbound {
		n += b.Outbound[i].Count
	}
	return n
}

// newBatch sorts the tuples. All daemons write in this order, so that two transactions do not wait for
// each other.
func newBatch(rows map[key]*counter, outbound map[key]*Outbound) *batch {
	b := &batch{Rows: make([]*counter, 0, len(rows)), Outbound: make([]keyedOutbound, 0, len(outbound))}
	for _, c := range rows {
		b.Rows = append(b.Rows, c)
	}
	for k, o := range outbound {
		b.Outbound = append(b.Outbound, keyedOutbound{k, o})
	}
	b.sort()
	return b
}

func (b *batch) sort() {
	slices.SortFunc(b.Rows, func(a, b *counter) int { return bytes.Compare(a.key[:], b.key[:]) })
	sortOutbound(b.Outbound)
}

func sortOutbound(list []keyedOutbound) {
	slices.SortFunc(list, func(a, b keyedOutbound) int { return bytes.Compare(a.Key[:], b.Key[:]) })
}

func (l *freshRows) sort() {
	slices.SortFunc(l.judged, func(a, b keyedRow) int { return bytes.Compare(a.Key[:], b.Key[:]) })
	sortOutbound(l.outbound)
}

// merge joins the tallies of neighbours with one key. A statement must not have a key twice. Those of
// the batch stay as they are.
func (l *freshRows) merge() {
	var judged []keyedRow
	for _, r := range l.judged {
		if n := len(judged); n > 0 && judged[n-1].Key == r.Key {
			judged[n-1].Tally = judged[n-1].plus(r.Tally)
			continue
		}
		judged = append(judged, r)
	}
	var outbound []keyedOutbound
	for _, o := range l.outbound {
		if n := len(outbound); n > 0 && outbound[n-1].Key == o.Key {
			sum := *outbound[n-1].Outbound
			sum.Tally = sum.plus(o.Tally)
			outbound[n-1].Outbound = &sum
			continue
		}
		outbound = append(outbound, o)
	}
	l.judged, l.outbound = judged, outbound
}

// write adds a batch to the database. It uses and updates l. An error resets l. folded is the number of
// messages whose details were left out.
func (b *batch) write(ctx context.Context, db *store.DB, l *limits) (folded int64, err error) {
	again := false
	defer func() {
		if err != nil {
			l.forget()
		}
	}()
	err = db.WriteAgain(ctx, func(tx store.Tx) error {
		if again {
			l.forget()
		}
		again = true
		if is, err := b.isNew(ctx, tx); err != nil || !is {
			return err
		}
		fresh, err := b.addToKnown(ctx, tx)
		if err != nil {
			return err
		}
		if folded, err = l.apply(ctx, tx, fresh); err != nil {
			return err
		}
		if err := writePolicies(ctx, tx, fresh.judged, l); err != nil {
			return err
		}
		if err := writeRows(ctx, tx, fresh.judged); err != nil {
			return err
		}
		return writeOutbound(ctx, tx, fresh.outbound)
	})
	return folded, err
}

// addToKnown adds to the rows that the database has, which is nearly all of them, and returns the
// others.
func (b *batch) addToKnown(ctx context.Context, tx store.Tx) (*freshRows, error) {
	counters, err := addTallies(ctx, tx, "traffic", b.Rows, func(c **counter) (*key, Day, Tally) { return &(*c).key, (*c).day, (*c).Tally })
	if err != nil {
		return nil, err
	}
	fresh := &freshRows{judged: make([]keyedRow, 0, len(counters))}
	for _, c := range counters {
		fresh.judged = append(fresh.judged, keyedRow{c.key, c.row()})
	}
	fresh.outbound, err = addTallies(ctx, tx, "traffic_outbound", b.Outbound, func(o *keyedOutbound) (*key, Day, Tally) { return &o.Key, o.Day, o.Tally })
	return fresh, err
}

// addTallies adds to the rows that are there, and returns the others.
func addTallies[T any](ctx context.Context, tx store.Tx, table string, list []T, of func(*T) (*key, Day, Tally)) (fresh []T, err error) {
	if len(list) == 0 {
		return nil, nil
	}
	if tx.Shared() {
		return addChunks(ctx, tx, table, list, of)
	}
	// A statement for one row needs no journal of its own, by which SQLite could undo half of it.
	update, err := tx.Prepare(ctx, `UPDATE `+table+` SET count = count + ?, first_seen = {least}(first_seen, ?), last_seen = {greatest}(last_seen, ?)
		WHERE day = ? AND tuple = ?`)
	if err != nil {
		return nil, err
	}
	for i := range list {
		giveWay(i)
		k, day, t := of(&list[i])
		changed, err := update.Exec(ctx, t.Count, t.First, t.Last, int64(day), k[:])
		if err != nil {
			return nil, err
		}
		if changed == 0 {
			fresh = append(fresh, list[i])
		}
	}
	return fresh, nil
}

// giveWay lets messages go first after some rows: a batch of a busy host takes a processor for a tenth of
// a second, and a message would wait until the runtime takes it away, 10 ms.
func giveWay(row int) {
	const after = 64 // about a millisecond
	if row%after == after-1 {
		runtime.Gosched()
	}
}

// addChunks is addTallies with one question to the server for many rows.
func addChunks[T any](ctx context.Context, tx store.Tx, table string, list []T, of func(*T) (*key, Day, Tally)) (fresh []T, err error) {
	for part := range slices.Chunk(list, chunk) {
		var args []any
		for i := range part {
			k, day, t := of(&part[i])
			args = append(args, int64(day), k[:], t.Count, t.First, t.Last)
		}
		const one = `(CAST(? AS BIGINT), CAST(? AS {blob}), CAST(? AS BIGINT), CAST(? AS BIGINT), CAST(? AS BIGINT))`
		values := `(VALUES ` + strings.TrimSuffix(strings.Repeat(one+", ", len(part)), ", ") + `) AS v`
		if err := lock(ctx, tx, table, values, args); err != nil {
			return nil, err
		}
		rows, err := tx.Query(ctx, `UPDATE `+table+` SET count = count + v.column3, first_seen = {least}(first_seen, v.column4), last_seen = {greatest}(last_seen, v.column5)
			FROM `+values+` WHERE day = v.column1 AND tuple = v.column2 RETURNING tuple`, args...)
		if err != nil {
			return nil, err
		}
		known, err := readKeys(rows)
		if err != nil {
			return nil, err
		}
		for i := range part {
			if k, _, _ := of(&part[i]); !known[*k] {
				fresh = append(fresh, part[i])
			}
		}
	}
	return fresh, nil
}

// lock locks the rows in the order of their keys: an UPDATE locks them in any order, and two
// daemons would wait for each other. values and args are those of the UPDATE. A join, since for a list of
// pairs PostgreSQL reads the whole day until it has statistics of it.
func lock(ctx context.Context, tx store.Tx, table, values string, args []any) error {
	rows, err := tx.Query(ctx, `SELECT t.tuple FROM `+values+` JOIN `+table+` t ON t.day = v.column1 AND t.tuple = v.column2
		ORDER BY t.tuple FOR UPDATE OF t`, args...)
	if err != nil {
		return err
	}
	_, err = readKeys(rows)
	return err
}

func readKeys(rows *sql.Rows) (map[key]bool, error) {
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

// isNew notes the batch's number, and says whether it was not written before.
func (b *batch) isNew(ctx context.Context, tx store.Tx) (bool, error) {
	changed, err := tx.Exec(ctx, `INSERT INTO traffic_writers (writer, batch, seen) VALUES (?, ?, ?)
		ON CONFLICT (writer) DO UPDATE SET batch = excluded.batch, seen = excluded.seen WHERE traffic_writers.batch < excluded.batch`,
		b.Writer, b.Number, b.seen())
	return changed > 0, err
}

// seen is the last second that a batch counts.
func (b *batch) seen() (last int64) {
	for i := range b.Rows {
		last = max(last, b.Rows[i].Last)
	}
	for i := range b.Outbound {
		last = max(last, b.Outbound[i].Last)
	}
	return last
}

// chunk is how many rows one statement for PostgreSQL has: each is a question over the network.
const chunk = 100

// insert runs a statement for all rows. values appends the arguments of one.
func insert[T any](ctx context.Context, tx store.Tx, rows []T, into string, columns int, conflict string, values func([]any, *T) []any) error {
	atOnce := 1
	if tx.Shared() {
		atOnce = chunk
	}
	var statement *store.Statement
	var args []any
	written := 0
	for part := range slices.Chunk(rows, atOnce) {
		giveWay(written)
		written += len(part)
		if statement == nil || len(part) < atOnce {
			one := "(" + store.Arguments(columns) + ")"
			list := strings.TrimSuffix(strings.Repeat(one+", ", len(part)), ", ")
			var err error
			if statement, err = tx.Prepare(ctx, into+" VALUES "+list+conflict); err != nil {
				return err
			}
		}
		args = args[:0]
		for i := range part {
			args = values(args, &part[i])
		}
		if _, err := statement.Exec(ctx, args...); err != nil {
			return err
		}
	}
	return nil
}

// writePolicies adds the records of the rows that the database does not have, and notes the day.
func writePolicies(ctx context.Context, tx store.Tx, rows []keyedRow, l *limits) error {
	type record struct {
		id  key
		day Day
		*Policy
	}
	byID := map[key]record{}
	for i := range rows {
		p, day := &rows[i].Policy, rows[i].Day
		if id := p.id(); p.Domain != "" && byID[id].day <= day && !l.hasPolicy(id, day) {
			byID[id] = record{id, day, p}
		}
	}
	var list []record
	for _, r := range byID {
		list = append(list, r)
		l.notePolicy(r.id, r.day)
	}
	slices.SortFunc(list, func(a, b record) int { return bytes.Compare(a.id[:], b.id[:]) })
	return insert(ctx, tx, list, `INSERT INTO traffic_policies (id, domain, p, sp, np, adkim, aspf, fo, testing, psd, method, rua, flaws, seen)`, 14,
		` ON CONFLICT (id) DO UPDATE SET seen = excluded.seen WHERE traffic_policies.seen < excluded.seen`,
		func(args []any, r *record) []any {
			return append(args, r.id[:], r.Domain, r.P, r.SP, r.NP, r.ADKIM, r.ASPF, r.FO, number(r.Testing), r.PSD, r.Method, clean(r.RUA), clean(r.Flaws), int64(r.day))
		})
}

// adding is the end of a statement that adds to the rows that are there.
func adding(table string) string {
	return ` ON CONFLICT (day, tuple) DO UPDATE SET count = ` + table + `.count + excluded.count,
		first_seen = {least}(` + table + `.first_seen, excluded.first_seen), last_seen = {greatest}(` + table + `.last_seen, excluded.last_seen)`
}

// rowColumns are those of a row, in the order of rowValues.
const rowColumns = `day, tuple, policy, result, header_from, envelope_from, source, host, dkim, spf_domain, spf_scope, spf_result,
	dkim_aligned, spf_aligned, requested, disposition, reasons, action, would, rule, route, sealers, accept_dmarc, forwarder,
	optional, folded, count, first_seen, last_seen`

func writeRows(ctx context.Context, tx store.Tx, rows []keyedRow) error {
	return insert(ctx, tx, rows, `INSERT INTO traffic (`+rowColumns+`)`, 29, adding("traffic"), func(args []any, r *keyedRow) []any {
		policy, source := r.Policy.id(), ""
		if r.Source.IsValid() {
			source = r.Source.String()
		}
		return append(args, int64(r.Day), r.Key[:], policy[:], r.Result, clean(r.HeaderFrom), clean(r.EnvelopeFrom), source, clean(r.Host), signaturesText(r.DKIM),
			clean(r.SPFDomain), r.SPFScope, r.SPFResult, number(r.DKIMAligned), number(r.SPFAligned), r.Requested, r.Disposition, reasonsText(r.Reasons),
			r.Action, r.Would, r.Rule, r.Route, clean(r.Sealers), number(r.AcceptDMARC), clean(r.Forwarder),
			number(r.Optional), number(r.Folded), r.Count, r.First, r.Last)
	})
}

func writeOutbound(ctx context.Context, tx store.Tx, rows []keyedOutbound) error {
	return insert(ctx, tx, rows, `INSERT INTO traffic_outbound (day, tuple, author, entry, signatures, unsigned, folded, count, first_seen, last_seen)`, 10,
		adding("traffic_outbound"), func(args []any, o *keyedOutbound) []any {
			return append(args, int64(o.Day), o.Key[:], clean(o.Author), clean(o.Entry), clean(o.Signatures), clean(o.Unsigned), number(o.Folded), o.Count, o.First, o.Last)
		})
}

func number(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

// clean is a text as both databases take it: PostgreSQL refuses NUL and what is not UTF-8.
func clean(text string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(text, "\uFFFD"), "\x00", "\uFFFD")
}

// signaturesText is "domain selector result", one a line. The parts have no blanks.
func signaturesText(list []Signature) string {
	var b strings.Builder
	for i, s := range list {
		if i > 0 {
			b.WriteByte('\n')
		}
		b.WriteString(s.Domain + " " + s.Selector + " " + s.Result)
	}
	return clean(b.String())
}

func readSignatures(text string) []Signature {
	var list []Signature
	for line := range strings.SplitSeq(text, "\n") {
		if f := strings.Split(line, " "); len(f) == 3 {
			list = append(list, Signature{f[0], f[1], f[2]})
		}
	}
	return list
}

// reasonsText is "type comment", one a line.
func reasonsText(list []Reason) string {
	var b strings.Builder
	for i, r := range list {
		if i > 0 {
			b.WriteByte('\n')
		}
		b.WriteString(strings.TrimSpace(r.Type + " " + strings.Join(strings.Fields(r.Comment), " ")))
	}
	return clean(b.String())
}

func readReasons(text string) []Reason {
	var list []Reason
	for line := range strings.SplitSeq(text, "\n") {
		if line != "" {
			kind, comment, _ := strings.Cut(line, " ")
			list = append(list, Reason{kind, comment})
		}
	}
	return list
}
