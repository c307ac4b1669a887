package page

import (
	"context"
	"fmt"
	"strings"
	"time"

	"signpost/internal/display"
	"signpost/internal/reports/outgoing"
	"signpost/internal/reports/traffic"
)

// sent lists what was reported to others.
func (p *Page) sent(ctx context.Context, q Query, _ links, most int) (*view, error) {
	begin, end := p.span(q)
	t := &table{Caption: "Reports to others, the latest first", Empty: "None was made in this time. The section reports.out switches them on.",
		Columns: []column{{Name: "Day"}, {Name: "Domain"}, {Name: "State"}, {Name: "To"}, {"Messages", true}, {"Records", true}, {Name: "Report-ID"}, {Name: "Why"}}}
	for r, err := range outgoing.Records(ctx, p.DB, begin, end) {
		if err != nil {
			return nil, err
		}
		mark := "good"
		switch r.State {
		case "failed":
			mark = "bad"
		case "sent":
		default:
			mark = "warn"
		}
		t.Rows = append(t.Rows, row{Problem: r.State == "failed", Cells: []cell{text(r.Day.Format(time.DateOnly)), text(r.Domain), marked(r.State, mark), text(orNone(r.To)), number(r.Messages),
			number(r.Records), text(r.ReportID), text(orNone(r.Why))}})
	}
	return &view{Title: "Sent to others", Lead: "The reports of this host about mail that it received. signpost report preview DOMAIN shows the next one.", Blocks: []block{{Table: t.only(q.Problems, most)}}}, nil
}

// wouldRefuse shows what enforce mode would have refused.
func (p *Page) wouldRefuse(ctx context.Context, q Query, _ links, most int) (*view, error) {
	begin, end := p.span(q)
	from, until := traffic.DayOf(begin), traffic.DayOf(end.Add(-time.Second))
	r, err := p.Refused(ctx, from, until)
	if err != nil {
		return nil, err
	}
	v := &view{Title: "Would refuse"}
	if r.Recorded == 0 {
		v.Lead = "Nothing has been counted yet. The daemon counts mail that it judges while reports.database is set."
		return v, nil
	}
	v.Lead = fmt.Sprintf("Of %s messages, enforce mode would refuse, hold or tag %s; it was done to %s.", display.Thousands(r.Judged), display.Thousands(r.Affected), display.Thousands(r.Taken))
	t := &table{Caption: "By author domain, the largest first", Empty: "None.", Columns: []column{{Name: "Author domain"}, {Name: "Policy"}, {"Messages", true}, {"Passed DMARC", true},
		{"Affected", true}, {"Through lists", true}, {"Forwarded", true}, {"By services", true}, {"Unknown", true}, {"Excusable", true}}}
	for _, d := range r.Domains {
		t.Rows = append(t.Rows, row{Problem: d.List+d.Forwarded+d.Service > 0, Cells: []cell{text(orNone(d.Domain)), text(orNone(d.Policy)), number(d.Messages), share(d.Aligned, d.Messages),
			number(d.Total()), number(d.List), number(d.Forwarded), number(d.Service), number(d.Unknown), number(d.Excused)}})
	}
	hosts := &table{Caption: "By host, the largest first", Empty: "None.", Columns: []column{{Name: "Host"}, {Name: "Name"}, {"Affected", true}, {"Through lists", true}, {"Forwarded", true},
		{"By services", true}, {"Unknown", true}, {"Author domains", true}, {Name: "Mostly"}}}
	for _, h := range r.Hosts {
		hosts.Rows = append(hosts.Rows, row{Problem: h.List+h.Forwarded+h.Service > 0, Cells: []cell{text(h.Address), text(orNone(h.Name)), number(h.Total()), number(h.List), number(h.Forwarded),
			number(h.Service), number(h.Unknown), number(int64(h.Domains)), text(orNone(h.Largest))}})
	}
	v.Blocks = append(v.Blocks, block{Heading: "Author domains", Table: t.only(q.Problems, most)}, block{Heading: "Hosts", Table: hosts.only(q.Problems, most)})
	if len(r.Excuses) > 0 {
		b := block{Heading: "What would let honest mail pass", Note: "Entries of the configuration, with the mail that they let pass."}
		for _, e := range r.Excuses {
			b.Facts = append(b.Facts, fact{Name: e.Kind, Value: fmt.Sprintf("%s (%s messages)", strings.Join(e.Entries, " "), display.Thousands(e.Messages))})
		}
		v.Blocks = append(v.Blocks, b)
	}
	return v, nil
}
