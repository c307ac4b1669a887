package outgoing

import (
	"context"
	"database/sql"
	"iter"
	"time"

	"signpost/internal/reports/store"
)

// Summary is how the reports to others are doing.
type Summary struct {
	Waiting      int // planned, and neither sent nor given up
	Sent, Failed int // that ended within the last 24 hours
	Suppressed   int // addresses that get none for a while
	// Trouble is why all reports wait, and Remedy what to do; "" if none is known.
	Trouble, Remedy string
}

// Summary asks the database.
func (s *Sender) Summary(ctx context.Context) (Summary, error) {
	var sum Summary
	s.mu.Lock()
	sum.Trouble, sum.Remedy = s.trouble.text, s.trouble.remedy
	s.mu.Unlock()
	now := s.Now()
	err := s.queue.db.QueryRow(ctx, `SELECT
		(SELECT count(*) FROM outgoing_reports WHERE finished = 0),
		(SELECT count(*) FROM outgoing_reports WHERE state = ? AND finished > ?),
		(SELECT count(*) FROM outgoing_reports WHERE state = ? AND finished > ?),
		(SELECT count(*) FROM outgoing_suppressed WHERE until > ?)`,
		stateSent, now.Add(-24*time.Hour).Unix(), stateFailed, now.Add(-24*time.Hour).Unix(), now.Unix()).
		Scan(&sum.Waiting, &sum.Sent, &sum.Failed, &sum.Suppressed)
	return sum, err
}

// trouble is a problem of all reports.
type trouble struct{ text, remedy string }

// hasTrouble notes a problem of all reports, and logs it once an hour.
func (s *Sender) hasTrouble(kind, text, err, remedy string, attrs ...any) {
	s.mu.Lock()
	s.trouble = trouble{text + ": " + err, remedy}
	s.mu.Unlock()
	s.sometimes(kind, "reports to others wait: "+text, append(attrs, "error", err, "remedy", remedy)...)
}

// noTrouble notes that the MTA took a report.
func (s *Sender) noTrouble() {
	s.mu.Lock()
	s.trouble = trouble{}
	s.mu.Unlock()
}

// Record is one report that was sent, given up or planned, for lists.
type Record struct {
	Domain, ReportID, State, Why string
	To                           string // its first destination; "" while there is none
	Day                          time.Time
	Messages, Records            int64
	Finished                     time.Time // zero while it is not
}

// Records returns the reports about the days from begin until before end, the newest first.
func Records(ctx context.Context, db *store.DB, begin, end time.Time) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		rows, err := db.Query(ctx, `SELECT r.domain, r.report_id, r.state, r.why, r.day, r.messages, r.records, r.finished,
			(SELECT min(d.address) FROM outgoing_deliveries d WHERE d.report = r.id)
			FROM outgoing_reports r WHERE r.day >= ? AND r.day < ? ORDER BY r.day DESC, r.domain, r.id`, begin.Unix()/86400, end.Unix()/86400)
		if err != nil {
			yield(Record{}, err)
			return
		}
		defer rows.Close()
		for rows.Next() {
			r, err := scanRecord(rows)
			if !yield(r, err) || err != nil {
				return
			}
		}
		if err := rows.Err(); err != nil {
			yield(Record{}, err)
		}
	}
}

func scanRecord(rows *sql.Rows) (Record, error) {
	var r Record
	var day, finished int64
	var to sql.NullString
	err := rows.Scan(&r.Domain, &r.ReportID, &r.State, &r.Why, &day, &r.Messages, &r.Records, &finished, &to)
	r.To, r.Day = to.String, time.Unix(day*86400, 0).UTC()
	if finished > 0 {
		r.Finished = time.Unix(finished, 0).UTC()
	}
	return r, err
}
