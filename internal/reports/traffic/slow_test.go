package traffic

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"modernc.org/sqlite"

	"signpost/internal/reports/store"
	"signpost/internal/reports/store/storetest"
)

// clock is a clock that tests and databases move on.
type clock struct {
	mu    sync.Mutex
	time  time.Time
	tasks map[context.Context]task
}

type task struct {
	until time.Time
	end   context.CancelFunc
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.time
}

func (c *clock) timeout(parent context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	c.mu.Lock()
	defer c.mu.Unlock()
	ctx, end := context.WithCancel(parent)
	c.tasks[ctx] = task{c.time.Add(d), end}
	return ctx, end
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.time = c.time.Add(d)
	for ctx, t := range c.tasks {
		if !t.until.After(c.time) {
			t.end()
			delete(c.tasks, ctx)
		}
	}
}

var (
	slowed atomic.Pointer[clock] // by slow(), in milliseconds
	begun  = make(chan struct{}, 1)
)

func init() {
	sqlite.MustRegisterScalarFunction("slow", 1, func(_ *sqlite.FunctionContext, args []driver.Value) (driver.Value, error) {
		slowed.Load().pass(time.Duration(args[0].(int64)) * time.Millisecond)
		return nil, nil
	})
	sqlite.MustRegisterScalarFunction("begun", 0, func(*sqlite.FunctionContext, []driver.Value) (driver.Value, error) {
		select {
		case begun <- struct{}{}:
		default:
		}
		return nil, nil
	})
}

// A database that needs 50 s for a second's counters gets them in parts.
func TestASlowDatabaseGetsABatchInParts(t *testing.T) {
	a := storetest.SQLite(t)
	db := storetest.Open(t, a)
	if _, err := db.Exec(t.Context(), `CREATE TRIGGER slow AFTER INSERT ON traffic BEGIN SELECT slow(500); END`); err != nil {
		t.Fatal(err)
	}
	c := &clock{time: time.Now(), tasks: map[context.Context]task{}}
	slowed.Store(c)
	w, l := writerOf(t, db, nil)
	w.recorder.now, w.recorder.timeout = c.now, c.timeout
	w.recorder.count(sources("192.0.2", 100)...)
	for i := 0; i == 0 || w.held != nil; i++ {
		if i == 20 {
			t.Fatalf("%d of 100 messages are stored\n%s", w.recorder.Counts.Stored.Load(), l)
		}
		c.pass(lastRetry)
		if w.open(); w.attempt != nil {
			w.took(<-w.opened)
		}
		w.flush()
	}
	list := allRows(t, a, Filter{})
	if n := w.recorder.Counts.Stored.Load(); len(list) != 100 || total(list) != 100 || n != 100 || w.recorder.Counts.Down.Load() {
		t.Errorf("%d rows of %d messages, %d stored\n%s", len(list), total(list), n, l)
	}
	w.db.Close()
}

// writerOf is a writer without the goroutine of its recorder.
func writerOf(t *testing.T, db *store.DB, spool *spool) (*writer, *logged) {
	t.Helper()
	l := &logged{}
	r := NewRecorder(slog.New(slog.NewTextHandler(l, nil)), time.Now)
	t.Cleanup(r.Close)
	return &writer{recorder: r, id: []byte("writer"), config: Config{Database: db.Address(), Keep: 90, MaxSize: 1 << 30}, db: db, spool: spool, gone: make(chan pruning, 1), opened: make(chan opening, 1), wait: firstRetry}, l
}

// After slow times, transactions become as large as before.
func TestPartsGrowWhenTheDatabaseIsQuick(t *testing.T) {
	w, _ := writerOf(t, storetest.Open(t, storetest.SQLite(t)), nil)
	w.recorder.now = func() time.Time { return time.Unix(1e9, 0) } // no time passes
	w.most = 1
	for i := 0; w.most > 0; i++ {
		if i > 20 {
			t.Fatalf("transactions have %d rows", w.most)
		}
		w.recorder.count(sources("192.0.2", 200)...)
		if w.flush(); w.held != nil {
			t.Fatal("the counters are not written")
		}
	}
}

// Several daemons may write a part, each of them more than once. It counts once.
func TestPartsCountOnce(t *testing.T) {
	storetest.Each(t, func(t *testing.T, a store.Address) {
		d := &daemon{db: storetest.Open(t, a), writer: "writer"}
		b := d.batch(sources("192.0.2", 10)...)
		for i := range 5 {
			o := Outbound{Day: DayOf(timeOfTests), Author: fmt.Sprintf("a%d.example", i), Tally: Tally{1, 1, 1}}
			b.Outbound = append(b.Outbound, keyedOutbound{o.appendTo(nil).key(), &o})
		}
		write := func(b *batch, most, done int) {
			t.Helper()
			if _, err := b.write(t.Context(), d.db, &d.limits, most); err != nil || b.done != done {
				t.Errorf("%d rows are written, want %d; %v", b.done, done, err)
			}
		}
		write(b, 4, 4)
		write(b, 7, 11)
		s := &spool{dir: t.TempDir(), most: maxSpool}
		if err := s.add(b); err != nil {
			t.Fatal(err)
		}
		if n := s.files[0].messages(); n != 4 {
			t.Errorf("the file has the name of %d messages, want 4", n)
		}
		again, err := s.read(s.files[0])
		if err != nil || again.done != 11 {
			t.Fatalf("read %+v, %v", again, err)
		}
		// A commit that was not confirmed: the database has more than the batch knows.
		b.done, again.done = 0, 0
		write(again, 2, 13)
		write(b, 100, 15)
		write(again, 100, 15)
		write(d.batch(aRow("192.0.2.1")), 100, 1)
		if got := allRows(t, a, Filter{}); len(got) != 10 || total(got) != 11 {
			t.Errorf("%d rows of %d messages", len(got), total(got))
		}
		var n, messages int64
		if err := d.db.QueryRow(t.Context(), `SELECT count(*), sum(count) FROM traffic_outbound`).Scan(&n, &messages); err != nil || n != 5 || messages != 5 {
			t.Errorf("outbound: %d rows of %d messages, %v", n, messages, err)
		}
	})
}

// A file of a version that numbered batches and wrote each whole counts once, and loses no rows to that number.
func TestFilesOfTheVersionThatNumberedBatches(t *testing.T) {
	storetest.Each(t, func(t *testing.T, a store.Address) {
		s := &spool{dir: t.TempDir(), most: maxSpool}
		w, l := writerOf(t, storetest.Open(t, a), s)
		d := daemon{writer: "writer of before"}
		for i, net := range []string{"192.0.2", "198.51.100", "203.0.113"} {
			b := d.batch(sources(net, 5)...)
			b.Number = int64(i + 1)
			if err := s.add(b); err != nil {
				t.Fatal(err)
			}
			if err := os.Rename(filepath.Join(s.dir, s.files[i].name), filepath.Join(s.dir, fmt.Sprintf("%016x-%x.batch", i, b.Writer[:4]))); err != nil {
				t.Fatal(err)
			}
		}
		w.spool = &spool{dir: s.dir, most: maxSpool}
		// That version has written the first, and did not come to know it.
		if _, err := w.db.Exec(t.Context(), `INSERT INTO traffic_writers (writer, batch, seen) VALUES (?, 1, 1)`, []byte(d.writer)); err != nil {
			t.Fatal(err)
		}
		w.most = 2
		for range 10 {
			w.flush()
		}
		if got := allRows(t, a, Filter{}); !w.spool.empty() || len(got) != 10 || total(got) != 10 {
			t.Errorf("%d rows of %d messages, %d files wait\n%s", len(got), total(got), len(w.spool.files), l)
		}
	})
}

// A file that cannot be read for want of descriptors is read later. Meanwhile, other counters are stored, and those
// of the same writer come after the file.
func TestAFileThatCannotBeReadNowWaits(t *testing.T) {
	a := storetest.SQLite(t)
	s := &spool{dir: filepath.Join(t.TempDir(), "spool"), most: maxSpool}
	w, l := writerOf(t, storetest.Open(t, a), s)
	in := func(writer string, number int64, rows ...Row) {
		t.Helper()
		d := daemon{writer: writer}
		b := d.batch(rows...)
		b.Number = number
		if err := s.add(b); err != nil {
			t.Fatal(err)
		}
	}
	in("earlier", 0, sources("192.0.2", 3)...)
	in("writer", 0, sources("198.51.100", 5)...)
	w.number = 5
	w.recorder.count(aRow("203.0.113.1"))
	if _, err := w.db.Exec(t.Context(), `SELECT 1`); err != nil { // the connection is open
		t.Fatal(err)
	}
	withoutDescriptors(t, w.flush)
	if len(s.files) != 2 || w.held == nil || w.recorder.Counts.Lost.Load() != 0 || !strings.Contains(l.String(), "too many open files") {
		t.Fatalf("%d files wait, %d messages are lost\n%s", len(s.files), w.recorder.Counts.Lost.Load(), l)
	}
	if w.flush(); len(s.files) != 0 || w.held != nil {
		t.Errorf("%d files wait\n%s", len(s.files), l)
	}
	if got := allRows(t, a, Filter{}); len(got) != 9 || total(got) != 9 {
		t.Errorf("%d rows of %d messages\n%s", len(got), total(got), l)
	}
	if n := strings.Count(l.String(), "cannot be read now"); n != 1 {
		t.Errorf("it is said %d times\n%s", n, l)
	}
}

// Files that are lost, and be they many, keep no others from the database.
func TestLostFilesKeepNoOthers(t *testing.T) {
	s := &spool{dir: filepath.Join(t.TempDir(), "spool"), most: maxSpool}
	w, l := writerOf(t, storetest.Open(t, storetest.SQLite(t)), s)
	for i := range atOnce + 5 {
		d := daemon{writer: fmt.Sprintf("broken%02d", i)}
		if err := s.add(d.batch(aRow("192.0.2.1"))); err != nil {
			t.Fatal(err)
		}
		if err := os.Remove(filepath.Join(s.dir, s.files[i].name)); err != nil {
			t.Fatal(err)
		}
	}
	d := daemon{writer: "good"}
	if err := s.add(d.batch(aRow("192.0.2.1"))); err != nil {
		t.Fatal(err)
	}
	if w.flush(); !s.empty() || w.recorder.Counts.Stored.Load() != 1 || w.recorder.Counts.Lost.Load() != atOnce+5 {
		t.Errorf("%d files, %d messages are stored and %d lost\n%s", len(s.files), w.recorder.Counts.Stored.Load(), w.recorder.Counts.Lost.Load(), l)
	}
}

// withoutDescriptors runs do while no file can be opened.
func withoutDescriptors(t *testing.T, do func()) {
	t.Helper()
	var before syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &before); err != nil {
		t.Fatal(err)
	}
	none := before
	none.Cur = 0
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &none); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &before); err != nil {
			t.Fatal(err)
		}
	}()
	do()
}

// What is no batch is given up, and it is said how many messages it counted.
func TestAFileThatIsNoBatchIsLost(t *testing.T) {
	for name, spoil := range map[string]func(path string) error{
		"other octets": func(path string) error { return os.WriteFile(path, []byte("no batch"), 0o600) },
		"half":         func(path string) error { return os.Truncate(path, 40) },
		"removed":      os.Remove,
		"a link":       func(path string) error { return errors.Join(os.Remove(path), os.Symlink("/dev/zero", path)) },
		"a pipe":       func(path string) error { return errors.Join(os.Remove(path), syscall.Mkfifo(path, 0o600)) },
	} {
		t.Run(name, func(t *testing.T) {
			s := &spool{dir: filepath.Join(t.TempDir(), "spool"), most: maxSpool}
			w, l := writerOf(t, storetest.Open(t, storetest.SQLite(t)), s)
			d := daemon{writer: "earlier"}
			if err := s.add(d.batch(sources("192.0.2", 3)...)); err != nil {
				t.Fatal(err)
			}
			if err := spoil(filepath.Join(s.dir, s.files[0].name)); err != nil {
				t.Fatal(err)
			}
			w.flush()
			if !s.empty() || w.recorder.Counts.Lost.Load() != 3 || !strings.Contains(l.String(), "counters in a file are lost") {
				t.Errorf("%d files, %d messages are lost\n%s", len(s.files), w.recorder.Counts.Lost.Load(), l)
			}
		})
	}
}

// A deletion that takes long ends with the process, and the last counters are written: SQLite has one writer at a time.
func TestCloseEndsADeletion(t *testing.T) {
	a := storetest.SQLite(t)
	d := &daemon{db: storetest.Open(t, a), writer: "earlier"}
	old := aRow("192.0.2.1")
	old.Day -= 100
	d.write(t, old)
	for _, statement := range []string{
		`CREATE VIEW endless AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n`,
		`CREATE TRIGGER slow AFTER DELETE ON traffic BEGIN SELECT begun(); SELECT count(*) FROM endless; END`,
	} {
		if _, err := d.db.Exec(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	r, l := newRecorder(t, a)
	<-begun
	r.count(aRow("192.0.2.1"))
	r.Close()
	if n := total(allRows(t, a, Filter{})); n != 2 || r.Counts.Lost.Load() != 0 || l.String() != "" {
		t.Errorf("%d messages are stored, %d are lost\n%s", n, r.Counts.Lost.Load(), l)
	}
}
