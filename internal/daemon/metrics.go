package daemon

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/VictoriaMetrics/metrics"

	"signpost/keys"
)

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
	mux := http.NewServeMux()
	mux.HandleFunc("GET /metrics", func(w http.ResponseWriter, _ *http.Request) {
		counts.writeTo(w)
		metrics.WriteProcessMetrics(w)
	})
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	return mux
}

// tellBackend has /metrics name who does the RSA arithmetic from now on, which a reload
// may change.
func tellBackend(b keys.Backend, version string) {
	counts.info.replace(fmt.Sprintf("{version=%q,signing_backend=%q}", version, b.Info().Backend))
}
