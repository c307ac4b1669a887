package page

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"
	"unicode/utf8"

	"signpost/internal/display"
	"signpost/internal/reports/incoming"
)

// maxDocument bounds the part of a report's document that a page shows.
const maxDocument = 256 << 10

// report is one report with its document.
func (p *Page) report(ctx context.Context, q Query, to links, id int64, most int) (*view, error) {
	var kind, domain, org, email, reportID, mistake, generator string
	var begins, ends, received, messages, aligned, skipped int64
	err := p.DB.QueryRow(ctx, `SELECT kind, domain, org, email, report_id, error, generator, begins, ends, received, messages, aligned, skipped FROM incoming_reports WHERE id = ?`, id).
		Scan(&kind, &domain, &org, &email, &reportID, &mistake, &generator, &begins, &ends, &received, &messages, &aligned, &skipped)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, errNotFound
	}
	if err != nil {
		return nil, err
	}
	at := func(seconds int64) string { return time.Unix(seconds, 0).UTC().Format("2006-01-02 15:04") }
	facts := []fact{{"Reporter", org, ""}, {"Address", orNone(email), ""}, {"Report-ID", reportID, ""},
		{"Time", at(begins) + " to " + at(ends), ""}, {"Received", at(received), ""}, {"Messages", display.Thousands(messages), ""}, {"Passed", percent(aligned, messages), ""}}
	if domain != "" {
		facts = slices.Insert(facts, 0, fact{"Domain", domain, to.domain(domain)})
	}
	for _, f := range []fact{{"Generator", generator, ""}, {"Error", mistake, ""}} {
		if f.Value != "" {
			facts = append(facts, f)
		}
	}
	if skipped > 0 {
		facts = append(facts, fact{"Not read", fmt.Sprintf("%d records without an address or a number", skipped), ""})
	}
	v := &view{Title: fmt.Sprintf("Report %d", id), Blocks: []block{{Facts: facts}}}
	if kind == "aggregate" {
		t, err := p.recordTable(ctx, q, to, id, domain, most)
		if err != nil {
			return nil, err
		}
		v.Blocks = append(v.Blocks, block{Heading: "Records", Table: t})
	}
	document, err := p.document(ctx, id)
	if err != nil {
		return nil, err
	}
	v.Blocks = append(v.Blocks, block{Heading: "As it was received", Document: document})
	return v, nil
}

func (p *Page) recordTable(ctx context.Context, q Query, to links, id int64, domain string, most int) (*table, error) {
	t := &table{Caption: "Records, the largest first", Empty: "The report has no record.", Columns: []column{{Name: "Source"}, {Name: "Name"}, {"Messages", true}, {Name: "From"},
		{Name: "MAIL FROM"}, {Name: "DKIM"}, {Name: "SPF"}, {Name: "Done"}, {Name: "Signatures"}}}
	err := p.records(ctx, func(r record) {
		t.add(q.Problems, most, !r.DKIM && !r.SPF, func() []cell {
			return []cell{link(r.Source, to.source(r.Source, domain)), text(orNone(r.Host)), number(r.Count), text(orNone(r.HeaderFrom)),
				text(orNone(r.EnvelopeFrom)), passed(r.DKIM), passed(r.SPF), text(orNone(r.Done)), text(orNone(signatures(r.Signatures)))}
		})
	}, `r.id = ?`, id)
	return t, err
}

// document returns the document as text.
func (p *Page) document(ctx context.Context, id int64) (string, error) {
	raw, err := incoming.Raw(ctx, p.DB, id)
	if errors.Is(err, incoming.ErrNoRaw) {
		return "The document of this report is not stored: it was too large, or gave way to newer ones (reports.in.max_raw).", nil
	}
	if err != nil {
		return "", err
	}
	octets, err := io.ReadAll(io.LimitReader(raw, maxDocument+1))
	if err != nil {
		return "", err
	}
	text := string(octets[:min(len(octets), maxDocument)])
	if !utf8.ValidString(text) {
		text = latin1(text)
	}
	if len(octets) > maxDocument {
		text += fmt.Sprintf("\n… signpost report list --raw %d prints all of it", id)
	}
	return text, nil
}

// latin1 shows octets that are no UTF-8.
func latin1(s string) string {
	runes := make([]rune, 0, len(s))
	for i := range len(s) {
		runes = append(runes, rune(s[i]))
	}
	return string(runes)
}
