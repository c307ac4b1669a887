package main

import (
	"fmt"
	"strings"
	"time"

	"signpost/internal/display"
	"signpost/internal/reports/incoming"
)

// maxShown is how many lines a part of the text has without --all.
const maxShown = 15

// text shows one domain in at most 80 columns.
func (s *shower) text(domain string, a *incoming.Answer, advice []incoming.Advice, signed *shownSigning) {
	w, n := s.stdout, &a.Now
	fmt.Fprintf(w, "%s, %s to %s\n", domain, s.begin.Format(time.DateOnly), s.end.AddDate(0, 0, -1).Format(time.DateOnly))
	if n.Reports > 0 {
		fmt.Fprintf(w, "%s of %s messages pass DMARC, in %s by %s\n", display.Percent(n.Aligned, n.Messages), display.Thousands(n.Messages),
			display.Count(int(n.Reports), "report"), display.Count(len(n.Reporters), "reporter"))
	}
	if a.Before.Messages > 0 {
		fmt.Fprintf(w, "The time before, it was %s of %s.\n", display.Percent(a.Before.Aligned, a.Before.Messages), display.Thousands(a.Before.Messages))
	}
	s.sources(n.Sources)
	s.signingText(signed)
	s.changes(a.Changes())
	s.tls(n)
	s.advice(domain, advice)
}

// sourceGroup is one line: the sources of one organization and kind.
type sourceGroup struct {
	name              string
	kind              incoming.SourceKind
	hosts             int
	messages, aligned int64
}

// grouped joins sources of one organization and kind, in the order of their largest source.
func grouped(list []incoming.Source) []*sourceGroup {
	var groups []*sourceGroup
	found := map[string]*sourceGroup{}
	for i := range list {
		s := &list[i]
		key := string(s.Kind) + " " + s.Group()
		g := found[key]
		if g == nil {
			g = &sourceGroup{name: s.Group(), kind: s.Kind}
			if s.Name != "" {
				g.name = s.Name
			}
			found[key] = g
			groups = append(groups, g)
		} else {
			g.name = s.Group()
		}
		g.hosts++
		g.messages += s.Messages
		g.aligned += s.Aligned
	}
	return groups
}

func (s *shower) sources(list []incoming.Source) {
	if len(list) == 0 {
		return
	}
	fmt.Fprintf(s.stdout, "\n%-38s %10s %9s  %s\n", "WHO SENDS AS IT", "MESSAGES", "PASS", "WHAT IT IS")
	groups := grouped(list)
	for i, g := range groups {
		if i == maxShown && !s.all {
			var messages int64
			for _, rest := range groups[i:] {
				messages += rest.messages
			}
			fmt.Fprintf(s.stdout, "%-38s %10s            --all shows them\n", fmt.Sprintf("%d more", len(groups)-i), display.Thousands(messages))
			return
		}
		name := g.name
		if g.hosts > 1 {
			suffix := fmt.Sprintf(" (%d hosts)", g.hosts)
			name = hostShortened(name, 38-len(suffix)) + suffix
		}
		fmt.Fprintf(s.stdout, "%-38s %10s %9s  %s\n", hostShortened(name, 38), display.Thousands(g.messages), display.Percent(g.aligned, g.messages), g.kind.Label())
	}
}

// hostShortened cuts a host name at its front: its end says whose it is.
func hostShortened(name string, width int) string {
	if len(name) <= width {
		return name
	}
	return "…" + name[len(name)-width+1:]
}

func (s *shower) changes(c incoming.Changes) {
	var lines []string
	for _, src := range c.New {
		lines = append(lines, fmt.Sprintf("new and failing: %s, %s of %s messages fail (%s)", nameOf(src), display.Thousands(src.Messages-src.Aligned), display.Thousands(src.Messages), src.Kind.Label()))
	}
	for _, src := range c.Gone {
		lines = append(lines, fmt.Sprintf("no longer seen: %s (%s, %s messages before)", nameOf(src), src.Kind.Label(), display.Thousands(src.Messages)))
	}
	for _, r := range c.Stopped {
		lines = append(lines, fmt.Sprintf("sent no report: %s (%d before)", shortened(printable(r.Name), 40), r.Reports))
	}
	if len(lines) == 0 {
		return
	}
	fmt.Fprintln(s.stdout, "\nCHANGES since the time before")
	if more := len(lines) - maxShown; more > 0 && !s.all {
		lines = append(lines[:maxShown], fmt.Sprintf("%d more; --all shows them", more))
	}
	for _, l := range lines {
		s.paragraph("  ", l)
	}
}

func nameOf(s incoming.Source) string {
	if s.Name != "" {
		return s.Name
	}
	return s.Address.String()
}

// paragraph writes text in lines of 80 columns.
func (s *shower) paragraph(indent, text string) {
	for i, line := range wrapped(text, helpWidth-len(indent)-2) {
		if i > 0 {
			line = "  " + line
		}
		fmt.Fprintln(s.stdout, indent+line)
	}
}

func (s *shower) tls(n *incoming.Summary) {
	if n.Sessions == 0 {
		return
	}
	fmt.Fprintf(s.stdout, "\nTLS of mail to the domain: %s of %s sessions failed\n", display.Thousands(n.Failed), display.Thousands(n.Sessions))
	for _, f := range n.TLSFailures[:min(len(n.TLSFailures), maxShown)] {
		s.paragraph("  ", strings.TrimSpace(fmt.Sprintf("%s %s %s", display.Thousands(f.Sessions), printable(f.Type), printable(f.MXHost))))
	}
}

func (s *shower) advice(domain string, list []incoming.Advice) {
	for _, a := range list {
		answer := "Not yet"
		if a.May {
			answer = "Yes"
		}
		fmt.Fprintf(s.stdout, "\nMay I go to p=%s? %s.\n", a.Policy, answer)
		s.paragraph("  ", a.Why)
		if a.Record != "" {
			fmt.Fprintf(s.stdout, "  Publish as TXT record of _dmarc.%s:\n  %s\n", domain, a.Record)
		}
	}
}
