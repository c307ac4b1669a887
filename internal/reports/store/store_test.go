package store_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"signpost/internal/reports/store"
	"signpost/internal/reports/store/storetest"
)

func TestMain(m *testing.M) { storetest.Main(m) }

func TestADatabaseIsMadeOnceAndFoundAgain(t *testing.T) {
	storetest.Each(t, func(t *testing.T, a store.Address) {
		if db, err := store.OpenExisting(t.Context(), a); !errors.Is(err, store.ErrNone) {
			t.Fatalf("before there is one: %v, %v", db, err)
		}
		db := storetest.Open(t, a)
		if _, err := db.Exec(t.Context(), `INSERT INTO traffic_writers (writer, batch, seen) VALUES (?, ?, 0)`, []byte{1, 0, 2}, 7); err != nil {
			t.Fatal(err)
		}
		db.Close()
		again, err := store.OpenExisting(t.Context(), a)
		if err != nil {
			t.Fatal(err)
		}
		defer again.Close()
		var batch int
		if err := again.QueryRow(t.Context(), `SELECT batch FROM traffic_writers WHERE writer = ? AND '?' = '?'`, []byte{1, 0, 2}).Scan(&batch); err != nil || batch != 7 {
			t.Errorf("the row has %d, %v", batch, err)
		}
	})
}

// Several daemons may start at once on an empty database.
func TestManyOpenAnEmptyDatabaseAtOnce(t *testing.T) {
	storetest.Each(t, func(t *testing.T, a store.Address) {
		var wait sync.WaitGroup
		for range 8 {
			wait.Go(func() {
				db, err := store.Open(t.Context(), a)
				if err != nil {
					t.Error(err)
					return
				}
				db.Close()
			})
		}
		wait.Wait()
	})
}

func TestTablesOfANewerProgramAreLeftAlone(t *testing.T) {
	storetest.Each(t, func(t *testing.T, a store.Address) {
		db := storetest.Open(t, a)
		if _, err := db.Exec(t.Context(), `UPDATE reports_schema SET version = 99 WHERE area = 'traffic'`); err != nil {
			t.Fatal(err)
		}
		for name, open := range map[string]func(context.Context, store.Address) (*store.DB, error){"Open": store.Open, "OpenExisting": store.OpenExisting} {
			_, err := open(t.Context(), a)
			if !errors.Is(err, store.ErrNewer) || !strings.Contains(err.Error(), "its tables of traffic have version 99") || !strings.Contains(err.Error(), "run the newer one") {
				t.Errorf("%s: %v", name, err)
			}
		}
		if _, err := db.Exec(t.Context(), `UPDATE reports_schema SET version = 0 WHERE area = 'traffic'`); err != nil {
			t.Fatal(err)
		}
		if _, err := store.OpenExisting(t.Context(), a); !errors.Is(err, store.ErrOlder) {
			t.Errorf("a command with older tables: %v", err)
		}
	})
}

// A daemon that had no room for the tables leaves the table of versions, or less.
func TestADatabaseWithoutTablesIsNone(t *testing.T) {
	storetest.Each(t, func(t *testing.T, a store.Address) {
		db := storetest.Open(t, a)
		if _, err := db.Exec(t.Context(), `UPDATE reports_schema SET version = 0`); err != nil {
			t.Fatal(err)
		}
		if _, err := store.OpenExisting(t.Context(), a); !errors.Is(err, store.ErrNone) || !strings.Contains(err.Error(), "signpost status") {
			t.Errorf("a command: %v", err)
		}
	})
}

func TestTheRemedyFitsTheError(t *testing.T) {
	damaged := store.Address("sqlite:" + filepath.Join(t.TempDir(), "damaged.db"))
	if err := os.WriteFile(damaged.Path(), []byte(strings.Repeat("no database ", 100)), 0o600); err != nil {
		t.Fatal(err)
	}
	_, noDatabase := store.Open(t.Context(), damaged)
	for _, c := range []struct {
		a    store.Address
		err  error
		want string
	}{
		{damaged, noDatabase, "it is damaged: put a copy back, or move it away (mv " + damaged.Path() + " " + damaged.Path() + ".damaged), and restart"},
		{"sqlite:/state/reports.db", &os.PathError{Op: "open", Path: "/state/reports.db", Err: syscall.ENOSPC}, "free space there: df -h /state, or write reports: "},
		{"sqlite:/state/reports.db", &os.PathError{Op: "open", Path: "/state/reports.db", Err: syscall.EACCES}, "let the daemon's user write the file and its folder"},
		{"postgres://signpost@db.example/reports", errors.New("refused"), "see to the database server"},
	} {
		if got := store.Remedy(c.a, c.err); !strings.HasPrefix(got, c.want) {
			t.Errorf("%v: %q, want %q", c.err, got, c.want)
		}
	}
}

func TestATransactionIsWholeOrNothing(t *testing.T) {
	storetest.Each(t, func(t *testing.T, a store.Address) {
		db := storetest.Open(t, a)
		insert := func(tx store.Tx, n int) error {
			_, err := tx.Exec(t.Context(), `INSERT INTO traffic_writers (writer, batch, seen) VALUES (?, 1, 0)`, []byte{byte(n)})
			return err
		}
		wrong := errors.New("wrong")
		err := db.Write(t.Context(), func(tx store.Tx) error { return errors.Join(insert(tx, 1), wrong) })
		if !errors.Is(err, wrong) {
			t.Fatal(err)
		}
		var wait sync.WaitGroup
		for n := range 40 { // more than connections
			wait.Go(func() {
				if err := db.Write(t.Context(), func(tx store.Tx) error { return insert(tx, n) }); err != nil {
					t.Error(err)
				}
			})
		}
		wait.Wait()
		var rows int
		if err := db.QueryRow(t.Context(), `SELECT count(*) FROM traffic_writers`).Scan(&rows); err != nil || rows != 40 {
			t.Errorf("%d rows, %v", rows, err)
		}
	})
}

func TestAPreparedStatementBelongsToItsTransaction(t *testing.T) {
	storetest.Each(t, func(t *testing.T, a store.Address) {
		db := storetest.Open(t, a)
		if _, err := db.Exec(t.Context(), `INSERT INTO traffic_writers (writer, batch, seen) VALUES (?, 1, 0), (?, 2, 0)`, []byte{1}, []byte{2}); err != nil {
			t.Fatal(err)
		}
		const add = `UPDATE traffic_writers SET seen = {greatest}(seen, ?) WHERE writer = ?`
		var kept *store.Statement
		err := db.Write(t.Context(), func(tx store.Tx) error {
			s, err := tx.Prepare(t.Context(), add)
			if err != nil {
				return err
			}
			kept = s
			for i, want := range []int64{0, 1, 1, 0} {
				if changed, err := s.Exec(t.Context(), 10*i, []byte{byte(i)}); err != nil || changed != want {
					t.Errorf("row %d: %d changed, %v", i, changed, err)
				}
			}
			_, err = tx.Prepare(t.Context(), add) // a second one beside it
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := kept.Exec(t.Context(), 99, []byte{1}); err == nil {
			t.Error("it runs after the end of its transaction")
		}
		// A context that ends stops it, and the transaction changes nothing.
		ctx, cancel := context.WithCancel(t.Context())
		err = db.Write(ctx, func(tx store.Tx) error {
			s, err := tx.Prepare(ctx, add)
			if err != nil {
				return err
			}
			if _, err := s.Exec(ctx, 50, []byte{1}); err != nil {
				return err
			}
			cancel()
			_, err = s.Exec(ctx, 50, []byte{2})
			return err
		})
		if !errors.Is(err, context.Canceled) {
			t.Errorf("after the end of the context: %v", err)
		}
		var seen int
		if err := db.QueryRow(t.Context(), `SELECT sum(seen) FROM traffic_writers`).Scan(&seen); err != nil || seen != 10+20 {
			t.Errorf("the sum is %d, %v", seen, err)
		}
	})
}

// Rows that one worker has claimed are left out by the next.
func TestClaimsSkipWhatIsClaimed(t *testing.T) {
	db := storetest.Open(t, storetest.Postgres(t))
	if _, err := db.Exec(t.Context(), `INSERT INTO traffic_writers (writer, batch, seen) VALUES (?, 1, 0), (?, 2, 0)`, []byte{1}, []byte{2}); err != nil {
		t.Fatal(err)
	}
	const claim = `SELECT batch FROM traffic_writers ORDER BY batch LIMIT 1 {skip locked}`
	err := db.Write(t.Context(), func(first store.Tx) error {
		return db.Write(t.Context(), func(second store.Tx) error {
			for want, tx := range []store.Tx{first, second} {
				var batch int
				if err := tx.QueryRow(t.Context(), claim).Scan(&batch); err != nil || batch != want+1 {
					t.Errorf("claim %d is row %d, %v", want+1, batch, err)
				}
			}
			return nil
		})
	})
	if err != nil {
		t.Error(err)
	}
}

func TestTheFileIsForTheDaemonAndItsGroup(t *testing.T) {
	a := storetest.SQLite(t)
	folder := filepath.Dir(a.Path())
	if err := os.Mkdir(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	const daemon = 12345
	if os.Getuid() == 0 {
		if err := os.Chown(folder, daemon, daemon); err != nil {
			t.Fatal(err)
		}
	}
	db := storetest.Open(t, a)
	defer db.Close()
	for _, path := range []string{a.Path(), a.Path() + "-wal", a.Path() + "-shm"} {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode() != 0o640 {
			t.Errorf("%s has mode %v", path, info.Mode())
		}
		if s := info.Sys().(*syscall.Stat_t); os.Getuid() == 0 && (s.Uid != daemon || s.Gid != daemon) {
			t.Errorf("%s belongs to %d:%d: the daemon cannot write what root made", path, s.Uid, s.Gid)
		}
	}
}

func TestOnlyARegularFileIsOpened(t *testing.T) {
	a := storetest.SQLite(t)
	storetest.Open(t, a).Close()
	link := filepath.Join(t.TempDir(), "link.db")
	if err := os.Symlink(a.Path(), link); err != nil {
		t.Fatal(err)
	}
	for _, open := range []func(context.Context, store.Address) (*store.DB, error){store.Open, store.OpenExisting} {
		if _, err := open(t.Context(), store.Address("sqlite:"+link)); err == nil || !strings.Contains(err.Error(), "is not a regular file: remove it") {
			t.Errorf("through a symbolic link: %v", err)
		}
	}
	text := filepath.Join(t.TempDir(), "text.db")
	if err := os.WriteFile(text, []byte(strings.Repeat("no database ", 100)), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Open(t.Context(), store.Address("sqlite:"+text)); err == nil || !strings.Contains(err.Error(), text) {
		t.Errorf("a file that is no database: %v", err)
	}
}

func TestAddresses(t *testing.T) {
	for _, c := range []struct{ address, problem, name string }{
		{"sqlite:/var/lib/a.db", "", "sqlite:/var/lib/a.db"},
		{"sqlite:a.db", "absolute", "sqlite:a.db"},
		{"postgres://u:secret@db.example/reports", "", "postgres://u@db.example:5432/reports"},
		{"postgresql:///reports?host=/run/postgresql&user=u", "", "postgres://u@/run/postgresql/reports"},
		{"postgres://u:sec@ret@db.example/x", "@", "the PostgreSQL database"},
		{"postgres://u:secret@db.example:port/x", "no URL", "the PostgreSQL database"},
		{"postgres:secret", "no URL", "the PostgreSQL database"},
		{"mysql://u:secret@h/d", "no database", "the PostgreSQL database"},
		{"", "no database", "no database"},
	} {
		a := store.Address(c.address)
		problem := a.Problem()
		if (problem == "") != (c.problem == "") || !strings.Contains(problem, c.problem) || strings.Contains(problem, "sec") {
			t.Errorf("%s: the problem is %q, want %q", c.address, problem, c.problem)
		}
		if got := a.String(); got != c.name && !strings.HasPrefix(c.address, "postgres://u:sec@ret") {
			t.Errorf("%s: the name is %q, want %q", c.address, got, c.name)
		}
		if strings.Contains(a.String(), "sec") || strings.Contains(a.String(), "ret@") {
			t.Errorf("the name %q has a part of the password", a)
		}
		if _, err := store.Open(t.Context(), a); c.problem != "" && (err == nil || strings.Contains(err.Error(), "sec")) {
			t.Errorf("%s: opening says %v", c.address, err)
		}
	}
}

func TestAServerThatIsDownIsAnErrorWithoutThePassword(t *testing.T) {
	_, err := store.Open(t.Context(), "postgres://u:secret@127.0.0.1:1/reports")
	if err == nil || strings.Contains(err.Error(), "secret") || !strings.Contains(err.Error(), "reports.database postgres://u@127.0.0.1:1/reports") {
		t.Errorf("the error is %v", err)
	}
}

// The parts of a daemon open a new database at the same moment.
func TestManyOpenANewFileAtOnce(t *testing.T) {
	for range 20 {
		a := store.Address("sqlite:" + filepath.Join(t.TempDir(), "new.db"))
		var all sync.WaitGroup
		for range 6 {
			all.Go(func() {
				db, err := store.Open(t.Context(), a)
				if err != nil {
					t.Error(err)
					return
				}
				db.Close()
			})
		}
		all.Wait()
	}
}
