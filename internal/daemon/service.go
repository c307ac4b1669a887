// Package daemon is the service that `signpost serve` runs: the configuration as a
// whole, its generations, the reload, metrics, and the notices to systemd. Each section of
// the configuration belongs to the package that it is named after. It decides about no message. It sees messages where
// the rules of a decision are recorded for a reader (tail.go), where they may bring reports (incoming.go), and where they
// may be bounces of reports (outgoing.go).
package daemon

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
	"time"

	systemd "github.com/coreos/go-systemd/v22/daemon"

	"signpost/internal/control"
	"signpost/internal/dns"
	"signpost/internal/reports/page"
	"signpost/internal/reports/traffic"
	"signpost/internal/status"
	"signpost/internal/tablesource"
	"signpost/internal/tail"
	"signpost/keys/lifecycle"
	"signpost/milter"
	"signpost/signer"
)

// Serve runs the daemon until SIGTERM or SIGINT. path is the configuration, "" for the
// default file. Log and metrics name the version. At the end, messages in progress have the
// time grace to finish. The log goes to stderr.
func Serve(path, version string, grace time.Duration, stderr io.Writer) error {
	signal.Ignore(syscall.SIGPIPE) // mail goes on without a reader of the log
	defer paceCollector()()
	g, err := LoadForStart(path, time.Now)
	if err != nil {
		return err
	}
	s, err := New(g, path, version, g.Config.Log.logger(stderr))
	if err != nil {
		return err
	}
	return s.run(grace)
}

// Service is the running milter with the generation in force.
type Service struct {
	path    string // as given on the command line
	version string
	log     *slog.Logger
	server  *milter.Server
	started Config // that of the start: listeners, log and metrics are made of it
	current *Generation
	lock    *lifecycle.StateLock // nil: the file could not be locked
	counts  *counters            // nil: nothing is counted
	vitals  vitals
	control *control.Server // nil: no control socket
	feed    *tail.Feed      // of messages, for commands; nil without a control socket

	processors *processors
	reporting  *reporting        // to others
	intake     *intake           // of the reports of others
	recorder   *traffic.Recorder // of the reports
	page       *page.Server      // of the reports; nil: none
	pages      *reportPages

	endWatch func() // see watchKeys
	silence  *time.Timer
}

// New locks the state of the keys, opens the listeners and puts the generation's keys in
// force. It accepts no connection yet.
func New(g *Generation, path, version string, log *slog.Logger) (*Service, error) {
	kept := status.NewLog(log.Handler())
	log = slog.New(kept)
	slog.SetDefault(log) // for alarms of the signing library
	started := g.Config
	started.Signer, started.tables = signer.Config{}, tablesource.Tables{} // of those only the current ones are held
	s := &Service{
		path: path, version: version, log: log, started: started, current: g,
		vitals:     vitals{started: time.Now(), log: kept},
		server:     milter.NewServer(fitConnections(g.Config.Milter, g.Resolver, log), g.Handlers(), log),
		processors: newProcessors(g.underLoad),
		reporting:  newReporting(version, log),
		intake:     &intake{log: log, grown: make(chan struct{}, 1)},
	}
	s.server.Observe(s.processors)
	s.observe(&s.vitals)
	if err := s.lockState(g.Config.Keys.State); err != nil {
		return nil, err
	}
	err := s.server.Listen()
	s.recorder = traffic.NewRecorder(log, time.Now)
	s.observe(s.recorder)
	if address := g.Config.Metrics.Listen; err == nil && address != "" {
		s.counts = newCounters()
		s.counts.ready = s.notReady
		s.counts.watch(s)
		s.counts.addReports(&s.recorder.Counts)
		s.observe(s.counts)
		err = s.counts.serve(address, log)
	}
	if err != nil {
		_ = s.server.Shutdown(context.Background()) // there is no message to wait for
		s.recorder.Close()
		s.lock.Close()
		return nil, err
	}
	if s.counts != nil {
		s.reporting.count, s.intake.count = s.counts.countReport, s.counts.countIncoming
		s.intake.countNotice = s.counts.countNotice
	}
	s.begin(g)
	s.server.Swap(s.handlers(g))
	s.openControl()
	s.openPage(g.Config)
	return s, nil
}

// begin puts the generation's keys and its self-check in force.
func (s *Service) begin(g *Generation) {
	ctx, cancel := context.WithTimeout(context.Background(), lifecycle.MaxWait)
	defer cancel()
	dns.Observe(g.Resolver, s.queried)
	if s.counts != nil {
		g.Signer.ObserveSigning(s.counts.signedIn)
		s.counts.setBackend(g.Config.Keys.Backend, s.version)
	}
	g.Tracker.Begin(ctx, g.Spec, s.log)
	g.Signer.SelfCheck(g.Resolver, s.log)
	s.recorder.Use(g.Config.traffic())
	if s.intake != nil {
		s.intake.use(g)
	}
	if s.reporting != nil {
		g.Signer = g.Signer.WithHandedIn(s.reporting.mine)
		s.reporting.use(g)
	}
	if err := g.Config.tables.Keep(g.Config.keptTables()); err != nil {
		s.log.Warn(err.Error())
	}
	s.vitals.begin(g, s.started.Metrics.PerKey)
}

// queried counts a query to a DNS server.
func (s *Service) queried(q dns.Query) {
	s.vitals.queried(q)
	if s.counts != nil {
		s.counts.queried(q)
	}
}

// lockState locks the state file, unless this process has the lock. A lock of another process
// is an error. A file that cannot be locked is only a warning: it cannot be written either.
func (s *Service) lockState(path string) error {
	if path == s.lock.State() {
		return nil
	}
	lock, err := lifecycle.LockState(path)
	switch {
	case errors.Is(err, lifecycle.ErrStateLocked):
		return err
	case err != nil:
		s.log.Warn(err.Error())
	}
	s.lock.Close()
	s.lock = lock
	return nil
}

// watchKeys queries DNS for the keys in the background. end stops that, and returns when the
// state is saved.
func (s *Service) watchKeys() (end func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done, watch := make(chan struct{}), s.current.Tracker
	go func() {
		defer close(done)
		watch.Run(ctx)
	}()
	return func() {
		cancel()
		<-done
	}
}

// Start accepts connections and queries DNS for the keys, both in the background. served
// receives the error that ended the serving.
func (s *Service) Start() (served <-chan error) {
	done := make(chan error, 1)
	go func() { done <- s.server.Serve(context.Background()) }()
	s.endWatch = s.watchKeys()
	s.silence = time.AfterFunc(status.QuietTime, s.noteSilence)
	return done
}

// Close saves the state of the keys and releases its lock.
func (s *Service) Close() {
	s.silence.Stop()
	s.control.Close()
	s.page.Close()
	s.pages.close()
	s.intake.close()
	s.reporting.close()
	s.endWatch()
	s.recorder.Close()
	s.lock.Close()
}

// Addrs returns the addresses of the milter.
func (s *Service) Addrs() []net.Addr { return s.server.Addrs() }

// Shutdown ends the serving, and lets messages in progress finish until ctx ends.
func (s *Service) Shutdown(ctx context.Context) error { return s.server.Shutdown(ctx) }

// run serves until SIGTERM or SIGINT.
func (s *Service) run(grace time.Duration) error {
	// Two channels, so that many signals of one kind do not displace the other.
	reload, stop := make(chan os.Signal, 1), make(chan os.Signal, 2)
	signal.Notify(reload, syscall.SIGHUP)
	signal.Notify(stop, syscall.SIGTERM, syscall.SIGINT)
	defer signal.Stop(reload)
	defer signal.Stop(stop)
	return s.serve(reload, stop, grace)
}

// serve runs the milter until it receives a stop.
func (s *Service) serve(reload, stop <-chan os.Signal, grace time.Duration) error {
	served := s.Start()
	defer s.Close()
	s.logStart()
	notify(systemd.SdNotifyReady)
	debug.FreeOSMemory() // loading takes as much memory as it leaves in use
	s.processors.start()
	defer s.processors.stop()
	for {
		tables := watchTables(s.current.Config.tables, s.current.Config.Signer.TablesEvery)
		goOn, err := s.await(served, reload, stop, tables.changed, grace)
		tables.stop()
		if !goOn {
			return err
		}
		s.reload()
	}
}

// await waits for an event. goOn means to reload and to go on.
func (s *Service) await(served <-chan error, reload, stop <-chan os.Signal, changed <-chan struct{}, grace time.Duration) (goOn bool, err error) {
	select {
	case err := <-served:
		return false, err
	case <-reload:
		return true, nil
	case <-changed:
		s.log.Info("a table in a database has changed")
		return true, nil
	case sig := <-stop:
		return false, s.drain(sig, stop, grace)
	}
}

// drain ends the service: it accepts no more connections, and waits for messages in progress.
// A second signal ends it at once.
func (s *Service) drain(sig os.Signal, again <-chan os.Signal, grace time.Duration) error {
	notify(systemd.SdNotifyStopping)
	s.log.Info("stopping: running messages may finish", "signal", sig.String(), "grace", grace.String())
	ctx, cancel := context.WithTimeout(context.Background(), grace)
	defer cancel()
	begun := time.Now()
	go func() {
		for range again {
			// A request to stop may arrive twice at once: for the process and for its group.
			if time.Since(begun) > time.Second {
				cancel()
			}
		}
	}()
	err := s.server.Shutdown(ctx)
	if err != nil {
		s.log.Warn("stopped with messages unfinished: the MTA offers them again", "error", err.Error())
		return nil
	}
	s.log.Info("stopped")
	return nil
}
