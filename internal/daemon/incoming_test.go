package daemon

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// serviceWithReports makes a service that reads reports in mail and does not listen yet.
func serviceWithReports(t *testing.T, database string) (*Service, lines) {
	t.Helper()
	h := newHouse(t)
	h.write(h.config, strings.ReplaceAll(houseYAML, "DIR", h.dir)+"reports: {database: "+database+", in: {addresses: [dmarc@example.com]}}\n")
	g, err := LoadForStart(h.config, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	log := make(lines, 1000)
	s, err := New(g, h.config, "test", slog.New(slog.NewTextHandler(log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		s.intake.close()
		s.recorder.Close()
		s.lock.Close()
	})
	return s, log
}

// Mail is accepted once a service is made. Reports in the first message are read, too.
func TestTheFirstMailIsReadForReports(t *testing.T) {
	for range 20 {
		s, _ := serviceWithReports(t, "sqlite:"+filepath.Join(t.TempDir(), "reports.sqlite"))
		if s.intake.reader.Load() == nil {
			t.Fatal("the first mail would pass unread")
		}
	}
}

func TestAStartDoesNotWaitForADatabaseThatCannotBeOpened(t *testing.T) {
	none := filepath.Join(t.TempDir(), "text")
	if err := os.WriteFile(none, []byte(strings.Repeat("no database\n", 100)), 0o600); err != nil {
		t.Fatal(err)
	}
	s, log := serviceWithReports(t, "sqlite:"+none)
	log.await(t, "passes unread until the database opens")
	if s.intake.reader.Load() != nil {
		t.Error("mail is read without a database")
	}
}
