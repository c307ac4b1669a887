package traffic

import (
	"fmt"
	"testing"

	"signpost/internal/reports/store"
	"signpost/internal/reports/store/storetest"
)

// all is more rows than a batch has.
const all = 1 << 20

// daemon writes batches as one does.
type daemon struct {
	db      *store.DB
	writer  string
	limits  limits
	batches int64
}

func (d *daemon) batch(rows ...Row) *batch {
	d.batches++
	b := &batch{Writer: []byte(d.writer), Number: d.batches * all}
	for _, r := range rows {
		b.Rows = append(b.Rows, counterOf(&r))
	}
	b.sort()
	return b
}

func (d *daemon) write(t *testing.T, rows ...Row) {
	t.Helper()
	if _, err := d.batch(rows...).write(t.Context(), d.db, &d.limits, all); err != nil {
		t.Fatal(err)
	}
}

// sources are n rows that differ in their source.
func sources(network string, n int) (rows []Row) {
	for i := range n {
		rows = append(rows, aRow(fmt.Sprintf("%s.%d", network, i)))
	}
	return rows
}

// inDetail counts rows that are not folded, and the messages of all.
func inDetail(t *testing.T, a store.Address) (details int, messages int64) {
	t.Helper()
	list := allRows(t, a, Filter{})
	for _, r := range list {
		if !r.Folded {
			details++
		}
	}
	return details, total(list)
}

// The rows of others are counted, too, after some rows of this daemon.
func TestRowsOfAnotherDaemonTakeRoom(t *testing.T) {
	storetest.Each(t, func(t *testing.T, a store.Address) {
		db := storetest.Open(t, a)
		one, two := &daemon{db: db, writer: "one"}, &daemon{db: db, writer: "two"}
		one.limits.most.day, one.limits.most.policy, one.limits.most.recount = 60, 60, 20
		one.write(t, sources("192.0.2", 20)...)
		two.write(t, sources("198.51.100", 30)...)
		one.write(t, sources("203.0.113", 20)...)
		if details, messages := inDetail(t, a); details != 60 || messages != 70 {
			t.Errorf("%d rows with details and %d messages, want 60 and 70", details, messages)
		}
	})
}

// A day that was deleted has room again, up to its limit.
func TestADeletedDayHasRoomAgain(t *testing.T) {
	storetest.Each(t, func(t *testing.T, a store.Address) {
		d := &daemon{db: storetest.Open(t, a), writer: "one"}
		d.limits.most.day, d.limits.most.policy, d.limits.most.recount = 20, 20, 5
		for range 2 {
			for range 2 { // the second time, all are known
				for _, n := range []int{7, 14, 25} {
					d.write(t, sources("192.0.2", n)...)
				}
			}
			if details, messages := inDetail(t, a); details != 20 || messages != 2*(7+14+25) {
				t.Errorf("%d rows with details and %d messages, want 20 and 92", details, messages)
			}
			if err := deleteDay(t.Context(), d.db, DayOf(timeOfTests)); err != nil {
				t.Fatal(err)
			}
			d.limits.forget()
		}
	})
}

// A domain may publish another record for each message. Its folded rows stay few, and so do the policies.
func TestChangingRecordsDoNotFillADay(t *testing.T) {
	storetest.Each(t, func(t *testing.T, a store.Address) {
		one, two := &daemon{db: storetest.Open(t, a), writer: "one"}, &daemon{writer: "two"}
		two.db = one.db
		const messages = 2 * maxFoldedPolicies
		var rows []Row
		for i := range messages {
			r := aRow("192.0.2.1")
			r.Policy.RUA = fmt.Sprintf("mailto:r%d@a.example", i)
			rows = append(rows, r)
		}
		for _, d := range []*daemon{one, two} { // the second daemon counts what the first has written
			d.limits.most.policy = 1
			d.write(t, rows[:messages/2]...)
			d.write(t, rows[messages/2:]...)
			if got := allRows(t, a, Filter{}); len(got) > maxFoldedPolicies+2 || total(got) != messages*(1+int64(two.batches)/2) {
				t.Errorf("%d rows of %d messages", len(got), total(got))
			}
		}
	})
}

// Messages of ours that were folded in memory are not folded once more.
func TestAFoldedMessageOfOursIsFoldedOnce(t *testing.T) {
	d := &daemon{db: storetest.Open(t, storetest.SQLite(t)), writer: "one"}
	d.limits.most.outbound = 1
	write := func(want int64, list ...Outbound) {
		t.Helper()
		b := d.batch()
		for _, o := range list {
			o.Day, o.First, o.Last = 20000, 1, 1
			b.Outbound = append(b.Outbound, keyedOutbound{o.appendTo(nil).key(), &o})
		}
		b.sort()
		if folded, err := b.write(t.Context(), d.db, &d.limits, all); err != nil || folded != want {
			t.Errorf("%d folded, want %d; %v", folded, want, err)
		}
	}
	write(0, Outbound{Author: "a.example", Tally: Tally{Count: 1}})
	write(2, Outbound{Author: "b.example", Tally: Tally{Count: 2}}, Outbound{Folded: true, Tally: Tally{Count: 4}})
}

// policyOf is the policy that the database has for a row, and the day on which it was seen last.
func policyOf(t *testing.T, db *store.DB, r Row) (n int, seen Day) {
	t.Helper()
	id := r.Policy.id()
	err := db.QueryRow(t.Context(), `SELECT count(*), coalesce(max(seen), 0) FROM traffic_policies WHERE id = ?`, id[:]).Scan(&n, &seen)
	if err != nil {
		t.Fatal(err)
	}
	return n, seen
}

func TestAPolicyIsSeenOnItsLastDay(t *testing.T) {
	storetest.Each(t, func(t *testing.T, a store.Address) {
		d := &daemon{db: storetest.Open(t, a), writer: "one"}
		today := DayOf(timeOfTests)
		for _, c := range []struct{ day, want Day }{{today, today}, {today + 1, today + 1}, {today, today + 1}, {today + 2, today + 2}, {today + 2, today + 2}} {
			r := aRow("192.0.2.1")
			r.Day, r.Host = c.day, fmt.Sprint(d.batches)
			d.write(t, r)
			if n, seen := policyOf(t, d.db, r); n != 1 || seen != c.want {
				t.Errorf("after a row of %s: %d policies, seen on %s, want %s", c.day, n, seen, c.want)
			}
		}
	})
}

func TestAPolicyThatWasPrunedIsWrittenAgain(t *testing.T) {
	storetest.Each(t, func(t *testing.T, a store.Address) {
		d := &daemon{db: storetest.Open(t, a), writer: "one"}
		today := DayOf(timeOfTests)
		old, new := aRow("192.0.2.1"), aRow("192.0.2.2")
		old.Day, old.Policy.Domain = today-3, "old.example"
		d.write(t, old)
		d.write(t, new)
		if _, err := prune(t.Context(), d.db, today, 2, 1<<30); err != nil {
			t.Fatal(err)
		}
		if n, _ := policyOf(t, d.db, old); n != 0 {
			t.Fatal("the policy was not pruned")
		}
		d.write(t, old) // before the writer hears of the pruning
		if n, _ := policyOf(t, d.db, old); n != 1 {
			t.Error("a row of an earlier day has no policy")
		}
		if _, err := d.db.Exec(t.Context(), `DELETE FROM traffic_policies`); err != nil {
			t.Fatal(err)
		}
		d.limits.forget()
		new.Host = "another.example"
		d.write(t, new)
		if n, _ := policyOf(t, d.db, new); n != 1 {
			t.Error("after it was forgotten, the policy is not written")
		}
	})
}

// What a transaction has written that was rolled back is not known.
func TestARolledBackBatchLeavesNoMark(t *testing.T) {
	storetest.Each(t, func(t *testing.T, a store.Address) {
		d := &daemon{db: storetest.Open(t, a), writer: "one"}
		d.limits.most.policy = 2
		r := aRow("192.0.2.1")
		d.write(t, r)
		// Its second row with this host cannot be inserted, after its policy was.
		if _, err := d.db.Exec(t.Context(), `CREATE UNIQUE INDEX one_row_of_a_host ON traffic (host)`); err != nil {
			t.Fatal(err)
		}
		next := aRow("192.0.2.2")
		next.Policy.Domain = "next.example"
		b := d.batch(r, next)
		if _, err := b.write(t.Context(), d.db, &d.limits, all); err == nil {
			t.Fatal("the batch is written")
		}
		if n, _ := policyOf(t, d.db, next); n != 0 {
			t.Fatal("the policy is there")
		}
		if _, err := d.db.Exec(t.Context(), `DROP INDEX one_row_of_a_host`); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if folded, err := b.write(t.Context(), d.db, &d.limits, all); err != nil || folded != 0 {
				t.Errorf("%d folded, %v", folded, err)
			}
		}
		if n, _ := policyOf(t, d.db, next); n != 1 {
			t.Error("the policy is not there")
		}
		if details, messages := inDetail(t, a); details != 2 || messages != 3 {
			t.Errorf("%d rows with details and %d messages, want 2 and 3", details, messages)
		}
	})
}

// A batch that is written again has the counts of the first time, also where rows were joined.
func TestWritingChangesNoBatch(t *testing.T) {
	storetest.Each(t, func(t *testing.T, a store.Address) {
		d := &daemon{db: storetest.Open(t, a), writer: "one"}
		d.limits.most.day, d.limits.most.policy = 1, 1
		b := d.batch(append(sources("192.0.2", 10), aRow("192.0.2.1").folded(false))...)
		if _, err := b.write(t.Context(), d.db, &d.limits, all); err != nil {
			t.Fatal(err)
		}
		if n := b.messagesOf(0, b.size()); n != 11 {
			t.Errorf("the batch has %d messages, had 11", n)
		}
		for _, c := range b.Rows {
			if c.Count != 1 || c.key != c.row().appendTo(nil).key() {
				t.Errorf("a row has become %+v", c.row())
			}
		}
		if details, messages := inDetail(t, a); details > 2 || messages != 11 {
			t.Errorf("%d rows with details and %d messages", details, messages)
		}
	})
}

func TestKnownPoliciesAreBounded(t *testing.T) {
	var l limits
	for i := range 3 * maxKnownPolicies {
		k := key{byte(i), byte(i >> 8), byte(i >> 16)}
		l.notePolicy(k, 100)
		l.notePolicy(k, 99)
		if !l.hasPolicy(k, 100) || l.hasPolicy(k, 99) || l.hasPolicy(k, 101) || len(l.policies) > maxKnownPolicies {
			t.Fatalf("after %d policies, %d are known", i+1, len(l.policies))
		}
	}
	l.notePolicy(key{1}, 101)
	if len(l.policies) != 1 {
		t.Errorf("%d policies of a new day are known", len(l.policies))
	}
}

// Rows are locked before an UPDATE takes them in an order of its own; others stay free.
func TestLockLocksTheRowsOfABatch(t *testing.T) {
	a := storetest.Postgres(t)
	d := &daemon{db: storetest.Open(t, a), writer: "one"}
	all := sources("192.0.2", 3)
	d.write(t, all...)
	var free int
	err := d.db.Write(t.Context(), func(first store.Tx) error {
		var args []any
		for _, r := range all[:2] {
			k := counterOf(&r).key
			args = append(args, int64(r.Day), k[:])
		}
		const values = `(VALUES (CAST(? AS BIGINT), CAST(? AS {blob})), (CAST(? AS BIGINT), CAST(? AS {blob}))) AS v`
		if err := lock(t.Context(), first, "traffic", values, args); err != nil {
			return err
		}
		return d.db.Write(t.Context(), func(second store.Tx) error {
			return second.QueryRow(t.Context(), `SELECT count(*) FROM (SELECT tuple FROM traffic {skip locked}) AS free`).Scan(&free)
		})
	})
	if err != nil || free != 1 {
		t.Errorf("%d rows are free, want 1 of 3; %v", free, err)
	}
}
