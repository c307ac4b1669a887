package main

import (
	"context"
	"encoding/csv"
	"fmt"
	"io"
	"strconv"
	"strings"

	"signpost/internal/display"
	"signpost/internal/reports/traffic"
	"signpost/verifier"
)

const wouldRefuseText = `Show which mail enforce mode would refuse, hold or tag: by author domain, by
host, and what of it comes from mailing lists, forwarders and services, with
the entries of the configuration that would let it pass. In enforce mode it
shows what was refused.

    signpost report would-refuse [OPTIONS]

The columns:

    REFUSED   messages that enforce mode would refuse, hold or tag
    LIST      of these: with marks of a mailing list
    FORWARD   of these: with marks of a forwarder
    SERVICE   of these: authenticated as another domain
    UNKNOWN   of these: not authenticated; nearly all of it is forged
    ALIGNED   messages of the domain that passed DMARC

The exit code is 0, even where mail would be refused: nearly all of it is
forged. With --check it is 1 if entries of the configuration are proposed,
since some of that mail may be wanted. It is also 1 if nothing is recorded.

Example:

    signpost report would-refuse --since 14d
    signpost report would-refuse --since 30d --check > report.txt
`

// maxShownRows is how many lines each table has without --all.
const maxShownRows = 20

func wouldRefuseCommand(args []string, _ io.Reader, stdout, stderr io.Writer) int {
	const name = "report would-refuse"
	f := flags(name, wouldRefuseText, stderr)
	place := newReportPlace(name, f, stdout, stderr)
	since := newSince(f, "14d")
	asCSV := f.Bool("csv", false, "print one line for each author domain, host and outcome, with commas")
	check := f.Bool("check", false, "exit code 1 if entries are proposed, or nothing is recorded")
	all := f.Bool("all", false, "list every domain and host, not the largest 20 only")
	rest, code, stop := parse(f, args, stdout)
	if stop {
		return code
	}
	switch {
	case len(rest) > 0:
		return place.usage("it takes no arguments")
	case *asCSV && *place.json:
		return place.usage("--csv and --json exclude each other")
	}
	c, db, err := place.open(context.Background())
	if err != nil {
		return place.fail(err)
	}
	defer db.Close()
	r, err := traffic.Refused(context.Background(), db, traffic.Day(since.day), traffic.Day(today()), c.Verifier)
	if err != nil {
		return place.fail(err)
	}
	switch {
	case *place.json:
		code = printJSON(stdout, refusalsJSON(r, c.Verifier.Mode))
	case *asCSV:
		code = printRefusalsCSV(stdout, stderr, r)
	default:
		most := maxShownRows
		if *all {
			most = max(len(r.Domains), len(r.Hosts), len(r.Excuses))
		}
		printRefusals(stdout, r, c.Verifier, most)
	}
	if *check && (len(r.Excuses) > 0 || r.Judged == 0) {
		return exitFailure
	}
	return code
}

// printRefusals prints the report in 80 columns.
func printRefusals(w io.Writer, r traffic.Refusals, c verifier.Config, most int) {
	if !printSummary(w, r, c.Mode) {
		return
	}
	fmt.Fprintf(w, "\n%-26s%9s%9s%9s%9s%9s%9s\n", "AUTHOR DOMAIN", "REFUSED", "LIST", "FORWARD", "SERVICE", "UNKNOWN", "ALIGNED")
	for _, d := range r.Domains[:min(most, len(r.Domains))] {
		fmt.Fprintf(w, "%-26s%9d%9d%9d%9d%9d%9d\n", nameEnd(orNone(d.Domain), 25), d.Total(), d.List, d.Forwarded, d.Service, d.Unknown, d.Aligned)
	}
	printMore(w, len(r.Domains)-most)
	fmt.Fprintf(w, "\n%-44s%9s%9s%9s%9s\n", "HOST", "REFUSED", "LIST", "FORWARD", "DOMAINS")
	for _, h := range r.Hosts[:min(most, len(r.Hosts))] {
		fmt.Fprintf(w, "%-44s%9d%9d%9d%9d\n", nameEnd(hostLabel(h), 43), h.Total(), h.List, h.Forwarded, h.Domains)
	}
	printMore(w, len(r.Hosts)-most)
	printExcuses(w, r, c, most)
}

// printSummary says how much there is; more is false if that is all there is to say.
func printSummary(w io.Writer, r traffic.Refusals, mode verifier.Mode) (more bool) {
	if r.Recorded == 0 {
		say(w, "Nothing is recorded yet: no message has been judged or signed since the daemon keeps counters. It counts from its start or reload on; signpost status says whether it runs.")
		return false
	}
	from := max(r.From, r.Recorded)
	period := fmt.Sprintf("from %s to %s (UTC)", from, r.To)
	if from == r.To {
		period = fmt.Sprintf("on %s (UTC)", from)
	}
	if r.Recorded > r.From {
		period += fmt.Sprintf("; nothing is recorded before %s", r.Recorded)
	}
	what := "would have refused, held or tagged"
	if mode == verifier.Enforce {
		what = "refuses, holds or tags"
	}
	if r.Affected == 0 {
		say(w, fmt.Sprintf("Of %s judged %s, enforce mode %s none.", display.Count(r.Judged, "message"), period, what))
		if mode == verifier.Monitor && r.Judged > 0 {
			say(w, "To act on DMARC policies: verifier: {mode: enforce}, and reload.")
		}
		return false
	}
	say(w, fmt.Sprintf("Of %s judged %s, enforce mode %s %d: %s.", display.Count(r.Judged, "message"), period, what, r.Affected, actionsInWords(r.Actions)))
	switch {
	case mode == verifier.Enforce && r.Taken < r.Affected:
		say(w, fmt.Sprintf("verifier.mode is enforce now; of these, %s really refused, held or tagged.", wereCounted(r.Taken)))
	case mode == verifier.Enforce:
		say(w, "verifier.mode is enforce: so it was done.")
	case r.Taken > 0:
		say(w, fmt.Sprintf("verifier.mode is monitor now; of these, %s refused, held or tagged while it was enforce.", wereCounted(r.Taken)))
	default:
		say(w, "verifier.mode is monitor: all of it was delivered.")
	}
	return true
}

func wereCounted(n int64) string {
	if n == 1 {
		return "1 was"
	}
	return fmt.Sprintf("%d were", n)
}

// actionsInWords names the actions in the order of their weight.
func actionsInWords(actions map[string]int64) string {
	var parts []string
	for _, a := range []struct{ action, word string }{{"reject", "refused (550)"}, {"tempfail", "put off (451)"}, {"quarantine", "held"}, {"tag", "tagged"}} {
		if n := actions[a.action]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, a.word))
		}
	}
	return strings.Join(parts, ", ")
}

// printExcuses prints the lines of the configuration that would let mail pass.
func printExcuses(w io.Writer, r traffic.Refusals, c verifier.Config, most int) {
	var covered int64
	for _, e := range r.Excuses {
		covered += e.Messages
	}
	fmt.Fprintln(w)
	if covered == 0 {
		say(w, "No entry of the configuration would let a part of it pass: none of it comes through a list, forwarder or service that several messages share.")
		return
	}
	say(w, fmt.Sprintf("Entries that would let %d of the %d pass. Anybody can set up a host that looks like a list: add those alone that you know. "+
		"An entry goes into the list that stands there already, or replaces [].", min(covered, r.Affected), r.Affected))
	for _, kind := range []struct{ name, list, indent, title string }{
		{"sealer", "verifier:\n  arc:\n    trusted_sealers:", "      ", "Mailing lists and forwarders that seal what they pass on (ARC):"},
		{"forwarder", "verifier:\n  forwarders:", "    ", "Hosts that pass mail on without a seal:"},
		{"override", "verifier:\n  overrides:", "    ", "Author domains whose mail comes from services that they have not set up. Such an entry lets forged mail of the domain pass, too:"},
	} {
		printExcuse(w, r.Excuses, kind.name, kind.list, kind.indent, kind.title, most)
	}
	if len(c.Forwarders) > 0 || len(c.Overrides) > 0 || len(c.ARC.TrustedSealers) > 0 {
		fmt.Fprintln(w)
		say(w, "What the configuration excuses already is not in this report, from the reload on.")
	}
}

func printExcuse(w io.Writer, all []traffic.Excuse, kind, list, indent, title string, most int) {
	n := 0
	for _, e := range all {
		if e.Kind != kind {
			continue
		}
		if n++; n > most {
			continue
		}
		if n == 1 {
			fmt.Fprintln(w)
			say(w, title)
			fmt.Fprintf(w, "\n%s\n", indented(list))
		}
		fmt.Fprintf(w, "    %s# %s, %s\n", indent, display.Count(e.Messages, "message"), display.Count(e.Domains, "author domain"))
		for _, entry := range e.Entries {
			fmt.Fprintf(w, "    %s- %s\n", indent, entry)
		}
	}
	printMore(w, n-most)
}

func indented(text string) string { return "    " + strings.ReplaceAll(text, "\n", "\n    ") }

func printMore(w io.Writer, n int) {
	if n > 0 {
		fmt.Fprintf(w, "and %d more; --all lists them\n", n)
	}
}

// say prints a paragraph.
func say(w io.Writer, text string) {
	fmt.Fprintln(w, strings.Join(wrapped(text, helpWidth), "\n"))
}

func orNone(domain string) string {
	if domain == "" {
		return "(none or unknown)"
	}
	return domain
}

func hostLabel(h traffic.RefusedHost) string {
	switch {
	case h.Name != "":
		return h.Name
	case h.Address == "":
		return "(unknown)"
	}
	return h.Address
}

// nameEnd keeps the end of a name, which says whose it is.
func nameEnd(name string, width int) string {
	if len(name) <= width {
		return name
	}
	return "..." + name[len(name)-width+3:]
}

// printRefusalsCSV prints one line for each author domain, host and outcome.
func printRefusalsCSV(stdout, stderr io.Writer, r traffic.Refusals) int {
	w := csv.NewWriter(stdout)
	_ = w.Write([]string{"author_domain", "address", "host", "action", "taken", "way", "rule", "messages"}) // Flush tells
	for _, f := range r.Flows {
		_ = w.Write([]string{f.Domain, f.Address, f.Name, f.Action, strconv.FormatBool(f.Taken), f.Way, f.Rule, strconv.FormatInt(f.Messages, 10)})
	}
	w.Flush()
	if err := w.Error(); err != nil {
		return failure(stderr, "report would-refuse", err)
	}
	return exitOK
}
