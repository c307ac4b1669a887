package traffic

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"

	"signpost/internal/reports/store/storetest"
)

// Daemons of one database whose messages are folded for the most part: in memory, and again where a day
// is full. Policies are new and known, and so are rows. PostgreSQL ends a transaction where two wait for each other, so
// there must be no such pair.
func TestDaemonsDoNotWaitForEachOther(t *testing.T) {
	if testing.Short() {
		t.Skip("it writes for seconds")
	}
	a := storetest.Postgres(t)
	const daemons, batches, messages = 3, 50, 400
	var wait sync.WaitGroup
	for n := range daemons {
		d := &daemon{db: storetest.Open(t, a), writer: fmt.Sprint("daemon", n)}
		d.limits.most.policy, d.limits.most.day, d.limits.most.recount = 5, 300, 50
		wait.Go(func() {
			random := rand.New(rand.NewPCG(1, uint64(n)))
			for range batches {
				b := d.batch(foldedFlood(random, messages)...)
				for range messages / 10 {
					o := Outbound{Day: DayOf(timeOfTests), Author: fmt.Sprintf("a%d.example", random.IntN(500)), Tally: Tally{1, 1, 1}}
					b.Outbound = append(b.Outbound, keyedOutbound{o.appendTo(nil).key(), &o})
				}
				b.sort()
				merged := freshRows{outbound: b.Outbound}
				merged.merge()
				b.Outbound = merged.outbound
				if _, err := b.write(t.Context(), d.db, &d.limits, all); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wait.Wait()
	if n := total(allRows(t, a, Filter{})); n != daemons*batches*messages {
		t.Errorf("%d messages, want %d", n, daemons*batches*messages)
	}
	db := storetest.Open(t, a)
	var ended int
	if err := db.QueryRow(t.Context(), `SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()`).Scan(&ended); err != nil || ended != 0 {
		t.Errorf("%d transactions were ended for a deadlock; %v", ended, err)
	}
}

// foldedFlood are rows of a batch, one for each tuple, of this many messages.
func foldedFlood(random *rand.Rand, messages int) (rows []Row) {
	index := map[key]int{}
	for range messages {
		r := aRow(fmt.Sprintf("192.0.2.%d", random.IntN(200)))
		r.Policy.Domain = fmt.Sprintf("n%d.example", random.IntN(30))
		r.Policy.RUA = fmt.Sprintf("mailto:r%d@a.example", random.IntN(20))
		r.Rule = fmt.Sprintf("rule %d", random.IntN(20))
		if random.IntN(2) == 0 {
			r = r.folded(random.IntN(2) == 0)
		}
		k := r.appendTo(nil).key()
		if i, is := index[k]; is {
			rows[i].Tally = rows[i].plus(r.Tally)
			continue
		}
		index[k] = len(rows)
		rows = append(rows, r)
	}
	return rows
}
