package daemon

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"signpost/internal/message"
	"signpost/keys"
	"signpost/milter"
)

// scrape is what Prometheus would read.
func scrape(t *testing.T, c *counters, path string) string {
	t.Helper()
	w := httptest.NewRecorder()
	c.handler().ServeHTTP(w, httptest.NewRequest("GET", path, nil))
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
	path := setUp(t)
	g, err := Load(path, time.Now, nil)
	if err != nil {
		t.Fatal(err)
	}
	h := g.Handlers()
	env := message.Envelope{MTAName: "mx.example.net"}
	letter := message.Header{{Name: "From", Value: " a@example.com"}}
	counts := newCounters()
	before := scrape(t, counts, "/metrics")
	counts.Decided(milter.Decided{Outbound: true, Outcome: decide(h.Signer.Sign(t.Context(), env), env, letter, "x\r\n")})
	counts.Decided(milter.Decided{Outcome: decide(h.Verifier.Verify(t.Context(), env), env, letter, "x\r\n")})
	after := scrape(t, counts, "/metrics")
	for _, counter := range []string{
		`signpost_messages_total{direction="outbound",disposition="accept"}`, "signpost_signed_total",
		`signpost_messages_total{direction="inbound",disposition="reject"}`, `signpost_results_total{method="dkim",result="none"}`,
	} {
		if was, is := counterIn(t, before, counter), counterIn(t, after, counter); is != was+1 {
			t.Errorf("%s was %d and is %d", counter, was, is)
		}
	}
	if got := scrape(t, counts, "/healthz"); got != "ok\n" {
		t.Errorf("/healthz: %q", got)
	}
}

// The backend is that of the generation in force, not what the build could have.
func TestMetricsTellTheBackendInForce(t *testing.T) {
	path := setUp(t)
	counts := newCounters()
	s := &Service{processors: newProcessors(new(atomic.Bool)), log: slog.New(slog.DiscardHandler), counts: counts}
	for _, b := range []keys.Backend{keys.BackendAuto, keys.BackendGo, keys.BackendAuto} {
		g, err := Load(path, time.Now, nil)
		if err != nil {
			t.Fatal(err)
		}
		g.Config.Keys.Backend = b
		s.begin(g)
		scraped := scrape(t, counts, "/metrics")
		if strings.Count(scraped, "signpost_info{") != 1 || !strings.Contains(scraped, fmt.Sprintf("signing_backend=%q} 1\n", b.Info().Backend)) {
			t.Errorf("with %s: %s", b, scraped)
		}
		if !strings.Contains(scraped, "signpost_signing_faults_total 0\n") {
			t.Errorf("no count of faults: %s", scraped)
		}
	}
}

// Every series is there before its first event, so that an alert can be written and a rate
// be computed; each family says what it counts.
func TestSeriesExistFromTheStart(t *testing.T) {
	scraped := scrape(t, newCounters(), "/metrics")
	for _, series := range []string{
		`signpost_messages_total{direction="inbound",disposition="quarantine"}`, `signpost_messages_total{direction="outbound",disposition="tempfail"}`,
		"signpost_signed_total", "signpost_unsigned_total", "signpost_fragile_total", "signpost_unjudged_total", "signpost_error_total", "signpost_would_refuse_total",
		`signpost_results_total{method="arc",result="fail"}`, `signpost_results_total{method="spf",result="softfail"}`, `signpost_results_total{method="dkim",result="policy"}`, `signpost_results_total{method="dmarc",result="permerror"}`,
		`signpost_milter_decisions_total{reason="too_many_fields"}`, `signpost_milter_decisions_total{reason="header_too_big"}`,
		`signpost_milter_decisions_total{reason="message_too_big"}`, `signpost_milter_decisions_total{reason="no_decision_in_time"}`,
		`signpost_milter_decisions_total{reason="panic"}`, `signpost_milter_decisions_total{reason="out_of_header_memory"}`,
		`signpost_milter_decisions_total{reason="mta_cannot"}`,
		`signpost_refused_connections_total{reason="not_a_peer"}`, `signpost_refused_connections_total{reason="too_many_of_peer"}`,
	} {
		if !strings.Contains(scraped, "\n"+series+" ") {
			t.Errorf("no series %s", series)
		}
		name, _, _ := strings.Cut(series, "{")
		if strings.Count(scraped, "\n# TYPE "+name+" counter\n") != 1 || strings.Count("\n"+scraped, "\n# HELP "+name+" ") != 1 ||
			strings.Contains(scraped, "# HELP "+name+" \n") {
			t.Errorf("%s has not one HELP and one TYPE line", name)
		}
	}
	if t.Failed() {
		t.Log(scraped)
	}
}

// A message with a good signature on top of a broken one and one of a stranger has three
// results, not one.
func TestEverySignatureIsCounted(t *testing.T) {
	path := setUp(t)
	g, err := Load(path, time.Now, nil)
	if err != nil {
		t.Fatal(err)
	}
	letter := message.Header{{Name: "From", Value: " a@example.com"}, {Name: "Subject", Value: " x"}}
	signed := decide(g.Handlers().Signer.Sign(t.Context(), message.Envelope{}), message.Envelope{}, letter, "hello\r\n")
	value := " " + signed.Insert[0].Value
	h := message.Header{
		{Name: "DKIM-Signature", Value: value},
		{Name: "DKIM-Signature", Value: strings.Replace(value, "c=relaxed/", "c=simple/", 1)},
		{Name: "DKIM-Signature", Value: " v=1; a=rsa-sha256"},
		letter[0], letter[1],
	}
	counts := newCounters()
	before := scrape(t, counts, "/metrics")
	for range 2 {
		tx := g.Handlers().Verifier.Verify(context.Background(), message.Envelope{MTAName: "mx.example.net"})
		out := decide(tx, message.Envelope{MTAName: "mx.example.net"}, h, "hello\r\n")
		counts.Decided(milter.Decided{Outcome: out})
		if len(out.Results) != 5 || out.Results[1].Selector != "s1" || out.Results[1].Domain != "example.com" {
			t.Errorf("results %+v", out.Results)
		}
	}
	after := scrape(t, counts, "/metrics")
	for result, want := range map[string]int{"pass": 2, "fail": 2, "permerror": 2} {
		series := fmt.Sprintf(`signpost_results_total{method="dkim",result=%q}`, result)
		if n := counterIn(t, after, series) - counterIn(t, before, series); n != want {
			t.Errorf("%s grew by %d, want %d", series, n, want)
		}
	}
}

func TestWhatTheMilterDecidesIsCounted(t *testing.T) {
	counts := newCounters()
	before := scrape(t, counts, "/metrics")
	for _, r := range milter.Reasons() {
		counts.Decided(milter.Decided{Reason: r, Outcome: message.Outcome{Disposition: message.Tempfail}})
	}
	for _, r := range milter.Refusals() {
		counts.Refused(r)
	}
	after := scrape(t, counts, "/metrics")
	grew := func(series string) int { return counterIn(t, after, series) - counterIn(t, before, series) }
	for _, r := range milter.Reasons() {
		if n := grew(fmt.Sprintf("signpost_milter_decisions_total{reason=%q}", r)); n != 1 {
			t.Errorf("%s grew by %d", r, n)
		}
	}
	for _, r := range milter.Refusals() {
		if n := grew(fmt.Sprintf("signpost_refused_connections_total{reason=%q}", r)); n != 1 {
			t.Errorf("%s grew by %d", r, n)
		}
	}
	if n := grew(`signpost_messages_total{direction="inbound",disposition="tempfail"}`); n != len(milter.Reasons()) {
		t.Errorf("tempfail grew by %d", n)
	}
}

// strangers is a listener that many clients connect to, who say nothing.
type strangers struct{ accepted atomic.Int32 }

func (s *strangers) Accept() (net.Conn, error) {
	if s.accepted.Add(1) > 100 {
		return nil, net.ErrClosed
	}
	_, server := net.Pipe()
	return server, nil
}

func (*strangers) Close() error   { return nil }
func (*strangers) Addr() net.Addr { return &net.TCPAddr{} }

func TestTheMetricsTakeFewDescriptors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		clients := &strangers{}
		ended := make(chan error, 1)
		go func() { ended <- newCounters().serveAt(clients) }()
		synctest.Wait()
		if n := clients.accepted.Load(); n != metricsConnections {
			t.Errorf("%d connections are open, want %d", n, metricsConnections)
		}
		<-ended // they are closed when they have said nothing for long
	})
}
