package main

import (
	"context"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"signpost/internal/message"
	"signpost/keys"
)

// scrape is what Prometheus would read.
func scrape(t *testing.T, path string) string {
	t.Helper()
	w := httptest.NewRecorder()
	metricsHandler().ServeHTTP(w, httptest.NewRequest("GET", path, nil))
	if w.Code != 200 {
		t.Fatalf("%s: %d", path, w.Code)
	}
	return w.Body.String()
}

// counterIn is what a scrape says of a counter, 0 if nothing.
func counterIn(t *testing.T, scraped, counter string) int {
	t.Helper()
	for _, line := range strings.Split(scraped, "\n") {
		if value, ok := strings.CutPrefix(line, counter+" "); ok {
			n, err := strconv.Atoi(value)
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
	}
	return 0
}

func TestMetricsCountWhatBecameOfMessages(t *testing.T) {
	path, _ := setUp(t)
	g, err := load(path, time.Now, nil)
	if err != nil {
		t.Fatal(err)
	}
	g.config.Metrics.Listen = "127.0.0.1:0"
	h := g.handlers()
	env := message.Envelope{MTAName: "mx.example.net"}
	letter := message.Header{{Name: "From", Value: " a@example.com"}}
	before := scrape(t, "/metrics")
	for _, tx := range []interface {
		Header(message.Envelope, message.Header) bool
		Body([]byte) bool
		Cut()
		End() message.Outcome
	}{h.Signer.Sign(context.Background(), env), h.Verifier.Verify(context.Background(), env)} {
		if err := feed(tx, env, letter, strings.NewReader("x\r\n")); err != nil {
			t.Fatal(err)
		}
		tx.End()
	}
	after := scrape(t, "/metrics")
	for _, counter := range []string{
		`signpost_messages_total{direction="outbound",disposition="accept"}`, "signpost_signed_total",
		`signpost_messages_total{direction="inbound",disposition="reject"}`, `signpost_results_total{method="dkim",result="none"}`,
	} {
		if was, is := counterIn(t, before, counter), counterIn(t, after, counter); is != was+1 {
			t.Errorf("%s was %d and is %d", counter, was, is)
		}
	}
	if got := scrape(t, "/healthz"); got != "ok\n" {
		t.Errorf("/healthz: %q", got)
	}
}

// The backend is that of the generation in force, not what the build could have.
func TestMetricsTellTheBackendInForce(t *testing.T) {
	path, _ := setUp(t)
	s := &service{log: slog.New(slog.DiscardHandler)}
	for _, b := range []keys.Backend{keys.BackendAuto, keys.BackendGo, keys.BackendAuto} {
		g, err := load(path, time.Now, nil)
		if err != nil {
			t.Fatal(err)
		}
		g.config.Keys.Backend = b
		s.begin(g)
		scraped := scrape(t, "/metrics")
		if strings.Count(scraped, "signpost_info{") != 1 || !strings.Contains(scraped, fmt.Sprintf("signing_backend=%q} 1\n", b.Info().Backend)) {
			t.Errorf("with %s: %s", b, scraped)
		}
		if !strings.Contains(scraped, "signpost_signing_faults_total 0\n") {
			t.Errorf("no count of faults: %s", scraped)
		}
	}
}
