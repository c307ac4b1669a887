package signer

import (
	"bytes"
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"
	_ "modernc.org/sqlite"             // the driver "sqlite"
)

// databaseTime bounds the answer to one query, so that a start does not hang on a
// database.
const databaseTime = 10 * time.Second

// database is a Table that a query gives. Its content is taken over as text, in the
// form of a table file, so that what was last known can be kept in one.
type database struct{ address, query string }

// driver returns what database/sql has to be told.
func (d database) driver() (name, dsn string, err error) {
	scheme, rest, _ := strings.Cut(d.address, ":")
	switch scheme {
	case "sqlite":
		return "sqlite", (&url.URL{Scheme: "file", Opaque: (&url.URL{Path: rest}).EscapedPath(),
			RawQuery: "mode=ro&_pragma=busy_timeout(2000)"}).String(), nil
	case "postgres", "postgresql":
		if problem := d.problem(); problem != "" {
			return "", "", errors.New(problem)
		}
		return "pgx", d.address, nil
	}
	// What has no scheme is not quoted: it may hold a password.
	what := "the address"
	if strings.HasPrefix(rest, "//") && !strings.ContainsAny(scheme, " =/@") {
		what = strconv.Quote(scheme)
	}
	return "", "", errors.New(what + " is no database: write sqlite:/PATH or postgres://USER@HOST/DATABASE")
}

// read asks for the whole table.
func (d database) read(ctx context.Context) (text []byte, err error) {
	ctx, cancel := context.WithTimeout(ctx, databaseTime)
	defer cancel()
	driver, dsn, err := d.driver()
	if err != nil {
		return nil, err
	}
	db, err := sql.Open(driver, dsn)
	if err != nil {
		return nil, err
	}
	defer db.Close()
	rows, err := db.QueryContext(ctx, d.query)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		return nil, err
	}
	if err := knownColumns(columns); err != nil {
		return nil, err
	}
	var b bytes.Buffer
	values, into := make([]sql.NullString, len(columns)), make([]any, len(columns))
	for i := range values {
		into[i] = &values[i]
	}
	for rows.Next() {
		if err := rows.Scan(into...); err != nil {
			return nil, err
		}
		writeRow(&b, columns, values)
		if b.Len() > maxTableBytes {
			return nil, fmt.Errorf("the table is larger than %d bytes", maxTableBytes)
		}
	}
	return b.Bytes(), rows.Err()
}

func knownColumns(columns []string) error {
	const takes = "the query gives the columns domain, selectors, subdomains, keys_of and sdid, of which domain is needed"
	found := false
	for _, c := range columns {
		switch c {
		case "domain":
			found = true
		case "selectors", "subdomains", "keys_of", "sdid":
		default:
			return fmt.Errorf("unknown column %q: %s", c, takes)
		}
	}
	if !found {
		return errors.New("there is no column domain: " + takes)
	}
	return nil
}

// writeRow writes a row as the line of a table file. What would be more than one
// word becomes a word that no entry has, so that the row is found wrong and not
// taken for another.
func writeRow(b *bytes.Buffer, columns []string, values []sql.NullString) {
	field := func(name string) string {
		for i, c := range columns {
			if c == name {
				return strings.TrimSpace(values[i].String)
			}
		}
		return ""
	}
	word := func(text string) string {
		return strings.Map(func(r rune) rune {
			if r <= ' ' || r == '#' || r == 0x7f {
				return '?'
			}
			return r
		}, text)
	}
	domain := word(field("domain"))
	if domain == "" {
		domain = "?"
	}
	b.WriteString(domain)
	// PostgreSQL writes an array as {a,b}.
	for _, s := range strings.FieldsFunc(strings.Trim(field("selectors"), "{}"), func(r rune) bool { return blank(r) || r == ',' }) {
		b.WriteString(" " + word(strings.ReplaceAll(s, "=", "?")))
	}
	switch strings.ToLower(field("subdomains")) {
	case "1", "t", "true", "y", "yes":
		b.WriteString(" subdomains")
	}
	for _, key := range []string{"keys_of", "sdid"} {
		if v := field(key); v != "" {
			b.WriteString(" " + key + "=" + word(v))
		}
	}
	b.WriteByte('\n')
}

// lastKnown is the file in which a table is kept for the time when its database is
// down.
func (d database) lastKnown(dir string) string {
	sum := sha256.Sum256([]byte(d.address + "\n" + d.query))
	return filepath.Join(dir, hex.EncodeToString(sum[:8])+".table")
}

// fetched is what is known of a database's table.
type fetched struct {
	database database
	text     []byte
	digest   [sha256.Size]byte
	live     bool // from the database, and not what was last known
}

// After hands on what the databases gave a generation of the configuration to the
// next one, for WithTables.
func (c Config) After(before Config) Config {
	c.fetched = before.fetched
	return c
}

// fetch returns the table, or what was last known of it, here or in a file; trouble
// says why and what follows.
func (d database) fetch(ctx context.Context, before []fetched, dir string) (f fetched, trouble string) {
	text, err := d.read(ctx)
	if err == nil {
		return fetched{d, text, sha256.Sum256(text), true}, ""
	}
	err = withoutAddress(err)
	for _, f := range before {
		if f.database == d && (f.live || len(f.text) > 0) {
			f.live = false
			return f, fmt.Sprintf("signer.tables %s: %v; what was last known of it goes on signing", d, err)
		}
	}
	path := d.lastKnown(dir)
	kept, keptErr := os.ReadFile(path)
	switch {
	case keptErr == nil:
		since := "what was last known of it"
		if info, err := os.Stat(path); err == nil {
			since = "what was known of it on " + info.ModTime().UTC().Format(time.RFC3339)
		}
		trouble = fmt.Sprintf("%v; %s goes on signing", err, since)
	case errors.Is(keptErr, fs.ErrNotExist):
		trouble = fmt.Sprintf("%v; nothing was known of it before, so its domains go unsigned until it answers", err)
	default:
		trouble = fmt.Sprintf("%v; what was last known of it cannot be read: %v", err, keptErr)
	}
	return fetched{d, kept, sha256.Sum256(kept), false}, fmt.Sprintf("signer.tables %s: %s", d, trouble)
}

// KeepTables writes what the databases gave into files in dir, for a start at which
// they are down. Only the daemon does, to whom dir belongs.
func (c Config) KeepTables(dir string) error {
	var errs []error
	for _, f := range c.fetched {
		if !f.live {
			continue
		}
		if old, err := os.ReadFile(f.database.lastKnown(dir)); err == nil && bytes.Equal(old, f.text) {
			continue
		}
		errs = append(errs, keepFile(f.database.lastKnown(dir), f.text))
	}
	return errors.Join(errs...)
}

func keepFile(path string, text []byte) error {
	wrong := func(err error) error {
		return fmt.Errorf("what a database gave cannot be kept for when it is down: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return wrong(err)
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".table-*")
	if err != nil {
		return wrong(err)
	}
	defer os.Remove(f.Name()) // nothing is there any more where all went well
	_, err = f.Write(text)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return wrong(err)
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return wrong(err)
	}
	return nil
}

// HasDatabases reports whether a table comes from one.
func (c Config) HasDatabases() bool { return len(c.fetched) > 0 }

// TablesChanged asks the databases and reports whether one gives anything else than
// is in force. One that does not answer has not changed.
func (c Config) TablesChanged(ctx context.Context) bool {
	for _, f := range c.fetched {
		if text, err := f.database.read(ctx); err == nil && (sha256.Sum256(text) != f.digest || !f.live) {
			return true
		}
	}
	return false
}
