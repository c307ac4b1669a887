package page

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"signpost/internal/display"
	"signpost/internal/reports/aggregate"
	"signpost/internal/reports/incoming"
	"signpost/internal/reports/unpack"
)

// errNotFound says that the store has nothing of that name.
var errNotFound = errors.New("not found")

// overview lists the domains.
func (p *Page) overview(ctx context.Context, q Query, to links, most int) (*view, error) {
	begin, end := p.span(q)
	// Each domain takes some questions, also where it has no problem.
	domains, left, err := incoming.DomainsSince(ctx, p.DB, begin, end, min(most, maxDomains))
	if err != nil {
		return nil, err
	}
	t := &table{Caption: "Domains with reports", Empty: "No reports of this time are stored. They come by mail to the addresses in reports.in.addresses, or by signpost report import.",
		Columns: []column{{Name: "Domain"}, {"Messages", true}, {"Passed DMARC", true}, {fmt.Sprintf("%d days before", q.Days), true}, {Name: "Policy"}, {"Looks like forgery", true}, {"Reports", true}}}
	for _, d := range domains {
		a, err := (&incoming.Query{DB: p.DB, Domain: d, Known: p.Known, Begin: begin, End: end}).Ask(ctx)
		if err != nil {
			return nil, err
		}
		now := &a.Now
		var forged, ours int64
		for _, s := range now.Sources {
			if s.Kind == incoming.Forgery {
				forged += s.Messages
			} else {
				ours += s.Messages - s.Aligned
			}
		}
		t.Rows = append(t.Rows, row{Problem: ours > 0 || now.Failed > 0, Cells: []cell{link(d, to.domain(d)), number(now.Messages), share(now.Aligned, now.Messages),
			share(a.Before.Aligned, a.Before.Messages), text(orNone(now.Policy)), number(forged), number(now.Reports)}})
	}
	days, err := p.byDay(ctx, q, "", "")
	if err != nil {
		return nil, err
	}
	v := &view{Title: "Domains", Lead: fmt.Sprintf("What others report about mail in our names, %s to %s.", begin.Format("2006-01-02"), end.AddDate(0, 0, -1).Format("2006-01-02"))}
	if len(domains) > 0 {
		v.Blocks = append(v.Blocks, block{Chart: newChart(days)})
	}
	t = t.only(q.Problems, most)
	t.Left += left
	v.Blocks = append(v.Blocks, block{Table: t})
	return v, nil
}

// domain is about one domain.
func (p *Page) domain(ctx context.Context, q Query, to links, name string, most int) (*view, error) {
	begin, end := p.span(q)
	a, err := (&incoming.Query{DB: p.DB, Domain: name, Known: p.Known, Begin: begin, End: end}).Ask(ctx)
	if err != nil {
		return nil, err
	}
	days, err := p.byDay(ctx, q, name, "")
	if err != nil {
		return nil, err
	}
	policies, err := p.policies(ctx, q, name)
	if err != nil {
		return nil, err
	}
	now := &a.Now
	v := &view{Title: name, Lead: fmt.Sprintf("%s messages in %d days with reports, %s passed DMARC; %s in the %d days before.",
		display.Thousands(now.Messages), now.Days, percent(now.Aligned, now.Messages), percent(a.Before.Aligned, a.Before.Messages), q.Days)}
	if now.Reports == 0 && now.Sessions == 0 {
		v.Lead = "No report of this time is about this domain."
		return v, nil
	}
	v.Blocks = append(v.Blocks,
		block{Heading: "Messages by day", Chart: newChart(days)},
		block{Heading: "Who sends in its name", Table: sourceTable(now.Sources, name, to).only(q.Problems, most)})
	if advice := a.Advise(name, "", ""); len(advice) > 0 {
		v.Blocks = append(v.Blocks, block{Heading: "May its policy be stricter?", Facts: adviceFacts(advice)})
	}
	v.Blocks = append(v.Blocks, changesBlock(a.Changes(), name, to), block{Heading: "Policies", Table: policies},
		block{Heading: "Reporters", Table: reporterTable(now.Reporters).beside()})
	if now.Sessions > 0 {
		v.Blocks = append(v.Blocks, tlsBlock(now))
	}
	return v, nil
}

func sourceTable(sources []incoming.Source, domain string, to links) *table {
	t := &table{Caption: "Sources, the largest first", Empty: "No source.",
		Columns: []column{{Name: "Source"}, {Name: "Name"}, {Name: "It is"}, {"Messages", true}, {"Passed", true}, {"By DKIM", true}, {"By SPF", true}, {"Stopped", true}}}
	for _, s := range sources {
		mark := "good"
		switch {
		case s.Kind == incoming.Forgery:
			mark = "bad"
		case s.Aligned < s.Messages:
			mark = "warn"
		}
		t.Rows = append(t.Rows, row{Problem: s.Aligned < s.Messages, Cells: []cell{link(s.Address.String(), to.source(s.Address.String(), domain)), text(orNone(s.Name)),
			marked(s.Kind.Label(), mark), number(s.Messages), share(s.Aligned, s.Messages), share(s.DKIM, s.Messages), share(s.SPF, s.Messages), number(s.Stopped)}})
	}
	return t
}

func adviceFacts(advice []incoming.Advice) []fact {
	var facts []fact
	for _, a := range advice {
		answer := "not yet: "
		if a.May {
			answer = "yes: "
		}
		facts = append(facts, fact{Name: "p=" + a.Policy, Value: answer + a.Why})
	}
	return facts
}

func changesBlock(c incoming.Changes, domain string, to links) block {
	b := block{Heading: "What has changed"}
	add := func(name string, s incoming.Source) {
		b.Facts = append(b.Facts, fact{name, fmt.Sprintf("%s %s, %s messages", s.Address, s.Name, display.Thousands(s.Messages)), to.source(s.Address.String(), domain)})
	}
	for i, s := range c.New {
		if i == 10 {
			b.Facts = append(b.Facts, fact{Name: "New and failing", Value: fmt.Sprintf("%d more", len(c.New)-i)})
			break
		}
		add("New and failing", s)
	}
	for i, s := range c.Gone {
		if i == 10 {
			break
		}
		add("No longer there", s)
	}
	for i, r := range c.Stopped {
		if i == 10 {
			break
		}
		b.Facts = append(b.Facts, fact{Name: "Reporter without a report", Value: r.Name})
	}
	if len(b.Facts) == 0 {
		b.Note = "Nothing has changed."
	}
	return b
}

func reporterTable(reporters []incoming.Reporter) *table {
	t := &table{Caption: "Who sent reports", Empty: "No reporter.", Columns: []column{{Name: "Reporter"}, {"Reports", true}, {"Messages", true}, {Name: "Last"}}}
	for _, r := range reporters {
		t.Rows = append(t.Rows, row{Cells: []cell{text(r.Name), number(r.Reports), number(r.Messages), text(r.Last.Format("2006-01-02"))}})
	}
	return t
}

func tlsBlock(s *incoming.Summary) block {
	t := &table{Caption: "Failures", Empty: "No session failed.", Columns: []column{{Name: "Failure"}, {Name: "Mail server"}, {"Sessions", true}}}
	for _, f := range s.TLSFailures {
		t.Rows = append(t.Rows, row{Problem: true, Cells: []cell{text(f.Type), text(orNone(f.MXHost)), number(f.Sessions)}})
	}
	return block{Heading: "TLS", Note: fmt.Sprintf("%s of %s sessions to its mail servers failed.", display.Thousands(s.Failed), display.Thousands(s.Sessions)), Table: t}
}

// source is about one address, for one domain or for all.
func (p *Page) source(ctx context.Context, q Query, to links, address, domain string, most int) (*view, error) {
	begin, end := p.span(q)
	days, err := p.byDay(ctx, q, domain, address)
	if err != nil {
		return nil, err
	}
	t := &table{Caption: "Records, the latest first", Empty: "No record of this time has this source.", Columns: []column{{Name: "Day"}, {Name: "From"}, {Name: "MAIL FROM"},
		{"Messages", true}, {Name: "DKIM"}, {Name: "SPF"}, {Name: "Done"}, {Name: "Signatures"}, {Name: "Reporter"}}}
	host := ""
	err = p.records(ctx, func(r record) {
		host = r.Host
		t.add(q.Problems, most, !r.DKIM && !r.SPF, func() []cell {
			return []cell{text(dateOf(r.Day)), text(orNone(r.HeaderFrom)), text(orNone(r.EnvelopeFrom)), number(r.Count),
				passed(r.DKIM), passed(r.SPF), text(orNone(r.Done)), text(orNone(signatures(r.Signatures))), link(r.Org, to.report(r.Report))}
		})
	}, `r.begins >= ? AND r.begins < ? AND m.source = ? AND (? = '' OR r.domain = ? OR m.header_from = ?)`, begin.Unix(), end.Unix(), address, domain, domain, domain)
	if err != nil {
		return nil, err
	}
	v := &view{Title: address, Lead: "It has no confirmed host name."}
	if host != "" {
		v.Lead = "Its confirmed host name is " + host + "."
	}
	if domain != "" {
		v.Blocks = append(v.Blocks, block{Facts: []fact{{Name: "Domain", Value: domain, Link: to.domain(domain)}}})
	}
	if len(t.Rows)+t.Hidden > 0 {
		v.Blocks = append(v.Blocks, block{Heading: "Messages by day", Chart: newChart(days)})
	}
	v.Blocks = append(v.Blocks, block{Heading: "Records", Table: t})
	return v, nil
}

func passed(yes bool) cell {
	if yes {
		return marked("pass", "good")
	}
	return marked("fail", "bad")
}

// signatures writes the results of signatures in one line.
func signatures(stored string) string {
	var list []aggregate.Signature
	if stored == "" || json.Unmarshal([]byte(stored), &list) != nil {
		return ""
	}
	var words []string
	for _, s := range list {
		words = append(words, strings.TrimSpace(s.Domain+" "+s.Selector+" "+s.Result))
	}
	return strings.Join(words, ", ")
}

// reports lists the stored reports.
func (p *Page) reports(ctx context.Context, q Query, to links, most int) (*view, error) {
	begin, end := p.span(q)
	t := &table{Caption: "Reports, the latest first", Empty: "No reports of this time are stored.",
		Columns: []column{{Name: "Report"}, {Name: "Day"}, {Name: "Reporter"}, {Name: "Domain"}, {Name: "Kind"}, {"Messages", true}, {"Well", true}}}
	err := incoming.List(ctx, p.DB, "", begin, end, func(l incoming.Listed) error {
		kind := "DMARC"
		if l.Kind == unpack.TLS {
			kind = "TLS"
		}
		t.add(q.Problems, most, l.Aligned < l.Messages, func() []cell {
			return []cell{link(fmt.Sprint(l.ID), to.report(l.ID)), text(l.Begin.Format("2006-01-02")), text(l.Org),
				domainCell(l.Domain, to), text(kind), number(l.Messages), share(l.Aligned, l.Messages)}
		})
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &view{Title: "Reports", Lead: "Each report that others sent. Messages of a TLS report are sessions.", Blocks: []block{{Table: t}}}, nil
}

// domainCell links a domain; a TLS report of no session has none.
func domainCell(domain string, to links) cell {
	if domain == "" {
		return text(orNone(""))
	}
	return link(domain, to.domain(domain))
}
