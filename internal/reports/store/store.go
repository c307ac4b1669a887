package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	"modernc.org/sqlite" // and the driver "sqlite"
)

// DB is an open database of reports. It is safe for concurrent use.
type DB struct {
	sql     *sql.DB
	dialect dialect
	address Address
}

// ErrNone says that there is no database yet, or one without tables of reports.
var ErrNone = errors.New("there is no database of reports yet")

const (
	// openTime bounds the time until a server answers.
	openTime = 10 * time.Second
	// busyTime is how long SQLite waits for another writer.
	busyTime = 5 * time.Second
	// maxConnections bounds those of one process. SQLite has one writer at a time; the
	// others read.
	maxConnections = 4
	// fileMode of an SQLite database: the daemon's group may read the reports.
	fileMode fs.FileMode = 0o640
)

// Open opens the database for the daemon: it creates what is missing, and migrates. An error
// does not contain a password.
func Open(ctx context.Context, a Address) (*DB, error) {
	db, err := open(ctx, a, create)
	if err != nil {
		return nil, err
	}
	if err := db.migrate(ctx, areas); err != nil {
		db.Close()
		return nil, db.failed(err)
	}
	return db, nil
}

// OpenExisting opens the database for a command, beside a daemon or without one. It creates
// and migrates nothing: the error is ErrNone, ErrOlder or ErrNewer where the tables are not
// those that this program knows.
func OpenExisting(ctx context.Context, a Address) (*DB, error) {
	db, err := open(ctx, a, existing)
	if err != nil {
		return nil, err
	}
	if err := db.check(ctx, areas); err != nil {
		db.Close()
		return nil, db.failed(err)
	}
	return db, nil
}

func open(ctx context.Context, a Address, prepare func(path string) error) (*DB, error) {
	if problem := a.Problem(); problem != "" {
		return nil, errors.New("reports.database: " + problem)
	}
	db := &DB{address: a}
	var err error
	if path := a.Path(); path != "" {
		if err = prepare(path); err == nil {
			db.dialect = sqliteDialect
			db.sql, err = sql.Open("sqlite", sqliteSource(path))
		}
	} else {
		db.dialect = postgresDialect
		db.sql, err = openServer(a)
	}
	if err != nil {
		return nil, db.failed(err)
	}
	db.sql.SetMaxOpenConns(maxConnections)
	db.sql.SetConnMaxIdleTime(5 * time.Minute)
	ctx, cancel := context.WithTimeout(ctx, openTime)
	defer cancel()
	if err := db.connect(ctx); err != nil {
		db.Close()
		return nil, db.failed(err)
	}
	return db, nil
}

// connect makes the first connection. Two connections may switch a new file to WAL at the same moment. SQLite then
// ignores busy_timeout, and one of them fails at once. connect tries again.
func (db *DB) connect(ctx context.Context) error {
	const pause = 10 * time.Millisecond
	for {
		err := db.sql.PingContext(ctx)
		var failed *sqlite.Error
		if !errors.As(err, &failed) || failed.Code()&0xff != busyCode {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(pause):
		}
	}
}

// busyCode is SQLITE_BUSY.
const busyCode = 5

// sqliteSource opens a file that exists, with a log of its own (WAL), so that commands read
// while the daemon writes. A transaction takes its lock at once.
func sqliteSource(path string) string {
	return (&url.URL{Scheme: "file", Opaque: (&url.URL{Path: path}).EscapedPath(), RawQuery: url.Values{
		"mode": {"rw"}, "_txlock": {"immediate"},
		"_pragma": {
			fmt.Sprintf("busy_timeout(%d)", busyTime.Milliseconds()),
			"auto_vacuum(INCREMENTAL)", "journal_mode(WAL)", "synchronous(NORMAL)",
			// The log shrinks again after a large transaction.
			"journal_size_limit(4194304)",
		},
	}.Encode()}).String()
}

// create makes an empty file for the database. Its folder belongs to the daemon.
func create(path string) error {
	if err := existing(path); !errors.Is(err, ErrNone) {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, fileMode)
	switch {
	case errors.Is(err, fs.ErrExist): // another process was first
		return existing(path)
	case err != nil:
		return err
	}
	return errors.Join(f.Chmod(fileMode), giveToOwner(f, filepath.Dir(path)), f.Close())
}

// giveToOwner gives a file that root has made to the owner of its folder: the daemon, which
// runs without privileges, must be able to write it.
func giveToOwner(f *os.File, folder string) error {
	if os.Geteuid() != 0 {
		return nil
	}
	info, err := os.Stat(folder)
	if err != nil {
		return err
	}
	owner := info.Sys().(*syscall.Stat_t)
	return f.Chown(int(owner.Uid), int(owner.Gid))
}

// existing accepts a regular file. Root reads it too, in a folder of the daemon's: a symbolic
// link does not lead it elsewhere.
func existing(path string) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%w: no file %s", ErrNone, path)
	case err != nil:
		return err
	case !info.Mode().IsRegular():
		return fmt.Errorf("%s is not a regular file: remove it, or name another in reports.database", path)
	}
	return nil
}

// openServer opens PostgreSQL without prepared statements, which a pooler in transaction mode
// would lose.
func openServer(a Address) (*sql.DB, error) {
	c, err := pgx.ParseConfig(string(a))
	if err != nil {
		return nil, err
	}
	c.DefaultQueryExecMode = pgx.QueryExecModeExec
	c.StatementCacheCapacity, c.DescriptionCacheCapacity = 0, 0
	if c.ConnectTimeout == 0 || c.ConnectTimeout > openTime {
		c.ConnectTimeout = openTime
	}
	return stdlib.OpenDB(*c), nil
}

// failed names the database in an error.
func (db *DB) failed(err error) error {
	return fmt.Errorf("reports.database %s: %w", db.address, withoutAddress(err))
}

// Remedy says what to do about an error of the database at the address.
func Remedy(a Address, err error) string {
	var failed *sqlite.Error
	code := 0
	if errors.As(err, &failed) {
		code = failed.Code() & 0xff
	}
	path := a.Path()
	switch {
	case path == "":
		return "see to the database server" + keepNothing
	case code == fullCode, errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return "free space there: df -h " + filepath.Dir(path) + keepNothing
	case code == corruptCode, code == notDatabaseCode:
		return "it is damaged: put a copy back, or move it away (mv " + path + " " + path + ".damaged), and restart: then a new one is made"
	case code == readOnlyCode, code == cantOpenCode, errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS):
		return "let the daemon's user write the file and its folder" + keepNothing
	}
	return "see to the database" + keepNothing
}

const keepNothing = `, or write reports: {database: ""} and reload to keep nothing`

// Result codes of SQLite.
const (
	readOnlyCode    = 8
	corruptCode     = 11
	fullCode        = 13
	cantOpenCode    = 14
	notDatabaseCode = 26
)

// Close waits for no one: queries under way fail.
func (db *DB) Close() error {
	if db == nil || db.sql == nil {
		return nil
	}
	return db.sql.Close()
}

// Address is the one that the database was opened by.
func (db *DB) Address() Address { return db.address }

// Shared says that several daemons may use the database.
func (db *DB) Shared() bool { return db.dialect.numbered }

// Query runs a statement that returns rows, outside of a transaction.
func (db *DB) Query(ctx context.Context, statement string, args ...any) (*sql.Rows, error) {
	return db.sql.QueryContext(ctx, db.dialect.sql(statement), args...)
}

// QueryRow runs a statement that returns one row.
func (db *DB) QueryRow(ctx context.Context, statement string, args ...any) *sql.Row {
	return db.sql.QueryRowContext(ctx, db.dialect.sql(statement), args...)
}

// Exec runs one statement that changes rows, as a transaction of its own.
func (db *DB) Exec(ctx context.Context, statement string, args ...any) (changed int64, err error) {
	err = db.Write(ctx, func(tx Tx) error {
		changed, err = tx.Exec(ctx, statement, args...)
		return err
	})
	return changed, err
}

// Write runs a transaction that changes rows. An error of do rolls it back. With SQLite, one
// runs at a time. In PostgreSQL, a transaction sees what others commit between its statements.
func (db *DB) Write(ctx context.Context, do func(Tx) error) error {
	tx, err := db.sql.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	if err := do(Tx{tx, db.dialect}); err != nil {
		_ = tx.Rollback() // the error of do counts
		return err
	}
	return tx.Commit()
}

// WriteAgain is Write, and begins again where PostgreSQL ends the transaction for the sake of
// another one. So do may be called several times.
func (db *DB) WriteAgain(ctx context.Context, do func(Tx) error) error {
	for attempt := 1; ; attempt++ {
		err := db.Write(ctx, do)
		if err == nil || attempt == maxAttempts || !mayBeRepeated(err) {
			return err
		}
	}
}

// maxAttempts bounds how often a transaction is begun.
const maxAttempts = 4

// mayBeRepeated says that the server ended the transaction because of others: for a deadlock, or
// because it could not be serialized.
func mayBeRepeated(err error) bool {
	p, ok := errors.AsType[*pgconn.PgError](err)
	return ok && (p.Code == "40P01" || p.Code == "40001")
}

// TookTooLong says that the server ended a statement for its length (statement_timeout), or a
// person did.
func TookTooLong(err error) bool {
	p, ok := errors.AsType[*pgconn.PgError](err)
	return ok && p.Code == "57014"
}

// Sync returns when all that was written is on the disk. A transaction of SQLite survives the end of
// the process at once, but that of the machine only then.
func (db *DB) Sync(ctx context.Context) error {
	if db.Shared() {
		return nil // each commit is
	}
	var busy, pages, moved int
	if err := db.QueryRow(ctx, `PRAGMA wal_checkpoint(FULL)`).Scan(&busy, &pages, &moved); err != nil {
		return err
	}
	if busy != 0 {
		return errors.New("the database is busy")
	}
	return nil
}

// Tx is a transaction of Write, with the methods of a DB.
type Tx struct {
	tx      *sql.Tx
	dialect dialect
}

// Query runs a statement that returns rows. Close them before the next statement.
func (t Tx) Query(ctx context.Context, statement string, args ...any) (*sql.Rows, error) {
	return t.tx.QueryContext(ctx, t.dialect.sql(statement), args...)
}

// QueryRow runs a statement that returns one row.
func (t Tx) QueryRow(ctx context.Context, statement string, args ...any) *sql.Row {
	return t.tx.QueryRowContext(ctx, t.dialect.sql(statement), args...)
}

// Exec runs a statement, and returns how many rows it changed.
func (t Tx) Exec(ctx context.Context, statement string, args ...any) (changed int64, err error) {
	result, err := t.tx.ExecContext(ctx, t.dialect.sql(statement), args...)
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
}

// Shared is that of the DB.
func (t Tx) Shared() bool { return t.dialect.numbered }

// Prepare readies a statement that is run many times, until the end of the transaction. SQLite reads
// its text once. PostgreSQL reads it each time, since a pooler would lose what is prepared.
func (t Tx) Prepare(ctx context.Context, statement string) (*Statement, error) {
	s := &Statement{tx: t, text: t.dialect.sql(statement)}
	if t.Shared() {
		return s, nil
	}
	var err error
	s.prepared, err = t.tx.PrepareContext(ctx, s.text)
	return s, err
}

// Statement is one of Tx.Prepare.
type Statement struct {
	tx       Tx
	text     string
	prepared *sql.Stmt // nil: the text is read each time
}

// Exec runs the statement, and returns how many rows it changed. A context that ends is seen before it
// runs: with SQLite, a single row is meant.
func (s *Statement) Exec(ctx context.Context, args ...any) (changed int64, err error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	var result sql.Result
	if s.prepared == nil {
		result, err = s.tx.tx.ExecContext(ctx, s.text, args...)
	} else {
		// To watch a context, the driver starts a goroutine each time.
		result, err = s.prepared.ExecContext(context.WithoutCancel(ctx), args...)
	}
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
}

// Shrink gives the space of deleted rows back to the file system. PostgreSQL sees to that itself.
func (db *DB) Shrink(ctx context.Context) error {
	if db.Shared() {
		return nil
	}
	rows, err := db.sql.QueryContext(ctx, `PRAGMA incremental_vacuum`)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() { // each row frees a page
	}
	return rows.Err()
}
