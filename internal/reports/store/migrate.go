package store

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// area is a part of the reports with tables of its own. Its version in a database is how many
// of its migrations have been applied. A migration that was released never changes.
type area struct {
	name       string
	migrations []string // statements, separated by ";" at the end of a line
}

// areas are all areas that this program knows.
var areas = []area{
	{"traffic", trafficSchema},
	{"incoming", incomingSchema},
	{"outgoing", outgoingSchema},
}

const versionTable = `CREATE TABLE IF NOT EXISTS reports_schema (area TEXT PRIMARY KEY, version BIGINT NOT NULL)`

// ErrNewer says that a newer program has changed the tables. This program must not touch them.
var ErrNewer = errors.New("a newer Signpost has written this database")

// ErrOlder says that the tables lack what this program reads, because its daemon has not run.
var ErrOlder = errors.New("an older Signpost has written this database")

// migrate brings the tables up to date. Daemons that start together on one database take
// their turns: each area's row is locked while it is migrated.
func (db *DB) migrate(ctx context.Context, all []area) error {
	if err := db.createVersions(ctx, all); err != nil {
		return err
	}
	return db.Write(ctx, func(tx Tx) error {
		for _, a := range all {
			if err := a.migrate(ctx, tx); err != nil {
				return err
			}
		}
		return nil
	})
}

// createVersions makes the table of versions. In PostgreSQL, two that create a table at once
// may collide in spite of IF NOT EXISTS, and the second attempt finds it.
func (db *DB) createVersions(ctx context.Context, all []area) (err error) {
	for range 3 {
		err = db.Write(ctx, func(tx Tx) error {
			if _, err := tx.Exec(ctx, versionTable); err != nil {
				return err
			}
			for _, a := range all {
				if _, err := tx.Exec(ctx, `INSERT INTO reports_schema (area, version) VALUES (?, 0) ON CONFLICT (area) DO NOTHING`, a.name); err != nil {
					return err
				}
			}
			return nil
		})
		if err == nil {
			return nil
		}
	}
	return err
}

func (a area) migrate(ctx context.Context, tx Tx) error {
	// The update locks the row, so that the version is read after another daemon's commit.
	if _, err := tx.Exec(ctx, `UPDATE reports_schema SET version = version WHERE area = ?`, a.name); err != nil {
		return err
	}
	var version int
	if err := tx.QueryRow(ctx, `SELECT version FROM reports_schema WHERE area = ?`, a.name).Scan(&version); err != nil {
		return err
	}
	if version > len(a.migrations) {
		return a.newer(version)
	}
	for i, m := range a.migrations[version:] {
		for _, statement := range statements(m) {
			if _, err := tx.Exec(ctx, statement); err != nil {
				return fmt.Errorf("table version %d of %s: %w", version+i+1, a.name, err)
			}
		}
	}
	_, err := tx.Exec(ctx, `UPDATE reports_schema SET version = ? WHERE area = ?`, len(a.migrations), a.name)
	return err
}

func (a area) newer(version int) error {
	return fmt.Errorf("%w: its tables of %s have version %d, this one knows %d; run the newer one, or name another database in reports.database",
		ErrNewer, a.name, version, len(a.migrations))
}

// check compares the versions and changes nothing.
func (db *DB) check(ctx context.Context, all []area) error {
	rows, err := db.Query(ctx, `SELECT area, version FROM reports_schema`)
	if err != nil {
		return db.noTables(ctx, err)
	}
	defer rows.Close()
	found := map[string]int{}
	for rows.Next() {
		var name string
		var version int
		if err := rows.Scan(&name, &version); err != nil {
			return err
		}
		found[name] = version
	}
	if err := rows.Err(); err != nil {
		return err
	}
	if len(found) == 0 || slices.Max(slices.Collect(maps.Values(found))) == 0 {
		return fmt.Errorf("%w: it has no tables; where the daemon runs, signpost status says why it could not make them", ErrNone)
	}
	for _, a := range all {
		switch v := found[a.name]; {
		case v > len(a.migrations):
			return a.newer(v)
		case v < len(a.migrations):
			return fmt.Errorf("%w: restart the daemon, which brings its tables up to date (%s: version %d of %d)", ErrOlder, a.name, v, len(a.migrations))
		}
	}
	return nil
}

// noTables tells a database without tables from one that does not answer.
func (db *DB) noTables(ctx context.Context, err error) error {
	var one int
	if db.QueryRow(ctx, `SELECT 1`).Scan(&one) != nil {
		return err
	}
	if strings.Contains(err.Error(), "reports_schema") {
		return ErrNone
	}
	return err
}

// statements splits a migration at the semicolons that end a line.
func statements(migration string) []string {
	list := strings.Split(migration, ";\n")
	return slices.DeleteFunc(list, func(s string) bool { return strings.TrimSpace(s) == "" })
}
