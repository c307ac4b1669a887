package daemon

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"

	"signpost/internal/config"
	"signpost/internal/control"
	"signpost/internal/dns"
	"signpost/internal/reports"
	"signpost/internal/reports/store"
	"signpost/internal/tablesource"
	"signpost/keys"
	"signpost/milter"
	"signpost/signer"
	"signpost/verifier"
)

// DefaultPath is read where no --config is given and the file exists.
const DefaultPath = "/etc/signpost/signpost.yaml"

// Config is the whole configuration. Each section belongs to the package that it is named
// after.
type Config struct {
	Milter   milter.Config   `yaml:"milter"`
	DNS      dns.Config      `yaml:"dns"`
	Keys     keys.Config     `yaml:"keys"`
	Signer   signer.Config   `yaml:"signer"`
	Verifier verifier.Config `yaml:"verifier"`
	Reports  reports.Config  `yaml:"reports"`
	Log      LogConfig       `yaml:"log"`
	Control  control.Config  `yaml:"control"`
	Metrics  MetricsConfig   `yaml:"metrics"`

	tables    tablesource.Tables // the contents of signer.tables
	sum       string             // of the file; config.Source.Sum
	signsNone bool               // the file says domains: [], without tables
	mayLose   bool               // a listed key may fail to load; then its entry cannot sign
	giveWay   func()             // called by the long loops of Build; nil: no pauses
}

// MetricsConfig is the section `metrics`: the address of /metrics (Prometheus' text format)
// and /healthz over HTTP. Without one, nothing is counted.
type MetricsConfig struct {
	Listen string `yaml:"listen"`
	// PerKey bounds the listed keys that have series of their own, in the order of the configuration.
	PerKey int `yaml:"per_key"`
}

// maxPerKey is the largest metrics.per_key. Each key has three series.
const maxPerKey = 100_000

// Defaults is the configuration of an empty file.
func Defaults() Config {
	return Config{
		Milter: milter.Defaults(), DNS: dns.Defaults(), Keys: keys.Defaults(),
		Signer: signer.Defaults(), Verifier: verifier.Defaults(),
		Reports: reports.Defaults(), Log: LogConfig{Format: "text", Level: "info"}, Control: control.Defaults(), Metrics: MetricsConfig{PerKey: 1000},
	}
}

// withoutFile is the configuration where no file exists: every message is judged in monitor
// mode, and none is signed.
func withoutFile() Config {
	c := Defaults()
	c.Signer.Outbound = signer.OutboundRule{}
	c.Reports.Database = c.defaultDatabase()
	return c
}

// Read reads and validates the file at path; "" means the default file if it exists, and
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
	c.sum = src.Sum()
	if !src.Has("reports.database") {
		c.Reports.Database = c.defaultDatabase()
	}
	c.validate(src)
	c.signsNone = src.Has("signer.domains") && len(c.Signer.Domains) == 0 && len(c.Signer.Tables) == 0
	// A zone file is for work off line: it may lack our own records.
	if c.DNS.ZoneFile != "" && !src.Has("signer.require_published") {
		c.Signer.RequirePublished = false
	}
	if err := src.Err(); err != nil {
		return c, path, err
	}
	c.Verifier.ARC, err = c.Verifier.ARC.WithFile(os.ReadFile)
	return c, path, err
}

func (c Config) validate(src *config.Source) {
	c.Milter.Validate(src.Section("milter"))
	c.DNS.Validate(src.Section("dns"))
	c.Keys.Validate(src.Section("keys"))
	c.Signer.Validate(src.Section("signer"))
	tablesource.Validate(c.Signer, src.Section("signer"))
	c.Verifier.Validate(src.Section("verifier"))
	c.Control.Validate(src.Section("control"))
	c.Reports.Validate(src.Section("reports"))
	c.resolveListeners(src)
	c.validateSealListeners(src)
	config.OneOf(src.Section("log"), "format", c.Log.Format, "text", "json")
	config.OneOf(src.Section("log"), "level", c.Log.Level, "debug", "info", "warn", "error")
	if n := c.Metrics.PerKey; n < 0 || n > maxPerKey {
		src.Bad("metrics.per_key", fmt.Sprintf("%d: write a number from 0 to %d", n, maxPerKey))
	}
	if c.Metrics.Listen != "" {
		if _, err := netip.ParseAddrPort(c.Metrics.Listen); err != nil {
			src.Bad("metrics.listen", fmt.Sprintf("%q is not an address and port: write one such as 127.0.0.1:9891", c.Metrics.Listen))
		}
	}
}

// complete adds the entries of the tables that the configuration names.
func (c Config) complete() (Config, error) {
	var err error
	c.Signer, c.tables, err = tablesource.Read(context.Background(), c.Signer, c.tables, c.keptTables(), c.giveWay)
	c.Keys.Shared, c.Keys.Optional = c.tables.Index().SharedKeys(), c.Signer.Optional()
	return c, err
}

// keptTables is the folder for copies of the tables of databases.
func (c Config) keptTables() string { return filepath.Join(filepath.Dir(c.Keys.State), "tables") }

// defaultDatabase is the database of the reports where the file names none.
func (c Config) defaultDatabase() store.Address {
	return reports.DefaultDatabase(filepath.Dir(c.Keys.State))
}

// ReadWhole is Read with the entries of tables.
func ReadWhole(path string) (Config, string, error) {
	c, from, err := Read(path)
	if err == nil {
		c, err = c.complete()
	}
	return c, from, err
}
