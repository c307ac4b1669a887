package daemon

import (
	"bytes"
	"fmt"
	"io"
	"sync"

	"github.com/VictoriaMetrics/metrics"

	"signpost/internal/message"
	"signpost/internal/reports/outgoing"
	"signpost/keys"
	"signpost/milter"
	"signpost/verifier"
)

// counters counts what became of messages and connections. It is the milter's
// Observer. All series exist from the start, so that a rate can be computed from the first
// event on. Labels come from a few words of our own, never from a message, so that their
// number is bounded.
type counters struct {
	families []*family

	messages, results, decisions, refusals              *family
	signed, unsigned, fragile, unjudged, failure, would *metrics.Counter
	sealed                                              *family
	unsealed                                            *metrics.Counter

	reports *family // to others

	info *family

	ready func() []string // why mail cannot be handled; nil: nothing is known yet
}

func newCounters() *counters {
	c := &counters{}
	c.messages = c.add("signpost_messages_total", "counter", "Messages that got a final answer, by direction and disposition.")
	for _, direction := range []string{toUs, toOthers} {
		for _, d := range []message.Disposition{message.Accept, message.Quarantine, message.Reject, message.Tempfail} {
			c.messages.counter(messageLabels(direction, d))
		}
	}
	single := func(name, help string) *metrics.Counter { return c.add(name, "counter", help).counter("") }
	c.signed = single("signpost_signed_total", "Outbound messages that were signed.")
	c.unsigned = single("signpost_unsigned_total", "Outbound messages that went on without a signature.")
	c.fragile = single("signpost_fragile_total", "Signed messages that a later hop will probably change, which breaks the signature.")
	c.sealed = c.add("signpost_sealed_total", "counter", "Messages that got an ARC set, by its cv=: the result of the chain as it came.")
	for _, cv := range chainStates {
		c.sealed.counter(sealedLabel(cv))
	}
	c.unsealed = single("signpost_unsealed_total", "Messages that signer.arc chooses and that went on without an ARC set.")
	c.unjudged = single("signpost_unjudged_total", "Inbound messages of verifier.trusted.networks, passed without checks.")
	c.failure = single("signpost_error_total", "Messages that could not be signed or checked for a failure of this daemon.")
	c.would = single("signpost_would_refuse_total", "Inbound messages that enforce mode would have refused, held or tagged.")
	c.reports = c.add("signpost_reports_out_total", "counter", "Reports to others (reports.out), by what became of them; suppressed and bounced count addresses.")
	for _, result := range outgoing.Results() {
		c.reports.counter(reportLabel(result))
	}
	c.results = c.add("signpost_results_total", "counter", "Results of the checks of messages; each signature counts as one dkim result.")
	for method, values := range verifier.Values() {
		for _, v := range values {
			c.results.counter(resultLabels(method, v))
		}
	}
	c.decisions = c.add("signpost_milter_decisions_total", "counter", "Messages that the milter itself decided or limited, by reason.")
	for _, r := range milter.Reasons() {
		c.decisions.counter(reasonLabel(string(r)))
	}
	c.refusals = c.add("signpost_refused_connections_total", "counter", "Milter connections that were closed at once, by reason.")
	for _, r := range milter.Refusals() {
		c.refusals.counter(reasonLabel(string(r)))
	}
	c.add("signpost_signing_faults_total", "counter", "Signatures that libcrypto failed at; Go made them instead.").gauge("", func() float64 { return float64(keys.Faults()) })
	c.info = c.add("signpost_info", "gauge", "Version, and who does the RSA arithmetic; always 1.")
	return c
}

const (
	toUs     = "inbound"
	toOthers = "outbound"
)

func messageLabels(direction string, d message.Disposition) string {
	return fmt.Sprintf("{direction=%q,disposition=%q}", direction, d)
}

func resultLabels(method, value string) string {
	return fmt.Sprintf("{method=%q,result=%q}", method, value)
}

// chainStates are the values of cv= (RFC 8617 §4.4).
var chainStates = []string{"none", "pass", "fail"}

func sealedLabel(cv string) string { return fmt.Sprintf("{cv=%q}", cv) }

func reasonLabel(reason string) string { return fmt.Sprintf("{reason=%q}", reason) }

// Decided counts a message.
func (c *counters) Decided(d milter.Decided) {
	direction := toUs
	if d.Outbound {
		direction = toOthers
	}
	o := &d.Outcome
	c.messages.counter(messageLabels(direction, o.Disposition)).Inc()
	for _, r := range o.Results {
		c.results.counter(resultLabels(r.Method, r.Value)).Inc()
	}
	if d.Reason != "" {
		c.decisions.counter(reasonLabel(string(d.Reason))).Inc()
	}
	if o.Sealed != "" {
		c.sealed.counter(sealedLabel(o.Sealed)).Inc()
	}
	for _, one := range []struct {
		is      bool
		counter *metrics.Counter
	}{
		{len(o.Signatures) > 0, c.signed}, {o.Unsigned != "", c.unsigned}, {o.Fragile != "", c.fragile},
		{o.Unjudged != "", c.unjudged}, {o.Failure != "", c.failure}, {o.Would != "", c.would}, {o.Unsealed != "", c.unsealed},
	} {
		if one.is {
			one.counter.Inc()
		}
	}
}

// Refused counts a connection.
func (c *counters) Refused(r milter.Refusal) { c.refusals.counter(reasonLabel(string(r))).Inc() }

func (c *counters) add(name, kind, help string) *family {
	f := &family{name: name, kind: kind, help: help, set: metrics.NewSet()}
	c.families = append(c.families, f)
	return f
}

// writeTo writes Prometheus' text format.
func (c *counters) writeTo(w io.Writer) {
	var out bytes.Buffer
	for _, f := range c.families {
		fmt.Fprintf(&out, "# HELP %s %s\n# TYPE %s %s\n", f.name, f.help, f.name, f.kind)
		f.set.WritePrometheus(&out)
	}
	_, _ = w.Write(out.Bytes()) // the client has gone
}

// family has the series of one name. The library's HELP lines have no text, so each family is
// a set of its own, and writeTo adds them.
type family struct {
	name, kind, help string
	set              *metrics.Set

	mu   sync.Mutex
	only string // see replace
}

// counter returns the counter with these labels, "" or in braces.
func (f *family) counter(labels string) *metrics.Counter {
	return f.set.GetOrCreateCounter(f.name + labels)
}

func (f *family) gauge(labels string, value func() float64) {
	f.set.NewGauge(f.name+labels, value)
}

// replace removes the family's series and adds one of value 1.
func (f *family) replace(labels string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.set.UnregisterMetric(f.only)
	f.only = f.name + labels
	f.set.GetOrCreateGauge(f.only, func() float64 { return 1 })
}

func reportLabel(result string) string { return fmt.Sprintf("{result=%q}", result) }

// countReport counts what became of a report to others.
func (c *counters) countReport(result string) { c.reports.counter(reportLabel(result)).Inc() }
