package traffic

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"syscall"
	"testing"
	"time"

	"signpost/internal/reports/store"
	"signpost/internal/reports/store/storetest"
)

// What a message costs that is counted: a tuple that is known, and one that is new. Beside it:
// BenchmarkVerify in internal/daemon is the whole message.
func BenchmarkCount(b *testing.B) {
	d := inbound{header: plainFrom, ip: "192.0.2.10", sender: "a@author.example", signed: []string{"author.example"}}.decided(b)
	b.Run("known", func(b *testing.B) {
		var p pending
		b.ReportAllocs()
		for b.Loop() {
			p.add(&d, testTime, nil)
		}
	})
	b.Run("new", func(b *testing.B) {
		var p pending
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			d.Envelope.ClientAddr = netip.AddrFrom4([4]byte{byte(i >> 24), byte(i >> 16), byte(i >> 8), byte(i)})
			p.add(&d, testTime, nil)
			if len(p.rows) >= flushRows {
				p.take()
			}
		}
	})
}

// A day of a million messages from 20,000 sources takes less than 100 MB, with its log.
func TestADayOfAMillionMessages(t *testing.T) {
	if testing.Short() {
		t.Skip("it writes 77,000 rows")
	}
	a := storetest.SQLite(t)
	r, l := newRecorder(t, a)
	const messages, sources = 1_000_000, 20_000
	random := rand.New(rand.NewPCG(1, 2))
	for i := range messages {
		// One source after the other: the rows are the same, and each is written once.
		if r.count(ofManySources(random, i*sources/messages)) {
			r.Flush()
		}
	}
	r.Close()
	var octets int64
	for _, suffix := range []string{"", "-wal"} {
		if info, err := os.Stat(a.Path() + suffix); err == nil {
			octets += info.Size()
		}
	}
	db, err := store.OpenExisting(t.Context(), a)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var rows, counted int64
	if err := db.QueryRow(t.Context(), `SELECT count(*), sum(count) FROM traffic`).Scan(&rows, &counted); err != nil {
		t.Fatal(err)
	}
	t.Logf("%d messages, %d rows, %.1f MB, %d octets a row", counted, rows, float64(octets)/1e6, octets/rows)
	if counted != messages || octets > 100e6 || octets/rows > rowSize {
		t.Errorf("%d messages of %d in %d octets, %d for each row\n%s", counted, messages, octets, octets/rows, l)
	}
}

// ofManySources is a message as a busy host gets them: a source sends for a few domains, mostly
// aligned, with one or two signatures.
func ofManySources(random *rand.Rand, source int) Row {
	domain := fmt.Sprintf("domain-%d.example", (source*7+random.IntN(3))%9000)
	now := time.Now()
	r := Row{
		Day: DayOf(now), Result: "pass", HeaderFrom: domain, EnvelopeFrom: "bounce." + domain, Source: netip.AddrFrom4([4]byte{10, byte(source >> 16), byte(source >> 8), byte(source)}),
		Policy:    Policy{Domain: domain, P: "reject", ADKIM: "r", ASPF: "r", FO: "0", PSD: "u", Method: "treewalk", RUA: "mailto:dmarc-reports@" + domain},
		DKIM:      []Signature{{domain, "selector1", "pass"}, {"mail-service.example", "s2026", "pass"}},
		SPFDomain: "bounce." + domain, SPFScope: "mfrom", SPFResult: "pass", DKIMAligned: true, SPFAligned: true, Requested: "reject", Disposition: "pass",
		Action: "accept", Tally: Tally{1, now.Unix(), now.Unix()},
	}
	if random.IntN(50) == 0 {
		r.Result, r.DKIM, r.DKIMAligned, r.SPFAligned, r.Disposition, r.Would, r.Rule, r.Host = "fail", nil, false, false, "none", "reject", "verifier.dmarc", fmt.Sprintf("host-%d.isp.example", source)
		r.Reasons = []Reason{{"local_policy", "no policy is enforced here"}}
	}
	return r
}

// BenchmarkWriter is what a message costs the processor in all, with its part of the database:
// cpu-ns/msg. Messages have one of 25,000 tuples, in random order. First all are new, then all are known.
func BenchmarkWriter(b *testing.B) {
	const tuples, second = 25_000, 7_500 // messages in a second
	random := rand.New(rand.NewPCG(1, 2))
	rows := make([]Row, tuples)
	for i := range rows {
		rows[i] = ofManySources(random, i)
	}
	random.Shuffle(tuples, func(i, j int) { rows[i], rows[j] = rows[j], rows[i] })
	count := func(r *Recorder, row func(i int) *Row) {
		s := &scratch{}
		for i := range tuples {
			if r.pending.addRow(row(i), s) || i%second == 0 {
				r.Flush()
			}
		}
		r.Flush()
	}
	inOrder := func(i int) *Row { return &rows[i] }
	atRandom := func(int) *Row { return &rows[random.IntN(tuples)] }
	b.Run("new", func(b *testing.B) {
		var spent int64
		for b.Loop() {
			r, l := newRecorder(b, storetest.SQLite(b))
			before := cpuTime(b)
			count(r, inOrder)
			spent += cpuTime(b) - before
			if n := r.Counts.Stored.Load(); n != tuples {
				b.Fatalf("%d messages are stored\n%s", n, l)
			}
			r.Close()
		}
		b.ReportMetric(float64(spent)/float64(b.N*tuples), "cpu-ns/msg")
	})
	b.Run("known", func(b *testing.B) {
		r, l := newRecorder(b, storetest.SQLite(b))
		count(r, inOrder)
		before := cpuTime(b)
		for b.Loop() {
			count(r, atRandom)
		}
		b.ReportMetric(float64(cpuTime(b)-before)/float64(b.N*tuples), "cpu-ns/msg")
		if n := r.Counts.Stored.Load(); n != int64(b.N+1)*tuples {
			b.Fatalf("%d messages are stored\n%s", n, l)
		}
	})
}

// cpuTime is the processor's time that this process has taken, in nanoseconds.
func cpuTime(b *testing.B) int64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return u.Utime.Nano() + u.Stime.Nano()
}
