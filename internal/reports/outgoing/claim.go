package outgoing

import (
	"context"
	"errors"
	"time"

	"signpost/internal/reports/store"
)

const (
	// lease is how long a report belongs to a claim that is not renewed: a process that
	// crashed delays it by no more. The claims are compared with the clocks of all hosts, so
	// these have to agree within lease less a few renewals.
	lease = 10 * time.Minute
	// renewal is how often a claim is renewed while the work on the report goes on: an MTA may
	// take longer than the lease to answer (RFC 5321 §4.5.3.2 allows ten minutes for the message alone).
	renewal = time.Minute
)

// errLost says that the claim has ended, and another process may have the report.
var errLost = errors.New("another process may have taken the report over")

// hold renews the claim of a report until release is called. held ends when the claim is lost,
// with the cause errLost: by then another process has claimed the report, or will soon, since
// the database has not answered.
func (s *Sender) hold(ctx context.Context, r *report) (held context.Context, release func()) {
	held, end := context.WithCancelCause(ctx)
	beats, stop := s.beats, func() {}
	if beats == nil {
		t := time.NewTicker(renewal)
		beats, stop = t.C, t.Stop
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer stop()
		for until := r.until; ; {
			select {
			case <-held.Done():
				return
			case <-beats:
			}
			next := s.Now().Add(lease)
			err := s.renewed(held, r, next)
			if err == nil {
				until = next
				s.at("renewed")
			} else if errors.Is(err, errLost) || !s.Now().Before(until.Add(-2*renewal)) {
				end(errLost)
				s.at("lost")
				return
			}
		}
	}()
	return held, func() {
		end(nil)
		<-done
	}
}

// renewed extends the claim. The next renewal does not wait for this one for long.
func (s *Sender) renewed(ctx context.Context, r *report, until time.Time) error {
	ctx, cancel := context.WithTimeout(ctx, renewal)
	defer cancel()
	return s.queue.update(ctx, r, `claimed_until = ?`, until.Unix())
}

// lost tells whether the claim of the work's context is.
func lost(held context.Context) bool { return errors.Is(context.Cause(held), errLost) }

// claimed fails with errLost if a report is no longer this claim's.
func claimed(ctx context.Context, tx store.Tx, r *report) error {
	var n int
	err := tx.QueryRow(ctx, `SELECT count(*) FROM outgoing_reports WHERE id = ? AND claimed_by = ?`, r.id, r.claim).Scan(&n)
	if err == nil && n != 1 {
		return errLost
	}
	return err
}
