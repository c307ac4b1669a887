package dmarc

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"signpost/internal/dns"
)

func TestStrictest(t *testing.T) {
	word := func(ev Evaluation) string { return fmt.Sprintf("%s/%s/%s", ev.Result, ev.Policy, ev.IfFailed) }
	// from the mildest to the strictest (§11.5)
	order := []Evaluation{
		{Result: Pass, Policy: None},
		{Result: None, Policy: None},
		{Result: PermError, Policy: None},
		{Result: Fail, Policy: None},
		{Result: TempError, Policy: None, IfFailed: None},
		{Result: TempError, Policy: None},
		{Result: TempError, Policy: None, IfFailed: Quarantine},
		{Result: Fail, Policy: Quarantine},
		{Result: TempError, Policy: None, IfFailed: Reject},
		{Result: Fail, Policy: Reject},
	}
	for i, a := range order {
		for j, b := range order {
			want := order[max(i, j)]
			if got := Strictest([]Evaluation{a, b}); word(got) != word(want) {
				t.Errorf("of %s and %s it is %s, want %s", word(a), word(b), word(got), word(want))
			}
		}
	}
	t.Run("of several author domains that fail the strictest policy counts", func(t *testing.T) {
		zone := records{"_dmarc.a.example": {"v=DMARC1; p=quarantine"}, "_dmarc.b.example": {"v=DMARC1; p=reject"},
			"_dmarc.c.example": {"v=DMARC1; p=reject"}}
		var evaluations []Evaluation
		for _, domain := range []string{"c.example", "a.example", "b.example"} {
			d := Discover(context.Background(), zone, domain, TreeWalk)
			evaluations = append(evaluations, Evaluate(context.Background(), zone, d, nil, []Identifier{{Domain: "c.example", Pass: true}}))
		}
		if got := Strictest(evaluations); got.AuthorDomain != "b.example" || got.Policy != Reject {
			t.Errorf("%s of %s, want reject of b.example", got.Policy, got.AuthorDomain)
		}
	})
	t.Run("of equals the first counts", func(t *testing.T) {
		got := Strictest([]Evaluation{{Result: Fail, Policy: Reject, AuthorDomain: "a"}, {Result: Fail, Policy: Reject, AuthorDomain: "b"}})
		if got.AuthorDomain != "a" {
			t.Errorf("it is %s", got.AuthorDomain)
		}
	})
	t.Run("of none the result is none", func(t *testing.T) {
		if got := Strictest(nil); got.Result != None || got.Policy != None {
			t.Errorf("it is %s", word(got))
		}
	})
}

// These words go into Authentication-Results and into reports.
func TestTheWordsAreTheRegisteredOnes(t *testing.T) {
	results := []Result{None, Pass, Fail, TempError, PermError}
	if got := fmt.Sprint(results); got != "[none pass fail temperror permerror]" {
		t.Errorf("RFC 9989 §9.2: results are %s", got)
	}
	policies := []Policy{None, Quarantine, Reject}
	if got := fmt.Sprint(policies); got != "[none quarantine reject]" {
		t.Errorf("RFC 9989 §9.1: policies are %s", got)
	}
	if got := fmt.Sprint([]Method{TreeWalk, PSL}); got != "[treewalk psl]" {
		t.Errorf("RFC 9990 §3.1.1.5: methods are %s", got)
	}
}

// Within one message; between messages the resolver's cache serves.
func TestNoNameIsAskedForTwice(t *testing.T) {
	zone := &counting{Resolver: records{"_dmarc.d.example": {"v=DMARC1; p=reject; np=none"}}}
	d := Discover(context.Background(), zone, "a.d.example", TreeWalk)
	ids := []Identifier{{Domain: "b.d.example", Pass: true}, {Domain: "d.example", TempError: true}, {Domain: "B.D.example.", Pass: true}}
	for range 2 {
		Evaluate(context.Background(), zone, d, ids, ids)
	}
	checkPromises(t, zone, len(ids))
	if want := []string{"_dmarc.a.d.example", "_dmarc.d.example", "_dmarc.example", "_dmarc.b.d.example"}; !slices.Equal(zone.names, want) {
		t.Errorf("asked for %q, want %q", zone.names, want)
	}
}

// The strings of one TXT record are joined.
func TestARecordInSeveralStrings(t *testing.T) {
	zone := dns.NewZone()
	zone.AddTXT("_dmarc.example.com", "v=DMARC1; p=re", "ject; s", "p=none")
	d := Discover(context.Background(), zone, "example.com", TreeWalk)
	if d.Record == nil || d.Record.P != Reject || d.Record.SP != None {
		t.Errorf("record %+v, %s", d.Record, d.Reason)
	}
}

func TestDiscoverySteps(t *testing.T) {
	zone := records{"_dmarc.a.d.example": {"v=DMARC1; p=none; p=none"}, "_dmarc.d.example": {"v=DMARC1; p=reject"}, "_dmarc.example": {"x"}}
	d := Discover(context.Background(), zone, "a.d.example", TreeWalk)
	var got []string
	for _, s := range d.Steps() {
		got = append(got, fmt.Sprintf("%s %v %s", s.Domain, s.Record != nil, s.Problem))
	}
	want := []string{`a.d.example false the tag "p" stands twice in the DMARC record: remove one`,
		"d.example true ", "example false the TXT records there are not DMARC records"}
	if !slices.Equal(got, want) {
		t.Errorf("steps %q, want %q", got, want)
	}
	if steps := (Discovery{}).Steps(); steps != nil {
		t.Errorf("a discovery that never was has the steps %v", steps)
	}
}

func TestOrganizationalDomain(t *testing.T) {
	zone := records{"_dmarc.example.com": {"v=DMARC1; p=none"}, "_dmarc.fails.example": {"!"}}
	for _, c := range []struct {
		name, domain, want, err string
		method                  Method
	}{
		{"the name with the fewest labels", "A.mail.Example.com.", "example.com", "", TreeWalk},
		{"the zero method walks the tree", "a.mail.example.com", "example.com", "", ""},
		{"without any record it is the name itself", "a.example.net", "a.example.net", "", TreeWalk},
		{"the list asks for nothing", "a.fails.example", "fails.example", "", PSL},
		{"a failed look-up is an error", "a.fails.example", "", "_dmarc.fails.example: SERVFAIL", TreeWalk},
		{"an address literal is an error", "[192.0.2.1]", "", "is not a domain name", TreeWalk},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := OrganizationalDomain(context.Background(), zone, c.domain, c.method)
			if got != c.want || (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
				t.Errorf("%q, %v; want %q, %q", got, err, c.want, c.err)
			}
		})
	}
}

func TestTheCauseOfATemporaryErrorCanBeFound(t *testing.T) {
	d := Discover(context.Background(), records{"_dmarc.example.com": {"!"}}, "example.com", TreeWalk)
	if !errors.Is(d.Err, errDNS) {
		t.Errorf("%v does not wrap the resolver's error", d.Err)
	}
}

func TestLookupsForManyIdentifiersAreBounded(t *testing.T) {
	zone := &counting{Resolver: records{"_dmarc.evil.example": {"v=DMARC1; p=reject; psd=n"}}}
	var dkim []Identifier
	for i := range 1000 {
		name := fmt.Sprintf("%d.%d.%d.%d.%d.%d.%d.%d.%d.sub.evil.example", i, i, i, i, i, i, i, i, i)
		zone.Resolver.(records)["_dmarc."+name] = []string{"v=DMARC1; p=none; psd=n"}
		dkim = append(dkim, Identifier{Domain: name, Pass: true})
	}
	d := Discover(context.Background(), zone, "evil.example", TreeWalk)
	ev := Evaluate(context.Background(), zone, d, nil, dkim)
	if ev.Result != Fail || len(zone.names) > maxQueries*(maxWalks+1) {
		t.Errorf("%s with %d look-ups", ev.Result, len(zone.names))
	}
	// the author domain's own signature counts at any position
	dkim = append(dkim, Identifier{Domain: "evil.example", Pass: true})
	if ev := Evaluate(context.Background(), zone, d, nil, dkim); ev.Result != Pass {
		t.Errorf("%s with an aligned signature behind many others", ev.Result)
	}
}

func TestRecordLimits(t *testing.T) {
	t.Run("a text longer than a TXT record can be is invalid", func(t *testing.T) {
		_, err := ParseRecord("v=DMARC1; p=none;" + strings.Repeat(" ", maxRecord))
		if err == nil || errors.Is(err, ErrNotDMARC) {
			t.Errorf("error is %v", err)
		}
	})
	t.Run("remarks are bounded in number and in length", func(t *testing.T) {
		rec, err := ParseRecord("v=DMARC1; p=none;" + strings.Repeat(";", 20000) + strings.Repeat("x", 20000))
		if err != nil || len(rec.Ignored) != maxIgnored {
			t.Fatalf("%v, %v", rec, err)
		}
		rec, err = ParseRecord("v=DMARC1; p=none;" + strings.Repeat("\xff", 20000))
		if err != nil || len(rec.Ignored) != 1 || len(rec.Ignored[0]) > 8*maxQuoted {
			t.Fatalf("%v, %v", rec, err)
		}
	})
	t.Run("destinations are bounded in number", func(t *testing.T) {
		rec, err := ParseRecord("v=DMARC1; p=reject; rua=mailto:a@example.com" + strings.Repeat(",mailto:a@example.com", 1000))
		if err != nil || len(rec.RUA) != maxURIs || rec.P != Reject {
			t.Fatalf("%d destinations, %v", len(rec.RUA), err)
		}
	})
}
