package status

import (
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"

	"signpost/internal/display"
)

const (
	width  = 80
	margin = 15 // where the text beside a label begins
	// shownListed and shownErrors are how many domains and log lines a screen has.
	shownListed, shownErrors = 5, 3
)

// screen writes a report for a terminal of 80 columns.
type screen struct {
	to     io.Writer
	colour bool
}

// Print writes the report for a person, at most 80 columns wide unless a word is longer.
func (r *Report) Print(to io.Writer, colour bool) {
	s := screen{to, colour}
	s.head(r)
	s.configuration(r)
	for i, l := range r.Listeners {
		s.line(onlyFirst(i, "listeners"), l.line())
	}
	s.line("connections", r.Limits.line())
	s.domains(r.Domains)
	s.resolver(r.Resolver)
	s.line("last hour", "in   "+r.Hour.Inbound.inbound())
	s.line("", "out  "+r.Hour.Outbound.outbound())
	if r.ReportsOut != nil {
		s.line("reports out", r.ReportsOut.line())
	}
	s.errors(r)
	s.findings(r)
}

func onlyFirst(i int, label string) string {
	if i == 0 {
		return label
	}
	return ""
}

// line writes a label and a text, which is wrapped.
func (s screen) line(label, text string) {
	for i, part := range wrapped(text, width-margin) {
		fmt.Fprintln(s.to, strings.TrimRight(fmt.Sprintf("%-*s%s", margin, onlyFirst(i, label), part), " "))
	}
}

// wrapped breaks a text at its blanks. A run of blanks inside a line stays.
func wrapped(text string, most int) []string {
	var lines []string
	for utf8.RuneCountInString(text) > most {
		limit := len(string([]rune(text)[:most+1]))
		at := strings.LastIndexByte(text[:limit], ' ')
		if at <= 0 {
			if at = strings.IndexByte(text, ' '); at < 0 {
				break
			}
		}
		lines = append(lines, strings.TrimRight(text[:at], " "))
		text = strings.TrimLeft(text[at:], " ")
	}
	return append(lines, strings.TrimRight(text, " "))
}

func (s screen) paint(code, text string) string {
	if !s.colour {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

const red, yellow, green = "31", "33", "32"

func (s screen) head(r *Report) {
	verdict, code := "all well", green
	switch {
	case !r.Ready:
		verdict, code = "NOT READY", red
	case r.NeedsAPerson():
		verdict, code = "needs a person", yellow
	}
	left := cut(fmt.Sprintf("signpost %s, process %d, up %s", r.Version, r.PID, ago(r.Now.Sub(r.Started))), width-len(verdict)-4)
	fmt.Fprintf(s.to, "%s%s%s\n", left, strings.Repeat(" ", max(1, width-len(left)-len(verdict))), s.paint(code, verdict))
}

func (s screen) configuration(r *Report) {
	c := r.Configuration
	file := c.File
	if file == "" {
		file = "no file"
	}
	s.line("configuration", fmt.Sprintf("generation %d since %s, %s", c.Generation, clockText(c.Since, r.Now), file))
	s.line("", fmt.Sprintf("%s, %s, verifier in %s mode, RSA by %s", display.Count(c.Domains, "entry"), display.Count(c.Keys, "key"), c.Mode, c.Backend))
	switch {
	case r.Reload.At.IsZero():
	case r.Reload.OK:
		s.line("last reload", clockText(r.Reload.At, r.Now)+", done")
	default:
		s.line("last reload", clockText(r.Reload.At, r.Now)+", refused")
	}
	if c.Warnings > 0 {
		s.line("", display.Count(c.Warnings, "remark")+": signpost check-config "+c.File)
	}
}

func (l Listener) line() string {
	text := fmt.Sprintf("%s  %s, %s", l.Address, l.Role, display.Count(l.Connections, "connection"))
	if l.Problem != "" {
		return text + "  DOWN: " + l.Problem
	}
	return text
}

func (l Limits) line() string {
	text := fmt.Sprintf("%d of %d; headers in memory %s of %s", l.Connections, l.MaxConnections, sizeText(l.HeaderMemory), sizeText(l.MaxHeaderMemory))
	if l.SlotWaits > 0 {
		text += fmt.Sprintf("; %d waited", l.SlotWaits)
	}
	return text
}

func (s screen) domains(d Domains) {
	text := "none"
	if d.Total > 0 {
		var parts []string
		for i := len(states) - 1; i >= 0; i-- {
			if n := d.States[states[i]]; n > 0 {
				parts = append(parts, fmt.Sprintf("%d %s", n, stateText[states[i]]))
			}
		}
		text = fmt.Sprintf("%d: %s", d.Total, strings.Join(parts, ", "))
	}
	s.line("domains", text)
	for i, one := range d.List {
		if i == shownListed {
			break
		}
		s.line("", one.line())
	}
	if more := d.Total - min(len(d.List), shownListed); more > 0 {
		s.line("", fmt.Sprintf("and %d more", more))
	}
}

// stateText has the states as counted things.
var stateText = map[string]string{
	Lost: "cannot be signed", Unsigned: "unsigned", Partial: "not as listed", Awaited: "not asked in DNS yet",
	Planned: "with a planned change", Signing: "signing",
}

func (d Domain) line() string {
	switch d.State {
	case Signing:
		return d.Name + "  " + strings.Join(d.Selectors, ", ")
	case Planned:
		return d.Name + "  " + strings.Join(d.Selectors, ", ") + "; " + d.Why
	case Awaited:
		return d.Name + "  its first message asks DNS about its keys"
	}
	signs := "no key signs"
	if len(d.Selectors) > 0 {
		signs = strings.Join(d.Selectors, ", ") + " signs"
	}
	return d.Name + "  " + signs + " (see below)"
}

func (s screen) resolver(r Resolver) {
	if r.Source != "network" {
		s.line("DNS", "zone file "+r.Source)
		return
	}
	for i, one := range r.Servers {
		state := display.Count(one.Queries, "query")
		if one.Queries > 0 {
			state += fmt.Sprintf(", %d unanswered, %d failed, %.1f ms", one.Unanswered, one.Failed, one.MeanMS)
		}
		if one.Problem != "" {
			state += "  DOWN"
		}
		s.line(onlyFirst(i, "DNS"), one.Address+"  "+state)
	}
	hits := "0"
	if r.Lookups > 0 {
		hits = fmt.Sprint(r.CacheHits * 100 / r.Lookups)
	}
	s.line("", fmt.Sprintf("%d look-ups for mail, %s %% from the cache, %d waited", r.Lookups, hits, r.SlotWaits))
}

// counts joins the counts that are not 0.
func counts(total int, parts ...any) string {
	text := display.Count(total, "message")
	sep := ": "
	for i := 0; i < len(parts); i += 2 {
		if n := parts[i].(int); n > 0 {
			text += fmt.Sprintf("%s%d %s", sep, n, parts[i+1])
			sep = ", "
		}
	}
	return text
}

func (o outcomeCounts) inbound() string {
	return counts(o.Messages, o.Accepted, "accepted", o.Held, "held", o.Rejected, "refused", o.Deferred, "put off",
		o.WouldRefuse, "would be refused", o.Forged, "forged results removed", o.Failures, "failed here")
}

func (o outcomeCounts) outbound() string {
	return counts(o.Messages, o.Signed, "signed", o.Unsigned, "unsigned", o.Rejected, "refused", o.Deferred, "put off",
		o.Local, "from this host", o.Forged, "forged results removed", o.Failures, "failed here")
}

func (s screen) errors(r *Report) {
	if len(r.Errors) == 0 {
		s.line("last errors", "none")
	}
	for i, e := range r.Errors {
		if i == shownErrors {
			break
		}
		times := ""
		if e.Count > 1 {
			times = fmt.Sprintf(" (%d times)", e.Count)
		}
		const most = 2*(width-margin) - 30
		s.line(onlyFirst(i, "last errors"), fmt.Sprintf("%s %s%s: %s", clockText(e.At, r.Now), e.Level, times, cut(e.Text, most)))
	}
}

func (s screen) findings(r *Report) {
	if len(r.Findings) == 0 {
		return
	}
	fmt.Fprintln(s.to)
	for _, f := range r.Findings {
		code := map[Severity]string{Problem: red, Warning: yellow}[f.Severity]
		label := fmt.Sprintf("%-9s", f.Severity)
		if code != "" {
			label = s.paint(code, label)
		}
		for i, part := range wrapped(f.Subject+": "+f.Finding, width-9) {
			if i > 0 {
				label = strings.Repeat(" ", 9)
			}
			fmt.Fprintln(s.to, label+part)
		}
		for i, part := range wrapped(f.Remedy, width-12) {
			fmt.Fprintln(s.to, strings.Repeat(" ", 9)+[]string{"-> ", "   "}[min(i, 1)]+part)
		}
	}
}

// clockText is a time of the last day without its date.
func clockText(t, now time.Time) string {
	if d := now.Sub(t); d >= 0 && d < 24*time.Hour {
		return t.Format("15:04:05")
	}
	return t.Format("2006-01-02 15:04")
}

// ago is a duration in one unit.
func ago(d time.Duration) string {
	switch {
	case d >= 48*time.Hour:
		return fmt.Sprintf("%d days", d/(24*time.Hour))
	case d >= 2*time.Hour:
		return display.Count(int(d/time.Hour), "hour")
	case d >= 2*time.Minute:
		return display.Count(int(d/time.Minute), "minute")
	}
	return display.Count(max(0, int(d/time.Second)), "second")
}

func sizeText(n int64) string {
	switch {
	case n >= 1<<20:
		return fmt.Sprintf("%d MiB", n>>20)
	case n >= 1<<10:
		return fmt.Sprintf("%d KiB", n>>10)
	}
	return fmt.Sprintf("%d B", n)
}
