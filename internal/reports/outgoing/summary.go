package outgoing

import (
	"context"
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
	Day                          time.Time
	Messages, Records            int64
	Finished                     time.Time // zero while it is not
}

// Recent lists the last reports about days from since on, the newest first.
func Recent(ctx context.Context, db *store.DB, since time.Time, limit int) ([]Record, error) {
	rows, err := db.Query(ctx, `SELECT domain, report_id, state, why, day, messages, records, finished FROM outgoing_reports
		WHERE day >= ? ORDER BY day DESC, domain, id LIMIT ?`, since.Unix()/86400, limit)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []Record
	for rows.Next() {
		var r Record
		var day, finished int64
		if err := rows.Scan(&r.Domain, &r.ReportID, &r.State, &r.Why, &day, &r.Messages, &r.Records, &finished); err != nil {
			return nil, err
		}
		r.Day = time.Unix(day*86400, 0).UTC()
		if finished > 0 {
			r.Finished = time.Unix(finished, 0).UTC()
		}
		all = append(all, r)
	}
	return all, rows.Err()
}
