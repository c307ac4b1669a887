package incoming

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"io"
	"strings"
	"time"

	"signpost/internal/message"
	"signpost/internal/reports/aggregate"
	"signpost/internal/reports/refusal"
	"signpost/internal/reports/store"
	"signpost/internal/reports/tlsrpt"
	"signpost/internal/reports/unpack"
)

const (
	// maxPeriod is the longest time of one report, and maxAhead how far it may lie ahead.
	maxPeriod = 366 * 24 * time.Hour
	maxAhead  = 24 * time.Hour
	// maxRawReport is the size, in gzip, up to which a document is kept.
	maxRawReport = 2 << 20
)

// A Keeper reads and stores reports. It is safe for concurrent use.
type Keeper struct {
	DB *store.DB
	// Domains tells whether a domain, in lower case, is ours.
	Domains func(domain string) bool
	Now     func() time.Time
	// MaxRecords and MaxReports limit what is stored in 24 hours; both are 0 for no limit. A record with more than a
	// kilobyte of text counts as several.
	MaxRecords, MaxReports int64
}

// A Result says what became of one report, or of one input in which none could be found.
type Result struct {
	Where string // the way to it within the input
	ID    int64  // in the store
	Kind  unpack.Kind

	Org, ReportID, Domain string
	Begin, End            time.Time
	Messages, Aligned     int64 // sessions and successful ones, of a TLS report
	Records, Skipped      int

	weight int64 // the records as they count for the limits

	Refused *refusal.Error // nil if it was stored
	// Same says of a duplicate that the document that is stored is this one, octet by octet. It is false where the
	// stored one is not kept any more.
	Same bool
}

// Read stores each report in data, which may be mail, an archive, or a report itself. allow may
// refuse kinds; nil allows all. There is at least one result. Each report is stored in one
// transaction, durably.
func (k *Keeper) Read(ctx context.Context, data []byte, allow func(unpack.Kind) *refusal.Error) []Result {
	return k.collect(ctx, allow, func(found func(unpack.Document), refused func(string, error)) { unpack.Find(data, found, refused) })
}

// ReadFile is Read for a file, which need not fit into memory.
func (k *Keeper) ReadFile(ctx context.Context, file io.ReaderAt, size int64) []Result {
	return k.collect(ctx, nil, func(found func(unpack.Document), refused func(string, error)) {
		unpack.FindIn(file, size, found, refused)
	})
}

func (k *Keeper) collect(ctx context.Context, allow func(unpack.Kind) *refusal.Error, find func(func(unpack.Document), func(string, error))) []Result {
	var results []Result
	find(func(d unpack.Document) {
		r := Result{Where: d.Where, Kind: d.Kind}
		if allow != nil {
			r.Refused = allow(d.Kind)
		}
		if r.Refused == nil {
			r.Refused = refusal.Of(k.document(ctx, d, &r))
		}
		results = append(results, r)
	}, func(where string, err error) {
		results = append(results, Result{Where: where, Refused: refusal.Of(err)})
	})
	if len(results) == 0 {
		results = append(results, Result{Refused: refusal.NoReport.With("")})
	}
	return results
}

func (k *Keeper) document(ctx context.Context, d unpack.Document, r *Result) error {
	raw := &rawCopy{}
	in := io.TeeReader(d.Open(), raw.writer())
	if d.Kind == unpack.TLS {
		report, err := tlsrpt.Read(in)
		if err != nil {
			return err
		}
		return k.keepTLS(ctx, report, raw, r)
	}
	// A report is read twice: to judge it, and to store its records without keeping them in memory.
	report, err := aggregate.Read(in, func(m *aggregate.Record) error {
		r.Records++
		texts := recordTexts(m)
		r.weight += weight(texts[:]...)
		r.Messages += m.Count
		if m.Aligned() {
			r.Aligned += m.Count
		}
		return nil
	})
	if err != nil {
		return err
	}
	m := &report.Metadata
	r.Org, r.ReportID, r.Domain, r.Begin, r.End, r.Skipped = m.OrgName, m.ReportID, report.Policy.Domain, m.Begin, m.End, report.Skipped
	if err := k.judge(r); err != nil {
		return err
	}
	return k.insert(ctx, r, aggregateColumns(report), raw, func(tx store.Tx, id int64) error {
		rows := &recordRows{ctx: ctx, tx: tx, report: id}
		if _, err := aggregate.Read(d.Open(), rows.add); err != nil {
			return err
		}
		return rows.flush()
	})
}

// judge refuses reports about others' domains and of impossible times.
func (k *Keeper) judge(r *Result) error {
	domain, isName := message.DomainToASCII(r.Domain)
	ofNoSession := r.Kind == unpack.TLS && r.Domain == ""
	switch now := k.Now(); {
	case !isName && !ofNoSession:
		return refusal.NoDomain.With("%.100q is not a domain", r.Domain)
	case r.Begin.After(now.Add(maxAhead)):
		return refusal.BadPeriod.With("it begins at %s, in the future", r.Begin.Format(time.RFC3339))
	case r.End.Sub(r.Begin) > maxPeriod:
		return refusal.BadPeriod.With("from %s to %s", r.Begin.Format(time.DateOnly), r.End.Format(time.DateOnly))
	case ofNoSession:
		return nil // it is about no domain
	case !k.Domains(domain):
		return refusal.NotOurs.With("%.100q", r.Domain)
	}
	r.Domain = domain
	return nil
}

// keepTLS stores what a TLS report says of domains of ours.
func (k *Keeper) keepTLS(ctx context.Context, t *tlsrpt.Report, raw *rawCopy, r *Result) error {
	r.Org, r.ReportID, r.Begin, r.End, r.Domain = t.OrgName, t.ReportID, t.Begin, t.End, ""
	if len(t.Policies) > 0 {
		r.Domain = t.Policies[0].Domain
	}
	var ours []tlsrpt.Policy
	var failures []string // of each of ours
	for _, p := range t.Policies {
		name, isName := message.DomainToASCII(p.Domain)
		if isName && k.Domains(name) {
			p.Domain = name
			ours, failures = append(ours, p), append(failures, listText(p.Failures))
			r.weight += weight(failures[len(failures)-1])
			r.Messages += p.Succeeded + p.Failed
			r.Aligned += p.Succeeded
		}
	}
	if len(ours) > 0 {
		r.Domain = ours[0].Domain
	}
	r.Records, r.Skipped = len(ours), len(t.Policies)-len(ours)
	if err := k.judge(r); err != nil {
		return err
	}
	return k.insert(ctx, r, columns{email: t.Contact}, raw, func(tx store.Tx, id int64) error {
		for i, p := range ours {
			if _, err := tx.Exec(ctx, `INSERT INTO incoming_tls (report, domain, policy, succeeded, failed, failures) VALUES (?, ?, ?, ?, ?, ?)`,
				id, p.Domain, p.Type, p.Succeeded, p.Failed, failures[i]); err != nil {
				return err
			}
		}
		return nil
	})
}

// identity is the same for a report that comes again: kind, reporter, report id, domain and
// time. The id alone is not enough, since some reporters use one for several domains.
func (r *Result) identity() []byte {
	h := sha256.New()
	for _, s := range []string{string(r.Kind), strings.ToLower(r.Org), strings.Trim(r.ReportID, "<> "), r.Domain} {
		h.Write(binary.BigEndian.AppendUint32(nil, uint32(len(s))))
		io.WriteString(h, s)
	}
	h.Write(binary.BigEndian.AppendUint64(nil, uint64(r.Begin.Unix())))
	h.Write(binary.BigEndian.AppendUint64(nil, uint64(r.End.Unix())))
	return h.Sum(nil)
}

// columns are those of incoming_reports that a Result does not have.
type columns struct {
	email, p, sp, np, adkim, aspf, testing, problem, generator string
}

func aggregateColumns(r *aggregate.Report) columns {
	return columns{email: r.Metadata.Email, p: r.Policy.P, sp: r.Policy.SP, np: r.Policy.NP, adkim: r.Policy.ADKIM, aspf: r.Policy.ASPF,
		testing: r.Policy.Testing, problem: r.Metadata.Error, generator: r.Metadata.Generator}
}

// insert stores a report and, with details, what belongs to it, in one transaction.
func (k *Keeper) insert(ctx context.Context, r *Result, c columns, raw *rawCopy, details func(tx store.Tx, id int64) error) error {
	return k.DB.Write(ctx, func(tx store.Tx) error {
		if err := k.fitsToday(ctx, tx, r.weight); err != nil {
			return err
		}
		rows, err := tx.Query(ctx, `INSERT INTO incoming_reports (identity, kind, domain, org, email, report_id, begins, ends, received,
			p, sp, np, adkim, aspf, testing, error, generator, messages, aligned, records, skipped)
			VALUES (`+store.Arguments(21)+`) ON CONFLICT (identity) DO NOTHING RETURNING id`,
			r.identity(), string(r.Kind), r.Domain, r.Org, c.email, r.ReportID, r.Begin.Unix(), r.End.Unix(), k.Now().Unix(),
			c.p, c.sp, c.np, c.adkim, c.aspf, c.testing, c.problem, c.generator, r.Messages, r.Aligned, r.weight, r.Skipped)
		if err != nil {
			return err
		}
		isNew := rows.Next()
		if isNew {
			err = rows.Scan(&r.ID)
		}
		if err = firstError(err, rows.Err(), rows.Close()); err != nil {
			return err
		}
		if !isNew {
			return k.duplicate(ctx, tx, r, raw.bytes())
		}
		if octets := raw.bytes(); octets != nil {
			if _, err := tx.Exec(ctx, `INSERT INTO incoming_raw (report, size, octets) VALUES (?, ?, ?)`, r.ID, len(octets), octets); err != nil {
				return err
			}
		}
		return details(tx, r.ID)
	})
}

// fitsToday refuses what is beyond the bounds of a day, so that a flood of reports fills no disk.
func (k *Keeper) fitsToday(ctx context.Context, tx store.Tx, records int64) error {
	if k.MaxRecords == 0 && k.MaxReports == 0 {
		return nil
	}
	var reports, stored int64
	err := tx.QueryRow(ctx, `SELECT count(*), CAST(coalesce(sum(records), 0) AS BIGINT) FROM incoming_reports WHERE received > ?`,
		k.Now().Add(-24*time.Hour).Unix()).Scan(&reports, &stored)
	if err == nil && (reports >= k.MaxReports || stored+records > k.MaxRecords) {
		return refusal.TooManyToday.With("%d reports and %d records are stored", reports, stored)
	}
	return err
}

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// duplicate says which report is stored, and whether it is this one. A stranger who knows the names and times of a
// report can send another under them before it comes.
func (k *Keeper) duplicate(ctx context.Context, tx store.Tx, r *Result, octets []byte) error {
	var messages int64
	var stored []byte
	if err := tx.QueryRow(ctx, `SELECT id, messages, octets FROM incoming_reports LEFT JOIN incoming_raw ON report = id WHERE identity = ?`,
		r.identity()).Scan(&r.ID, &messages, &stored); err != nil {
		return err
	}
	r.Same = len(octets) > 0 && bytes.Equal(octets, stored)
	if messages != r.Messages {
		return refusal.Duplicate.With("report %d has %d messages, this one %d", r.ID, messages, r.Messages)
	}
	return refusal.Duplicate.With("report %d", r.ID)
}
