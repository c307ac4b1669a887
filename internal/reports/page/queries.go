package page

import (
	"context"
	"database/sql"
	"time"

	"signpost/internal/reports/store"
)

const secondsOfDay = 24 * 60 * 60

// dates writes a day of the store.
func dateOf(day int64) string { return time.Unix(day*secondsOfDay, 0).UTC().Format(time.DateOnly) }

// each passes the rows of a query one by one.
func each(ctx context.Context, db *store.DB, scan func(*sql.Rows) error, statement string, args ...any) error {
	rows, err := db.Query(ctx, statement, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := scan(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

// byDay returns what reports say of each day, for one domain, or for one source of it if address is not "". Days
// without a report are there with zeros.
func (p *Page) byDay(ctx context.Context, q Query, domain, address string) ([]day, error) {
	begin, end := p.span(q)
	first, last := begin.Unix()/secondsOfDay, end.Unix()/secondsOfDay
	days := make([]day, last-first)
	for i := range days {
		days[i].Name = dateOf(first + int64(i))
	}
	err := each(ctx, p.DB, func(rows *sql.Rows) error {
		var at, passed, all int64
		if err := rows.Scan(&at, &passed, &all); err != nil {
			return err
		}
		if i := at - first; i >= 0 && i < int64(len(days)) {
			days[i].Passed, days[i].Other = passed, all-passed
		}
		return nil
	}, `SELECT r.begins / 86400, CAST(sum(CASE WHEN m.dkim = 1 OR m.spf = 1 THEN m.count ELSE 0 END) AS BIGINT), CAST(sum(m.count) AS BIGINT)
		FROM incoming_records m JOIN incoming_reports r ON r.id = m.report
		WHERE r.kind = 'aggregate' AND r.begins >= ? AND r.begins < ? AND (? = '' OR r.domain = ? OR m.header_from = ?) AND (? = '' OR m.source = ?)
		GROUP BY r.begins / 86400`, begin.Unix(), end.Unix(), domain, domain, domain, address, address)
	return days, err
}

// policies is the table of the records that reporters saw.
func (p *Page) policies(ctx context.Context, q Query, domain string) (*table, error) {
	begin, end := p.span(q)
	t := &table{Caption: "Policies that reporters saw", Empty: "No report has a policy.",
		Columns: []column{{Name: "p="}, {Name: "sp="}, {Name: "np="}, {Name: "adkim="}, {Name: "aspf="}, {Name: "t="}, {Name: "First"}, {Name: "Last"}, {"Reports", true}}}
	err := each(ctx, p.DB, func(rows *sql.Rows) error {
		var tags [6]string
		var first, last, n int64
		if err := rows.Scan(&tags[0], &tags[1], &tags[2], &tags[3], &tags[4], &tags[5], &first, &last, &n); err != nil {
			return err
		}
		r := row{}
		for _, tag := range tags {
			r.Cells = append(r.Cells, text(orNone(tag)))
		}
		r.Cells = append(r.Cells, text(dateOf(first/secondsOfDay)), text(dateOf(last/secondsOfDay)), number(n))
		t.Rows = append(t.Rows, r)
		return nil
	}, `SELECT p, sp, np, adkim, aspf, testing, min(begins), max(ends), count(*) FROM incoming_reports
		WHERE kind = 'aggregate' AND domain = ? AND begins >= ? AND begins < ? GROUP BY p, sp, np, adkim, aspf, testing ORDER BY max(ends) DESC`,
		domain, begin.Unix(), end.Unix())
	return t.beside(), err
}

// record is one line of a report.
type record struct {
	Report                         int64
	Day                            int64
	Org, Source, Host              string
	HeaderFrom, EnvelopeFrom, Done string
	Signatures, Senders, Reasons   string
	DKIM, SPF                      bool
	Count                          int64
}

// records passes the records of one report, or of one source.
func (p *Page) records(ctx context.Context, take func(record), where string, args ...any) error {
	return each(ctx, p.DB, func(rows *sql.Rows) error {
		var r record
		var host sql.NullString
		var dkim, spf int64
		if err := rows.Scan(&r.Report, &r.Day, &r.Org, &r.Source, &host, &r.HeaderFrom, &r.EnvelopeFrom, &r.Done, &r.Signatures, &r.Senders, &r.Reasons,
			&dkim, &spf, &r.Count); err != nil {
			return err
		}
		r.Host, r.DKIM, r.SPF = host.String, dkim != 0, spf != 0
		take(r)
		return nil
	}, `SELECT r.id, r.begins / 86400, r.org, m.source, h.name, m.header_from, m.envelope_from, m.disposition, m.signatures, m.senders, m.reasons, m.dkim, m.spf, m.count
		FROM incoming_records m JOIN incoming_reports r ON r.id = m.report LEFT JOIN incoming_hosts h ON h.address = m.source
		WHERE r.kind = 'aggregate' AND `+where+` ORDER BY r.begins DESC, m.count DESC`, args...)
}
