package tablesource

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"
	_ "modernc.org/sqlite"             // the driver "sqlite"
)

// databaseTime limits one query, so that a start does not hang.
const databaseTime = 10 * time.Second

// database is a table that a query gives. Its rows are converted to the text of a table file,
// so that the last known content can be kept in a file.
type database struct{ address, query string }

// driver returns the driver and the data source for database/sql.
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
	// An address without a scheme is not quoted: it may hold a password.
	what := "the address"
	if strings.HasPrefix(rest, "//") && !strings.ContainsAny(scheme, " =/@") {
		what = strconv.Quote(scheme)
	}
	return "", "", errors.New(what + " is no database: write sqlite:/PATH or postgres://USER@HOST/DATABASE")
}

// read queries the whole table.
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

// writeRow writes a row as the line of a table file. A value that would be more than one word
// becomes a word that is invalid in an entry, so that the row is reported.
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
		s = word(strings.ReplaceAll(s, "=", "?"))
		if s == "subdomains" { // in a line this is an option; as a selector it is a mistake
			s += "?"
		}
		b.WriteString(" " + s)
	}
	if isTrue(field("subdomains")) {
		b.WriteString(" subdomains")
	}
	for _, key := range []string{"keys_of", "sdid"} {
		if v := field(key); v != "" {
			b.WriteString(" " + key + "=" + word(v))
		}
	}
	b.WriteByte('\n')
}

// isTrue reads a boolean as SQLite and PostgreSQL write it.
func isTrue(value string) bool {
	switch strings.ToLower(strings.TrimSpace(value)) {
	case "1", "t", "true", "y", "yes":
		return true
	}
	return false
}
