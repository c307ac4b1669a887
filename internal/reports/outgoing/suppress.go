package outgoing

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"signpost/internal/reports/store"
)

// The times for which an address gets no reports after its first, second and every further
// bounce. A bounce that comes long after the last pause counts as a first one.
var pauses = [...]time.Duration{2 * 24 * time.Hour, 7 * 24 * time.Hour, 30 * 24 * time.Hour}

const forgiven = 30 * 24 * time.Hour

// A Suppressed is an address that gets no reports for some time, because a report came back.
type Suppressed struct {
	Address      string
	Since, Until time.Time
	Bounces      int // in a row
	Why          string
}

// bounced stores that a delivery came back, and pauses its address. ok is false if the bounce
// belongs to no report that was sent, or is known.
func (q *queue) bounced(ctx context.Context, key [keyOctets]byte, why string, now time.Time) (s Suppressed, ok bool, err error) {
	err = q.db.Write(ctx, func(tx store.Tx) error {
		ok = false // the transaction may run again
		n, err := tx.Exec(ctx, `UPDATE outgoing_deliveries SET state = ?, reply = ?, at = ? WHERE bounce = ? AND state IN (?, ?, ?)`,
			stateBounced, why, now.Unix(), key[:], stateSending, stateQueued, stateSent)
		if err != nil || n != 1 {
			return err
		}
		s = Suppressed{Since: now, Why: why}
		if err := tx.QueryRow(ctx, `SELECT address FROM outgoing_deliveries WHERE bounce = ?`, key[:]).Scan(&s.Address); err != nil {
			return err
		}
		ok = true
		s.Address = sameAddress(s.Address)
		return suppress(ctx, tx, &s)
	})
	return s, ok && err == nil, err
}

// suppress counts a bounce of an address, and pauses it.
func suppress(ctx context.Context, tx store.Tx, s *Suppressed) error {
	var until int64
	err := tx.QueryRow(ctx, `SELECT until, bounces FROM outgoing_suppressed WHERE address = ?`, s.Address).Scan(&until, &s.Bounces)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return err
	}
	if s.Since.Sub(time.Unix(until, 0)) > forgiven {
		s.Bounces = 0
	}
	s.Bounces++
	s.Until = s.Since.Add(pauses[min(s.Bounces, len(pauses))-1])
	_, err = tx.Exec(ctx, `INSERT INTO outgoing_suppressed (address, since, until, bounces, why) VALUES (?, ?, ?, ?, ?)
		ON CONFLICT (address) DO UPDATE SET since = excluded.since, until = excluded.until, bounces = excluded.bounces, why = excluded.why`,
		s.Address, s.Since.Unix(), s.Until.Unix(), s.Bounces, s.Why)
	return err
}

// AllSuppressed lists the addresses that get no reports now, the longest pause first.
func AllSuppressed(ctx context.Context, db *store.DB, now time.Time) ([]Suppressed, error) {
	rows, err := db.Query(ctx, `SELECT address, since, until, bounces, why FROM outgoing_suppressed WHERE until > ? ORDER BY until DESC, address`, now.Unix())
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []Suppressed
	for rows.Next() {
		var s Suppressed
		var since, until int64
		if err := rows.Scan(&s.Address, &since, &until, &s.Bounces, &s.Why); err != nil {
			return nil, err
		}
		s.Since, s.Until = time.Unix(since, 0).UTC(), time.Unix(until, 0).UTC()
		all = append(all, s)
	}
	return all, rows.Err()
}

// suppressed returns the pause of an address; ok is false if it gets reports.
func suppressed(ctx context.Context, db *store.DB, address string, now time.Time) (s Suppressed, ok bool, err error) {
	var since, until int64
	err = db.QueryRow(ctx, `SELECT address, since, until, bounces, why FROM outgoing_suppressed WHERE address = ? AND until > ?`, sameAddress(address), now.Unix()).
		Scan(&s.Address, &since, &until, &s.Bounces, &s.Why)
	if errors.Is(err, sql.ErrNoRows) {
		return s, false, nil
	}
	s.Since, s.Until = time.Unix(since, 0).UTC(), time.Unix(until, 0).UTC()
	return s, err == nil, err
}

// Lift lets an address have reports again, and forgets its bounces. The result tells whether
// it had any.
func Lift(ctx context.Context, db *store.DB, address string) (bool, error) {
	n, err := db.Exec(ctx, `DELETE FROM outgoing_suppressed WHERE address = ?`, sameAddress(address))
	return n > 0, err
}
