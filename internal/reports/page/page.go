// Package page shows the reports in a browser: the domains with their compliance, one domain, one
// source, one report, what was reported to others, and what enforce mode would refuse. The pages
// are HTML and SVG without any script; Server serves them, and WriteFiles writes them into a folder.
//
// A view (view.go) is the content of one page as data: tables, charts, text. html/template makes
// HTML of it, csv.go makes CSV of its first table. All text that strangers wrote stays text.
package page

import (
	"context"
	"time"

	"signpost/internal/reports/incoming"
	"signpost/internal/reports/store"
	"signpost/internal/reports/traffic"
)

// Page reads what is shown. It is safe for concurrent use.
type Page struct {
	DB    *store.DB
	Known incoming.Known
	// Refused is what enforce mode would refuse.
	Refused func(ctx context.Context, from, to traffic.Day) (traffic.Refusals, error)
	Now     func() time.Time
}

// Query is what a page is asked for.
type Query struct {
	Days     int  // until today
	Problems bool // only rows with a problem
}

// defaultDays is the time of a page that is asked for without one.
const defaultDays = 30

// dayChoices are those of the form.
var dayChoices = []int{7, 30, 90, 365}

// span returns the first second of the time and the first second after it, in UTC.
func (p *Page) span(q Query) (begin, end time.Time) {
	end = p.Now().UTC().Truncate(24*time.Hour).AddDate(0, 0, 1)
	return end.AddDate(0, 0, -q.Days), end
}

const (
	// maxRows is the most rows of one table on a page.
	maxRows = 500
	// maxAllRows is the most rows in CSV and in files, which are made in memory.
	maxAllRows = 100_000
	// maxDomains is the most domains that one page has.
	maxDomains = 10_000
)

// links are the addresses of pages for each other.
type links interface {
	overview() string
	domain(name string) string
	source(address, domain string) string
	reports() string
	report(id int64) string
	sent() string
	wouldRefuse() string
	style() string
}
