package traffic

import (
	"fmt"
	"net/netip"
	"reflect"
	"strings"
	"testing"

	"signpost/internal/reports/store"
	"signpost/internal/reports/store/storetest"
	"signpost/verifier"
)

// refusedRow is a failing message in monitor mode.
func refusedRow(domain, source, host string, change func(*Row)) Row {
	r := Row{
		Day: DayOf(timeOfTests), Result: "fail", HeaderFrom: domain, Source: netip.MustParseAddr(source), Host: host, Policy: Policy{Domain: domain, P: "reject"},
		Requested: "reject", Disposition: "none", Action: "accept", Would: "reject", Rule: "verifier.dmarc", SPFResult: "fail", Tally: Tally{1, timeOfTests.Unix(), timeOfTests.Unix()},
	}
	if change != nil {
		change(&r)
	}
	return r
}

func list(r *Row)      { r.Route = "list"; r.SPFResult = "pass" }
func forwarded(r *Row) { r.Route = "forwarded" }
func service(r *Row)   { r.SPFResult = "pass" }
func passed(r *Row)    { r.Result, r.Would, r.Rule = "pass", "", "" }
func times(n int64) func(*Row) {
	return func(r *Row) { r.Count = n }
}

func both(changes ...func(*Row)) func(*Row) {
	return func(r *Row) {
		for _, c := range changes {
			c(r)
		}
	}
}

func TestWhatEnforceModeWouldRefuse(t *testing.T) {
	storetest.Each(t, func(t *testing.T, a store.Address) {
		r, l := newRecorder(t, a)
		r.count(
			refusedRow("a.example", "192.0.2.1", "mx1.lists.example", list),
			refusedRow("b.example", "192.0.2.2", "mx2.lists.example", both(list, times(4))),
			refusedRow("a.example", "198.51.100.1", "", both(forwarded, times(2))),
			refusedRow("b.example", "198.51.100.1", "", forwarded),
			refusedRow("a.example", "203.0.113.5", "out.esp.example", both(service, times(5))),
			refusedRow("a.example", "203.0.113.66", "", both(times(7), func(r *Row) { r.Would = "tag" })),
			refusedRow("a.example", "203.0.113.67", "", func(r *Row) { r.Would, r.Action = "", "reject" }),
			refusedRow("a.example", "192.0.2.3", "mx.sealer.example", both(list, times(2), func(r *Row) { r.Sealers = "gateway.example sealer.example"; r.AcceptDMARC = true })),
			refusedRow("b.example", "192.0.2.3", "mx.sealer.example", both(list, func(r *Row) { r.Sealers = "gateway.example sealer.example"; r.AcceptDMARC = true })),
			refusedRow("a.example", "192.0.2.9", "", both(passed, times(90))),
			refusedRow("c.example", "192.0.2.9", "", passed),
			refusedRow("a.example", "192.0.2.1", "", func(r *Row) { r.Day -= 40 }),
		)
		r.Flush()
		db := storetest.Open(t, a)
		today := DayOf(timeOfTests)
		now := verifier.Config{ARC: verifier.ARC{TrustedSealers: []verifier.Sealer{{Domain: "Gateway.example"}}}}
		got, err := Refused(t.Context(), db, today-13, today, now)
		if err != nil {
			t.Fatal(err, l)
		}
		if got.Judged != 115 || got.Affected != 24 || got.Taken != 1 || got.Recorded != today-40 || !reflect.DeepEqual(got.Actions, map[string]int64{"reject": 17, "tag": 7}) {
			t.Errorf("%d judged, %d affected, %d taken, since %s, %v", got.Judged, got.Affected, got.Taken, got.Recorded, got.Actions)
		}
		var lines []string
		for _, d := range got.Domains {
			lines = append(lines, fmt.Sprintf("%s %s %d/%d list %d forwarded %d service %d unknown %d excused %d", d.Domain, d.Policy, d.Aligned, d.Messages, d.List, d.Forwarded, d.Service, d.Unknown, d.Excused))
		}
		for _, h := range got.Hosts {
			lines = append(lines, fmt.Sprintf("%s %s %d domains %d %s", h.Address, h.Name, h.Total(), h.Domains, h.Largest))
		}
		for _, e := range got.Excuses {
			lines = append(lines, fmt.Sprintf("%s %s %d %d", e.Kind, strings.Join(e.Entries, " "), e.Messages, e.Domains))
		}
		want := []string{
			"a.example reject 90/108 list 3 forwarded 2 service 5 unknown 8 excused 10",
			"b.example reject 0/6 list 5 forwarded 1 service 0 unknown 0 excused 6",
			"203.0.113.66  7 domains 1 a.example",
			"203.0.113.5 out.esp.example 5 domains 1 a.example",
			"192.0.2.2 mx2.lists.example 4 domains 1 b.example",
			"192.0.2.3 mx.sealer.example 3 domains 2 a.example",
			"198.51.100.1  3 domains 2 a.example",
			"192.0.2.1 mx1.lists.example 1 domains 1 a.example",
			"203.0.113.67  1 domains 1 a.example",
			`forwarder {host: "*.lists.example"} 5 2`,
			"override {domain: a.example, on_fail: none} 5 1",
			`forwarder {network: "198.51.100.1/32"} 3 2`,
			"sealer {domain: sealer.example, accept_dmarc: true} 3 2",
		}
		if g, w := strings.Join(lines, "\n"), strings.Join(want, "\n"); g != w {
			t.Errorf("the report is\n%s\nwant\n%s", g, w)
		}
		if len(got.Flows) != 9 || got.Flows[0] != (RefusedFlow{"a.example", "203.0.113.66", "", "tag", "verifier.dmarc", "unknown", false, 7}) {
			t.Errorf("the flows are %+v", got.Flows)
		}
	})
}

// One sender can write any list field and seal. It is no suggestion to trust it.
func TestAForgerIsNoExcuse(t *testing.T) {
	c := newCollection()
	all := Refusals{Actions: map[string]int64{}}
	for _, row := range []Row{
		refusedRow("victim.example", "203.0.113.66", "evil.example", both(list, times(100))),
		refusedRow("victim.example", "203.0.113.66", "evil.example", both(list, times(100), func(r *Row) { r.Sealers = "evil.example" })),
		refusedRow("", "203.0.113.66", "evil.example", both(list, times(100))),
		refusedRow("victim.example", "203.0.113.66", "", times(100)),
	} {
		c.add(&row, &all)
	}
	if got := excuses(c.candidates, verifier.Config{}); len(got) != 0 {
		t.Errorf("%+v", got)
	}
}

// The suggestions are what the configuration reads.
func TestHostNamesAreSafeInAConfiguration(t *testing.T) {
	for name, want := range map[string]string{
		"MX.Lists.Example": "mx.lists.example", "unknown": "", "[192.0.2.1]": "", `a"}.example`: "", "a b.example": "", "a{.example": "", "": "", "x: y": "", "bücher.example": "xn--bcher-kva.example",
	} {
		if got := hostName(name); got != want {
			t.Errorf("%q is %q, want %q", name, got, want)
		}
	}
}

func TestMemoryForAReportIsBounded(t *testing.T) {
	c := newCollection()
	all := Refusals{Actions: map[string]int64{}}
	const rows = maxKnown + 5000
	for i := range rows {
		r := refusedRow(fmt.Sprintf("n%d.example", i), fmt.Sprintf("2001:db8::%x:%x", i/60000, i%60000), fmt.Sprintf("h%d.example", i), list)
		c.add(&r, &all)
	}
	c.finish(&all)
	if len(all.Domains) > maxKnown+1 || len(all.Hosts) > maxKnown+1 || len(c.candidates) > maxCandidates || all.Affected != rows {
		t.Errorf("%d domains, %d hosts, %d candidates, %d messages", len(all.Domains), len(all.Hosts), len(c.candidates), all.Affected)
	}
	var n int64
	for _, d := range all.Domains {
		n += d.Total()
	}
	if n != rows {
		t.Errorf("%d messages by domain", n)
	}
}
