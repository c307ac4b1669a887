package daemon

import (
	"context"
	"sync"
	"time"

	"signpost/internal/reports/page"
	"signpost/internal/reports/store"
	"signpost/internal/reports/traffic"
)

// reportPages gives the page of the reports the database of the configuration in force.
type reportPages struct {
	current func() Config

	mu     sync.Mutex
	db     *pageDatabase // nil: none is open
	closed bool
}

// pageDatabase is an open database, with the number of requests that read from it.
type pageDatabase struct {
	*store.DB
	requests int
}

// open returns the page for one request, which calls done at its end.
func (r *reportPages) open(ctx context.Context) (p *page.Page, done func(), err error) {
	c := r.current()
	db, err := r.database(ctx, c.Reports.Database)
	if err != nil {
		return nil, nil, err
	}
	return ReportPage(c, db.DB), func() { r.leave(db) }, nil
}

// ReportPage returns the pages of a database for a configuration.
func ReportPage(c Config, db *store.DB) *page.Page {
	return &page.Page{
		DB: db, Known: c.KnownOfReports(), Now: time.Now,
		Refused: func(ctx context.Context, from, to traffic.Day) (traffic.Refusals, error) {
			return traffic.Refused(ctx, db, from, to, c.Verifier)
		},
	}
}

// database returns the open database, or opens it, for one more request. One of an earlier
// configuration is closed when its last request has left.
func (r *reportPages) database(ctx context.Context, address store.Address) (*pageDatabase, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.db != nil && r.db.Address() != address {
		if r.db.requests == 0 {
			r.db.Close()
		}
		r.db = nil
	}
	if address == "" || r.closed {
		return nil, store.ErrNone
	}
	if r.db == nil {
		db, err := store.OpenExisting(ctx, address)
		if err != nil {
			return nil, err
		}
		r.db = &pageDatabase{DB: db}
	}
	r.db.requests++
	return r.db, nil
}

// leave ends the use of a database for one request.
func (r *reportPages) leave(db *pageDatabase) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if db.requests--; db.requests == 0 && db != r.db {
		db.Close()
	}
}

// close ends all use at the end of the daemon; requests under way fail.
func (r *reportPages) close() {
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = true
	if r.db != nil {
		r.db.Close()
		r.db = nil
	}
}

// openPage serves the page of the reports, where the configuration says so. Mail goes on without it.
func (s *Service) openPage(c Config) {
	if c.Reports.Page.Listen == "" {
		return
	}
	s.pages = &reportPages{current: func() Config {
		s.vitals.mu.Lock()
		defer s.vitals.mu.Unlock()
		return s.vitals.current.Config
	}}
	server, err := page.Serve(c.Reports.Page, s.pages.open, s.log)
	if err != nil {
		s.log.Warn("there is no page of the reports; mail is handled without it", "problem", err.Error())
		return
	}
	s.page = server
}
