package incoming

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"signpost/internal/reports/store"
	"signpost/internal/reports/store/storetest"
)

// month stores a month of reports by two reporters, and one day of the month before.
func month(t *testing.T, k *Keeper) {
	old := row{"198.51.100.9", 50, "fail", "pass", "", ""}
	k.must(t, report(t, "gone.example", "old", -3, row{"192.0.2.1", 100, "pass", "pass", "s1", ""}, old))
	for day := 1; day <= 29; day++ {
		k.must(t, report(t, "big.example", fmt.Sprint("b", day), day,
			row{"192.0.2.1", 100, "pass", "pass", "s1", ""}, // own host: our key, in SPF
			row{"192.0.2.200", 2, "fail", "fail", "", ""},   // own host by its network
			row{"198.51.100.1", 20, "fail", "pass", "", ""}, // in SPF
			row{"198.51.100.2", 10, "pass", "fail", "esp", ""},
			row{"203.0.113.1", 5, "pass", "fail", "s1", ""}, row{"203.0.113.1", 1, "fail", "fail", "", ""},
			row{"203.0.113.66", 30, "fail", "fail", "", ""}, row{"2001:db8::66", 1, "fail", "fail", "", "sub.sender.example"}))
	}
	k.must(t, report(t, "small.example", "s", 9, row{"192.0.2.1", 3, "pass", "fail", "s1", ""}))
}

func query(k *Keeper, domain string) *Query {
	return &Query{DB: k.DB, Domain: domain, Begin: start, End: start.AddDate(0, 0, 30), Known: Known{
		Networks: []netip.Prefix{netip.MustParsePrefix("192.0.2.128/25")},
		Signs:    func(domain, selector string) bool { return domain == "sender.example" && selector == "s1" },
	}}
}

func TestWhoSendsInOurName(t *testing.T) {
	storetest.Each(t, func(t *testing.T, a store.Address) {
		k := keeper(t, a)
		month(t, k)
		if err := NameHosts(t.Context(), k.DB, fakeDNS{}, noon); err != nil {
			t.Fatal(err)
		}
		got, err := query(k, "sender.example").Ask(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		var lines []string
		for _, s := range got.Now.Sources {
			lines = append(lines, fmt.Sprintf("%s %s %s %d/%d %s", s.Address, s.Name, s.Group(), s.Aligned, s.Messages, s.Kind))
		}
		want := `192.0.2.1 mx.sender.example sender.example 2903/2903 own-host
203.0.113.66  203.0.113.66 0/870 forgery
198.51.100.1 out1.esp.example esp.example 580/580 known-sender
198.51.100.2  198.51.100.2 290/290 known-sender
203.0.113.1 list.university.example university.example 145/174 forwarder
192.0.2.200  192.0.2.200 0/58 own-host
2001:db8::66 six.forger.example forger.example 0/29 forgery`
		if strings.Join(lines, "\n") != want {
			t.Errorf("got\n%s\nwant\n%s", strings.Join(lines, "\n"), want)
		}
		n := got.Now
		if n.Messages != 4904 || n.Aligned != 3918 || n.Reports != 30 || n.Days != 29 || len(n.Reporters) != 2 || n.Reporters[0].Name != "big.example" || n.Policy != "none" {
			t.Errorf("%+v", n)
		}
		if sub, err := query(k, "sub.sender.example").Ask(t.Context()); err != nil || sub.Now.Messages != 29 || sub.Now.Reports != 29 {
			t.Errorf("%+v, %v", sub, err)
		}
		c := got.Changes()
		if len(c.New) != 4 || len(c.Gone) != 1 || c.Gone[0].Address.String() != "198.51.100.9" || len(c.Stopped) != 1 || c.Stopped[0].Name != "gone.example" {
			t.Errorf("%+v", c)
		}
		domains, left, err := DomainsSince(t.Context(), k.DB, start, noon, 0)
		if err != nil || left != 0 || fmt.Sprint(domains) != "[sender.example]" {
			t.Errorf("%v, %d, %v", domains, left, err)
		}
	})
}

// Invented names below a domain of ours do not hide it.
func TestDomainsOfFewerLabelsComeFirst(t *testing.T) {
	storetest.Each(t, func(t *testing.T, a store.Address) {
		k := keeper(t, a)
		for i, domain := range []string{"a1.sender.example", "a1.sender.example", "a2.sender.example", "other.example", "sender.example"} {
			if _, err := k.DB.Exec(t.Context(), `INSERT INTO incoming_reports (identity, kind, domain, org, email, report_id, begins, ends, received,
				p, sp, np, adkim, aspf, testing, error, generator, messages, aligned, records, skipped)
				VALUES (?, 'aggregate', ?, '', '', '', ?, ?, 0, '', '', '', '', '', '', '', '', 1, 1, 1, 0)`, []byte{byte(i)}, domain, start.Unix(), start.Unix()); err != nil {
				t.Fatal(err)
			}
		}
		for most, want := range map[int]string{0: "[a1.sender.example a2.sender.example other.example sender.example] 0",
			1: "[other.example] 3", 3: "[a1.sender.example other.example sender.example] 1"} {
			domains, left, err := DomainsSince(t.Context(), k.DB, start, noon, most)
			if got := fmt.Sprint(domains, left); err != nil || got != want {
				t.Errorf("%s, want %s; %v", got, want, err)
			}
		}
	})
}

// fakeDNS is a DNS in which two names are confirmed, one lies and one fails.
type fakeDNS struct{}

var hostNames = map[string]string{"192.0.2.1": "mx.sender.example.", "198.51.100.1": "out1.esp.example.", "203.0.113.1": "list.university.example.",
	"203.0.113.66": "mx.sender.example.", "2001:db8::66": "six.forger.example."}

func (fakeDNS) LookupPTR(_ context.Context, a netip.Addr) ([]string, error) {
	if a.String() == "192.0.2.200" {
		return nil, errors.New("no answer")
	}
	if n := hostNames[a.String()]; n != "" {
		return []string{"bad name!.", n}, nil
	}
	return nil, nil
}

func (fakeDNS) LookupA(_ context.Context, name string) ([]netip.Addr, error) {
	switch name {
	case "mx.sender.example":
		return []netip.Addr{netip.MustParseAddr("192.0.2.1")}, nil
	case "out1.esp.example":
		return []netip.Addr{netip.MustParseAddr("198.51.100.1")}, nil
	case "list.university.example":
		return []netip.Addr{netip.MustParseAddr("203.0.113.1")}, nil
	}
	return nil, nil
}

func (fakeDNS) LookupAAAA(context.Context, string) ([]netip.Addr, error) {
	return []netip.Addr{netip.MustParseAddr("2001:db8::66")}, nil
}

func TestNamesAreKept(t *testing.T) {
	k := keeper(t, storetest.SQLite(t))
	month(t, k)
	later := noon.Add(40 * 24 * time.Hour)
	for _, at := range []time.Time{noon, noon.Add(time.Hour), later} {
		if at.Equal(later) {
			k.Now = func() time.Time { return later }
			k.must(t, report(t, "big.example", "later", 35, row{"192.0.2.1", 1, "pass", "pass", "", ""}, row{"192.0.2.200", 1, "pass", "pass", "", ""}))
		}
		before, _ := unnamed(t.Context(), k.DB, at)
		if err := NameHosts(t.Context(), k.DB, fakeDNS{}, at); err != nil {
			t.Fatal(err)
		}
		after, _ := unnamed(t.Context(), k.DB, at)
		if want := map[time.Time]int{noon: 8, noon.Add(time.Hour): 1, later: 2}[at]; len(before) != want || len(after) != 1 {
			t.Errorf("%s: %v, then %v", at, before, after)
		}
	}
}

func TestMayThePolicyBeStricter(t *testing.T) {
	own := func(messages, aligned int64) Source {
		return Source{Kind: OwnHost, Messages: messages, Aligned: aligned}
	}
	forged := Source{Kind: Forgery, Messages: 5000}
	for name, c := range map[string]struct {
		summary Summary
		record  string
		want    string
	}{
		"all is well":           {Summary{Days: 30, Policy: "none", Sources: []Source{own(1000, 1000), forged}}, "", "quarantine yes, reject yes"},
		"too few days":          {Summary{Days: 13, Policy: "none", Sources: []Source{own(1000, 1000)}}, "", "quarantine no, reject no"},
		"few days":              {Summary{Days: 14, Policy: "none", Sources: []Source{own(1000, 1000)}}, "", "quarantine yes, reject no"},
		"little mail":           {Summary{Days: 30, Policy: "none", Sources: []Source{own(99, 99), forged}}, "", "quarantine no, reject no"},
		"one per cent fails":    {Summary{Days: 30, Policy: "none", Sources: []Source{own(1000, 990)}}, "", "quarantine yes, reject no"},
		"more fails":            {Summary{Days: 30, Policy: "none", Sources: []Source{own(1000, 989)}}, "", "quarantine no, reject no"},
		"quarantine is there":   {Summary{Days: 30, Policy: "quarantine", Sources: []Source{own(1000, 1000)}}, "", "reject yes"},
		"reject is there":       {Summary{Days: 30, Policy: "reject", Sources: []Source{own(1000, 1000)}}, "", ""},
		"DNS has what counts":   {Summary{Days: 30, Policy: "none", Sources: []Source{own(1000, 1000)}}, "v=DMARC1; p=reject", ""},
		"no policy is reported": {Summary{Days: 30, Sources: []Source{own(1000, 1000)}}, "", "quarantine yes, reject yes"},
	} {
		var got []string
		for _, a := range (&Answer{Now: c.summary}).Advise("sender.example", c.record, "") {
			got = append(got, a.Policy+map[bool]string{true: " yes", false: " no"}[a.May])
			if a.May != (a.Record != "") || a.Why == "" {
				t.Errorf("%s: %+v", name, a)
			}
		}
		if strings.Join(got, ", ") != c.want {
			t.Errorf("%s: %v, want %s", name, got, c.want)
		}
	}
}

func TestTheRecordToPublish(t *testing.T) {
	for record, want := range map[string]string{
		"": "v=DMARC1; p=reject; rua=mailto:dmarc@sender.example",
		"v=DMARC1; p=none; rua=mailto:a@b.example":                    "v=DMARC1; p=reject; rua=mailto:a@b.example",
		"v=DMARC1;p=none;sp=none;pct=10;t=y;p=none;":                  "v=DMARC1; p=reject; sp=none",
		"v=DMARC1 ; P = none ; rua=mailto:a@b.example!10m; x=y; fo=1": "v=DMARC1; p=reject; rua=mailto:a@b.example!10m; x=y; fo=1",
		"v=DMARC1; rua=mailto:a@b.example":                            "v=DMARC1; p=reject; rua=mailto:a@b.example",
	} {
		if got := withPolicy(record, "reject", "dmarc@sender.example"); got != want {
			t.Errorf("%q: %q, want %q", record, got, want)
		}
	}
}
