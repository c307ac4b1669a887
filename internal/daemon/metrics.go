package daemon

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/VictoriaMetrics/metrics"
	"golang.org/x/net/netutil"

	"signpost/keys"
)

// metricsConnections bounds the connections to the metrics, which would else take
// descriptors from DNS and the milter. Further ones wait.
const metricsConnections = 4

// serve answers /metrics in Prometheus' text format and /healthz at the address, until
// the process ends.
func (c *counters) serve(address string, log *slog.Logger) error {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return fmt.Errorf("listening for metrics at %s: %w", address, err)
	}
	go func() {
		if err := c.serveAt(l); !errors.Is(err, http.ErrServerClosed) {
			log.Error("the metrics are not served any more", "address", address, "error", err.Error())
		}
	}()
	log.Info("metrics", "address", l.Addr().String())
	return nil
}

func (c *counters) serveAt(l net.Listener) error {
	server := &http.Server{Handler: c.handler(), ReadTimeout: 10 * time.Second, WriteTimeout: time.Minute, IdleTimeout: time.Minute}
	return server.Serve(netutil.LimitListener(l, metricsConnections))
}

func (c *counters) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /metrics", func(w http.ResponseWriter, _ *http.Request) {
		c.writeTo(w)
		metrics.WriteProcessMetrics(w)
	})
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /readyz", c.readyz)
	return mux
}

// readyz is red only where mail cannot be handled at all.
func (c *counters) readyz(w http.ResponseWriter, _ *http.Request) {
	why := []string{"no configuration is in force yet"}
	if c.ready != nil {
		why = c.ready()
	}
	if len(why) > 0 {
		http.Error(w, strings.Join(why, "\n"), http.StatusServiceUnavailable)
		return
	}
	fmt.Fprintln(w, "ready")
}

// setBackend changes what /metrics says of the RSA arithmetic, which a reload may change.
func (c *counters) setBackend(b keys.Backend, version string) {
	c.info.replace(fmt.Sprintf("{version=%q,signing_backend=%q}", version, b.Info().Backend))
}
