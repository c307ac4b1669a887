package incoming

import (
	"bytes"
	"compress/gzip"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"time"

	"signpost/internal/reports/store"
	"signpost/internal/reports/unpack"
)

// Listed is one stored report.
type Listed struct {
	ID                    int64
	Kind                  unpack.Kind
	Domain, Org, ReportID string
	Begin, End, Received  time.Time
	Messages, Aligned     int64 // sessions and successful ones, of a TLS report
}

// List passes the reports that begin in a time, the latest first; domain "" has all.
func List(ctx context.Context, db *store.DB, domain string, begin, end time.Time, each func(Listed) error) error {
	rows, err := db.Query(ctx, `SELECT id, kind, domain, org, report_id, begins, ends, received, messages, aligned FROM incoming_reports
		WHERE begins >= ? AND begins < ? AND (? = '' OR domain = ?) ORDER BY begins DESC, id DESC`, begin.Unix(), end.Unix(), domain, domain)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var l Listed
		var begins, ends, received int64
		if err := rows.Scan(&l.ID, &l.Kind, &l.Domain, &l.Org, &l.ReportID, &begins, &ends, &received, &l.Messages, &l.Aligned); err != nil {
			return err
		}
		l.Begin, l.End, l.Received = time.Unix(begins, 0).UTC(), time.Unix(ends, 0).UTC(), time.Unix(received, 0).UTC()
		if err := each(l); err != nil {
			return err
		}
	}
	return rows.Err()
}

// ErrNoRaw says that the document of a report is not there: the report is not stored, its document was too big,
// or gave way to newer ones.
var ErrNoRaw = errors.New("the document of this report is not stored")

// Raw returns the document of a report, as the reporter sent it.
func Raw(ctx context.Context, db *store.DB, id int64) (io.Reader, error) {
	var octets []byte
	err := db.QueryRow(ctx, `SELECT octets FROM incoming_raw WHERE report = ?`, id).Scan(&octets)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return nil, ErrNoRaw
	case err != nil:
		return nil, err
	}
	z, err := gzip.NewReader(bytes.NewReader(octets))
	if err != nil {
		return nil, fmt.Errorf("report %d: %w", id, err)
	}
	return z, nil
}

// maxStored is how many records are kept of all reports together: about a gigabyte, and at most some five, since a
// record with much text counts as several.
const maxStored = 5_000_000

// Prune deletes reports that ended before oldest, and the oldest beyond maxStored records, and of the documents the
// oldest, until maxRaw octets remain.
func Prune(ctx context.Context, db *store.DB, oldest time.Time, maxRaw int64) error {
	oldest, err := beyond(ctx, db, oldest, maxStored)
	if err != nil {
		return err
	}
	return db.Write(ctx, func(tx store.Tx) error {
		for _, table := range []string{"incoming_records", "incoming_tls", "incoming_raw"} {
			if _, err := tx.Exec(ctx, `DELETE FROM `+table+` WHERE report IN (SELECT id FROM incoming_reports WHERE ends < ?)`, oldest.Unix()); err != nil {
				return err
			}
		}
		for _, statement := range []string{
			`DELETE FROM incoming_reports WHERE ends < ?`, `DELETE FROM incoming_hosts WHERE looked_up < ?`, `DELETE FROM incoming_notices WHERE kind <> 'mail' AND first_told < ?`,
		} {
			if _, err := tx.Exec(ctx, statement, oldest.Unix()); err != nil {
				return err
			}
		}
		_, err := tx.Exec(ctx, `DELETE FROM incoming_raw WHERE report IN (SELECT report FROM
			(SELECT report, sum(size) OVER (ORDER BY report DESC) AS total FROM incoming_raw) AS sizes WHERE total > ?)`, maxRaw)
		return err
	})
}

// beyond returns oldest, or a later time, so that reports that end from then on have at most so many records.
func beyond(ctx context.Context, db *store.DB, oldest time.Time, records int64) (time.Time, error) {
	var ends sql.NullInt64
	err := db.QueryRow(ctx, `SELECT max(ends) FROM (SELECT ends, sum(records) OVER (ORDER BY ends DESC, id DESC) AS total FROM incoming_reports) AS sums
		WHERE total > ?`, records).Scan(&ends)
	if err == nil && ends.Valid && ends.Int64 >= oldest.Unix() {
		oldest = time.Unix(ends.Int64+1, 0)
	}
	return oldest, err
}
