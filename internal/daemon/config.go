package daemon

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"time"

	"signpost/internal/config"
	"signpost/internal/dns"
	"signpost/internal/tablesource"
	"signpost/keys"
	"signpost/keys/lifecycle"
	"signpost/milter"
	"signpost/signer"
	"signpost/verifier"
)

// DefaultPath is read where no --config is given and the file exists.
const DefaultPath = "/etc/signpost/signpost.yaml"

// Config is the whole configuration: its sections are named after the folders
// and belong to the packages there.
type Config struct {
	Milter   milter.Config   `yaml:"milter"`
	DNS      dns.Config      `yaml:"dns"`
	Keys     keys.Config     `yaml:"keys"`
	Signer   signer.Config   `yaml:"signer"`
	Verifier verifier.Config `yaml:"verifier"`
	Log      LogConfig       `yaml:"log"`
	Metrics  MetricsConfig   `yaml:"metrics"`

	tables    tablesource.Tables // what the tables of the signer gave
	signsNone bool               // the file says that nothing is signed: domains: [] and no tables
	mayLose   bool               // a listed key may fail to load: its entry alone cannot sign then
}

// LogConfig is the section `log`: one line a message, on standard error.
type LogConfig struct {
	Format string `yaml:"format"` // text | json
	Level  string `yaml:"level"`  // debug | info | warn | error
}

// MetricsConfig is the section `metrics`: where /metrics (Prometheus' text format)
// and /healthz are answered by HTTP; empty: nowhere, and nothing is counted.
type MetricsConfig struct {
	Listen string `yaml:"listen"`
}

func Defaults() Config {
	return Config{
		Milter: milter.Defaults(), DNS: dns.Defaults(), Keys: keys.Defaults(),
		Signer: signer.Defaults(), Verifier: verifier.Defaults(),
		Log: LogConfig{Format: "text", Level: "info"},
	}
}

// withoutFile is the configuration where there is no file: everything is judged
// in monitor mode, and nothing is ours.
func withoutFile() Config {
	c := Defaults()
	c.Signer.Outbound = signer.OutboundRule{}
	return c
}

// Read reads the file at path; "" means the default file if it exists, and
// none otherwise. The returned path is the file that was read, or "". The error
// lists every mistake, one a line, with file and line number.
func Read(path string) (Config, string, error) {
	if path == "" {
		if _, err := os.Stat(DefaultPath); errors.Is(err, fs.ErrNotExist) {
			return withoutFile(), "", nil
		}
		path = DefaultPath
	}
	c := Defaults()
	src, err := config.Read(path, &c)
	if err != nil {
		return c, path, err
	}
	c.validate(src)
	c.signsNone = src.Has("signer.domains") && len(c.Signer.Domains) == 0 && len(c.Signer.Tables) == 0
	// A zone file is off-line work: it need not have our own keys, unless the file says so.
	if c.DNS.ZoneFile != "" && !src.Has("signer.require_published") {
		c.Signer.RequirePublished = false
	}
	return c, path, src.Err()
}

func (c Config) validate(src *config.Source) {
	c.Milter.Validate(src.Section("milter"))
	c.DNS.Validate(src.Section("dns"))
	c.Keys.Validate(src.Section("keys"))
	c.Signer.Validate(src.Section("signer"))
	tablesource.Validate(c.Signer, src.Section("signer"))
	c.Verifier.Validate(src.Section("verifier"))
	config.OneOf(src.Section("log"), "format", c.Log.Format, "text", "json")
	config.OneOf(src.Section("log"), "level", c.Log.Level, "debug", "info", "warn", "error")
	if c.Metrics.Listen != "" {
		if _, err := netip.ParseAddrPort(c.Metrics.Listen); err != nil {
			src.Bad("metrics.listen", fmt.Sprintf("%q is not an address and port: write one such as 127.0.0.1:9891", c.Metrics.Listen))
		}
	}
}

func (l LogConfig) logger(w io.Writer) *slog.Logger {
	var level slog.Level
	_ = level.UnmarshalText([]byte(l.Level)) // validated: one of the four names
	opts := &slog.HandlerOptions{Level: level}
	if l.Format == "json" {
		return slog.New(slog.NewJSONHandler(w, opts))
	}
	return slog.New(slog.NewTextHandler(w, opts))
}

// complete puts in what the sections name in files of their own.
func (c Config) complete() (Config, error) {
	var err error
	c.Signer, c.tables, err = tablesource.Read(context.Background(), c.Signer, c.tables, c.keptTables())
	c.Keys.Shared, c.Keys.Optional = c.Signer.Lent(), c.Signer.Optional()
	return c, err
}

// keptTables is the folder for what is known of tables in databases.
func (c Config) keptTables() string { return filepath.Join(filepath.Dir(c.Keys.State), "tables") }

// ReadWhole is Read with all that belongs to it.
func ReadWhole(path string) (Config, string, error) {
	c, from, err := Read(path)
	if err == nil {
		c, err = c.complete()
	}
	return c, from, err
}

// Generation is one configuration with all that was loaded for it. It never
// changes: a reload makes a new one.
type Generation struct {
	Config   Config
	Path     string // the file it came from, or ""
	Resolver dns.Source
	Store    *keys.Store
	Watch    *lifecycle.Tracker // handed on from generation to generation
	Plan     *lifecycle.Spec
	Signer   *signer.Signer
	Verifier *verifier.Verifier
}

// Build loads what a validated configuration names. now is the clock that
// signatures are made and judged by. A resolver of the same configuration may be
// handed on from the generation before, with its cache.
func Build(c Config, path string, now func() time.Time, before *Generation) (*Generation, error) {
	if before != nil {
		c.tables = before.Config.tables
	}
	c, err := c.complete()
	if err == nil && before != nil {
		err = c.vanished(before.Config)
	}
	if err != nil {
		return nil, err
	}
	g := &Generation{Config: c, Path: path}
	if before != nil {
		g.Watch = before.Watch
	} else {
		g.Watch = lifecycle.NewTracker(c.Keys.State, time.Now)
	}
	if g.Store, err = openKeys(c, g.Watch, before); err != nil {
		return nil, err
	}
	// Servers of the system may have changed in resolv.conf: those are read again.
	if before != nil && c.DNS.ZoneFile == "" && len(c.DNS.Servers) > 0 && reflect.DeepEqual(before.Config.DNS, c.DNS) {
		g.Resolver = before.Resolver
	} else if g.Resolver, err = dns.Open(c.DNS); err != nil {
		return nil, err
	}
	g.Plan = &lifecycle.Spec{Config: c.Keys, Store: g.Store, Listed: c.Signer.Listed(g.Store.Refs()), Require: c.Signer.RequirePublished}
	g.Plan.Servers = Servers(g.Resolver)
	g.Plan.ServersChanged = before != nil && (c.DNS.ZoneFile != "" || !slices.EqualFunc(before.Plan.Servers, g.Plan.Servers, sameServer))
	g.Watch.Preview(g.Plan)
	g.Signer = signer.New(c.Signer, &g.Plan.Active, now)
	host, _ := os.Hostname() // the last resort only: an MTA says its name in macro j
	g.Verifier = verifier.New(c.Verifier, g.Resolver, host, now).WithRSA(c.Keys.Backend.VerifyRSA()).
		WithSharing(func(client netip.Addr) verifier.Lookups {
			l := dns.ForMessage(g.Resolver, client)
			return verifier.Lookups{Policy: l.Policy, AlignedKeys: l.AlignedKeys, OtherKeys: l.OtherKeys}
		}).WithOwnDomains(g.Signer.Names)
	g.Signer = g.Signer.WithForged(g.Verifier.Forged)
	return g, nil
}

// Servers are those behind a source, as lifecycle.Spec takes them.
func Servers(source dns.Source) []lifecycle.Server {
	var all []lifecycle.Server
	for _, s := range dns.Each(source) {
		all = append(all, s)
	}
	return all
}

func sameServer(a, b lifecycle.Server) bool { return a.String() == b.String() }

// openKeys loads the keys that the configuration lists, and those that may have to
// stand in for them. A key that fails is an error, but for three cases, in which its
// entry alone cannot sign: the process starts; it started without this key; or a
// database alone names the key, and it was in use.
func openKeys(c Config, w *lifecycle.Tracker, before *Generation) (*keys.Store, error) {
	inUse := map[keys.Ref]bool{}
	for ref := range c.Keys.Optional {
		if w.InUse(ref) {
			inUse[ref] = true
			delete(c.Keys.Optional, ref)
		}
	}
	c.Keys.MayFail = func(ref keys.Ref) bool {
		return c.mayLose || inUse[ref] || (before != nil && before.Store.Lost(ref) != nil)
	}
	refs := c.Signer.Refs()
	var listed []lifecycle.Listed
	for _, r := range refs {
		listed = append(listed, lifecycle.Listed{Ref: r})
	}
	return keys.Open(c.Keys, refs, w.Standby(listed)...)
}

// LoadForStart is Load for a process that has no generation before: a key that cannot
// be loaded costs its entry alone.
func LoadForStart(path string, now func() time.Time) (*Generation, error) {
	c, from, err := Read(path)
	if err != nil {
		return nil, err
	}
	return BuildForStart(c, from, now)
}

// BuildForStart is Build for a process that has no generation before, as LoadForStart.
func BuildForStart(c Config, path string, now func() time.Time) (*Generation, error) {
	c.mayLose = true
	return Build(c, path, now, nil)
}

// Load reads, checks and builds in one go.
func Load(path string, now func() time.Time, before *Generation) (*Generation, error) {
	c, from, err := Read(path)
	if err != nil {
		return nil, err
	}
	return Build(c, from, now, before)
}

func holdsLoopback(n netip.Prefix) bool { return n.Overlaps(netip.MustParsePrefix("127.0.0.0/8")) }

// Warnings are what a person should know about a configuration that works.
func (g *Generation) Warnings() []string {
	var w []string
	switch {
	case g.Path == "":
		w = append(w, "no configuration file: every message is judged in monitor mode and nothing is signed; write "+DefaultPath+" or give --config FILE")
	case len(g.Config.Signer.Domains) == 0:
		w = append(w, "signer.domains is empty: no message is signed; signpost keys generate DOMAIN SELECTOR makes the first key")
	}
	if len(g.Config.Signer.Domains) > 0 && !slices.ContainsFunc(g.Config.Signer.Outbound.Networks, holdsLoopback) {
		w = append(w, "signer.ours.networks has no loopback address: mail from programs on this host and bounces is not signed; add 127.0.0.0/8 and ::1/128")
	}
	if !g.Config.Signer.RequirePublished && len(g.Config.Signer.Domains) > 0 && g.Config.DNS.ZoneFile == "" {
		w = append(w, "signer.require_published is false: every selector listed signs at once, whether DNS has its record or not")
	}
	if s := g.Config.Signer.Senders; s.Mode == signer.SendersOff && len(s.Allow) > 0 {
		w = append(w, "signer.senders.mode is off: nobody is held to what signer.senders allows; write mode: unsigned or mode: reject")
	}
	w = append(w, g.listenerWarnings()...)
	w = append(w, g.Config.tables.Warnings()...)
	w = append(w, g.Config.Signer.Warnings()...)
	if trouble := g.Watch.Trouble(); trouble != "" {
		w = append(w, trouble)
	}
	if g.Config.DNS.ZoneFile != "" {
		w = append(w, "dns.zone_file is set: the network's DNS is not asked, every verdict rests on "+g.Config.DNS.ZoneFile)
		if !g.Config.Signer.RequirePublished && len(g.Config.Signer.Domains) > 0 {
			w = append(w, "with dns.zone_file, every selector listed signs; signer.require_published: true looks for the keys' records in it")
		}
	}
	return append(w, g.Store.Warnings()...)
}

// listenerWarnings say who may connect, and what that means for signer.senders.
func (g *Generation) listenerWarnings() []string {
	w := g.Config.Milter.Warnings()
	if tcp, ok := g.Config.Milter.TCP(); ok && g.Config.Signer.Senders.Mode != signer.SendersOff {
		w = append(w, fmt.Sprintf("milter.listen has %s beside signer.senders.mode: %s: every program that may connect there (milter.peers), on this host every user, "+
			"can state any login; a unix socket with milter.socket_group is the stronger boundary", tcp, g.Config.Signer.Senders.Mode))
	}
	return w
}
