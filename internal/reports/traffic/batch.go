package traffic

import (
	"bytes"
	"context"
	"encoding/binary"
	"runtime"
	"slices"
	"strings"

	"signpost/internal/reports/store"
)

// batch is counters on their way into the database. Its rows have a fixed order, Rows before Outbound, and are numbered: those
// before it of the same Writer are the first Number ones. The database notes the number of rows that it
// has of a writer, in the transaction that adds them. So a batch may be written in parts, and each row counts once,
// although a commit was not confirmed.
type batch struct {
	Writer   []byte
	Number   int64
	Rows     []*counter
	Outbound []keyedOutbound

	done int // rows that were written, as far as this process knows

	former *formerBatch // nil: of a version that numbers rows
}

// formerBatch is the identity of a batch of a version that numbered batches, from 1, and wrote each whole.
type formerBatch struct {
	writer []byte
	number int64
}

// renumber gives a batch of such a version a writer of its own, since its number says nothing about rows.
func (b *batch) renumber() {
	b.former = &formerBatch{b.Writer, b.Number}
	b.Writer, b.Number = binary.BigEndian.AppendUint64(slices.Clone(b.Writer), uint64(b.Number)), 0
}

// isWritten says that the database has the batch from that version.
func (f *formerBatch) isWritten(ctx context.Context, tx store.Tx) (bool, error) {
	var n int
	err := tx.QueryRow(ctx, `SELECT count(*) FROM traffic_writers WHERE writer = ? AND batch >= ?`, f.writer, f.number).Scan(&n)
	return n > 0, err
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

func (b *batch) size() int { return len(b.Rows) + len(b.Outbound) }

func (b *batch) isWritten() bool { return b.done == b.size() }

// part returns a range of the rows.
func (b *batch) part(from, to int) (rows []*counter, outbound []keyedOutbound) {
	n := len(b.Rows)
	return b.Rows[min(from, n):min(to, n)], b.Outbound[max(from-n, 0):max(to-n, 0)]
}

// messages is how many messages the rows count that are not yet written.
func (b *batch) messages() int64 { return b.messagesOf(b.done, b.size()) }

func (b *batch) messagesOf(from, to int) (n int64) {
	rows, outbound := b.part(from, to)
	for i := range rows {
		n += rows[i].Count
	}
	for i := range outbound {
		n += outbound[i].Count
	}
	return n
}

// newBatch orders the tuples by their keys.
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

// write adds the next rows of a batch to the database in one transaction, at most this many. It uses and updates l. An
// error resets l. folded is the number of messages whose details were left out.
func (b *batch) write(ctx context.Context, db *store.DB, l *limits, most int) (folded int64, err error) {
	again := false
	defer func() {
		if err != nil {
			l.forget()
		}
	}()
	done := b.done
	err = db.WriteAgain(ctx, func(tx store.Tx) error {
		if again {
			l.forget()
		}
		again = true
		before, err := b.written(ctx, tx)
		if err != nil {
			return err
		}
		done, folded = min(before+most, b.size()), 0
		if done == before {
			return nil
		}
		rows, outbound := b.part(before, done)
		if tx.Shared() {
			folded, err = writeShared(ctx, tx, l, rows, outbound)
		} else {
			folded, err = writeAlone(ctx, tx, l, rows, outbound)
		}
		if err != nil {
			return err
		}
		_, err = tx.Exec(ctx, `UPDATE traffic_writers SET batch = ? WHERE writer = ?`, b.Number+int64(done), b.Writer)
		return err
	})
	if err == nil {
		b.done = done
	}
	return folded, err
}

// written is how many rows of the batch the database has. It locks the writer's row: a transaction that
// was not confirmed may still be under way.
func (b *batch) written(ctx context.Context, tx store.Tx) (int, error) {
	var written int64
	err := tx.QueryRow(ctx, `INSERT INTO traffic_writers (writer, batch, seen) VALUES (?, ?, ?)
		ON CONFLICT (writer) DO UPDATE SET seen = {greatest}(traffic_writers.seen, excluded.seen) RETURNING batch`,
		b.Writer, b.Number, b.seen()).Scan(&written)
	if err == nil && b.former != nil {
		if is, err := b.former.isWritten(ctx, tx); err != nil || is {
			return b.size(), err
		}
	}
	return int(min(max(written-b.Number, 0), int64(b.size()))), err
}

// writeAlone is for SQLite, which has one writer at a time. It adds to the rows that the database has, which is nearly all of
// them, and inserts the others.
func writeAlone(ctx context.Context, tx store.Tx, l *limits, rows []*counter, outbound []keyedOutbound) (folded int64, err error) {
	counters, err := addTallies(ctx, tx, "traffic", rows, func(c **counter) (*key, Day, Tally) { return &(*c).key, (*c).day, (*c).Tally })
	if err != nil {
		return 0, err
	}
	fresh := &freshRows{judged: keyed(counters)}
	fresh.outbound, err = addTallies(ctx, tx, "traffic_outbound", outbound, func(o *keyedOutbound) (*key, Day, Tally) { return &o.Key, o.Day, o.Tally })
	if err != nil {
		return 0, err
	}
	if folded, err = l.apply(ctx, tx, fresh); err != nil {
		return 0, err
	}
	if err := writePolicies(ctx, tx, fresh.judged, l); err != nil {
		return 0, err
	}
	if err := insert(ctx, tx, fresh.judged, intoTraffic, rowColumnCount, adding("traffic"), rowValues); err != nil {
		return 0, err
	}
	return folded, insert(ctx, tx, fresh.outbound, intoOutbound, outboundColumnCount, adding("traffic_outbound"), outboundValues)
}

func keyed(counters []*counter) []keyedRow {
	rows := make([]keyedRow, 0, len(counters))
	for _, c := range counters {
		rows = append(rows, keyedRow{c.key, c.row()})
	}
	return rows
}

// addTallies adds to the rows that are there, and returns the others.
func addTallies[T any](ctx context.Context, tx store.Tx, table string, list []T, of func(*T) (*key, Day, Tally)) (fresh []T, err error) {
	if len(list) == 0 {
		return nil, nil
	}
	// A statement for one row needs no journal of its own, by which SQLite could undo half of it.
	update, err := tx.Prepare(ctx, `UPDATE `+table+` SET count = count + ?, first_seen = {least}(first_seen, ?), last_seen = {greatest}(last_seen, ?)
		WHERE day = ? AND tuple = ?`)
	if err != nil {
		return nil, err
	}
	for i := range list {
		letOthersRun(i)
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

// letOthersRun lets other goroutines go first after some rows: a batch of a busy host takes a processor for a tenth
// of a second, and a message would wait until the runtime takes it away, 10 ms. That is no pause as in package giveway,
// which leaves the processor to other processes too.
func letOthersRun(row int) {
	const after = 64 // about a millisecond
	if row%after == after-1 {
		runtime.Gosched()
	}
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
		letOthersRun(written)
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

// rowColumns are those of rowValues.
const rowColumns = `day, tuple, policy, result, header_from, envelope_from, source, host, dkim, spf_domain, spf_scope, spf_result,
	dkim_aligned, spf_aligned, requested, disposition, reasons, action, would, rule, route, sealers, accept_dmarc, forwarder,
	optional, folded, count, first_seen, last_seen`

const (
	intoTraffic         = `INSERT INTO traffic (` + rowColumns + `)`
	rowColumnCount      = 29
	intoOutbound        = `INSERT INTO traffic_outbound (day, tuple, author, entry, signatures, unsigned, folded, count, first_seen, last_seen)`
	outboundColumnCount = 10
)

func rowValues(args []any, r *keyedRow) []any {
	policy, source := r.Policy.id(), ""
	if r.Source.IsValid() {
		source = r.Source.String()
	}
	return append(args, int64(r.Day), r.Key[:], policy[:], r.Result, clean(r.HeaderFrom), clean(r.EnvelopeFrom), source, clean(r.Host), signaturesText(r.DKIM),
		clean(r.SPFDomain), r.SPFScope, r.SPFResult, number(r.DKIMAligned), number(r.SPFAligned), r.Requested, r.Disposition, reasonsText(r.Reasons),
		r.Action, r.Would, r.Rule, r.Route, clean(r.Sealers), number(r.AcceptDMARC), clean(r.Forwarder),
		number(r.Optional), number(r.Folded), r.Count, r.First, r.Last)
}

func outboundValues(args []any, o *keyedOutbound) []any {
	return append(args, int64(o.Day), o.Key[:], clean(o.Author), clean(o.Entry), clean(o.Signatures), clean(o.Unsigned), number(o.Folded), o.Count, o.First, o.Last)
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
