package main

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"signpost/internal/control"
	"signpost/internal/daemon"
	"signpost/internal/display"
	"signpost/internal/dns"
	"signpost/internal/reports/incoming"
	"signpost/internal/reports/refusal"
	"signpost/internal/reports/store"
	"signpost/internal/reports/unpack"
)

const reportImportText = `Store reports of others: DMARC aggregate reports and TLS reports. They are found
by their content, in mail, mailboxes (mbox, Maildir), zip, gzip, XML and JSON.

    signpost report import [OPTIONS] FILE|FOLDER|- …

"-" is one message, mailbox or report on standard input. A report that is stored
already is not counted twice. Exit 1: a report was refused, or none was found.

Example:

    signpost report import ~/Maildir/.dmarc
`

func reportImportCommand(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	const name = "report import"
	f := flags(name, reportImportText, stderr)
	i := importer{place: newReportPlace(name, f, stdout, stderr), stdin: stdin}
	database := f.String("database", "", "`DATABASE` to store into, as sqlite:PATH or postgres://USER@HOST/DATABASE (default: reports.database)")
	all := f.Bool("all", false, "take reports about every domain, not only about ours")
	names := f.Bool("names", true, "look up the names of hosts in the reports; --names=false asks no DNS")
	files, code, stop := parse(f, args, stdout)
	if stop {
		return code
	}
	if len(files) == 0 {
		return i.place.usage("give files or folders, or - for standard input")
	}
	if problem := databaseProblem(*database); problem != "" {
		return i.place.usage("--database: " + problem)
	}
	ctx := context.Background()
	c, db, err := openForImport(ctx, *i.place.config, *database)
	if err != nil {
		return i.place.fail(err)
	}
	defer db.Close()
	i.keeper = &incoming.Keeper{DB: db, Domains: c.OurDomains().Ours, Now: time.Now}
	if *all {
		i.keeper.Domains = func(string) bool { return true }
	}
	for _, file := range files {
		if err := i.input(ctx, file); err != nil {
			i.add(file, false, []incoming.Result{{Refused: refusal.Unreadable.With("%v", err)}})
		}
	}
	if *names {
		i.nameHosts(ctx, c.DNS)
	}
	return i.finish()
}

// databaseProblem returns the mistake in --database, or "".
func databaseProblem(text string) string {
	if path, isFile := strings.CutPrefix(text, "sqlite:"); text == "" || isFile && path != "" {
		return "" // openForImport makes the path absolute
	}
	return store.Address(text).Problem()
}

// openForImport opens the database, and makes it where there is none.
func openForImport(ctx context.Context, config, database string) (daemon.Config, *store.DB, error) {
	c, _, err := daemon.ReadWhole(config)
	if err != nil {
		return c, nil, err
	}
	address := c.Reports.Database
	if database != "" {
		address = store.Address(database)
		if path, isFile := strings.CutPrefix(database, "sqlite:"); isFile {
			if path, err = filepath.Abs(path); err != nil {
				return c, nil, err
			}
			address = store.Address("sqlite:" + path)
		}
	}
	if address == "" {
		return c, nil, &control.Error{Problem: `reports.database is "": there is no place to store reports`, Remedy: "take the key out, or name a database with --database"}
	}
	db, err := store.OpenExisting(ctx, address)
	if errors.Is(err, store.ErrNone) {
		db, err = store.Open(ctx, address)
	}
	return c, db, withRemedy(address, err)
}

// importer stores the reports of its inputs, and tells of each.
type importer struct {
	place  reportPlace
	stdin  io.Reader
	keeper *incoming.Keeper

	results []importedReport
	counts  importCounts
	warning string
}

// importedReport is one line of the result.
type importedReport struct {
	Input  string `json:"input"`
	Status string `json:"status"` // stored, duplicate, refused, no-report
	Kind   string `json:"kind,omitempty"`

	ID       int64  `json:"id,omitempty"`
	Domain   string `json:"domain,omitempty"`
	Reporter string `json:"reporter,omitempty"`
	ReportID string `json:"report_id,omitempty"`
	Begin    string `json:"begin,omitempty"`
	End      string `json:"end,omitempty"`
	Messages int64  `json:"messages"` // sessions, of a TLS report
	Aligned  int64  `json:"aligned"`
	Skipped  int    `json:"skipped"` // records that say nothing

	Reason string `json:"reason,omitempty"` // an id of docs/reports.md
	Detail string `json:"detail,omitempty"`
	Remedy string `json:"remedy,omitempty"`
}

type importCounts struct {
	Stored    int `json:"stored"`
	Duplicate int `json:"duplicates"`
	Refused   int `json:"refused"`
	NoReport  int `json:"without_report"` // messages and files
}

// input stores what is in a file, in all files of a folder, or in standard input.
func (i *importer) input(ctx context.Context, name string) error {
	if name == "-" {
		return i.stream(ctx, "standard input", i.stdin)
	}
	info, err := os.Stat(name)
	switch {
	case err != nil:
		return err
	case !info.IsDir():
		return i.file(ctx, name, false)
	}
	return filepath.WalkDir(name, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			err = i.file(ctx, path, true)
		}
		if err != nil { // the others are read
			i.add(path, false, []incoming.Result{{Refused: refusal.Unreadable.With("%v", err)}})
		}
		return nil
	})
}

// file stores what is in one file. One of many may have no report.
func (i *importer) file(ctx context.Context, path string, ofMany bool) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	head := make([]byte, 5)
	n, _ := f.ReadAt(head, 0)
	if n == 0 || unpack.IsMbox(head[:n]) {
		return i.stream(ctx, path, f) // a pipe cannot be read twice
	}
	info, err := f.Stat()
	if err != nil {
		return err
	}
	i.add(path, ofMany, i.keeper.ReadFile(ctx, f, info.Size()))
	return nil
}

// stream stores what comes once: the messages of a mailbox, or one message or report.
func (i *importer) stream(ctx context.Context, name string, r io.Reader) error {
	in := bufio.NewReader(r)
	if head, _ := in.Peek(5); unpack.IsMbox(head) {
		number := 0
		return unpack.Mbox(in, func(message []byte, err error) error {
			number++
			at := fmt.Sprintf("%s, message %d", name, number)
			if err != nil {
				i.add(at, true, []incoming.Result{{Refused: refusal.Of(err)}})
				return nil
			}
			i.add(at, true, i.keeper.Read(ctx, message, nil))
			return nil
		})
	}
	data, err := io.ReadAll(io.LimitReader(in, unpack.MaxMessage+1))
	switch {
	case err != nil:
		return fmt.Errorf("%s: %w", name, err)
	case len(data) > unpack.MaxMessage:
		i.add(name, false, []incoming.Result{{Refused: refusal.TooBig.With("more than %d octets; give the file by its name", unpack.MaxMessage)}})
		return nil
	}
	i.add(name, false, i.keeper.Read(ctx, data, nil))
	return nil
}

// add counts results and tells of them. Of many inputs, those without a report are only counted.
func (i *importer) add(input string, ofMany bool, results []incoming.Result) {
	for _, r := range results {
		one := importResult(input, r)
		switch one.Status {
		case "stored":
			i.counts.Stored++
		case "duplicate":
			i.counts.Duplicate++
		case "no-report":
			i.counts.NoReport++
			if ofMany {
				continue
			}
		default:
			i.counts.Refused++
		}
		if *i.place.json {
			i.results = append(i.results, one)
		} else {
			fmt.Fprintln(i.place.stdout, one.line())
		}
	}
}

func importResult(input string, r incoming.Result) importedReport {
	if r.Where != "" {
		input += ", " + r.Where
	}
	one := importedReport{Input: printable(input), Status: "stored", Kind: string(r.Kind), ID: r.ID, Domain: printable(r.Domain), Reporter: printable(r.Org),
		ReportID: printable(r.ReportID), Messages: r.Messages, Aligned: r.Aligned, Skipped: r.Skipped}
	if !r.Begin.IsZero() {
		one.Begin, one.End = r.Begin.Format(time.RFC3339), r.End.Format(time.RFC3339)
	}
	if e := r.Refused; e != nil {
		one.Status, one.Reason, one.Detail, one.Remedy = "refused", e.ID, e.Error(), e.Remedy
		switch e.Reason {
		case refusal.Duplicate:
			one.Status = "duplicate"
		case refusal.NoReport:
			one.Status = "no-report"
		}
	}
	return one
}

func (r *importedReport) line() string {
	switch {
	case r.Status == "duplicate":
		return fmt.Sprintf("%s: stored already: %s", r.Input, r.Detail)
	case r.Reason != "":
		return fmt.Sprintf("%s: refused: %s; %s", r.Input, r.Detail, r.Remedy)
	}
	unit := "messages"
	if r.Kind == string(unpack.TLS) {
		unit = "TLS sessions"
	}
	line := fmt.Sprintf("%s: stored as %d: %s about %s, %s, %s %s, %s", r.Input, r.ID, r.Reporter, cmp.Or(r.Domain, "no domain"), period(r.Begin, r.End),
		display.Thousands(r.Messages), unit, display.Percent(r.Aligned, r.Messages)+" well")
	if r.Skipped > 0 {
		line += fmt.Sprintf(", %d records without meaning", r.Skipped)
	}
	return line
}

// period shortens two times of RFC 3339 to days.
func period(begin, end string) string {
	begin, _, _ = strings.Cut(begin, "T")
	end, _, _ = strings.Cut(end, "T")
	if begin == end {
		return begin
	}
	return begin + " to " + end
}

func (i *importer) nameHosts(ctx context.Context, c dns.Config) {
	resolver, err := dns.Open(c)
	if err == nil && i.counts.Stored > 0 {
		err = incoming.NameHosts(ctx, i.keeper.DB, resolver, time.Now())
	}
	if err != nil {
		i.warning = "names of hosts were not looked up: " + err.Error()
	}
}

// finish tells the sum.
func (i *importer) finish() int {
	c := i.counts
	if *i.place.json {
		printJSON(i.place.stdout, struct {
			Reports []importedReport `json:"reports"`
			Summary importCounts     `json:"summary"`
			Warning string           `json:"warning,omitempty"`
		}{append([]importedReport{}, i.results...), c, i.warning})
	} else {
		fmt.Fprintf(i.place.stdout, "%d stored, %d stored already, %d refused, %d without a report\n", c.Stored, c.Duplicate, c.Refused, c.NoReport)
		if i.warning != "" {
			fmt.Fprintf(i.place.stderr, "signpost %s: %s\n", i.place.name, i.warning)
		}
	}
	if c.Refused > 0 || c.Stored+c.Duplicate == 0 {
		return exitFailure
	}
	return exitOK
}
