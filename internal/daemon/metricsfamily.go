package daemon

import (
	"bytes"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"

	"github.com/VictoriaMetrics/metrics"
)

// family has the series of one name. The library's HELP lines have no text, so each family is
// a set of its own, and writeTo adds them.
type family struct {
	name, kind, help string
	labels           []string // at most two, for counters
	set              *metrics.Set
	known            map[[2]string]*metrics.Counter // by the values of the labels
	collect          func(add adder)                // nil: the series are in set

	mu   sync.Mutex
	only string // see replace
}

// adder adds a series to a scrape, with the values of the labels.
type adder func(value float64, labels ...string)

func (c *counters) add(name, kind, help string, labels ...string) *family {
	f := &family{name: name, kind: kind, help: help, labels: labels, set: metrics.NewSet(), known: map[[2]string]*metrics.Counter{}}
	c.families = append(c.families, f)
	return f
}

// single is a counter without labels.
func (c *counters) single(name, help string) *metrics.Counter {
	return c.add(name, "counter", help).set.NewCounter(name)
}

// collected is a family whose series are computed at each scrape.
func (c *counters) collected(name, kind, help string, collect func(adder), labels ...string) {
	c.add(name, kind, help, labels...).collect = collect
}

// labelText is the values of the labels as Prometheus writes them, "" or in braces.
func (f *family) labelText(values ...string) string {
	if len(f.labels) == 0 {
		return ""
	}
	var b strings.Builder
	for i, name := range f.labels {
		b.WriteByte("{,"[min(i, 1)])
		b.WriteString(name + `="` + escapeLabel.Replace(values[i]) + `"`)
	}
	return b.String() + "}"
}

var escapeLabel = strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`)

// know makes the counter for the values of the labels; b is "" where there is one label. It is
// for the time before the first event.
func (f *family) know(a, b string) {
	f.known[[2]string{a, b}] = f.set.NewCounter(f.name + f.labelText(a, b))
}

// count adds to the counter. Values that are not known make a series, which takes a while.
func (f *family) count(a, b string, n int) {
	c := f.known[[2]string{a, b}]
	if c == nil {
		c = f.set.GetOrCreateCounter(f.name + f.labelText(a, b))
	}
	c.Add(n)
}

func (f *family) histogram(bounds []float64, label string) *metrics.PrometheusHistogram {
	return f.set.NewPrometheusHistogramExt(f.name+f.labelText(label), bounds)
}

// replace removes the family's series and adds one of value 1 with these labels.
func (f *family) replace(labels string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.set.UnregisterMetric(f.only)
	f.only = f.name + labels
	f.set.GetOrCreateGauge(f.only, func() float64 { return 1 })
}

// writeTo writes Prometheus' text format.
func (c *counters) writeTo(w io.Writer) {
	var out bytes.Buffer
	for _, f := range c.families {
		fmt.Fprintf(&out, "# HELP %s %s\n# TYPE %s %s\n", f.name, f.help, f.name, f.kind)
		if f.collect == nil {
			f.set.WritePrometheus(&out)
			continue
		}
		f.collect(func(value float64, labels ...string) {
			out.WriteString(f.name + f.labelText(labels...) + " " + strconv.FormatFloat(value, 'f', -1, 64) + "\n")
		})
	}
	_, _ = w.Write(out.Bytes()) // the client has gone
}
