package daemon

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"sync/atomic"
	"testing"

	"signpost/internal/reports/page"
	"signpost/internal/reports/store"
)

// A reload may name another database while a page is made from the old one.
func TestAPageKeepsItsDatabaseUntilItIsMade(t *testing.T) {
	var inForce atomic.Pointer[Config]
	use := func(address store.Address) {
		c := Defaults()
		c.Reports.Database = address
		inForce.Store(&c)
	}
	var addresses [2]store.Address
	for i, name := range []string{"old.db", "new.db"} {
		addresses[i] = store.Address("sqlite:" + filepath.Join(t.TempDir(), name))
		db, err := store.Open(t.Context(), addresses[i])
		if err != nil {
			t.Fatal(err)
		}
		db.Close()
	}
	pages := &reportPages{current: func() Config { return *inForce.Load() }}
	defer pages.close()
	opened, proceed := make(chan *page.Page), make(chan struct{})
	server, err := page.Serve(page.Config{Listen: "unix:" + filepath.Join(t.TempDir(), "page.sock")}, func(ctx context.Context) (*page.Page, func(), error) {
		p, done, err := pages.open(ctx)
		opened <- p
		<-proceed
		return p, done, err
	}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	handler, answers := server.Handler(), make(chan int)
	ask := func() *page.Page {
		go func() {
			w := httptest.NewRecorder()
			handler.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "http://localhost/", nil))
			answers <- w.Code
		}()
		return <-opened
	}
	answered := func(what string) {
		t.Helper()
		proceed <- struct{}{}
		if code := <-answers; code != http.StatusOK {
			t.Errorf("%s: status %d", what, code)
		}
	}
	closed := func(p *page.Page) bool { return p.DB.QueryRow(t.Context(), "SELECT 1").Scan(new(int)) != nil }

	use(addresses[0])
	old := ask()
	use(addresses[1])
	current := ask()
	if current.DB.Address() != addresses[1] {
		t.Errorf("after the reload, a page is made from %s", current.DB.Address())
	}
	answered("the first page")
	answered("the second page")
	if !closed(old) {
		t.Error("the old database is open after its last page")
	}
	if closed(current) {
		t.Error("the database in force is closed")
	}
	use("")
	ask()
	proceed <- struct{}{}
	if code := <-answers; code != http.StatusServiceUnavailable {
		t.Errorf("without a database: status %d", code)
	}
	if !closed(current) {
		t.Error("a database that is no longer in force is open")
	}
}
