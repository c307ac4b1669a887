// Package notices finds what is new in the reports of others, and tells it once: in the log, in a metric, and
// in a mail at most once a day.
//
// The table incoming_notices has a row for each thing that is told: it goes when the thing ends, so that it is told
// again when it begins again. mailed is when the mail about it was sent, 0 before. The row of the kind "mail" has when the
// last mail was sent; several daemons on one database send one.
package notices

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"signpost/internal/reports/incoming"
	"signpost/internal/reports/store"
)

// Kind is a kind of notice. The values are labels of a metric.
type Kind string

const (
	NewSource       Kind = "new_source"       // mail in our name from a new source fails
	FailingShare    Kind = "failing_share"    // too much of a domain's own mail fails
	ReporterStopped Kind = "reporter_stopped" // a reporter that sent often sends nothing
	TLSFailures     Kind = "tls_failures"     // sessions to our servers fail
)

// Kinds returns all of them.
func Kinds() []Kind { return []Kind{NewSource, FailingShare, ReporterStopped, TLSFailures} }

// A Notice is one thing to tell.
type Notice struct {
	Kind    Kind
	Domain  string
	Subject string // what it is about, within the domain: it is told once
	Text    string // with the numbers; foreign texts are quoted
}

// What is told is neither noise nor history.
const (
	recent      = 7  // days that are looked at
	history     = 30 // days before, in which a source is not new
	quietDays   = 4  // without a report of one who sent often
	minFailing  = 10 // messages of a new source that fail
	minMessages = 50 // of a domain's own, for a share
	maxOfKind   = 10 // of one domain at a time; the largest
	maxDomains  = 10_000
	maxNotices  = 200 // at a time; strangers may report about names that they invent
)

// Find returns what is to be told now, whether it was told or not.
func Find(ctx context.Context, db *store.DB, known incoming.Known, over incoming.Share, now time.Time) ([]Notice, error) {
	end := now.UTC().Truncate(24*time.Hour).AddDate(0, 0, 1)
	begin := end.AddDate(0, 0, -history-recent)
	domains, _, err := incoming.DomainsSince(ctx, db, begin, end, maxDomains)
	if err != nil {
		return nil, err
	}
	var all []Notice
	for _, domain := range domains {
		a, err := (&incoming.Query{DB: db, Domain: domain, Known: known, Begin: end.AddDate(0, 0, -recent), End: end}).Ask(ctx)
		if err != nil {
			return nil, err
		}
		before, err := (&incoming.Query{DB: db, Domain: domain, Known: known, Begin: begin, End: end.AddDate(0, 0, -recent)}).Ask(ctx)
		if err != nil {
			return nil, err
		}
		a.Before = before.Now
		all = append(all, ofDomain(domain, a, over, now)...)
	}
	return fewer(all), nil
}

// fewer leaves out the notices beyond maxNotices: those of domains with the most labels.
func fewer(all []Notice) []Notice {
	if len(all) <= maxNotices {
		return all
	}
	slices.SortStableFunc(all, func(a, b Notice) int {
		return cmp.Compare(strings.Count(a.Domain, "."), strings.Count(b.Domain, "."))
	})
	rest := all[maxNotices:]
	return append(all[:maxNotices:maxNotices], Notice{rest[0].Kind, rest[0].Domain, "more", fmt.Sprintf("%d more notices, the first about %s, are left out", len(rest), rest[0].Domain)})
}

// ofDomain returns the notices of one domain: a has its last days, and those before.
func ofDomain(domain string, a *incoming.Answer, over incoming.Share, now time.Time) []Notice {
	var list []Notice
	add := func(kind Kind, subject, format string, args ...any) {
		list = append(list, Notice{kind, domain, subject, fmt.Sprintf(format, args...)})
	}
	found := map[string]bool{}
	for _, s := range a.Changes().New {
		failing := s.Messages - s.Aligned
		if failing >= minFailing && failing*100 >= a.Now.Messages && !found[s.Group()] && len(found) < maxOfKind {
			found[s.Group()] = true
			add(NewSource, s.Group(), "a new source of mail from %s fails DMARC: %s, %d of %d messages (%s)", domain, s.Group(), failing, s.Messages, s.Kind.Label())
		}
	}
	if ours, failing := a.Now.Own(); ours >= minMessages && float64(failing)*100 > float64(over)*float64(ours) {
		add(FailingShare, "", "%d of %d messages of %s that are ours fail DMARC, more than %s", failing, ours, domain, over)
	}
	all := incoming.Summary{Reporters: joined(a.Before.Reporters, a.Now.Reporters)}
	quiet := all.Quiet(now, quietDays)
	for _, r := range quiet[:min(len(quiet), maxOfKind)] {
		add(ReporterStopped, r.Name, "%.60q has sent no report about %s since %s", r.Name, domain, r.Last.Format(time.DateOnly))
	}
	for _, f := range a.Now.TLSFailures[:min(len(a.Now.TLSFailures), maxOfKind)] {
		add(TLSFailures, f.Type+" "+f.MXHost, "TLS to %s fails: %d sessions, %.60q at %.80q", domain, f.Sessions, f.Type, f.MXHost)
	}
	if a.Now.Failed > 0 && len(a.Now.TLSFailures) == 0 {
		add(TLSFailures, "", "TLS to %s fails: %d of %d sessions", domain, a.Now.Failed, a.Now.Sessions)
	}
	return list
}

// joined adds the reporters of two times.
func joined(before, now []incoming.Reporter) []incoming.Reporter {
	found := map[string]int{}
	var list []incoming.Reporter
	for _, r := range append(append([]incoming.Reporter(nil), before...), now...) {
		i, known := found[r.Name]
		if !known {
			found[r.Name] = len(list)
			list = append(list, r)
			continue
		}
		list[i].Reports += r.Reports
		if r.Last.After(list[i].Last) {
			list[i].Last = r.Last
		}
	}
	return list
}

// Note keeps what is to be told, forgets what has ended, and returns what is new.
func Note(ctx context.Context, db *store.DB, list []Notice, now time.Time) (fresh []Notice, err error) {
	err = db.Write(ctx, func(tx store.Tx) error {
		fresh = nil
		current := map[[3]string]bool{}
		for _, n := range list {
			current[n.key()] = true
			added, err := tx.Exec(ctx, `INSERT INTO incoming_notices (kind, domain, subject, first_told, detail, mailed) VALUES (?, ?, ?, ?, ?, 0)
				ON CONFLICT (kind, domain, subject) DO NOTHING`, string(n.Kind), n.Domain, n.Subject, now.Unix(), n.Text)
			if err != nil {
				return err
			}
			if added > 0 {
				fresh = append(fresh, n)
			}
		}
		return forget(ctx, tx, current)
	})
	return fresh, err
}

func (n Notice) key() [3]string { return [3]string{string(n.Kind), n.Domain, n.Subject} }

// forget deletes the rows that are not current.
func forget(ctx context.Context, tx store.Tx, current map[[3]string]bool) error {
	rows, err := tx.Query(ctx, `SELECT kind, domain, subject FROM incoming_notices WHERE kind <> 'mail'`)
	if err != nil {
		return err
	}
	var gone [][3]string
	for rows.Next() {
		var k [3]string
		if err := rows.Scan(&k[0], &k[1], &k[2]); err != nil {
			rows.Close()
			return err
		}
		if !current[k] {
			gone = append(gone, k)
		}
	}
	if err := rows.Err(); err != nil {
		return err
	}
	rows.Close()
	for _, k := range gone {
		if _, err := tx.Exec(ctx, `DELETE FROM incoming_notices WHERE kind = ? AND domain = ? AND subject = ?`, k[0], k[1], k[2]); err != nil {
			return err
		}
	}
	return nil
}

const (
	mailEvery = 24 * time.Hour  // between two mails
	noteTime  = 5 * time.Second // for noting what became of one
)

// Mail sends one mail about what no mail has told yet, if there is anything and the last mail is a day old. send gets
// the lines. Where it fails, the next call tries again, also where it fails because ctx has ended.
func Mail(ctx context.Context, db *store.DB, now time.Time, send func(lines []string) error) error {
	lines, err := unmailed(ctx, db)
	if err != nil || len(lines) == 0 {
		return err
	}
	if _, err := db.Exec(ctx, `INSERT INTO incoming_notices (kind, domain, subject, first_told, detail, mailed) VALUES ('mail', '', '', 0, '', 0)
		ON CONFLICT (kind, domain, subject) DO NOTHING`); err != nil {
		return err
	}
	var last int64
	if err := db.QueryRow(ctx, `SELECT mailed FROM incoming_notices WHERE kind = 'mail'`).Scan(&last); err != nil {
		return err
	}
	if now.Unix()-last < int64(mailEvery/time.Second) {
		return nil
	}
	// One daemon of several gets the turn.
	turn, err := db.Exec(ctx, `UPDATE incoming_notices SET mailed = ? WHERE kind = 'mail' AND mailed = ?`, now.Unix(), last)
	if err != nil || turn == 0 {
		return err
	}
	err = send(lines)
	// What became of the mail is written down even if ctx has ended meanwhile.
	noting, cancel := context.WithTimeout(context.WithoutCancel(ctx), noteTime)
	defer cancel()
	if err != nil {
		_, back := db.Exec(noting, `UPDATE incoming_notices SET mailed = ? WHERE kind = 'mail'`, last)
		return fmt.Errorf("the mail to reports.notify.to: %w", firstOf(err, back))
	}
	_, err = db.Exec(noting, `UPDATE incoming_notices SET mailed = ? WHERE kind <> 'mail' AND mailed = 0`, now.Unix())
	return err
}

func firstOf(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func unmailed(ctx context.Context, db *store.DB) ([]string, error) {
	rows, err := db.Query(ctx, `SELECT detail FROM incoming_notices WHERE kind <> 'mail' AND mailed = 0 ORDER BY domain, kind, subject`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var lines []string
	for rows.Next() {
		var s string
		if err := rows.Scan(&s); err != nil {
			return nil, err
		}
		lines = append(lines, s)
	}
	return lines, rows.Err()
}

// Text is the mail about lines. The addresses are those of the configuration.
func Text(from, to, host string, lines []string, now time.Time) []byte {
	var b strings.Builder
	id := fmt.Sprintf("signpost-notice.%d@%s", now.Unix(), from[strings.LastIndexByte(from, '@')+1:])
	fmt.Fprintf(&b, "From: <%s>\r\nTo: <%s>\r\nSubject: Signpost: %d new in the reports about your domains\r\nDate: %s\r\nMessage-ID: <%s>\r\n",
		from, to, len(lines), now.UTC().Format("Mon, 02 Jan 2006 15:04:05 -0700"), id)
	b.WriteString("Auto-Submitted: auto-generated\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n")
	for _, l := range lines {
		b.WriteString("* " + strings.NewReplacer("\r", " ", "\n", " ").Replace(l) + "\r\n")
	}
	fmt.Fprintf(&b, "\r\nTo see more, on %s:\r\n\r\n    signpost report show DOMAIN\r\n", host)
	return []byte(b.String())
}
