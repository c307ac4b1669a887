package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"time"

	"signpost/internal/daemon"
	"signpost/internal/reports/page"
	"signpost/internal/reports/sample"
	"signpost/internal/reports/store"
)

// demoDays is the time of the made-up reports.
const demoDays = 30

// showReports fills the demonstration's database with made-up reports and serves their page.
func showReports(g *daemon.Generation, stdout io.Writer) (stop func(), err error) {
	ctx := context.Background()
	db, err := store.Open(ctx, g.Config.Reports.Database)
	if err != nil {
		return nil, err
	}
	fmt.Fprintf(stdout, "\nMaking up %d days of reports ...\n", demoDays)
	if err := sample.Fill(ctx, db, time.Now(), demoDays); err != nil {
		db.Close()
		return nil, err
	}
	address, err := freeAddress()
	if err != nil {
		db.Close()
		return nil, err
	}
	server, err := page.Serve(page.Config{Listen: "inet:" + address}, func(context.Context) (*page.Page, func(), error) {
		return daemon.ReportPage(g.Config, db), func() {}, nil
	}, slog.New(slog.DiscardHandler))
	if err != nil {
		db.Close()
		return nil, err
	}
	fmt.Fprintf(stdout, "%s http://%s/\n", emphasis(stdout).bold("Reports"), address)
	fmt.Fprintf(stdout, "In a terminal:\n    %s report show %s --config %s\n", os.Args[0], sample.Domain, g.Path)
	return func() { server.Close(); db.Close() }, nil
}
