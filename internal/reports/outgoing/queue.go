package outgoing

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"time"

	"signpost/internal/reports/store"
)

// The states of a report (see the package comment), and of its delivery to one address, which
// may also be suppressed or bounced.
const (
	stateBuilding   = "building"
	stateQueued     = "queued"
	stateSending    = "sending"
	stateSent       = "sent"
	stateFailed     = "failed"
	stateSuppressed = "suppressed"
	stateBounced    = "bounced"
)

// queue is the reports of the database.
type queue struct{ db *store.DB }

func newQueue(db *store.DB) *queue { return &queue{db} }

// report is one row of outgoing_reports that this process has claimed.
type report struct {
	claim    string    // names the claim, and no other of the same process
	until    time.Time // the end of the claim, when it was made
	id       int64
	identity identity // its submitter is not stored
	reportID string
	fileName string
	note     string
	state    string
	messages int64
	xml      []byte
	created  time.Time
	attempts int64
}

const reportColumns = `id, day, domain, policy, report_id, file_name, note, state, messages, xml, created, attempts`

func (r *report) scan(row interface{ Scan(...any) error }) error {
	var created int64
	err := row.Scan(&r.id, &r.identity.day, &r.identity.domain, &r.identity.policy, &r.reportID, &r.fileName, &r.note, &r.state, &r.messages, &r.xml, &created, &r.attempts)
	r.created = time.Unix(created, 0)
	return err
}

// claim takes the next report that is due and that no living process has. It returns nil if
// there is none.
func (q *queue) claim(ctx context.Context, now time.Time) (*report, error) {
	var r *report
	err := q.db.Write(ctx, func(tx store.Tx) error {
		found := &report{}
		err := found.scan(tx.QueryRow(ctx, `SELECT `+reportColumns+` FROM outgoing_reports
			WHERE finished = 0 AND due <= ? AND claimed_until <= ? ORDER BY due, id LIMIT 1 {skip locked}`, now.Unix(), now.Unix()))
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		if err != nil {
			return err
		}
		found.attempts++
		found.claim, found.until = rand.Text(), now.Add(lease)
		_, err = tx.Exec(ctx, `UPDATE outgoing_reports SET claimed_by = ?, claimed_until = ?, attempts = ? WHERE id = ?`,
			found.claim, found.until.Unix(), found.attempts, found.id)
		r = found
		return err
	})
	if err != nil {
		return nil, err
	}
	return r, nil
}

// update changes the row of a claimed report. set is the list of columns with their arguments.
func (q *queue) update(ctx context.Context, r *report, set string, args ...any) error {
	n, err := q.db.Exec(ctx, `UPDATE outgoing_reports SET `+set+` WHERE id = ? AND claimed_by = ?`, append(args, r.id, r.claim)...)
	if err == nil && n != 1 {
		return errLost
	}
	return err
}

// built stores the XML, with which the report is queued. From here on it never changes.
func (q *queue) built(ctx context.Context, r *report, b built) error {
	err := q.update(ctx, r, `state = ?, xml = ?, messages = ?, records = ?`, stateQueued, b.xml, b.messages, b.records)
	if err == nil {
		r.state, r.xml, r.messages = stateQueued, b.xml, b.messages
	}
	return err
}

// finish ends the work on a report.
func (q *queue) finish(ctx context.Context, r *report, state, why string, now time.Time) error {
	return q.update(ctx, r, `state = ?, why = ?, finished = ?, claimed_by = '', claimed_until = 0`, state, why, now.Unix())
}

// postpone gives a report back until a time.
func (q *queue) postpone(ctx context.Context, r *report, why string, until time.Time) error {
	return q.update(ctx, r, `why = ?, due = ?, claimed_by = '', claimed_until = 0`, why, until.Unix())
}

// deliveries returns the state of each delivery of a report, by the address.
func (q *queue) deliveries(ctx context.Context, r *report) (map[string]string, error) {
	rows, err := q.db.Query(ctx, `SELECT address, state FROM outgoing_deliveries WHERE report = ?`, r.id)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	states := map[string]string{}
	for rows.Next() {
		var address, state string
		if err := rows.Scan(&address, &state); err != nil {
			return nil, err
		}
		states[sameAddress(address)] = state
	}
	return states, rows.Err()
}

// begin notes that the report is about to be offered to the MTA for an address. From here on,
// the MTA may have it.
func (q *queue) begin(ctx context.Context, r *report, address string, now time.Time) error {
	key := deliveryKey(r.reportID, address)
	err := q.db.Write(ctx, func(tx store.Tx) error {
		n, err := tx.Exec(ctx, `UPDATE outgoing_reports SET state = ?, claimed_until = ? WHERE id = ? AND claimed_by = ?`,
			stateSending, now.Add(lease).Unix(), r.id, r.claim)
		if err != nil {
			return err
		}
		if n != 1 {
			return errLost
		}
		return delivery(ctx, tx, r, address, key, stateSending, "", now)
	})
	if err == nil {
		r.state = stateSending
	}
	return err
}

// delivered notes what came of the delivery to an address. What another process may repeat is
// noted only by the one that has the report.
func (q *queue) delivered(ctx context.Context, r *report, address, state, reply string, now time.Time) error {
	return q.db.Write(ctx, func(tx store.Tx) error {
		if !final(state) {
			if err := claimed(ctx, tx, r); err != nil {
				return err
			}
		}
		return delivery(ctx, tx, r, address, deliveryKey(r.reportID, address), state, reply, now)
	})
}

// delivery stores the state of a delivery. What the MTA has taken stays taken.
func delivery(ctx context.Context, tx store.Tx, r *report, address string, key [keyOctets]byte, state, reply string, now time.Time) error {
	_, err := tx.Exec(ctx, `INSERT INTO outgoing_deliveries (report, address, bounce, state, reply, at) VALUES (?, ?, ?, ?, ?, ?)
		ON CONFLICT (report, address) DO UPDATE SET state = excluded.state, reply = excluded.reply, at = excluded.at
		WHERE outgoing_deliveries.state NOT IN ('sent', 'bounced')`,
		r.id, address, key[:], state, reply, now.Unix())
	return err
}

// secret returns the secret of the tokens. All processes on one database have the same.
func (q *queue) secret(ctx context.Context) ([]byte, error) {
	fresh := make([]byte, 32)
	_, _ = rand.Read(fresh) // it never fails
	if _, err := q.db.Exec(ctx, `INSERT INTO outgoing_secret (one, secret) VALUES (1, ?) ON CONFLICT (one) DO NOTHING`, fresh); err != nil {
		return nil, err
	}
	var secret []byte
	err := q.db.QueryRow(ctx, `SELECT secret FROM outgoing_secret WHERE one = 1`).Scan(&secret)
	return secret, err
}

const (
	// xmlLife is how long the XML of a finished report is kept.
	xmlLife = 7 * 24 * time.Hour
)

// prune deletes what is older than keep, and the XML of reports that are finished.
func (q *queue) prune(ctx context.Context, now time.Time, keep time.Duration) error {
	old := now.Add(-keep)
	for _, c := range []struct {
		statement string
		arg       int64
	}{
		{`UPDATE outgoing_reports SET xml = NULL WHERE finished > 0 AND finished < ? AND xml IS NOT NULL`, now.Add(-xmlLife).Unix()},
		{`DELETE FROM outgoing_deliveries WHERE report IN (SELECT id FROM outgoing_reports WHERE finished > 0 AND day < ?)`, old.Unix() / 86400},
		{`DELETE FROM outgoing_reports WHERE finished > 0 AND day < ?`, old.Unix() / 86400},
		{`DELETE FROM outgoing_days WHERE day < ?`, old.Unix() / 86400},
		{`DELETE FROM outgoing_known WHERE day < ?`, old.Unix() / 86400},
		{`DELETE FROM outgoing_suppressed WHERE until < ?`, now.Add(-forgiven).Unix()},
	} {
		if _, err := q.db.Exec(ctx, c.statement, c.arg); err != nil {
			return err
		}
	}
	return nil
}
