package daemon

import (
	"context"
	"io"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"signpost/internal/message"
	"signpost/internal/reports/store"
)

// reportingOf is a generation whose configuration has these lines in section reports.
func reportingOf(t *testing.T, section string) *Generation {
	t.Helper()
	dir := t.TempDir()
	h := newHouse(t)
	h.replace("verifier:", "reports:\n  database: sqlite:"+filepath.Join(dir, "reports.db")+"\n"+section+"verifier:")
	g, err := LoadForStart(h.config, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

const outSection = "  out: {org_name: Example, from: dmarc@example.com, smtp: \"127.0.0.1:9\"}\n"

// awaitSender waits until reports are sent, or are not.
func awaitSender(t *testing.T, r *reporting, want bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for (r.sender.Load() != nil) != want {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("a sender: %v, want %v", !want, want)
		}
	}
}

func TestReportsAreSentAsTheConfigurationInForceSays(t *testing.T) {
	r := newReporting("1", slog.New(slog.NewTextHandler(io.Discard, nil)))
	defer func() { r.close() }()
	off, on := reportingOf(t, ""), reportingOf(t, outSection)
	r.use(off)
	if r.end != nil || r.status(t.Context()) != nil {
		t.Error("reports are sent without reports.out")
	}
	r.use(on)
	awaitSender(t, r, true)
	first := r.sender.Load()
	if s := r.status(t.Context()); s == nil || s.Problem != "" {
		t.Errorf("status %+v", s)
	}
	r.use(on)
	if r.sender.Load() != first {
		t.Error("the same configuration made another sender")
	}
	other := *on
	other.Config.Reports.Out.OrgName = "Other"
	r.use(&other)
	awaitSender(t, r, true)
	if r.sender.Load() == first {
		t.Error("another configuration has the same sender")
	}
	r.use(off)
	awaitSender(t, r, false)
}

func TestABounceIsSeenAmongOtherMail(t *testing.T) {
	r := newReporting("1", slog.New(slog.NewTextHandler(io.Discard, nil)))
	defer func() { r.close() }()
	g := reportingOf(t, outSection)
	h := r.handlers(g.Handlers())
	if tx := h.Verifier.Verify(t.Context(), message.Envelope{}); isWatched(tx) {
		t.Error("mail is watched while no reports are sent")
	}
	r.use(g)
	awaitSender(t, r, true)
	if isWatched(h.Verifier.Verify(t.Context(), message.Envelope{Sender: "a@b.example"})) || isWatched(h.Signer.Sign(t.Context(), message.Envelope{Sender: "a@b.example"})) {
		t.Error("mail with a sender is watched")
	}
	for name, tx := range map[string]message.Transaction{
		"judged": h.Verifier.Verify(t.Context(), message.Envelope{}),
		"signed": h.Signer.Sign(t.Context(), message.Envelope{}),
	} {
		if !isWatched(tx) {
			t.Errorf("%s: mail with the null sender is not watched", name)
		}
		env := message.Envelope{Recipients: []string{"user@example.com"}, MTAName: "mx.example.com"}
		header := message.Header{{Name: "From", Value: " x@example.com"}}
		if out := decide(tx, env, header, "hello\r\n"); out.Disposition != message.Accept || len(out.Insert) == 0 {
			t.Errorf("%s: %+v", name, out)
		}
	}
	if len(r.returned) != 0 {
		t.Error("mail to others counts as a bounce")
	}
}

func isWatched(tx message.Transaction) bool { _, is := tx.(*watched); return is }

// Where the database does not open, mail goes on, and a bounce is not seen.
func TestAReportDatabaseThatDoesNotOpenStopsNoMail(t *testing.T) {
	r := newReporting("1", slog.New(slog.NewTextHandler(io.Discard, nil)))
	g := reportingOf(t, outSection)
	g.Config.Reports.Database = store.Address("postgres://nobody@127.0.0.1:9/none")
	r.use(g)
	defer r.close()
	if s := r.status(t.Context()); s == nil || !strings.Contains(s.Problem, "not open") {
		t.Errorf("%+v", s)
	}
	if r.mine(message.Envelope{Sender: "dmarc+x@example.com"}) {
		t.Error("an envelope is ours without a secret")
	}
	h := r.handlers(g.Handlers())
	if isWatched(h.Verifier.Verify(t.Context(), message.Envelope{})) {
		t.Error("mail is watched")
	}
}

func TestReportsThatNoKeyWouldSignAreAWarning(t *testing.T) {
	for section, want := range map[string]bool{
		outSection: false, "": false, strings.Replace(outSection, "@example.com", "@stranger.example", 1): true,
		strings.Replace(outSection, "@example.com", "@reports.example.com", 1): true, // no entry with subdomains
	} {
		warned := strings.Contains(strings.Join(reportingOf(t, section).Warnings(), "\n"), "reports.out.from: no entry of signer.domains signs for")
		if warned != want {
			t.Errorf("%s: a warning: %v, want %v", section, warned, want)
		}
	}
}
