package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"signpost/internal/control"
	"signpost/internal/daemon"
	"signpost/internal/display"
	"signpost/internal/dns"
	"signpost/internal/reports/incoming"
	"signpost/internal/reports/store"
)

const reportShowText = `Show what others report about a domain: how much of its mail passes DMARC, who
sends in its name, what has changed, and whether its policy may be stricter.
Without a domain, one line for each.

    signpost report show [OPTIONS] [DOMAIN]

Example:

    signpost report show example.com --since 30d
`

func reportShowCommand(args []string, _ io.Reader, stdout, stderr io.Writer) int {
	const name = "report show"
	f := flags(name, reportShowText, stderr)
	place := newReportPlace(name, f, stdout, stderr)
	since := newSince(f, "30d")
	all := f.Bool("all", false, "show every source, not only the largest")
	rest, code, stop := parse(f, args, stdout)
	if stop {
		return code
	}
	domain, problem := optionalDomain(rest)
	if problem != "" {
		return place.usage(problem)
	}
	s := shower{reportPlace: place, ctx: context.Background(), all: *all, begin: time.Unix(since.day*86400, 0).UTC(), end: time.Unix((today()+1)*86400, 0).UTC()}
	var err error
	if s.config, s.db, err = place.open(s.ctx); err != nil {
		return place.fail(err)
	}
	defer s.db.Close()
	if whole, _, err := daemon.ReadWhole(*place.config); err == nil {
		s.config = whole // the entries of tables only help to tell sources apart
	}
	if domain != "" {
		err = s.one(domain)
	} else {
		err = s.each()
	}
	if err != nil {
		return place.fail(err)
	}
	return exitOK
}

// shower answers report show.
type shower struct {
	reportPlace
	ctx        context.Context
	config     daemon.Config
	db         *store.DB
	all        bool
	begin, end time.Time // the end does not belong to it
}

func (s *shower) ask(domain string) (*incoming.Answer, error) {
	q := incoming.Query{DB: s.db, Domain: domain, Begin: s.begin, End: s.end, Known: s.config.KnownOfReports()}
	return q.Ask(s.ctx)
}

// shownSource is one source in the JSON of report show.
type shownSource struct {
	Address      string `json:"address"`
	Name         string `json:"name"` // confirmed by DNS; "" if there is none
	Organization string `json:"organization"`
	Messages     int64  `json:"messages"`
	Aligned      int64  `json:"aligned"`
	DKIM         int64  `json:"dkim"`
	SPF          int64  `json:"spf"`
	Stopped      int64  `json:"stopped"` // quarantined or rejected
	Kind         string `json:"kind"`    // own-host, known-sender, forwarder, forgery
}

type shownReporter struct {
	Name     string `json:"name"`
	Reports  int64  `json:"reports"`
	Messages int64  `json:"messages"`
	Last     string `json:"last"`
}

type shownTLS struct {
	Type     string `json:"type"`
	MXHost   string `json:"mx_host"`
	Sessions int64  `json:"sessions"`
}

type shownAdvice struct {
	Policy string `json:"policy"`
	May    bool   `json:"may"`
	Why    string `json:"why"`
	Record string `json:"record,omitempty"`
}

type shownSums struct {
	Reports  int64 `json:"reports"`
	Messages int64 `json:"messages"`
	Aligned  int64 `json:"aligned"`
}

// shownDomain is the JSON of report show DOMAIN.
type shownDomain struct {
	Domain    string          `json:"domain"`
	Begin     string          `json:"begin"` // first day
	End       string          `json:"end"`   // last day
	Reports   int64           `json:"reports"`
	Messages  int64           `json:"messages"`
	Aligned   int64           `json:"aligned"`
	Policy    string          `json:"policy"`
	Sources   []shownSource   `json:"sources"`
	Reporters []shownReporter `json:"reporters"`
	Before    shownSums       `json:"before"` // the time before, as long
	Changes   struct {
		New     []shownSource   `json:"new_failing_sources"`
		Gone    []shownSource   `json:"gone_sources"`
		Stopped []shownReporter `json:"stopped_reporters"`
	} `json:"changes"`
	Advice []shownAdvice `json:"advice"`
	TLS    struct {
		Sessions int64      `json:"sessions"`
		Failed   int64      `json:"failed"`
		Failures []shownTLS `json:"failures"`
	} `json:"tls"`
	Signed *shownSigning `json:"signing,omitempty"`
}

func (s *shower) one(domain string) error {
	a, err := s.ask(domain)
	if err != nil {
		return err
	}
	if a.Now.Reports == 0 && a.Now.Sessions == 0 {
		return &control.Error{Problem: fmt.Sprintf("no report about %s since %s", domain, s.begin.Format(time.DateOnly)),
			Remedy: "ask for more days with --since, publish rua= with an address of reports.in.addresses, or import reports with signpost report import"}
	}
	signed, err := s.signing(domain)
	if err != nil {
		return err
	}
	advice := a.Advise(domain, s.record(domain), strings.Join(s.config.Reports.In.Addresses[:min(1, len(s.config.Reports.In.Addresses))], ""))
	if *s.json {
		printJSON(s.stdout, shown(domain, s.begin, s.end, a, advice, signed))
		return nil // run reports a failed write
	}
	s.text(domain, a, advice, signed)
	return nil
}

// record is the DMARC record in DNS, "" if it does not answer in time.
func (s *shower) record(domain string) string {
	resolver, err := dns.Open(s.config.DNS)
	if err != nil {
		return ""
	}
	ctx, cancel := context.WithTimeout(s.ctx, 5*time.Second)
	defer cancel()
	records, err := resolver.LookupTXT(ctx, "_dmarc."+domain)
	if err != nil {
		return ""
	}
	for _, r := range records {
		if strings.HasPrefix(r, "v=DMARC1") {
			return printable(r)
		}
	}
	return ""
}

func shown(domain string, begin, end time.Time, a *incoming.Answer, advice []incoming.Advice, signed *shownSigning) shownDomain {
	d := shownDomain{Domain: domain, Begin: begin.Format(time.DateOnly), End: end.AddDate(0, 0, -1).Format(time.DateOnly),
		Reports: a.Now.Reports, Messages: a.Now.Messages, Aligned: a.Now.Aligned, Policy: a.Now.Policy, Signed: signed,
		Sources: shownSources(a.Now.Sources), Reporters: shownReporters(a.Now.Reporters),
		Before: shownSums{a.Before.Reports, a.Before.Messages, a.Before.Aligned}, Advice: []shownAdvice{}}
	c := a.Changes()
	d.Changes.New, d.Changes.Gone, d.Changes.Stopped = shownSources(c.New), shownSources(c.Gone), shownReporters(c.Stopped)
	for _, v := range advice {
		d.Advice = append(d.Advice, shownAdvice(v))
	}
	d.TLS.Sessions, d.TLS.Failed, d.TLS.Failures = a.Now.Sessions, a.Now.Failed, []shownTLS{}
	for _, f := range a.Now.TLSFailures {
		d.TLS.Failures = append(d.TLS.Failures, shownTLS{printable(f.Type), printable(f.MXHost), f.Sessions})
	}
	return d
}

func shownSources(list []incoming.Source) []shownSource {
	out := make([]shownSource, 0, len(list))
	for _, s := range list {
		out = append(out, shownSource{s.Address.String(), s.Name, s.Organization, s.Messages, s.Aligned, s.DKIM, s.SPF, s.Stopped, string(s.Kind)})
	}
	return out
}

func shownReporters(list []incoming.Reporter) []shownReporter {
	out := make([]shownReporter, 0, len(list))
	for _, r := range list {
		out = append(out, shownReporter{printable(r.Name), r.Reports, r.Messages, r.Last.Format(time.RFC3339)})
	}
	return out
}

// each shows one line for each domain.
func (s *shower) each() error {
	domains, _, err := incoming.DomainsSince(s.ctx, s.db, s.begin, s.end, 0)
	if err != nil {
		return err
	}
	all := []shownDomain{}
	if !*s.json && len(domains) > 0 {
		fmt.Fprintf(s.stdout, "%-30s %7s %10s %9s %10s %9s\n", "DOMAIN", "REPORTS", "MESSAGES", "PASS", "BEFORE", "POLICY")
	}
	for _, domain := range domains {
		a, err := s.ask(domain)
		if err != nil {
			return err
		}
		if *s.json {
			all = append(all, shown(domain, s.begin, s.end, a, nil, nil))
			continue
		}
		fmt.Fprintf(s.stdout, "%-30s %7d %10s %9s %10s %9s\n", shortened(domain, 30), a.Now.Reports, display.Thousands(a.Now.Messages),
			display.Percent(a.Now.Aligned, a.Now.Messages), display.Percent(a.Before.Aligned, a.Before.Messages), shortened(printable(a.Now.Policy), 9))
	}
	if *s.json {
		printJSON(s.stdout, map[string]any{"domains": all})
		return nil // run reports a failed write
	}
	if len(domains) == 0 {
		say(s.stdout, noReports)
	}
	return nil
}
