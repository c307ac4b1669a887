package daemon

import (
	"time"

	"github.com/VictoriaMetrics/metrics"

	"signpost/internal/dns"
	"signpost/internal/message"
	"signpost/internal/reports/notices"
	"signpost/internal/reports/outgoing"
	"signpost/keys"
	"signpost/milter"
	"signpost/verifier"
)

// counters counts what became of messages and connections. It is the milter's
// Observer. All series of its own exist from the start, so that a rate can be computed from the
// first event on, and an event allocates nothing. Labels come from a few words of our own, never
// from a message, so that their number is bounded.
type counters struct {
	families []*family

	messages, results, decisions, refusals, sealed, forged        *family
	signed, unsigned, fragile, unjudged, failure, would, unsealed *metrics.Counter

	inbound, outbound, signing, query *metrics.PrometheusHistogram

	reports *family // to others
	intake  *family // of others
	notices *family // about these

	info *family

	ready func() []string // why mail cannot be handled; nil: nothing is known yet
}

// The upper bounds of the buckets of histograms, in seconds.
var (
	messageBounds = []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30}
	queryBounds   = []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2, 5}
	signingBounds = []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .5}
)

const (
	toUs     = "inbound"
	toOthers = "outbound"
)

// chainStates are the values of cv= (RFC 8617 §4.4).
var chainStates = []string{"none", "pass", "fail"}

func newCounters() *counters {
	c := &counters{}
	c.messages = c.add("signpost_messages_total", "counter", "Messages that got a final answer, by direction and disposition.", "direction", "disposition")
	for _, direction := range []string{toUs, toOthers} {
		for _, d := range []message.Disposition{message.Accept, message.Quarantine, message.Reject, message.Tempfail} {
			c.messages.know(direction, string(d))
		}
	}
	c.signed = c.single("signpost_signed_total", "Outbound messages that were signed.")
	c.unsigned = c.single("signpost_unsigned_total", "Outbound messages that went on without a signature.")
	c.fragile = c.single("signpost_fragile_total", "Signed messages that a later hop will probably change, which breaks the signature.")
	c.sealed = c.add("signpost_sealed_total", "counter", "Messages that got an ARC set, by its cv=: the result of the chain as it came.", "cv")
	for _, cv := range chainStates {
		c.sealed.know(cv, "")
	}
	c.unsealed = c.single("signpost_unsealed_total", "Messages that signer.arc chooses and that went on without an ARC set.")
	c.unjudged = c.single("signpost_unjudged_total", "Inbound messages of verifier.trusted.networks, passed without checks.")
	c.failure = c.single("signpost_error_total", "Messages that could not be signed or checked for a failure of this daemon.")
	c.would = c.single("signpost_would_refuse_total", "Inbound messages that enforce mode would have refused, held or tagged.")
	c.intake = c.add("signpost_reports_in_total", "counter", "Reports of others in mail to reports.in.addresses, by what became of them; missed counts mail that passed unread.", "result")
	for _, result := range []string{intakeStored, intakeDuplicate, intakeRefused, intakeMissed} {
		c.intake.know(result, "")
	}
	c.notices = c.add("signpost_report_notices_total", "counter", "What was new in the reports of others, by kind.", "kind")
	for _, k := range notices.Kinds() {
		c.notices.know(string(k), "")
	}
	c.reports = c.add("signpost_reports_out_total", "counter", "Reports to others (reports.out), by what became of them; suppressed and bounced count addresses.", "result")
	for _, result := range outgoing.Results() {
		c.reports.know(result, "")
	}
	c.forged = c.add("signpost_forged_results_removed_total", "counter", "Header fields that claimed to be results of ours and were removed, by direction of the message.", "direction")
	c.forged.know(toUs, "")
	c.forged.know(toOthers, "")
	c.addResults()
	c.addReasons()
	c.addTimes()
	return c
}

func (c *counters) addResults() {
	c.results = c.add("signpost_results_total", "counter", "Results of the checks of messages; each signature counts as one dkim result.", "method", "result")
	for method, values := range verifier.Values() {
		for _, v := range values {
			c.results.know(method, v)
		}
	}
}

func (c *counters) addReasons() {
	c.decisions = c.add("signpost_milter_decisions_total", "counter", "Messages that the milter itself decided or limited, by reason.", "reason")
	for _, r := range milter.Reasons() {
		c.decisions.know(string(r), "")
	}
	c.refusals = c.add("signpost_refused_connections_total", "counter", "Milter connections that were closed at once, by reason.", "reason")
	for _, r := range milter.Refusals() {
		c.refusals.know(string(r), "")
	}
	c.collected("signpost_signing_faults_total", "counter", "Signatures that libcrypto failed at; Go made them instead.",
		func(add adder) { add(float64(keys.Faults())) })
	c.info = c.add("signpost_info", "gauge", "Version, and who makes RSA signatures; always 1. With keys.backend auto, Go verifies incoming ones while messages take less than half a processor.")
}

func (c *counters) addTimes() {
	times := c.add("signpost_message_seconds", "histogram", "Time that the MTA waits for the decision after the end of a message, by direction.", "direction")
	c.inbound = times.histogram(messageBounds, toUs)
	c.outbound = times.histogram(messageBounds, toOthers)
	c.signing = c.add("signpost_signing_seconds", "histogram", "Time that the signatures of a message take to make.").histogram(signingBounds, "")
	c.query = c.add("signpost_dns_query_seconds", "histogram", "Time of the queries to DNS servers that were answered.").histogram(queryBounds, "")
}

// Decided counts a message.
func (c *counters) Decided(d milter.Decided) {
	o := &d.Outcome
	direction, times := toUs, c.inbound
	if d.Outbound {
		direction, times = toOthers, c.outbound
	}
	times.Update(d.Waited.Seconds())
	c.messages.count(direction, string(o.Disposition), 1)
	for _, r := range o.Results {
		c.results.count(r.Method, r.Value, 1)
	}
	if d.Reason != "" {
		c.decisions.count(string(d.Reason), "", 1)
	}
	if o.Sealed != "" {
		c.sealed.count(o.Sealed, "", 1)
	}
	if n := len(o.Remove); n > 0 {
		c.forged.count(direction, "", n)
	}
	for _, one := range [...]struct {
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
func (c *counters) Refused(r milter.Refusal) { c.refusals.count(string(r), "", 1) }

// signedIn notes how long the signatures of a message took.
func (c *counters) signedIn(took time.Duration) { c.signing.Update(took.Seconds()) }

// queried notes a query to a DNS server.
func (c *counters) queried(q dns.Query) {
	if q.Answered {
		c.query.Update(q.Took.Seconds())
	}
}

// countIncoming counts what became of a report of others in mail.
func (c *counters) countIncoming(result string) { c.intake.count(result, "", 1) }

// countNotice counts a notice about the reports of others.
func (c *counters) countNotice(kind string) { c.notices.count(kind, "", 1) }

// countReport counts what became of a report to others.
func (c *counters) countReport(result string) { c.reports.count(result, "", 1) }
