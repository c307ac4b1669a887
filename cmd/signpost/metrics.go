package main

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/VictoriaMetrics/metrics"

	"signpost/internal/message"
	"signpost/keys"
	"signpost/milter"
)

// counted is a message's transaction whose outcome is counted.
type counted struct {
	milter.Transaction
	direction string // outbound, inbound
}

func (c counted) End() message.Outcome {
	out := c.Transaction.End()
	count(c.direction, out)
	return out
}

// count counts a decided message. Labels come from a few words of our own, never
// from the message, so that their number is bounded.
func count(direction string, o message.Outcome) {
	metrics.GetOrCreateCounter(fmt.Sprintf(`signpost_messages_total{direction=%q,disposition=%q}`, direction, o.Disposition)).Inc()
	for _, n := range o.Log {
		switch n.Key {
		case "signed", "unsigned", "fragile", "unjudged", "error":
			metrics.GetOrCreateCounter("signpost_" + n.Key + "_total").Inc()
		case "spf", "dkim", "dmarc":
			result, _, _ := strings.Cut(n.Value, " ") // "pass (example.com)"
			metrics.GetOrCreateCounter(fmt.Sprintf(`signpost_results_total{method=%q,result=%q}`, n.Key, result)).Inc()
		case "would":
			metrics.GetOrCreateCounter("signpost_would_refuse_total").Inc()
		}
	}
}

// serveMetrics answers /metrics in Prometheus' text format and /healthz at the
// address, until the process ends. With no address it does nothing.
func serveMetrics(address string, log *slog.Logger) error {
	if address == "" {
		return nil
	}
	l, err := net.Listen("tcp", address)
	if err != nil {
		return fmt.Errorf("listening for metrics at %s: %w", address, err)
	}
	go func() {
		server := &http.Server{Handler: metricsHandler(), ReadHeaderTimeout: 10 * time.Second, IdleTimeout: time.Minute}
		if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			log.Error("the metrics are not served any more", "address", address, "error", err.Error())
		}
	}()
	log.Info("metrics", "address", l.Addr().String())
	return nil
}

func metricsHandler() http.Handler {
	metrics.GetOrCreateGauge("signpost_signing_faults_total", func() float64 { return float64(keys.Faults()) })
	mux := http.NewServeMux()
	mux.HandleFunc("GET /metrics", func(w http.ResponseWriter, _ *http.Request) { metrics.WritePrometheus(w, true) })
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	return mux
}

// running is the name of the metric that tells version and backend.
var running struct {
	sync.Mutex
	name string
}

// tellBackend has /metrics name who does the RSA arithmetic from now on, which a reload
// may change.
func tellBackend(b keys.Backend) {
	running.Lock()
	defer running.Unlock()
	metrics.UnregisterMetric(running.name)
	running.name = fmt.Sprintf(`signpost_info{version=%q,signing_backend=%q}`, currentVersion().Version, b.Info().Backend)
	metrics.GetOrCreateGauge(running.name, func() float64 { return 1 })
}
