package main

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"reflect"
	"runtime/debug"
	"strings"
	"syscall"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"

	"signpost/internal/message"
	"signpost/keys"
	"signpost/milter"
	"signpost/signer"
	"signpost/verifier"
)

const serveText = `Run the milter: sign the mail that is ours and judge all other mail.

    signpost serve [--config FILE]

Without --config, ` + defaultConfig + ` is read; without that file too, every
message is judged in monitor mode and nothing is signed.

Signals: SIGHUP reads the configuration and the keys again (a bad configuration
leaves the old one in force and is logged); SIGTERM and SIGINT let running
messages finish, at most the grace time long, and end.

Example:

    signpost serve --config /etc/signpost/signpost.yaml
`

func serveCommand(args []string, _ io.Reader, stdout, stderr io.Writer) int {
	f := flags("serve", serveText, stderr)
	path := f.String("config", "", "configuration `FILE`")
	grace := f.Duration("grace", 30*time.Second, "how long running messages may take to finish at the end")
	rest, code, stop := parse(f, args, stdout)
	if stop {
		return code
	}
	if len(rest) > 0 {
		return wrongUsage(stderr, "serve", fmt.Sprintf("unexpected argument %q", rest[0]))
	}
	signal.Ignore(syscall.SIGPIPE) // who read the log may be gone, and mail goes on
	defer paceCollector()()
	g, err := loadForStart(*path, time.Now)
	if err != nil {
		return failure(stderr, "serve", err)
	}
	d, err := newService(g, *path, g.config.Log.logger(stderr))
	if err != nil {
		return failure(stderr, "serve", err)
	}
	if err := d.run(*grace); err != nil {
		return failure(stderr, "serve", err)
	}
	return exitOK
}

// signs and judges give the milter what it knows of signer and verifier: these
// return their own types, which are the milter's Transaction.
type signs struct {
	*signer.Signer
	verifier *verifier.Verifier
}

func (s signs) Sign(ctx context.Context, env message.Envelope) milter.Transaction {
	return &outbound{Signing: s.Signer.Sign(ctx, env), verifier: s.verifier}
}

// outbound is the signing of a message from which results that claim to be ours are
// removed, as from one that arrives: no login may write them either.
type outbound struct {
	*signer.Signing
	verifier *verifier.Verifier
	forged   []int
}

func (o *outbound) Header(env message.Envelope, h message.Header) (wantBody bool) {
	o.forged = o.verifier.Forged(env, h)
	return o.Signing.Header(env, h)
}

func (o *outbound) End() message.Outcome {
	out := o.Signing.End()
	if n := len(o.forged); n > 0 && out.Disposition == message.Accept {
		out.Remove = o.forged
		out.Log = append(out.Log, verifier.Removed(n))
	}
	return out
}

type judges struct{ *verifier.Verifier }

func (v judges) Verify(ctx context.Context, env message.Envelope) milter.Transaction {
	return v.Verifier.Verify(ctx, env)
}

// handlers is the generation as the milter sees it.
func (g *generation) handlers() *milter.Generation {
	return &milter.Generation{Signer: signs{g.signer, g.verifier}, Verifier: judges{g.verifier}}
}

// service is the running milter with the generation in force.
type service struct {
	path    string // as given on the command line
	log     *slog.Logger
	server  *milter.Server
	started Config // what listeners and log were made of
	current *generation
	lock    *keys.StateLock // nil: it could not be had
}

// newService locks the state of the keys and opens the listeners, so that a fault with
// them is known before anything is called ready.
func newService(g *generation, path string, log *slog.Logger) (*service, error) {
	slog.SetDefault(log) // for alarms of the signing library
	s := &service{path: path, log: log, started: g.config, current: g, server: milter.NewServer(fitConnections(g.config.Milter, g.resolver, log), g.handlers(), log)}
	if g.config.Metrics.Listen != "" {
		s.server.Observe(counts)
	}
	if err := s.lockState(g.config.Keys.State); err != nil {
		return nil, err
	}
	if err := s.server.Listen(); err != nil {
		s.lock.Close()
		return nil, err
	}
	if err := serveMetrics(g.config.Metrics.Listen, log); err != nil {
		return nil, err
	}
	s.begin(g)
	return s, nil
}

// begin puts the generation's keys in force, and its checks of its own work.
func (s *service) begin(g *generation) {
	ctx, cancel := context.WithTimeout(context.Background(), keys.Patience)
	defer cancel()
	tellBackend(g.config.Keys.Backend)
	g.watch.Begin(ctx, g.plan, s.log)
	g.signer.SelfCheck(g.resolver, s.log)
	if err := g.config.Signer.KeepTables(g.config.keptTables()); err != nil {
		s.log.Warn(err.Error())
	}
}

// lockState takes the lock of the state file, unless this process has it. A file that
// another process has is an error; one that cannot be locked cannot be written either,
// and is a warning.
func (s *service) lockState(path string) error {
	if path == s.lock.State() {
		return nil
	}
	lock, err := keys.LockState(path)
	switch {
	case errors.Is(err, keys.ErrStateTaken):
		return err
	case err != nil:
		s.log.Warn(err.Error())
	}
	s.lock.Close()
	s.lock = lock
	return nil
}

// watchKeys follows the life of the keys in the background. The function it returns
// ends that, and waits until what is known is saved.
func (s *service) watchKeys() (end func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.current.watch.Run(ctx)
	}()
	return func() {
		cancel()
		<-done
	}
}

// run serves until a signal ends it.
func (s *service) run(grace time.Duration) error {
	// A channel for each, so that no flood of one displaces the other.
	reload, stop := make(chan os.Signal, 1), make(chan os.Signal, 2)
	signal.Notify(reload, syscall.SIGHUP)
	signal.Notify(stop, syscall.SIGTERM, syscall.SIGINT)
	defer signal.Stop(reload)
	defer signal.Stop(stop)

	served := make(chan error, 1)
	go func() { served <- s.server.Serve(context.Background()) }()
	defer func() { s.lock.Close() }()
	defer s.watchKeys()() // which saves the state before the lock is given up
	s.logStart()
	notify(daemon.SdNotifyReady)
	go debug.FreeOSMemory() // what it took to load: as much as what was loaded
	for {
		tables := watchTables(s.current.config.Signer)
		goOn, err := s.await(served, reload, stop, tables.changed, grace)
		tables.stop()
		if !goOn {
			return err
		}
		s.reload()
	}
}

// await waits for a reason to reload and to go on, or to end.
func (s *service) await(served <-chan error, reload, stop chan os.Signal, changed <-chan struct{}, grace time.Duration) (goOn bool, err error) {
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

// drain ends the service: no new connections, running messages may finish. A
// second signal ends it at once.
func (s *service) drain(sig os.Signal, again <-chan os.Signal, grace time.Duration) error {
	notify(daemon.SdNotifyStopping)
	s.log.Info("stopping: running messages may finish", "signal", sig.String(), "grace", grace.String())
	ctx, cancel := context.WithTimeout(context.Background(), grace)
	defer cancel()
	begun := time.Now()
	go func() {
		for range again {
			// One request to stop may come twice at once, to the process and to its group.
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

// reload puts a new generation in force, or says why the old one stays.
func (s *service) reload() {
	notify(daemon.SdNotifyReloading + "\n" + monotonic())
	defer notify(daemon.SdNotifyReady)
	next, err := load(s.path, time.Now, s.current)
	if err == nil {
		err = s.lockState(next.config.Keys.State)
	}
	if err != nil {
		for _, line := range strings.Split(err.Error(), "\n") {
			s.log.Error("reload refused, the old configuration stays in force", "problem", line)
		}
		return
	}
	if !reflect.DeepEqual(next.config.Milter, s.started.Milter) {
		s.log.Warn("what section milter says is not what is in force: it takes effect with a restart only, systemctl restart signpost")
	}
	if next.config.Log != s.started.Log {
		s.log.Warn("what section log says is not what is in force: it takes effect with a restart only, systemctl restart signpost")
	}
	if next.config.Metrics != s.started.Metrics {
		s.log.Warn("what section metrics says is not what is in force: it takes effect with a restart only, systemctl restart signpost")
	}
	for _, k := range replaced(s.current.store, next.store) {
		s.log.Warn("another key under the same selector: receivers that remember the old record cannot verify; a new key wants a new selector",
			"domain", k.Domain, "selector", k.Selector, "file", k.Path)
	}
	if gone := leaving(s.current.config, next.config); len(gone) > 0 {
		s.log.Warn("entries are no longer in the configuration: their mail goes unsigned, unless another entry fits", "entries", someOf(gone))
	}
	s.begin(next)
	s.server.Swap(next.handlers())
	s.current = next
	s.logGeneration("reloaded")
}

// replaced returns the keys of the next store whose selector had another key before.
func replaced(before, next *keys.Store) []*keys.Key {
	var found []*keys.Key
	for _, k := range next.Keys() {
		old, ok := before.Lookup(k.Domain, k.Selector)
		if !ok {
			continue
		}
		if p, ok := old.Signer.Public().(interface{ Equal(crypto.PublicKey) bool }); ok && !p.Equal(k.Signer.Public()) {
			found = append(found, k)
		}
	}
	return found
}

func (s *service) logStart() {
	var listening []string
	for _, a := range s.server.Addrs() {
		listening = append(listening, a.Network()+":"+a.String())
	}
	s.log.Info("signpost is ready", "version", currentVersion().Version, "listen", strings.Join(listening, " "))
	s.logGeneration("configuration in force")
}

func (s *service) logGeneration(what string) {
	g := s.current
	from := g.path
	if from == "" {
		from = "none"
	}
	s.log.Info(what, "file", from, "domains", len(g.config.Signer.Domains), "keys", len(g.store.Keys()),
		"mode", string(g.config.Verifier.Mode), "signing_backend", g.config.Keys.Backend.Info().String())
	for _, loss := range g.store.Losses() {
		s.log.Error("a listed key cannot be used, and its entry cannot sign with it; signer.on_error decides where no other key signs", "problem", loss)
	}
	for _, w := range g.warnings() {
		s.log.Warn(w)
	}
}

// notify tells systemd, where it started us, what state we are in.
func notify(state string) {
	_, _ = daemon.SdNotify(false, state) // without systemd there is nobody to tell
}

// monotonic is the time stamp that Type=notify-reload wants with RELOADING=1.
func monotonic() string {
	return fmt.Sprintf("MONOTONIC_USEC=%d", monotonicMicroseconds())
}
