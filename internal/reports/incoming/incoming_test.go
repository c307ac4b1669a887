package incoming

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"runtime"
	"strings"
	"testing"
	"time"

	"signpost/internal/reports/aggregate"
	"signpost/internal/reports/refusal"
	"signpost/internal/reports/store"
	"signpost/internal/reports/store/storetest"
	"signpost/internal/reports/unpack"
)

func TestMain(m *testing.M) { storetest.Main(m) }

var (
	noon  = time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)
	start = time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
)

// row is one record of a made-up report.
type row struct {
	source     string
	count      int64
	dkim, spf  string
	selector   string // of a valid signature of our domain; "" is none
	headerFrom string
}

// report writes a report about sender.example for a day of November.
func report(t testing.TB, org, id string, day int, rows ...row) string {
	t.Helper()
	var b bytes.Buffer
	begin := start.AddDate(0, 0, day-1)
	w := aggregate.NewWriter(&b, aggregate.Report{
		Metadata: aggregate.Metadata{OrgName: org, Email: "dmarc@" + org, ReportID: id, Begin: begin, End: begin.Add(24*time.Hour - time.Second)},
		Policy:   aggregate.Policy{Domain: "sender.example", P: "none"},
	})
	for _, r := range rows {
		m := aggregate.Record{SourceIP: netip.MustParseAddr(r.source), Count: r.count, Disposition: "none", DKIM: r.dkim, SPF: r.spf, HeaderFrom: r.headerFrom}
		if m.HeaderFrom == "" {
			m.HeaderFrom = "sender.example"
		}
		if r.selector != "" {
			m.Signatures = []aggregate.Signature{{Domain: "sender.example", Selector: r.selector, Result: "pass"}}
		}
		if err := w.Record(&m); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func keeper(t testing.TB, a store.Address) *Keeper {
	return &Keeper{DB: storetest.Open(t, a), Domains: NewDomains([]string{"sender.example", "*.other.example", "postmaster@third.example", "*"}).Ours, Now: func() time.Time { return noon }}
}

func (k *Keeper) must(t testing.TB, data string) Result {
	t.Helper()
	r := k.Read(t.Context(), []byte(data), nil)
	if len(r) != 1 || r[0].Refused != nil {
		t.Fatalf("%+v", r)
	}
	return r[0]
}

func TestAReportIsStoredOnce(t *testing.T) {
	storetest.Each(t, func(t *testing.T, a store.Address) {
		k := keeper(t, a)
		text := report(t, "receiver.example", "1", 3, row{"192.0.2.1", 7, "pass", "fail", "s1", ""}, row{"192.0.2.2", 3, "fail", "fail", "", ""})
		r := k.must(t, text)
		if r.Messages != 10 || r.Aligned != 7 || r.Records != 2 || r.ID == 0 || r.Domain != "sender.example" {
			t.Errorf("%+v", r)
		}
		again := k.Read(t.Context(), []byte(strings.Replace(text, ">1</report_id>", "> &lt;1></report_id>", 1)), nil)[0]
		if again.Refused == nil || again.Refused.Reason != refusal.Duplicate || again.ID != r.ID {
			t.Errorf("again: %+v", again)
		}
		other := k.must(t, strings.Replace(text, ">1</report_id>", ">2</report_id>", 1))
		if other.ID == r.ID {
			t.Error("another report has the same id")
		}
		raw, err := Raw(t.Context(), k.DB, r.ID)
		if err != nil {
			t.Fatal(err)
		}
		if got, _ := io.ReadAll(raw); string(got) != text {
			t.Errorf("raw:\n%s", got)
		}
		if _, err := Raw(t.Context(), k.DB, 999); !errors.Is(err, ErrNoRaw) {
			t.Errorf("no such report: %v", err)
		}
	})
}

func TestTwoDaemonsThatGetOneReportStoreItOnce(t *testing.T) {
	storetest.Each(t, func(t *testing.T, a store.Address) {
		one, two := keeper(t, a), keeper(t, a)
		text := []byte(report(t, "receiver.example", "1", 3, row{"192.0.2.1", 7, "pass", "fail", "s1", ""}))
		done := make(chan []Result)
		for _, k := range []*Keeper{one, two} {
			go func() { done <- k.Read(context.Background(), text, nil) }()
		}
		stored, duplicates := 0, 0
		for range 2 {
			switch r := (<-done)[0]; {
			case r.Refused == nil:
				stored++
			case r.Refused.Reason == refusal.Duplicate:
				duplicates++
			default:
				t.Errorf("%v", r.Refused)
			}
		}
		if stored != 1 || duplicates != 1 {
			t.Errorf("%d stored, %d duplicates", stored, duplicates)
		}
	})
}

func TestWhatIsNotForUsIsRefused(t *testing.T) {
	k := keeper(t, storetest.SQLite(t))
	text := report(t, "receiver.example", "1", 3, row{"192.0.2.1", 7, "pass", "fail", "", ""})
	for _, c := range []struct{ change, want string }{
		{"sender.example\nbad.example", "not-ours"},
		{"sender.example\nevilsender.example", "not-ours"},
		{"<domain>sender.example\n<domain>\u202ea.sender.example", "no-domain"},
		{"<domain>sender.example\n<domain>a b.sender.example", "no-domain"},
		{"<domain>sender.example\n<domain>com", "not-ours"},
		{"1793664000\n1796169600\n1793750399\n1796255999", "bad-period"}, // a month ahead
		{"1793664000\n1600000000", "bad-period"},                         // six years
	} {
		r := k.Read(t.Context(), []byte(strings.NewReplacer(strings.Split(c.change, "\n")...).Replace(text)), nil)[0]
		if r.Refused == nil || r.Refused.ID != c.want {
			t.Errorf("%q: %v", c.change, r.Refused)
		}
	}
	for _, data := range []string{"", "Hello", "From: a@b\r\n\r\nHello\r\n"} {
		if r := k.Read(t.Context(), []byte(data), nil); len(r) != 1 || r[0].Refused.Reason != refusal.NoReport {
			t.Errorf("%q: %+v", data, r)
		}
	}
	forged := func(unpack.Kind) *refusal.Error { return refusal.NotAuthenticated.With("") }
	if r := k.Read(t.Context(), []byte(text), forged); r[0].Refused.Reason != refusal.NotAuthenticated {
		t.Errorf("%+v", r)
	}
	var n int
	if err := k.DB.QueryRow(t.Context(), `SELECT count(*) FROM incoming_reports`).Scan(&n); err != nil || n != 0 {
		t.Errorf("%d stored, %v", n, err)
	}
}

func TestDomainsThatAreOurs(t *testing.T) {
	d := NewDomains([]string{"mail.sender.example", "*.other.example", "postmaster@third.example", "*", "shop.co.uk", "a*.x.example", ""})
	for domain, want := range map[string]bool{
		"mail.sender.example": true, "a.mail.sender.example": true, "sender.example": true, "www.sender.example": false, "example": false, "": false,
		"other.example": true, "a.other.example": true, "third.example": true, "shop.co.uk": true, "co.uk": false, "uk": false, "x.example": false, "com": false,
	} {
		if got := d.Ours(domain); got != want {
			t.Errorf("%q: %v", domain, got)
		}
	}
}

// A report that breaks off leaves nothing behind.
func TestARefusedReportLeavesNothing(t *testing.T) {
	storetest.Each(t, func(t *testing.T, a store.Address) {
		k := keeper(t, a)
		text := report(t, "receiver.example", "1", 3, row{"192.0.2.1", 7, "pass", "fail", "", ""})
		r := k.Read(t.Context(), []byte(text[:len(text)-20]), nil)[0]
		if r.Refused == nil || r.Refused.Reason != refusal.Truncated {
			t.Errorf("%+v", r)
		}
		for _, table := range []string{"incoming_reports", "incoming_records", "incoming_raw"} {
			var n int
			if err := k.DB.QueryRow(t.Context(), `SELECT count(*) FROM `+table).Scan(&n); err != nil || n != 0 {
				t.Errorf("%s: %d, %v", table, n, err)
			}
		}
	})
}

func TestFiftyThousandRecordsNeedLessThan50MB(t *testing.T) {
	rows := make([]row, 50_000)
	for i := range rows {
		rows[i] = row{fmt.Sprintf("10.%d.%d.%d", i>>16, i>>8&255, i&255), 2, "pass", "fail", "s1", ""}
	}
	var z bytes.Buffer
	w := gzip.NewWriter(&z)
	io.WriteString(w, report(t, "receiver.example", "1", 3, rows...))
	w.Close()
	rows = nil
	k := keeper(t, storetest.SQLite(t))
	runtime.GC()
	stop, peak := make(chan bool), make(chan uint64)
	go func() {
		var most uint64
		for {
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			most = max(most, m.HeapInuse+m.StackInuse)
			select {
			case <-stop:
				peak <- most
				return
			case <-time.After(5 * time.Millisecond):
			}
		}
	}()
	r := k.must(t, z.String())
	close(stop)
	if most := <-peak; r.Records != 50_000 || r.Messages != 100_000 || most > 50<<20 {
		t.Errorf("%d records in %d MB", r.Records, most>>20)
	} else {
		t.Logf("%d records in %d MB", r.Records, most>>20)
	}
}

func tlsReport(failed int) string {
	return fmt.Sprintf(`{"organization-name":"receiver.example","report-id":"t1","date-range":{"start-datetime":"2026-11-03T00:00:00Z","end-datetime":"2026-11-03T23:59:59Z"},
	"policies":[{"policy":{"policy-type":"sts","policy-domain":"sender.example"},"summary":{"total-successful-session-count":90,"total-failure-session-count":%d},
	"failure-details":[{"result-type":"certificate-expired","receiving-mx-hostname":"mx.sender.example","failed-session-count":%d}]},
	{"policy":{"policy-type":"sts","policy-domain":"stranger.example"},"summary":{"total-successful-session-count":5}}]}`, failed, failed)
}

func TestATLSReportIsStored(t *testing.T) {
	storetest.Each(t, func(t *testing.T, a store.Address) {
		k := keeper(t, a)
		if r := k.must(t, tlsReport(10)); r.Kind != unpack.TLS || r.Messages != 100 || r.Aligned != 90 || r.Skipped != 1 {
			t.Errorf("%+v", r)
		}
		if r := k.Read(t.Context(), []byte(tlsReport(10)), nil)[0]; r.Refused == nil || r.Refused.Reason != refusal.Duplicate {
			t.Errorf("again: %+v", r)
		}
		q := &Query{DB: k.DB, Domain: "sender.example", Begin: start, End: noon}
		got, err := q.Ask(t.Context())
		if err != nil || got.Now.Sessions != 100 || got.Now.Failed != 10 || len(got.Now.TLSFailures) != 1 || got.Now.TLSFailures[0].Sessions != 10 {
			t.Errorf("%+v, %v", got, err)
		}
	})
}

func TestPruning(t *testing.T) {
	storetest.Each(t, func(t *testing.T, a store.Address) {
		k := keeper(t, a)
		for day := 1; day <= 5; day++ {
			k.must(t, report(t, "receiver.example", "1", day, row{"192.0.2.1", 7, "pass", "fail", "", ""}))
		}
		var size int64
		if err := k.DB.QueryRow(t.Context(), `SELECT max(size) FROM incoming_raw`).Scan(&size); err != nil {
			t.Fatal(err)
		}
		if err := Prune(t.Context(), k.DB, start.AddDate(0, 0, 2), 2*size+10); err != nil {
			t.Fatal(err)
		}
		counts := ""
		for _, table := range []string{"incoming_reports", "incoming_records", "incoming_raw"} {
			var n int
			if err := k.DB.QueryRow(t.Context(), `SELECT count(*) FROM `+table).Scan(&n); err != nil {
				t.Fatal(err)
			}
			counts += fmt.Sprint(n, " ")
		}
		if counts != "3 3 2 " {
			t.Errorf("reports, records, documents: %s", counts)
		}
		var listed []string
		List(t.Context(), k.DB, "sender.example", start, noon, func(l Listed) error {
			listed = append(listed, l.Begin.Format(time.DateOnly))
			return nil
		})
		if fmt.Sprint(listed) != "[2026-11-05 2026-11-04 2026-11-03]" {
			t.Errorf("%v", listed)
		}
	})
}

func TestAFloodOfReportsHasABound(t *testing.T) {
	storetest.Each(t, func(t *testing.T, a store.Address) {
		k := keeper(t, a)
		k.MaxReports, k.MaxRecords = 3, 4
		day := 1
		next := func(records int) string {
			day++
			rows := make([]row, records)
			for i := range rows {
				rows[i] = row{fmt.Sprintf("192.0.2.%d", i), 1, "pass", "fail", "", ""}
			}
			if e := k.Read(t.Context(), []byte(report(t, "receiver.example", "1", day, rows...)), nil)[0].Refused; e != nil {
				return e.ID
			}
			return "stored"
		}
		got := []string{next(1), next(4), next(1), next(1), next(1)}
		tomorrow := noon.Add(25 * time.Hour)
		k.Now = func() time.Time { return tomorrow }
		got = append(got, next(4))
		if want := "[stored too-many-today stored stored too-many-today stored]"; fmt.Sprint(got) != want {
			t.Errorf("%v, want %s", got, want)
		}
		// The oldest reports go beyond so many records.
		oldest, err := beyond(t.Context(), k.DB, start, 5)
		if err != nil || oldest.Format(time.DateOnly) != "2026-11-05" {
			t.Errorf("%s, %v", oldest, err)
		}
		if oldest, err = beyond(t.Context(), k.DB, start, 7); err != nil || !oldest.Equal(start) {
			t.Errorf("%s, %v", oldest, err)
		}
	})
}

// A reporter chooses how long the texts of its records are.
func TestALongRecordCountsAsSeveral(t *testing.T) {
	storetest.Each(t, func(t *testing.T, a store.Address) {
		k := keeper(t, a)
		k.MaxReports, k.MaxRecords = 100, 20
		var signatures strings.Builder
		for i := range 100 {
			fmt.Fprintf(&signatures, "<dkim><domain>sender.example</domain><selector>s%d</selector><result>fail</result><human_result>%s</human_result></dkim>", i, strings.Repeat("&lt;", 100))
		}
		short := report(t, "receiver.example", "1", 3, row{"192.0.2.1", 7, "pass", "fail", "s1", ""})
		long := strings.Replace(report(t, "receiver.example", "2", 3, row{"192.0.2.1", 7, "pass", "fail", "s1", ""}), "<auth_results>", "<auth_results>"+signatures.String(), 1)
		ofTLS := tlsReport(10)
		longTLS := strings.NewReplacer(`"t1"`, `"t2"`, `"failure-details":[`, `"failure-details":[`+strings.Repeat(`{"result-type":"`+strings.Repeat("x", 900)+`"},`, 30)).Replace(ofTLS)
		var got []string
		for _, text := range []string{short, long, ofTLS, longTLS} {
			if e := k.Read(t.Context(), []byte(text), nil)[0].Refused; e != nil {
				got = append(got, e.ID)
			} else {
				got = append(got, "stored")
			}
		}
		if want := "[stored too-many-today stored too-many-today]"; fmt.Sprint(got) != want {
			t.Errorf("%v, want %s", got, want)
		}
		k.MaxRecords = 1000
		if r := k.must(t, long); r.Records != 1 {
			t.Errorf("%d records, want 1", r.Records)
		}
	})
}

func TestAFloodOfKindsOfFailuresHasABound(t *testing.T) {
	k := keeper(t, storetest.SQLite(t))
	for n := range 3 {
		var details strings.Builder
		for i := range maxFailureKinds {
			fmt.Fprintf(&details, `{"result-type":"made-up-%d-%d","failed-session-count":1},`, n, i)
		}
		k.must(t, strings.NewReplacer(`"t1"`, fmt.Sprintf(`"t%d"`, n), `"failure-details":[`, `"failure-details":[`+details.String()).Replace(tlsReport(10)))
	}
	got, err := (&Query{DB: k.DB, Domain: "sender.example", Begin: start, End: noon}).Ask(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	f := got.Now.TLSFailures
	if len(f) != maxFailureKinds || f[0].Type != "certificate-expired" || f[0].Sessions != 30 || got.Now.Failed != 30 {
		t.Errorf("%d kinds, the first %+v; %d failed", len(f), f[0], got.Now.Failed)
	}
}

func TestAFloodOfReportersHasABound(t *testing.T) {
	var s Summary
	f := newReporterCounts()
	for i := range maxReporters + 10 {
		f.add(reporterRow{org: fmt.Sprintf("org %d", i), messages: 1, ends: start})
	}
	f.add(reporterRow{org: "org 1", messages: 5, ends: noon})
	s.Reporters = f.sorted()
	if len(s.Reporters) != maxReporters || s.Reporters[0].Name != "org 1" || s.Reporters[0].Messages != 6 || !s.Reporters[0].Last.Equal(noon) {
		t.Errorf("%d reporters, the first %+v", len(s.Reporters), s.Reporters[0])
	}
}
