// Package reports is the section `reports` of the configuration: what is counted of the mail
// of this host, what others report about our domains, and what we report to others.
package reports

import (
	"fmt"
	"path/filepath"
	"strings"

	"signpost/internal/config"
	"signpost/internal/reports/incoming"
	"signpost/internal/reports/outgoing"
	"signpost/internal/reports/page"
	"signpost/internal/reports/store"
)

// Config is the section `reports`.
type Config struct {
	// Database keeps the counters and the reports: sqlite:PATH on one host, postgres://… for
	// several. If empty, nothing is kept. A file without this key has DefaultDatabase.
	Database store.Address `yaml:"database"`
	// Keep is how long counters and reports are kept.
	Keep config.Days `yaml:"keep"`
	// MaxSize bounds the counters: the oldest days go first.
	MaxSize config.Size `yaml:"max_size"`
	// Out are the reports to others.
	Out outgoing.Config `yaml:"out"`
	// In is about the reports that others send, Notify about what they mean.
	In     incoming.Config `yaml:"in"`
	Notify incoming.Notify `yaml:"notify"`
	// Page shows the reports in a browser.
	Page page.Config `yaml:"page"`
}

// Defaults returns the section of an empty file, without the database.
func Defaults() Config {
	return Config{Keep: 90, MaxSize: 1 << 30, Out: outgoing.Defaults(), In: incoming.Defaults(), Notify: incoming.NotifyDefaults(), Page: page.Defaults()}
}

// DefaultDatabase is the database of a host whose daemon keeps its state in this folder.
func DefaultDatabase(state string) store.Address {
	path := filepath.Join(state, "reports.db")
	if whole, err := filepath.Abs(path); err == nil {
		path = whole
	}
	return store.Address("sqlite:" + path)
}

const (
	minKeep, maxKeep = config.Days(2), config.Days(3650)
	minSize          = config.Size(16 << 20)
)

// Validate reports every mistake with its path within the section.
func (c Config) Validate(bad func(path, problem string)) {
	if c.Database != "" {
		if problem := c.Database.Problem(); problem != "" {
			bad("database", problem)
		}
	}
	c.In.Validate(func(path, problem string) { bad("in."+path, problem) })
	c.Notify.Validate(func(path, problem string) { bad("notify."+path, problem) })
	c.Page.Validate(func(path, problem string) { bad("page."+path, problem) })
	if c.Page.Listen != "" && c.Database == "" {
		bad("page.listen", `the page shows what the database keeps: take database: "" out`)
	}
	if len(c.In.Addresses) > 0 && c.Database == "" {
		bad("in.addresses", `reports that come by mail need a database: take database: "" out`)
	}
	if c.Keep < minKeep || c.Keep > maxKeep {
		bad("keep", fmt.Sprintf("%s is out of range: write a time from %s to %s, as 90d", c.Keep, minKeep, maxKeep))
	}
	if c.MaxSize < minSize {
		bad("max_size", fmt.Sprintf("%s is too little: write %s or more, as 1GiB", c.MaxSize, minSize))
	}
	c.Out.Validate(c.Database != "", func(path, problem string) { bad(strings.TrimSuffix("out."+path, "."), problem) })
}
