package main

import (
	"context"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"signpost/internal/message"
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
	for _, want := range []string{
		`signpost_messages_total{direction="outbound",disposition="accept"} 1`, "signpost_signed_total 1",
		`signpost_messages_total{direction="inbound",disposition="reject"} 1`, `signpost_results_total{method="dkim",result="none"} 1`,
		`signing_backend="`,
	} {
		if !strings.Contains(after, want) {
			t.Errorf("the metrics lack %s:\n%s", want, after)
		}
	}
	if strings.Contains(before, "signpost_signed_total 1") {
		t.Error("counted before the message")
	}
	if got := scrape(t, "/healthz"); got != "ok\n" {
		t.Errorf("/healthz: %q", got)
	}
}
