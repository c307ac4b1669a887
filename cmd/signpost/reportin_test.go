package main

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"signpost/internal/reports/aggregate"
	"signpost/internal/reports/store"
)

// reportsPlace is a configuration with an empty database, for two domains.
func reportsPlace(t *testing.T) (config string) {
	dir := t.TempDir()
	zone := `_dmarc.example.com. 300 IN TXT "v=DMARC1; p=none; rua=mailto:dmarc@example.com; t=y"
1.2.0.192.in-addr.arpa. 300 IN PTR mail.example.com.
mail.example.com. 300 IN A 192.0.2.1
66.113.0.203.in-addr.arpa. 300 IN PTR a-very-long-host-name-of-somebody.in-a-long-domain.example.
a-very-long-host-name-of-somebody.in-a-long-domain.example. 300 IN A 203.0.113.66
`
	for name, text := range map[string]string{"zone": zone, "signpost.yaml": fmt.Sprintf(`dns: {zone_file: %s/zone}
keys: {state: %s/state/keys.json, dir: %s/keys}
signer:
  domains: [{domain: example.com, selectors: [s1]}]
reports: {in: {domains: [parked.example], addresses: [dmarc@example.com]}}
`, dir, dir, dir)} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(dir, "signpost.yaml")
}

type reportRow struct {
	source    string
	count     int64
	dkim, spf string
	selector  string
}

// aggregateReport is a report for a day, so many days ago.
func aggregateReport(t *testing.T, org, domain string, daysAgo int, rows ...reportRow) string {
	t.Helper()
	var b bytes.Buffer
	begin := begun.UTC().Truncate(24*time.Hour).AddDate(0, 0, -daysAgo)
	w := aggregate.NewWriter(&b, aggregate.Report{
		Metadata: aggregate.Metadata{OrgName: org, Email: "dmarc@" + org, ReportID: fmt.Sprint(org, daysAgo), Begin: begin, End: begin.Add(24*time.Hour - time.Second)},
		Policy:   aggregate.Policy{Domain: domain, P: "none"},
	})
	for _, r := range rows {
		m := aggregate.Record{SourceIP: netip.MustParseAddr(r.source), Count: r.count, Disposition: "none", DKIM: r.dkim, SPF: r.spf, HeaderFrom: domain}
		if r.selector != "" {
			m.Signatures = []aggregate.Signature{{Domain: domain, Selector: r.selector, Result: "pass"}}
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

func reportMail(document string) string {
	var z bytes.Buffer
	w := gzip.NewWriter(&z)
	w.Write([]byte(document))
	w.Close()
	return "From: dmarc@receiver.example\nSubject: Report Domain: example.com\nContent-Type: application/gzip\nContent-Transfer-Encoding: base64\n\n" +
		base64.StdEncoding.EncodeToString(z.Bytes()) + "\n"
}

// importMonth imports a month of reports, and a few of the month before.
func importMonth(t *testing.T, config string) {
	t.Helper()
	dir := t.TempDir()
	for day := range 60 {
		rows := []reportRow{{"192.0.2.1", 100, "pass", "pass", "s1"}}
		if day < 30 {
			rows = append(rows, reportRow{"203.0.113.66", 5, "fail", "fail", ""}, reportRow{"2001:db8::1", 9, "pass", "fail", "s1"})
		}
		name := filepath.Join(dir, fmt.Sprint(day))
		if err := os.WriteFile(name, []byte(reportMail(aggregateReport(t, "big.example", "example.com", day, rows...))), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if r := execute(t, "", "report", "import", "--config", config, dir); r.code != exitOK || !strings.Contains(r.stdout, "60 stored, 0 stored already, 0 refused, 0 without a report\n") {
		t.Fatalf("%+v", r)
	}
}

func TestReportImport(t *testing.T) {
	config := reportsPlace(t)
	plain := aggregateReport(t, "big.example", "example.com", 1, reportRow{"192.0.2.1", 1234, "pass", "fail", ""})
	tls := `{"organization-name":"big.example","report-id":"t","date-range":{"start-datetime":"` + begun.UTC().Format("2006-01-02") + `T00:00:00Z","end-datetime":"` +
		begun.UTC().Format("2006-01-02") + `T01:00:00Z"},"policies":[{"policy":{"policy-type":"sts","policy-domain":"example.com"},"summary":{"total-successful-session-count":7}}]}`
	mbox := "From a@b Sun Nov  1 00:00:00 2026\nSubject: other mail\n\nHello\n\nFrom a@b Sun Nov  1 00:00:00 2026\n" +
		reportMail(aggregateReport(t, "small.example", "example.com", 1, reportRow{"192.0.2.1", 1, "pass", "fail", ""})) +
		"\nFrom a@b Sun Nov  1 00:00:00 2026\n" + reportMail(aggregateReport(t, "small.example", "stranger.example", 1, reportRow{"192.0.2.1", 1, "pass", "fail", ""}))
	for _, c := range []struct {
		name, stdin string
		args        []string
		code        int
		want        []string
	}{
		{"a report", plain, []string{"-"}, exitOK, []string{"standard input: stored as 1: big.example about example.com, ", ", 1,234 messages, 100.0 % well", "1 stored, 0 stored already, 0 refused, 0 without"}},
		{"again, by mail", reportMail(plain), []string{"-"}, exitOK, []string{"stored already: duplicate", "report 1)", "0 stored, 1 stored already"}},
		{"a parked domain", aggregateReport(t, "big.example", "parked.example", 1, reportRow{"192.0.2.1", 3, "fail", "fail", ""}), []string{"-"}, exitOK, []string{"0.0 % well"}},
		{"a TLS report", tls, []string{"-"}, exitOK, []string{"7 TLS sessions, 100.0 % well"}},
		{"a mailbox", mbox, []string{"-"}, exitFailure, []string{"standard input, message 2, base64, gzip: stored as", "message 3, base64, gzip: refused: not-ours", "reports.in.domains", "1 stored, 0 stored already, 1 refused, 1 without"}},
		{"all domains", mbox, []string{"--all", "-"}, exitOK, []string{"1 stored, 1 stored already, 0 refused, 1 without"}},
		{"no report", "Subject: hello\n\nhello\n", []string{"-"}, exitFailure, []string{"refused: no-report"}},
		{"no file", "", []string{"/nonexistent"}, exitFailure, []string{"unreadable", "no such file"}},
		{"no file and a report", plain, []string{"/nonexistent", "-"}, exitFailure, []string{"no such file", "0 stored, 1 stored already, 1 refused"}},
		{"no argument", "", nil, exitUsage, []string{"give files or folders"}},
	} {
		r := execute(t, c.stdin, append([]string{"report", "import", "--config", config}, c.args...)...)
		for _, want := range c.want {
			if !strings.Contains(r.stdout+r.stderr, want) {
				t.Errorf("%s: no %q in %s%s", c.name, want, r.stdout, r.stderr)
			}
		}
		if r.code != c.code {
			t.Errorf("%s: exit %d, %s%s", c.name, r.code, r.stdout, r.stderr)
		}
	}
	r := execute(t, mbox, "report", "import", "--config", config, "--json", "-")
	var got struct {
		Reports []importedReport `json:"reports"`
		Summary importCounts     `json:"summary"`
	}
	if err := json.Unmarshal([]byte(r.stdout), &got); err != nil || got.Summary != (importCounts{Duplicate: 1, Refused: 1, NoReport: 1}) || len(got.Reports) != 2 || got.Reports[0].Reason != "duplicate" {
		t.Errorf("%v %s", err, r.stdout)
	}
}

func TestReportsOfAnotherDatabase(t *testing.T) {
	config := reportsPlace(t)
	path := filepath.Join(t.TempDir(), "other.db")
	if err := os.WriteFile(path+".xml", []byte(aggregateReport(t, "big.example", "example.com", 1, reportRow{"192.0.2.1", 1, "pass", "fail", ""})), 0o600); err != nil {
		t.Fatal(err)
	}
	if r := execute(t, "", "report", "import", "--config", config, "--database", "sqlite:"+path, path+".xml"); r.code != exitOK {
		t.Errorf("%+v", r)
	}
	if _, err := os.Stat(path); err != nil {
		t.Error(err)
	}
	if r := execute(t, "", "report", "list", "--config", config, "--json"); r.code != exitFailure || !strings.Contains(r.stdout, `"remedy"`) {
		t.Errorf("the database of the configuration: %+v", r)
	}
}

func TestReportList(t *testing.T) {
	config := reportsPlace(t)
	plain := aggregateReport(t, "a-reporter-with-a-long-name.example", "example.com", 1, reportRow{"192.0.2.1", 1234, "pass", "fail", ""})
	if r := execute(t, plain, "report", "import", "--config", config, "-"); r.code != exitOK {
		t.Fatalf("%+v", r)
	}
	r := execute(t, "", "report", "list", "--config", config)
	if r.code != exitOK || !strings.Contains(r.stdout, "     1  ") || !strings.Contains(r.stdout, "1,234") {
		t.Errorf("%+v", r)
	}
	fits(t, r.stdout)
	if r := execute(t, "", "report", "list", "--config", config, "--raw", "1"); r.code != exitOK || r.stdout != plain {
		t.Errorf("%+v", r)
	}
	if r := execute(t, "", "report", "list", "--config", config, "--raw", "7"); r.code != exitFailure || !strings.Contains(r.stderr, "max_raw") {
		t.Errorf("%+v", r)
	}
	if r := execute(t, "", "report", "list", "--config", config, "other.example"); r.code != exitOK || !strings.Contains(r.stdout, "No reports") {
		t.Errorf("%+v", r)
	}
}

func fits(t *testing.T, text string) {
	t.Helper()
	for line := range strings.Lines(text) {
		if n := utf8.RuneCountInString(strings.TrimSuffix(line, "\n")); n > helpWidth {
			t.Errorf("%d columns: %s", n, line)
		}
	}
}

func TestReportShow(t *testing.T) {
	config := reportsPlace(t)
	importMonth(t, config)
	r := execute(t, "", "report", "show", "--config", config, "Example.com.", "--since", "30d")
	for _, want := range []string{
		"95.6 % of 3,420 messages pass DMARC, in 30 reports by 1 reporter", "The time before, it was 100.0 % of 3,000.",
		"mail.example.com                            3,000   100.0 %  our own host", "2001:db8::1", "forwarder", "looks like forgery",
		"new and failing: a-very-long-host-name-of-somebody.in-a-long-domain.example",
		"May I go to p=quarantine? Yes.", "0 of 3,270 messages that are ours", "…-of-somebody.in-a-long-domain.example", "Publish as TXT record of _dmarc.example.com:", "May I go to p=reject? Yes.", "  v=DMARC1; p=reject; rua=mailto:dmarc@example.com\n",
	} {
		if !strings.Contains(r.stdout, want) {
			t.Errorf("no %q", want)
		}
	}
	if t.Failed() || r.code != exitOK {
		t.Errorf("%+v\n%s", r, r.stdout)
	}
	fits(t, r.stdout)
	r = execute(t, "", "report", "show", "--config", config, "--json", "example.com")
	var got struct {
		Domain, Begin, End string
		Messages, Aligned  int64
		Sources            []struct {
			Address, Name, Kind string
			Messages, Aligned   int64
		}
	}
	if err := json.Unmarshal([]byte(r.stdout), &got); err != nil || got.Domain != "example.com" || got.Messages != 3420 || got.Aligned != 3270 || len(got.Sources) != 3 ||
		got.Sources[0].Name != "mail.example.com" || got.Sources[0].Kind != "own-host" || got.End != begun.UTC().Format(time.DateOnly) {
		t.Errorf("%v %s", err, r.stdout)
	}
	r = execute(t, "", "report", "show", "--config", config)
	if r.code != exitOK || !strings.Contains(r.stdout, "example.com                         30      3,420    95.6 %    100.0 %      none") {
		t.Errorf("%+v", r)
	}
	fits(t, r.stdout)
	r = execute(t, "", "report", "show", "--config", config, "--json", "other.example")
	if r.code != exitFailure || !strings.Contains(r.stdout, `"remedy"`) {
		t.Errorf("%+v", r)
	}
	for _, args := range [][]string{{"a b"}, {"a.example", "b.example"}, {"--since", "yesterday"}} {
		if r := execute(t, "", append([]string{"report", "show", "--config", config}, args...)...); r.code != exitUsage {
			t.Errorf("%v: %+v", args, r)
		}
	}
}

// What this host signed of the domain's mail stands beside what others saw of it.
func TestReportShowTellsWhatThisHostSigned(t *testing.T) {
	config := reportsPlace(t)
	importMonth(t, config)
	db, err := store.OpenExisting(t.Context(), store.Address("sqlite:"+filepath.Join(filepath.Dir(config), "state", "reports.db")))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for i, r := range []struct {
		author, entry, unsigned string
		daysAgo, count          int64
	}{
		{"example.com", "example.com", "", 1, 388}, {"news.example.com", "", "no entry fits", 2, 12}, {"example.com", "", "too old", 40, 1000}, {"other.example", "", "no entry fits", 1, 7},
	} {
		if _, err := db.Exec(t.Context(), `INSERT INTO traffic_outbound (day, tuple, author, entry, signatures, unsigned, folded, count, first_seen, last_seen) VALUES (?, ?, ?, ?, '', ?, 0, ?, 0, 0)`,
			today()-r.daysAgo, []byte{byte(i)}, r.author, r.entry, r.unsigned, r.count); err != nil {
			t.Fatal(err)
		}
	}
	r := execute(t, "", "report", "show", "--config", config, "example.com")
	if want := "This host had 400 messages of the domain to sign, 12 without a signature\n  12: no entry fits\n"; !strings.Contains(r.stdout, want) {
		t.Errorf("no %q in %s", want, r.stdout)
	}
	fits(t, r.stdout)
	r = execute(t, "", "report", "show", "--config", config, "--json", "example.com")
	var got struct{ Signing json.RawMessage }
	var signing bytes.Buffer
	if err := json.Unmarshal([]byte(r.stdout), &got); err != nil {
		t.Fatalf("%v in %s", err, r.stdout)
	}
	if err := json.Compact(&signing, got.Signing); err != nil {
		t.Fatal(err)
	}
	if want := `{"messages":400,"unsigned":12,"reasons":[{"entry":"","why":"no entry fits","messages":12}]}`; signing.String() != want {
		t.Errorf("signing: %s, want %s", &signing, want)
	}
}

// Reporters choose the texts of their reports, and JSON may be read on a terminal.
func TestJSONOfReportsHasNoCharacterThatATerminalObeys(t *testing.T) {
	config := reportsPlace(t)
	hostile := aggregateReport(t, "big\u202e\u009b31m.example", "example.com", 1, reportRow{"192.0.2.1", 1, "fail", "fail", ""})
	for _, args := range [][]string{{"import", "--json", "-"}, {"list", "--json"}, {"show", "--json"}, {"show", "--json", "example.com"}} {
		r := execute(t, hostile, append([]string{"report", args[0], "--config", config}, args[1:]...)...)
		if r.code != exitOK || strings.ContainsAny(r.stdout, "\u202e\u009b") || !json.Valid([]byte(r.stdout)) {
			t.Errorf("%v: exit %d, %q%s", args, r.code, r.stdout, r.stderr)
		}
	}
}
