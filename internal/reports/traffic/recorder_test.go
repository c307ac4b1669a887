package traffic

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"signpost/internal/message"
	"signpost/internal/reports/store"
	"signpost/internal/reports/store/storetest"
	"signpost/milter"
)

func TestMain(m *testing.M) { storetest.Main(m) }

// logged is a log that a test reads.
type logged struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// timeOfTests is the time of the rows of the tests. The day does not end while they run.
var timeOfTests = time.Now()

// newRecorder returns a recorder with the database in use, closed with the test.
func newRecorder(t testing.TB, a store.Address) (*Recorder, *logged) {
	t.Helper()
	l := &logged{}
	r := NewRecorder(slog.New(slog.NewTextHandler(l, nil)), time.Now)
	t.Cleanup(r.Close)
	r.Use(Config{Database: a, Spool: filepath.Join(t.TempDir(), "spool"), Keep: 90, MaxSize: 1 << 30})
	return r, l
}

// count adds rows as messages do. full says that they should be written.
func (r *Recorder) count(rows ...Row) (full bool) {
	for _, row := range rows {
		s := scratches.Get().(*scratch)
		full = r.pending.addRow(&row, s)
		scratches.Put(s)
	}
	return full
}

func aRow(source string) Row {
	now := timeOfTests.Unix()
	return Row{
		Day: DayOf(timeOfTests), Result: "fail", HeaderFrom: "a.example", EnvelopeFrom: "b.example", Source: netip.MustParseAddr(source), Host: "mx.b.example",
		Policy:    Policy{Domain: "a.example", P: "reject", SP: "none", ADKIM: "r", ASPF: "s", FO: "1", Testing: true, PSD: "u", Method: "treewalk", RUA: "mailto:r@a.example mailto:s@a.example"},
		DKIM:      []Signature{{"b.example", "s1", "pass"}, {"a.example", "s2", "fail"}},
		SPFDomain: "b.example", SPFScope: "mfrom", SPFResult: "pass", SPFAligned: true, Requested: "reject", Disposition: "none",
		Reasons: []Reason{{"local_policy", "no policy is enforced here"}, {"policy_test_mode", ""}}, Action: "accept", Would: "reject", Rule: "verifier.dmarc",
		Route: "list", Sealers: "c.example d.example", AcceptDMARC: true, Forwarder: "lists", Optional: true, Tally: Tally{1, now, now},
	}
}

func allRows(t testing.TB, a store.Address, f Filter) []Row {
	t.Helper()
	db, err := store.OpenExisting(context.Background(), a)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if f.To == 0 {
		f.To = 1 << 40
	}
	var list []Row
	for r, err := range Rows(context.Background(), db, f) {
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, r)
	}
	return list
}

func total(rows []Row) (n int64) {
	for _, r := range rows {
		n += r.Count
	}
	return n
}

func TestARowIsReadAsItWasCounted(t *testing.T) {
	storetest.Each(t, func(t *testing.T, a store.Address) {
		r, _ := newRecorder(t, a)
		want, other := aRow("192.0.2.1"), aRow("2001:db8::1")
		other.Policy, other.DKIM, other.Reasons, other.Optional, other.Folded, other.AcceptDMARC = Policy{}, nil, nil, false, true, false
		later := want
		later.Tally = Tally{2, want.First + 5, want.First + 9}
		r.count(want, other)
		r.Flush()
		r.count(later, want)
		r.Flush()
		want.Tally = Tally{4, want.First, want.First + 9}
		got := allRows(t, a, Filter{})
		if len(got) != 2 || !slices.ContainsFunc(got, func(r Row) bool { return reflect.DeepEqual(r, want) }) || !slices.ContainsFunc(got, func(r Row) bool { return reflect.DeepEqual(r, other) }) {
			t.Errorf("the rows are\n%+v, want\n%+v and\n%+v", got, want, other)
		}
	})
}

func TestForeignTextIsStored(t *testing.T) {
	storetest.Each(t, func(t *testing.T, a store.Address) {
		r, l := newRecorder(t, a)
		row := aRow("192.0.2.1")
		row.Host, row.Policy.RUA = "a\x00b\xff", "mailto:\x00\xfe"
		row.DKIM[0].Selector, row.Reasons[0].Comment = "s\xff", "a\nlocal_policy b\x00"
		r.count(row)
		r.Flush()
		got := allRows(t, a, Filter{})
		if len(got) != 1 || got[0].Host != "a\uFFFDb\uFFFD" || len(got[0].Reasons) != 2 {
			t.Errorf("the rows are %+v\n%s", got, l)
		}
	})
}

func TestEachKindOfTupleIsItsOwnRow(t *testing.T) {
	seen := map[key]string{}
	for i := range reflect.TypeFor[Row]().NumField() {
		r := aRow("192.0.2.1")
		name := reflect.TypeFor[Row]().Field(i).Name
		switch f := reflect.ValueOf(&r).Elem().Field(i); {
		case name == "Tally":
			continue
		case f.Kind() == reflect.String:
			f.SetString(f.String() + "x")
		case f.Kind() == reflect.Bool:
			f.SetBool(!f.Bool())
		case name == "Policy":
			r.Policy.RUA += "x"
		case name == "Day":
			r.Day++
		case name == "Source":
			r.Source = netip.MustParseAddr("::ffff:192.0.2.1")
		case name == "DKIM":
			r.DKIM[1].Result = "pass"
		case name == "Reasons":
			r.Reasons = r.Reasons[:1]
		default:
			t.Fatalf("what of %s?", name)
		}
		k := r.appendTo(nil).key()
		if before, twice := seen[k]; twice {
			t.Errorf("%s and %s have the same key", name, before)
		}
		seen[k] = name
	}
	usual := aRow("192.0.2.1")
	if name, is := seen[usual.appendTo(nil).key()]; is {
		t.Errorf("a change of %s is not seen", name)
	}
}

func TestEachKindOfPolicyIsItsOwn(t *testing.T) {
	seen := map[key]string{(&Policy{Domain: "a.example"}).id(): "none"}
	for i := range reflect.TypeFor[Policy]().NumField() {
		p := Policy{Domain: "a.example"}
		name := reflect.TypeFor[Policy]().Field(i).Name
		if f := reflect.ValueOf(&p).Elem().Field(i); f.Kind() == reflect.Bool {
			f.SetBool(true)
		} else {
			f.SetString("x")
		}
		if before, twice := seen[p.id()]; twice {
			t.Errorf("%s and %s have the same key", name, before)
		}
		seen[p.id()] = name
	}
}

// A flaw that the domain has mended is not told of the next day, although the policy is the same.
func TestAMendedFlawIsGone(t *testing.T) {
	storetest.Each(t, func(t *testing.T, a store.Address) {
		r, _ := newRecorder(t, a)
		for day, flaws := range map[Day]string{100: "pct=5", 101: ""} {
			row := aRow("192.0.2.1")
			row.Day, row.Policy.Flaws = DayOf(timeOfTests)-10+day-100, flaws
			r.count(row)
			r.Flush()
			got := allRows(t, a, Filter{From: row.Day, To: row.Day})
			if len(got) != 1 || got[0].Policy.Flaws != flaws {
				t.Errorf("the rows are %+v, want the flaws %q", got, flaws)
			}
		}
	})
}

func TestTextsDoNotRunTogetherInAKey(t *testing.T) {
	a, b := aRow("192.0.2.1"), aRow("192.0.2.1")
	a.HeaderFrom, a.EnvelopeFrom = "ab", "c"
	b.HeaderFrom, b.EnvelopeFrom = "a", "bc"
	if a.appendTo(nil).key() == b.appendTo(nil).key() {
		t.Error("two tuples have one key")
	}
}

// Beyond the limit of a policy domain and of a day, details are left out, and no message is.
func TestFloodsAreFolded(t *testing.T) {
	storetest.Each(t, func(t *testing.T, a store.Address) {
		db := storetest.Open(t, a)
		l := &limits{}
		l.most.day, l.most.policy, l.most.outbound = 60, 20, 10
		var sent, folded int64
		write := func(rows []Row, outbound []Outbound, number int64) {
			t.Helper()
			b := &batch{Writer: []byte("writer"), Number: number * all}
			for _, r := range rows {
				b.Rows = append(b.Rows, counterOf(&r))
				sent += r.Count
			}
			for _, o := range outbound {
				b.Outbound = append(b.Outbound, keyedOutbound{o.appendTo(nil).key(), &o})
			}
			b.sort()
			n, err := b.write(t.Context(), db, l, all)
			if err != nil {
				t.Fatal(err)
			}
			folded += n
		}
		known := aRow("192.0.2.1")
		write([]Row{known}, nil, 1)
		var flood []Row
		for i := range 100 {
			r := aRow(fmt.Sprintf("198.51.100.%d", i))
			flood = append(flood, r)
		}
		write(flood, nil, 2)
		got := allRows(t, a, Filter{PolicyDomain: "a.example"})
		if len(got) != 21 || total(got) != 101 || folded != 81 {
			t.Errorf("one policy domain: %d rows of %d messages, %d folded", len(got), total(got), folded)
		}
		// Many policy domains: one for each message.
		var wide []Row
		for i := range 300 {
			r := aRow("203.0.113.1")
			r.Policy.Domain = fmt.Sprintf("n%d.b.example", i)
			wide = append(wide, r)
		}
		write(wide[:150], nil, 3)
		write(wide[150:], nil, 4)
		write([]Row{known, known.folded(true), aRow("198.51.100.3")}, nil, 5)
		got = allRows(t, a, Filter{})
		details := 0
		for _, r := range got {
			if !r.Folded {
				details++
			}
			if r.Source == known.Source && r.Count != 2 {
				t.Errorf("what is known counts %d, want 2", r.Count)
			}
		}
		if details > 60 || total(got) != sent {
			t.Errorf("%d rows with details of %d; %d messages of %d", details, len(got), total(got), sent)
		}
		var outbound []Outbound
		for i := range 50 {
			outbound = append(outbound, Outbound{Day: known.Day, Author: fmt.Sprintf("a%d.example", i), Tally: Tally{1, 1, 1}})
		}
		write(nil, outbound, 6)
		write(nil, outbound[:1], 7)
		n, messages := 0, int64(0)
		for o, err := range OutboundRows(t.Context(), db, 0, 1<<40, "") {
			if err != nil {
				t.Fatal(err)
			}
			n++
			messages += o.Count
		}
		if n != 11 || messages != 51 {
			t.Errorf("outbound: %d rows of %d messages", n, messages)
		}
	})
}

// What is there already takes no room.
func TestRepeatedTuplesDoNotFillADay(t *testing.T) {
	db := storetest.Open(t, storetest.SQLite(t))
	l := &limits{}
	l.most.day, l.most.policy = 20, 20
	for n := range int64(300) {
		r := aRow(fmt.Sprintf("192.0.2.%d", n%20))
		b := &batch{Writer: []byte("writer"), Number: n * all, Rows: []*counter{counterOf(&r)}}
		if folded, err := b.write(t.Context(), db, l, all); err != nil || folded != 0 {
			t.Fatalf("batch %d: %d folded, %v", n, folded, err)
		}
	}
}

func TestABatchCountsOnce(t *testing.T) {
	storetest.Each(t, func(t *testing.T, a store.Address) {
		db := storetest.Open(t, a)
		r := aRow("192.0.2.1")
		b := &batch{Writer: []byte("one"), Number: 3, Rows: []*counter{counterOf(&r)}}
		other := *b
		other.Writer = []byte("two")
		for _, b := range []*batch{b, b, &other, b} {
			if _, err := b.write(t.Context(), db, &limits{}, all); err != nil {
				t.Fatal(err)
			}
		}
		if got := total(allRows(t, a, Filter{})); got != 2 {
			t.Errorf("%d messages, want 2", got)
		}
	})
}

// Many daemons add to the same rows at the same time, each in its own order of messages.
func TestDaemonsAddUp(t *testing.T) {
	storetest.Each(t, func(t *testing.T, a store.Address) {
		storetest.Open(t, a)
		var wait sync.WaitGroup
		const daemons, rounds, sources = 4, 5, 150
		for range daemons {
			r, _ := newRecorder(t, a)
			wait.Go(func() {
				for range rounds {
					for i := range sources {
						r.count(aRow(fmt.Sprintf("192.0.2.%d", i)))
					}
					r.Flush()
				}
				r.Close()
				if n := r.Counts.Stored.Load(); n != rounds*sources {
					t.Errorf("a daemon stored %d messages", n)
				}
			})
		}
		wait.Wait()
		got := allRows(t, a, Filter{})
		if len(got) != sources || total(got) != daemons*rounds*sources {
			t.Errorf("%d rows of %d messages, want %d of %d", len(got), total(got), sources, daemons*rounds*sources)
		}
	})
}

func TestPostgreSQLGoesAwayAndReturns(t *testing.T) {
	server := storetest.NewServer(t)
	a := server.Address("postgres")
	folder := t.TempDir()
	config := Config{Database: a, Spool: filepath.Join(folder, "spool"), Keep: 90, MaxSize: 1 << 30}
	l := &logged{}
	r := NewRecorder(slog.New(slog.NewTextHandler(l, nil)), time.Now)
	r.Use(config)
	r.count(aRow("192.0.2.1"))
	r.Flush()
	if n := r.Counts.Stored.Load(); n != 1 {
		t.Fatalf("%d messages are stored\n%s", n, l)
	}
	server.Stop(t)
	for range 3 {
		r.count(aRow("192.0.2.1"))
		r.Flush()
	}
	if !r.Counts.Down.Load() || r.Counts.Spooled.Load() == 0 {
		t.Errorf("nothing waits in files\n%s", l)
	}
	if n := strings.Count(l.String(), "cannot be written"); n != 1 {
		t.Errorf("it is said %d times:\n%s", n, l)
	}
	// A process that ends meanwhile leaves its counters to the next one.
	r.count(aRow("192.0.2.2"))
	r.Close()
	next := NewRecorder(slog.New(slog.NewTextHandler(l, nil)), time.Now)
	defer next.Close()
	next.Use(config)
	next.count(aRow("192.0.2.2"))
	next.Flush()
	server.Start(t)
	for deadline := time.Now().Add(20 * time.Second); next.Counts.Stored.Load() < 5 && time.Now().Before(deadline); {
		next.Flush()
	}
	got := allRows(t, a, Filter{})
	if len(got) != 2 || total(got) != 6 {
		t.Errorf("%d rows of %d messages, want 2 of 6\n%s", len(got), total(got), l)
	}
	if left, _ := os.ReadDir(config.Spool); len(left) != 0 || next.Counts.Spooled.Load() != 0 {
		t.Errorf("%d files are left, %d octets", len(left), next.Counts.Spooled.Load())
	}
	if next.Counts.Down.Load() || r.Counts.Lost.Load()+next.Counts.Lost.Load() != 0 {
		t.Errorf("down: %t, lost: %d", next.Counts.Down.Load(), next.Counts.Lost.Load())
	}
}

func TestAFullOrBrokenSpoolLosesNoOtherCounters(t *testing.T) {
	dir := t.TempDir()
	s := &spool{dir: dir, most: 2000}
	if err := s.list(); err != nil {
		t.Fatal(err)
	}
	one := newBatch(map[key]*counter{{1}: counterOf(ptr(aRow("192.0.2.1")))}, nil)
	one.Writer, one.Number = []byte("writer"), 1
	n := 0
	for s.add(one) == nil {
		n++
	}
	if n == 0 || s.bytes > 2000 {
		t.Fatalf("%d batches, %d octets", n, s.bytes)
	}
	if err := os.WriteFile(filepath.Join(dir, s.files[0].name), []byte("no batch"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "x.batch.new"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	again := &spool{dir: dir, most: 2000}
	if err := again.list(); err != nil || len(again.files) != n {
		t.Fatalf("%d files, %v", len(again.files), err)
	}
	if _, err := again.read(again.files[0]); !isLost(err) {
		t.Errorf("a broken file gives %v", err)
	}
	for !again.empty() {
		f := again.files[0]
		if b, err := again.read(f); err == nil && !reflect.DeepEqual(b.Rows, one.Rows) {
			t.Errorf("the batch is %+v", b)
		}
		if err := again.remove(f); err != nil {
			t.Fatal(err)
		}
	}
	if left, _ := os.ReadDir(dir); len(left) != 0 || again.bytes != 0 {
		t.Errorf("%d files are left, %d octets", len(left), again.bytes)
	}
}

func TestAFolderThatCannotBeWrittenIsSaidOnce(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	r, l := newRecorder(t, store.Address("sqlite:"+file+"/state/reports.db"))
	for i := range 3 {
		r.count(aRow(fmt.Sprintf("192.0.2.%d", i)))
		r.Flush()
	}
	if n := strings.Count(l.String(), "cannot be written; mail is not affected"); n != 1 {
		t.Errorf("it is said %d times:\n%s", n, l)
	}
	r.Close()
	if n := r.Counts.Lost.Load(); n != 3 || !strings.Contains(l.String(), "counters are lost") {
		t.Errorf("%d are lost:\n%s", n, l)
	}
}

// While counters can go nowhere, each message says that many wait. They are not encoded for the spool each time.
func TestCountersThatCannotBeWrittenWaitForTheSecond(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	r := NewRecorder(slog.New(slog.DiscardHandler), time.Now)
	defer r.Close()
	w := &writer{recorder: r, id: []byte("writer"), config: Config{Database: "postgres://localhost/reports"}, next: time.Now().Add(time.Hour), spool: &spool{dir: file, most: maxSpool}}
	r.count(aRow("192.0.2.1"))
	w.early()
	if w.held == nil {
		t.Fatal("the counters are written into a folder that is a file")
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if w.early(); !w.spool.empty() {
		t.Error("they are written before the second is over")
	}
	if w.flush(); w.spool.empty() || w.held != nil {
		t.Error("they are not written after the second")
	}
	r.count(aRow("192.0.2.2"))
	if w.early(); len(w.spool.files) != 2 {
		t.Error("the next ones wait")
	}
}

// Memory stays bounded while nothing can be written, and no message is left out.
func TestMemoryIsBounded(t *testing.T) {
	var p pending
	s := &scratch{}
	const messages = 3 * maxPending
	for i := range messages {
		r := aRow("192.0.2.1")
		r.HeaderFrom = fmt.Sprintf("n%d.example", i)
		p.addRow(&r, s)
	}
	if n := len(p.rows); n > maxPending+1 {
		t.Errorf("%d tuples in memory", n)
	}
	rows, _, folded := p.take()
	var n int64
	for _, r := range rows {
		n += r.Count
	}
	if n != messages || folded == 0 {
		t.Errorf("%d messages of %d, %d folded", n, messages, folded)
	}
	huge := aRow("192.0.2.1")
	huge.DKIM = slices.Repeat([]Signature{{strings.Repeat("d", 250), strings.Repeat("s", 60), "pass"}}, 100)
	for i := range 2000 {
		huge.HeaderFrom = fmt.Sprintf("n%d.example", i)
		p.addRow(&huge, s)
	}
	if p.bytes > maxPendingBytes+1<<20 {
		t.Errorf("%d octets in memory", p.bytes)
	}
}

func TestAReloadMayChangeTheDatabase(t *testing.T) {
	first, second := storetest.SQLite(t), storetest.Postgres(t)
	r, l := newRecorder(t, first)
	r.Flush()
	r.count(aRow("192.0.2.1"))
	r.Use(Config{Database: second, Spool: filepath.Join(t.TempDir(), "spool"), Keep: 90, MaxSize: 1 << 30})
	r.Flush()
	r.count(aRow("192.0.2.2"))
	r.Flush()
	r.Use(Config{})
	r.Decided(milter.Decided{Outbound: true, Outcome: message.Outcome{Disposition: message.Accept, Author: &message.Author{}}})
	r.Flush()
	a, b := allRows(t, first, Filter{}), allRows(t, second, Filter{})
	if len(a) != 1 || a[0].Source.String() != "192.0.2.1" || len(b) != 1 || b[0].Source.String() != "192.0.2.2" {
		t.Errorf("the rows are %+v and %+v\n%s", a, b, l)
	}
	if r.pending.count() != 0 {
		t.Error("a message is counted without a database")
	}
}

func TestOldDaysAreDeleted(t *testing.T) {
	storetest.Each(t, func(t *testing.T, a store.Address) {
		db := storetest.Open(t, a)
		today := DayOf(timeOfTests)
		for d := range Day(10) {
			r := aRow("192.0.2.1")
			r.Day = today - d
			r.Policy.RUA = fmt.Sprintf("mailto:a%d@a.example", d)
			r.First, r.Last = r.Day.Time().Unix(), r.Day.Time().Unix()
			o := Outbound{Day: r.Day, Author: "a.example", Tally: r.Tally}
			b := &batch{Writer: []byte{byte(d), 1, 1, 1}, Number: 1, Rows: []*counter{counterOf(&r)}, Outbound: []keyedOutbound{{o.appendTo(nil).key(), &o}}}
			if _, err := b.write(t.Context(), db, &limits{}, all); err != nil {
				t.Fatal(err)
			}
		}
		count := func(table string) (n int) {
			if err := db.QueryRow(t.Context(), `SELECT count(*) FROM `+table).Scan(&n); err != nil {
				t.Fatal(err)
			}
			return n
		}
		if gone, err := prune(t.Context(), db, today, 4, 1<<30); err != nil || len(gone) != 0 {
			t.Fatalf("%v, %v", gone, err)
		}
		for _, table := range []string{"traffic", "traffic_outbound", "traffic_policies", "traffic_writers"} {
			if n := count(table); n != 4 {
				t.Errorf("%s has %d rows, want those of 4 days", table, n)
			}
		}
		// Two rows a day: room for five.
		gone, err := prune(t.Context(), db, today, 4, 5*rowSize)
		if err != nil || !slices.Equal(gone, []Day{today - 3, today - 2}) {
			t.Errorf("gone are %v, %v", gone, err)
		}
		// Today's stay, whatever their size.
		if _, err := prune(t.Context(), db, today, 4, 0); err != nil || count("traffic") != 1 {
			t.Errorf("%d rows are left, %v", count("traffic"), err)
		}
	})
}

func ptr(r Row) *Row { return &r }
