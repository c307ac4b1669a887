package main

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
	"time"

	"signpost/internal/daemon"
	"signpost/internal/reports/page"
)

const reportPageText = `Write the reports as web pages into a folder: domains, sources, reports, what
was reported to others, and what enforce mode would refuse. They need no server
and no script. reports.page.listen serves the same pages without files.

    signpost report page [OPTIONS] FOLDER

Files of the same names are replaced, others stay. The pages name who sends mail
in your name: let only those read the folder who should know.

Example:

    signpost report page --since 90d /var/www/reports
`

func reportPageCommand(args []string, _ io.Reader, stdout, stderr io.Writer) int {
	const name = "report page"
	f := flags(name, reportPageText, stderr)
	place := newReportPlace(name, f, stdout, stderr)
	since := newSince(f, "30d")
	problems := f.Bool("problems", false, "show only what has a problem")
	rest, code, stop := parse(f, args, stdout)
	if stop {
		return code
	}
	if len(rest) != 1 {
		return place.usage("give one folder for the pages")
	}
	ctx := context.Background()
	c, db, err := place.open(ctx)
	if err != nil {
		return place.fail(err)
	}
	defer db.Close()
	if whole, _, err := daemon.ReadWhole(*place.config); err == nil {
		c = whole // the entries of tables only help to tell sources apart
	}
	q := page.Query{Days: int(today()-since.day) + 1, Problems: *problems}
	n, err := daemon.ReportPage(c, db).WriteFiles(ctx, rest[0], q, pageProgress(stderr))
	if err != nil {
		return place.fail(err)
	}
	index := filepath.Join(rest[0], "index.html")
	if *place.json {
		return printJSON(stdout, map[string]any{"pages": n, "index": index})
	}
	fmt.Fprintf(stdout, "%d pages; begin with %s\n", n, index)
	return exitOK
}

// pageProgress tells a person at a terminal how far it is.
func pageProgress(stderr io.Writer) func(int) {
	if !onTerminal(stderr) {
		return nil
	}
	last := time.Now()
	return func(n int) {
		if time.Since(last) > 300*time.Millisecond {
			last = time.Now()
			fmt.Fprintf(stderr, "\r%d pages \r", n)
		}
	}
}
