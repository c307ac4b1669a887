package outgoing

import (
	"bytes"
	"compress/gzip"
	"context"
	"database/sql"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"signpost/internal/reports/aggregate"
	"signpost/internal/reports/store"
)

const (
	// maxRecords is how many records a report has. Those with the fewest messages are left out.
	maxRecords = 50000
	// maxReport is the most of a report's compressed XML, in octets: many receivers refuse mail
	// of more than 10 MB.
	maxReport = 7 << 20
)

// built is the XML of a report.
type built struct {
	xml               []byte // gzip
	messages, records int64
}

// build writes the report about a row of outgoing_reports. Built twice, it may have counters
// that came late.
func (s *Sender) build(ctx context.Context, r *report) (built, error) {
	c := composer{db: s.queue.db, cfg: s.cfg, generator: s.Generator}
	return c.compose(ctx, r.identity, r.reportID, r.note)
}

// composer makes reports of counters.
type composer struct {
	db        *store.DB
	cfg       Config
	generator string
}

// total is how many records and messages a report could have.
type total struct{ records, messages, folded int64 }

// compose writes a report with as many of its records as the limits allow.
func (c composer) compose(ctx context.Context, i identity, reportID, note string) (built, error) {
	policy, records, err := c.policy(ctx, i)
	if err != nil || len(records) == 0 {
		return built{}, err
	}
	rows := rowsOf(i.day, records)
	all, err := c.total(ctx, rows)
	if err != nil || all.records == 0 {
		return built{}, err
	}
	for limit := min(all.records, maxRecords); ; limit /= 2 {
		b, err := c.write(ctx, rows, c.head(i, policy, reportID, note), all, limit)
		if err != nil || len(b.xml) <= maxReport || limit <= 1 {
			return b, err
		}
	}
}

func (c composer) head(i identity, policy aggregate.Policy, reportID, note string) aggregate.Report {
	return aggregate.Report{
		Metadata: aggregate.Metadata{
			OrgName: c.cfg.OrgName, Email: c.cfg.From, ReportID: reportID, Begin: i.begin(), End: i.end(), Error: note, Generator: c.generator,
		},
		Policy: policy,
	}
}

// maxRecordsOfPolicy bounds the records with one policy that a report is about: a domain may
// publish other addresses at each question.
const maxRecordsOfPolicy = 1000

// policy returns the policy of a report, and the ids of its records in the counters. RFC 9990
// §3.1.1.5: a tag that was not published has its default, or is left out.
func (c composer) policy(ctx context.Context, i identity) (policy aggregate.Policy, records [][]byte, err error) {
	rows, err := c.db.Query(ctx, `SELECT id, domain, p, sp, np, adkim, aspf, fo, testing, method FROM traffic_policies WHERE domain = ? AND rua <> '' ORDER BY seen DESC, id`, i.domain)
	if err != nil {
		return policy, nil, err
	}
	defer rows.Close()
	for rows.Next() && len(records) < maxRecordsOfPolicy {
		var id []byte
		var p aggregate.Policy
		var testing bool
		if err := rows.Scan(&id, &p.Domain, &p.P, &p.SP, &p.NP, &p.ADKIM, &p.ASPF, &p.FO, &testing, &p.DiscoveryMethod); err != nil {
			return policy, nil, err
		}
		if p = published(p, testing); bytes.Equal(policyKey(p), i.policy) {
			policy, records = p, append(records, id)
		}
	}
	return policy, records, rows.Err()
}

// selection is the rows of traffic that a report is about.
type selection struct {
	where string
	args  []any
}

func rowsOf(day int64, records [][]byte) selection {
	s := selection{`t.day = ? AND t.policy IN (` + store.Arguments(len(records)) + `)`, []any{day}}
	for _, id := range records {
		s.args = append(s.args, id)
	}
	return s
}

// group are the columns of traffic that a report shows. Rows that differ in others alone are
// one record.
const group = `header_from, envelope_from, source, dkim, spf_domain, spf_scope, spf_result, dkim_aligned, spf_aligned, result, requested, disposition, reasons`

func (c composer) total(ctx context.Context, rows selection) (t total, err error) {
	err = c.db.QueryRow(ctx, `SELECT count(*), coalesce(sum(n), 0) FROM (SELECT sum(t.count) AS n FROM traffic t
		WHERE `+rows.where+` AND `+reportable+` GROUP BY `+group+`) AS g`, rows.args...).Scan(&t.records, &t.messages)
	if err == nil {
		err = c.db.QueryRow(ctx, `SELECT coalesce(sum(t.count), 0) FROM traffic t WHERE `+rows.where+` AND t.folded = 1`, rows.args...).Scan(&t.folded)
	}
	return t, err
}

// write writes the records with the most messages.
func (c composer) write(ctx context.Context, from selection, head aggregate.Report, all total, limit int64) (built, error) {
	rows, err := c.db.Query(ctx, `SELECT `+group+`, sum(t.count) AS n FROM traffic t
		WHERE `+from.where+` AND `+reportable+` GROUP BY `+group+` ORDER BY n DESC, source, header_from LIMIT ?`, append(slices.Clone(from.args), limit)...)
	if err != nil {
		return built{}, err
	}
	defer rows.Close()
	head.Metadata.Error = leftOut(head.Metadata.Error, all, limit)
	var b built
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	w := aggregate.NewWriter(z, head)
	for rows.Next() {
		r, err := record(rows)
		if err != nil {
			return built{}, err
		}
		if !r.SourceIP.IsValid() || r.Count < 1 {
			continue
		}
		if err := w.Record(&r); err != nil {
			return built{}, err
		}
		b.records++
		b.messages += r.Count
	}
	if err := rows.Err(); err != nil || b.records == 0 {
		return built{}, err
	}
	if err := w.Close(); err != nil {
		return built{}, err
	}
	if err := z.Close(); err != nil {
		return built{}, err
	}
	b.xml = out.Bytes()
	return b, nil
}

// leftOut says which messages are in no record.
func leftOut(note string, all total, limit int64) string {
	var notes []string
	if note != "" {
		notes = append(notes, note)
	}
	if left := all.records - limit; left > 0 {
		notes = append(notes, fmt.Sprintf("there are %d records; the %d with the fewest messages are left out (%d messages in all)", all.records, left, all.messages))
	}
	if all.folded > 0 {
		notes = append(notes, fmt.Sprintf("%d messages more came from too many sources to tell them apart", all.folded))
	}
	return strings.Join(notes, "; ")
}

// record reads one row of group and its count.
func record(rows *sql.Rows) (aggregate.Record, error) {
	var r aggregate.Record
	var source, dkim, result, requested, why string
	var spf aggregate.Sender
	var dkimAligned, spfAligned bool
	err := rows.Scan(&r.HeaderFrom, &r.EnvelopeFrom, &source, &dkim, &spf.Domain, &spf.Scope, &spf.Result, &dkimAligned, &spfAligned,
		&result, &requested, &r.Disposition, &why, &r.Count)
	if err != nil {
		return r, err
	}
	r.SourceIP, _ = netip.ParseAddr(source) // one that is not valid is left out
	r.DKIM, r.SPF = passOrFail(dkimAligned), passOrFail(spfAligned)
	r.Signatures, r.Reasons = signatures(dkim), reasons(why)
	if result == "fail" && r.Disposition != requested && len(r.Reasons) == 0 {
		// RFC 9990 §3.1.1.9: a reason must be given.
		r.Reasons = []aggregate.Reason{{Type: "local_policy"}}
	}
	// RFC 9990 §3.1.1.13: mfrom is the only scope. With the null sender, the MAIL FROM identity is
	// postmaster at the HELO name (RFC 7208 §2.4).
	if spf.Domain != "" {
		spf.Scope = "mfrom"
		r.Senders = []aggregate.Sender{spf}
	}
	return r, nil
}

func passOrFail(pass bool) string {
	if pass {
		return "pass"
	}
	return "fail"
}
