package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"

	"signpost/internal/control"
	"signpost/internal/display"
	"signpost/internal/reports/incoming"
	"signpost/internal/reports/store"
	"signpost/internal/reports/unpack"
)

const reportListText = `List the stored reports of others, the latest first.

    signpost report list [OPTIONS] [DOMAIN]

With --raw ID it prints the report of this number as the reporter sent it;
on a terminal, control characters are shown as "?".

Example:

    signpost report list example.com --since 7d
`

func reportListCommand(args []string, _ io.Reader, stdout, stderr io.Writer) int {
	const name = "report list"
	f := flags(name, reportListText, stderr)
	place := newReportPlace(name, f, stdout, stderr)
	since := newSince(f, "30d")
	raw := f.String("raw", "", "print the document of the report with this `ID`")
	rest, code, stop := parse(f, args, stdout)
	if stop {
		return code
	}
	domain, problem := optionalDomain(rest)
	if problem != "" {
		return place.usage(problem)
	}
	id, err := strconv.ParseInt(*raw, 10, 64)
	if *raw != "" && (err != nil || id < 1) {
		return place.usage(fmt.Sprintf("--raw %q is not a number of a report; signpost report list shows them", *raw))
	}
	ctx := context.Background()
	_, db, err := place.open(ctx)
	if err != nil {
		return place.fail(err)
	}
	defer db.Close()
	if *raw != "" {
		err = printRaw(ctx, db, id, stdout)
	} else {
		err = place.list(ctx, db, domain, time.Unix(since.day*86400, 0))
	}
	if err != nil {
		return place.fail(err)
	}
	return exitOK
}

func printRaw(ctx context.Context, db *store.DB, id int64, w io.Writer) error {
	document, err := incoming.Raw(ctx, db, id)
	if errors.Is(err, incoming.ErrNoRaw) {
		return &control.Error{Problem: fmt.Sprintf("report %d: %v", id, err), Remedy: "signpost report list shows the numbers; reports.in.max_raw says how much is kept"}
	}
	if err != nil {
		return err
	}
	if onTerminal(w) {
		return copyPrintable(w, document)
	}
	_, err = io.Copy(w, document)
	return err
}

// copyPrintable copies text with what a terminal might obey replaced.
func copyPrintable(w io.Writer, r io.Reader) error {
	in, out := bufio.NewReader(r), bufio.NewWriter(w)
	for {
		c, _, err := in.ReadRune()
		if errors.Is(err, io.EOF) {
			return out.Flush()
		} else if err != nil {
			return err
		}
		switch c {
		case '\n', '\t':
			out.WriteRune(c)
		case '\r': // it would lead back over the line
		default:
			out.WriteString(printable(string(c)))
		}
	}
}

// noReports is said in place of an empty list.
const noReports = "No reports of this time are stored. They come by mail to the addresses in reports.in.addresses, or by signpost report import."

// listedReport is one report in the JSON of report list.
type listedReport struct {
	ID       int64  `json:"id"`
	Kind     string `json:"kind"` // aggregate, tls
	Domain   string `json:"domain"`
	Reporter string `json:"reporter"`
	ReportID string `json:"report_id"`
	Begin    string `json:"begin"`
	End      string `json:"end"`
	Received string `json:"received"`
	Messages int64  `json:"messages"` // sessions, of a TLS report
	Aligned  int64  `json:"aligned"`  // successful ones
}

func (p reportPlace) list(ctx context.Context, db *store.DB, domain string, since time.Time) error {
	var all []listedReport
	n := 0
	err := incoming.List(ctx, db, domain, since, time.Now().Add(48*time.Hour), func(l incoming.Listed) error {
		n++
		if *p.json {
			all = append(all, listedReport{l.ID, string(l.Kind), l.Domain, l.Org, l.ReportID, l.Begin.Format(time.RFC3339), l.End.Format(time.RFC3339),
				l.Received.Format(time.RFC3339), l.Messages, l.Aligned})
			return nil
		}
		if n == 1 {
			fmt.Fprintf(p.stdout, "%6s  %-10s %-22s %-20s %9s %7s\n", "ID", "DAY", "REPORTER", "DOMAIN", "MESSAGES", "WELL")
		}
		kind := ""
		if l.Kind == unpack.TLS {
			kind = " (TLS)"
		}
		_, err := fmt.Fprintf(p.stdout, "%6d  %-10s %-22s %-20s %9s %7s\n", l.ID, l.Begin.Format(time.DateOnly), shortened(printable(l.Org), 22-len(kind))+kind,
			shortened(printable(l.Domain), 20), display.Thousands(l.Messages), display.Percent(l.Aligned, l.Messages))
		return err
	})
	if err != nil {
		return err
	}
	if *p.json {
		printJSON(p.stdout, map[string]any{"reports": append([]listedReport{}, all...)})
		return nil // run reports a failed write
	}
	if n == 0 {
		say(p.stdout, noReports)
	}
	return nil
}

// shortened cuts text to a width in characters, with "…" at its end.
func shortened(s string, width int) string {
	r := []rune(s)
	if len(r) <= width {
		return s
	}
	return string(r[:width-1]) + "…"
}
