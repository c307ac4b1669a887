package daemon

import (
	"path/filepath"
	"slices"
	"sync/atomic"

	"signpost/internal/reports/traffic"
)

// traffic is what the counters need of the configuration.
func (c Config) traffic() traffic.Config {
	return traffic.Config{
		Database: c.Reports.Database, Keep: c.Reports.Keep, MaxSize: c.Reports.MaxSize,
		Spool:     traffic.SpoolFolder(filepath.Dir(c.Keys.State)),
		Addresses: c.reportAddresses(),
	}
}

// reportAddresses are those that reports are sent to and come from.
func (c Config) reportAddresses() []string {
	list := slices.Clone(c.Reports.In.Addresses)
	if c.Reports.Out.On() {
		list = append(list, c.Reports.Out.From)
	}
	return list
}

// addReports adds the series of the reports' counters.
func (c *counters) addReports(counts *traffic.Counts) {
	one := func(name, kind, help string, value *atomic.Int64) {
		c.collected(name, kind, help, func(add adder) { add(float64(value.Load())) })
	}
	one("signpost_report_messages_total", "counter", "Messages whose counters are in the database of the reports.", &counts.Stored)
	one("signpost_report_folded_total", "counter", "Messages of these that are counted without details, because there were too many.", &counts.Folded)
	one("signpost_report_lost_total", "counter", "Messages whose counters could not be stored.", &counts.Lost)
	one("signpost_report_spool_bytes", "gauge", "Octets of counters that wait in files for the database.", &counts.Spooled)
	c.collected("signpost_report_database_down", "gauge", "1 while the database of the reports does not answer.", func(add adder) { add(truth(counts.Down.Load())) })
}
