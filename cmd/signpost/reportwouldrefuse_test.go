package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"signpost/internal/reports/store"
	"signpost/internal/reports/traffic"
)

// reportHouse is a configuration and the database of its daemon.
type reportHouse struct {
	t      *testing.T
	config string
	db     *store.DB
	rows   int
}

func newReportHouse(t *testing.T, yaml string) *reportHouse {
	t.Helper()
	dir := t.TempDir()
	h := &reportHouse{t: t, config: filepath.Join(dir, "signpost.yaml")}
	if err := os.WriteFile(h.config, []byte("keys: {state: "+dir+"/state/keys.json}\n"+yaml), 0o600); err != nil {
		t.Fatal(err)
	}
	db, err := store.Open(t.Context(), store.Address("sqlite:"+dir+"/state/reports.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	h.db = db
	return h
}

// add adds a row of traffic of today.
func (h *reportHouse) add(from, source, host, result, action, would, route, spf string, count int) {
	h.t.Helper()
	h.rows++
	_, err := h.db.Exec(h.t.Context(), `INSERT INTO traffic (day, tuple, policy, result, header_from, envelope_from, source, host, dkim, spf_domain, spf_scope, spf_result,
		dkim_aligned, spf_aligned, requested, disposition, reasons, action, would, rule, route, sealers, accept_dmarc, forwarder, optional, folded, count, first_seen, last_seen)
		VALUES (?, ?, ?, ?, ?, '', ?, ?, '', '', 'mfrom', ?, 0, 0, 'reject', 'none', '', ?, ?, 'verifier.dmarc', ?, '', 0, '', 0, 0, ?, 1, 1)`,
		today(), []byte(fmt.Sprint(h.rows)), []byte{}, result, from, source, host, spf, action, would, route, count)
	if err != nil {
		h.t.Fatal(err)
	}
}

func (h *reportHouse) run(args ...string) result {
	h.t.Helper()
	return execute(h.t, "", append([]string{"report", "would-refuse", "--config", h.config}, args...)...)
}

func (h *reportHouse) fill() {
	h.add("shop.example", "192.0.2.1", "mx1.lists.example", "fail", "accept", "reject", "list", "pass", 40)
	h.add("a-rather-long-author-domain.example", "192.0.2.2", "mx2.lists.example", "fail", "accept", "reject", "list", "pass", 8)
	h.add("shop.example", "198.51.100.7", "", "fail", "accept", "reject", "", "fail", 12)
	h.add("shop.example", "203.0.113.5", "out.esp.example", "fail", "accept", "tag", "", "pass", 9)
	h.add("shop.example", "192.0.2.80", "", "pass", "accept", "", "", "pass", 900)
}

// The exit code is that of a report; --check asks whether enforce mode would cost wanted mail.
func TestWouldRefuseForAScript(t *testing.T) {
	for name, c := range map[string]struct {
		fill        func(*reportHouse)
		plain, code int
	}{
		"nothing is recorded": {func(*reportHouse) {}, exitOK, exitFailure},
		"all passes":          {func(h *reportHouse) { h.add("shop.example", "192.0.2.80", "", "pass", "accept", "", "", "pass", 900) }, exitOK, exitOK},
		"forged mail alone": {func(h *reportHouse) {
			h.add("shop.example", "198.51.100.7", "", "fail", "accept", "reject", "", "fail", 12)
		}, exitOK, exitOK},
		"a list of several authors": {(*reportHouse).fill, exitOK, exitFailure},
		"refused already":           {func(h *reportHouse) { h.add("shop.example", "198.51.100.7", "", "fail", "reject", "", "", "fail", 12) }, exitOK, exitOK},
	} {
		t.Run(name, func(t *testing.T) {
			h := newReportHouse(t, "")
			c.fill(h)
			for _, form := range [][]string{nil, {"--json"}, {"--csv"}} {
				if r := h.run(form...); r.code != c.plain {
					t.Errorf("%v: exit %d, want %d: %s", form, r.code, c.plain, r.stderr)
				}
				if r := h.run(append(form, "--check")...); r.code != c.code || r.stdout == "" {
					t.Errorf("%v --check: exit %d, want %d: %s%s", form, r.code, c.code, r.stdout, r.stderr)
				}
			}
		})
	}
}

func TestWouldRefuse(t *testing.T) {
	h := newReportHouse(t, "")
	h.fill()
	r := h.run()
	day := traffic.Day(today()).String()
	want := strings.ReplaceAll(`Of 969 messages judged on DAY (UTC); nothing is recorded before
DAY, enforce mode would have refused, held or tagged 69: 60 refused
(550), 9 tagged.
verifier.mode is monitor: all of it was delivered.

AUTHOR DOMAIN               REFUSED     LIST  FORWARD  SERVICE  UNKNOWN  ALIGNED
shop.example                     61       40        0        9       12      900
...-author-domain.example         8        8        0        0        0        0

HOST                                          REFUSED     LIST  FORWARD  DOMAINS
mx1.lists.example                                  40       40        0        1
198.51.100.7                                       12        0        0        1
out.esp.example                                     9        0        0        1
mx2.lists.example                                   8        8        0        1

Entries that would let 57 of the 69 pass. Anybody can set up a host that looks
like a list: add those alone that you know. An entry goes into the list that
stands there already, or replaces [].

Hosts that pass mail on without a seal:

    verifier:
      forwarders:
        # 48 messages, 2 author domains
        - {host: "*.lists.example"}

Author domains whose mail comes from services that they have not set up. Such an
entry lets forged mail of the domain pass, too:

    verifier:
      overrides:
        # 9 messages, 1 author domain
        - {domain: shop.example, on_fail: none}
`, "DAY", day)
	if r.code != exitOK || r.stdout != want || r.stderr != "" {
		t.Errorf("exit %d, standard error %q, standard output\n%s\nwant\n%s", r.code, r.stderr, r.stdout, want)
	}
	for line := range strings.Lines(r.stdout) {
		if len(strings.TrimSuffix(line, "\n")) > helpWidth {
			t.Errorf("a line of %d octets: %s", len(line)-1, line)
		}
	}
}

// What the report suggests is what the configuration takes.
func TestTheSuggestionsAreConfiguration(t *testing.T) {
	h := newReportHouse(t, "")
	h.fill()
	var report refusalsReport
	if err := json.Unmarshal([]byte(h.run("--json").stdout), &report); err != nil {
		t.Fatal(err)
	}
	text := ""
	for _, e := range report.Excuses {
		section, key, _ := strings.Cut(e.Key, ".")
		text += fmt.Sprintf("%s: {%s: [%s]}\n", section, key, strings.Join(e.Entries, ", "))
		path := filepath.Join(t.TempDir(), "suggested.yaml")
		if err := os.WriteFile(path, []byte(fmt.Sprintf("%s: {%s: [%s]}\n", section, key, strings.Join(e.Entries, ", "))), 0o600); err != nil {
			t.Fatal(err)
		}
		if r := execute(t, "", "check-config", path); r.code != exitOK {
			t.Errorf("%s: %s%s", e.Key, r.stdout, r.stderr)
		}
	}
	if len(report.Excuses) != 2 {
		t.Errorf("the suggestions are %s", text)
	}
}

func TestWouldRefuseForPrograms(t *testing.T) {
	h := newReportHouse(t, "verifier: {mode: enforce}\n")
	h.fill()
	h.add("x.example", "192.0.2.1", "", "fail", "reject", "", "", "fail", 3)
	r := h.run("--json", "--since", "2d")
	var report refusalsReport
	if err := json.Unmarshal([]byte(r.stdout), &report); err != nil || r.code != exitOK {
		t.Fatalf("%v: exit %d, %s%s", err, r.code, r.stdout, r.stderr)
	}
	if report.Mode != "enforce" || report.Judged != 972 || report.Refused != 72 || report.Taken != 3 || report.Actions["reject"] != 63 || len(report.Domains) != 3 ||
		report.Domains[0].Domain != "shop.example" || report.Domains[0].Aligned != 900 || report.Domains[0].Refused != 61 || report.Hosts[0].Name != "mx1.lists.example" ||
		report.Since != traffic.Day(today()-1).String() || report.Recorded != traffic.Day(today()).String() {
		t.Errorf("%+v", report)
	}
	r = h.run("--csv")
	want := `author_domain,address,host,action,taken,way,rule,messages
shop.example,192.0.2.1,mx1.lists.example,reject,false,list,verifier.dmarc,40
shop.example,198.51.100.7,,reject,false,unknown,verifier.dmarc,12
shop.example,203.0.113.5,out.esp.example,tag,false,service,verifier.dmarc,9
a-rather-long-author-domain.example,192.0.2.2,mx2.lists.example,reject,false,list,verifier.dmarc,8
x.example,192.0.2.1,,reject,true,unknown,verifier.dmarc,3
`
	if r.code != exitOK || r.stdout != want {
		t.Errorf("exit %d, %s\n%s", r.code, r.stderr, r.stdout)
	}
	if r := h.run(); !strings.Contains(r.stdout, "verifier.mode is enforce now; of these, 3 were really refused") {
		t.Error(r.stdout)
	}
}

func TestWouldRefuseSaysWhyThereIsNothing(t *testing.T) {
	empty := newReportHouse(t, "")
	if r := empty.run(); r.code != exitOK || !strings.HasPrefix(r.stdout, "Nothing is recorded yet") {
		t.Errorf("an empty database: exit %d, %s%s", r.code, r.stdout, r.stderr)
	}
	quiet := newReportHouse(t, "")
	quiet.add("a.example", "192.0.2.1", "", "pass", "accept", "", "", "pass", 5)
	if r := quiet.run(); r.code != exitOK || !strings.Contains(r.stdout, "Of 5 messages judged") || !strings.Contains(r.stdout, "none.\nTo act on DMARC policies: verifier: {mode: enforce}") {
		t.Errorf("nothing refused: exit %d, %s%s", r.code, r.stdout, r.stderr)
	}
	for name, c := range map[string]struct{ yaml, error, remedy string }{
		"switched off":  {`reports: {database: ""}`, "nothing is kept", "take the key out"},
		"no database":   {"reports: {database: sqlite:/nowhere/reports.db}", "there is no database of reports yet", "the daemon makes it"},
		"a server down": {"reports: {database: \"postgres://u:secret@127.0.0.1:1/x\"}", "reports.database postgres://u@127.0.0.1:1/x", ""},
	} {
		h := newReportHouse(t, c.yaml+"\n")
		r := h.run("--json")
		var said struct{ Error, Remedy string }
		if err := json.Unmarshal([]byte(r.stdout), &said); err != nil || r.code != exitFailure || !strings.Contains(said.Error, c.error) || !strings.Contains(said.Remedy, c.remedy) || r.stderr != "" {
			t.Errorf("%s: exit %d, %s%s", name, r.code, r.stdout, r.stderr)
		}
		if r := h.run(); r.code != exitFailure || !strings.Contains(r.stderr, c.error) || !strings.Contains(r.stderr, c.remedy) || strings.Contains(r.stderr, "secret") {
			t.Errorf("%s: exit %d, %s%s", name, r.code, r.stdout, r.stderr)
		}
	}
	if r := empty.run("--since", "yesterday"); r.code != exitUsage || !strings.Contains(r.stderr, "such as 14d") {
		t.Errorf("exit %d, %s", r.code, r.stderr)
	}
	if r := empty.run("--json", "surplus"); r.code != exitUsage || !strings.Contains(r.stdout, `"error": "it takes no arguments"`) {
		t.Errorf("exit %d, %s", r.code, r.stdout)
	}
}

// Each command that reads the database says what to do about one that cannot be read.
func TestReportsOfADatabaseThatCannotBeRead(t *testing.T) {
	dir := t.TempDir()
	database := dir + "/reports.db"
	if err := os.WriteFile(database, []byte(strings.Repeat("no database ", 100)), 0o600); err != nil {
		t.Fatal(err)
	}
	config := writeFile(t, "signpost.yaml", "reports: {database: \"sqlite:"+database+"\"}\n")
	for _, command := range []string{"would-refuse", "show", "list", "suppressed", "preview example.com", "page " + dir, "import " + dir} {
		r := execute(t, "", append(append([]string{"report"}, strings.Fields(command)...), "--config", config)...)
		if r.code != exitFailure || r.stdout != "" || !strings.Contains(r.stderr, "; it is damaged: put a copy back, or move it away (mv "+database) {
			t.Errorf("report %s: exit %d, %q, %q", command, r.code, r.stdout, r.stderr)
		}
	}
}
