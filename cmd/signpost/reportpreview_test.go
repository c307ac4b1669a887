package main

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"signpost/internal/reports/store"
)

// previewSetup is a configuration with counters of today: mail under the record of blue.example,
// which has two destinations.
func previewSetup(t *testing.T, out string) (config string, db *store.DB) {
	t.Helper()
	address := store.Address("sqlite:" + filepath.Join(t.TempDir(), "reports.db"))
	db, err := store.Open(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	for _, statement := range []string{
		`INSERT INTO traffic_policies (id, domain, p, sp, np, adkim, aspf, fo, testing, psd, method, rua, flaws)
			VALUES (?, 'blue.example', 'reject', 'none', '', 'r', 's', '0', 1, 'u', 'treewalk', 'mailto:rua@blue.example', '"x": unknown' || char(27) || '[31m')`,
		`INSERT INTO traffic (policy, day, tuple, result, header_from, envelope_from, source, host, dkim, spf_domain, spf_scope, spf_result,
			dkim_aligned, spf_aligned, requested, disposition, reasons, action, would, rule, route, sealers, accept_dmarc, forwarder, optional, folded, count, first_seen, last_seen)
			VALUES (?, ` + fmt.Sprint(today()) + `, 'tuple', 'pass', 'news.blue.example', '', '192.0.2.1', '', 'blue.example s1 pass', 'blue.example', 'mfrom', 'fail',
			1, 0, 'none', 'none', '', 'accept', '', '', '', '', 0, '', 0, 0, 12, 0, 0)`,
	} {
		if _, err := db.Exec(t.Context(), statement, []byte("policy")); err != nil {
			t.Fatal(err)
		}
	}
	zone := writeFile(t, "zone", `_dmarc.blue.example. 60 IN TXT "v=DMARC1; p=reject; rua=mailto:rua@blue.example,mailto:x@red.example"`+"\n")
	return writeFile(t, "signpost.yaml", "dns: {zone_file: "+zone+"}\nreports: {database: \""+string(address)+"\""+out+"}\n"), db
}

const outOn = `, out: {org_name: Example, from: dmarc@example.com}`

func TestReportPreview(t *testing.T) {
	config, _ := previewSetup(t, outOn)
	r := execute(t, "", "report", "preview", "news.blue.example", "--config", config)
	for _, want := range []string{
		"blue.example, mail of " + begun.UTC().Format(time.DateOnly), "not planned yet", "v=DMARC1; p=reject; sp=none; aspf=s; t=y", "12 messages in 1 record\n",
		"  To          rua@blue.example\n", "  Not to      mailto:x@red.example: red.example does not confirm", `"x": unknown?[31m`,
	} {
		if !strings.Contains(r.stdout, want) {
			t.Errorf("no %q in\n%s", want, r.stdout)
		}
	}
	if r.code != exitOK || strings.Contains(r.stdout, "\x1b") {
		t.Errorf("exit %d, %q", r.code, r.stdout)
	}
	for line := range strings.Lines(r.stdout) {
		if len(line) > 81 && strings.Contains(strings.TrimSpace(line[14:]), " ") {
			t.Errorf("more than 80 columns: %q", line)
		}
	}
	x := execute(t, "", "report", "preview", "blue.example", "--config", config, "--xml")
	if x.code != exitOK || !strings.HasPrefix(x.stdout, "<?xml") || !strings.Contains(x.stdout, "<header_from>news.blue.example</header_from>") {
		t.Errorf("exit %d, %s %s", x.code, x.stdout, x.stderr)
	}
	j := execute(t, "", "report", "preview", "blue.example", "--config", config, "--json")
	var got struct {
		Domain  string
		Sent    bool
		Reports []struct {
			File     string
			Messages int
		}
		Destinations []struct {
			Address string
			Sent    bool
			Why     string
		}
	}
	if err := json.Unmarshal([]byte(j.stdout), &got); err != nil || !got.Sent || len(got.Reports) != 1 || got.Reports[0].Messages != 12 ||
		!strings.HasPrefix(got.Reports[0].File, "example.com!blue.example!") || len(got.Destinations) != 2 || !got.Destinations[0].Sent || got.Destinations[1].Why == "" {
		t.Errorf("%v: %s", err, j.stdout)
	}
}

func TestReportPreviewSaysWhyNot(t *testing.T) {
	off, _ := previewSetup(t, "")
	on, _ := previewSetup(t, outOn)
	none := writeFile(t, "none.yaml", "reports: {database: \"\"}\n")
	missing := writeFile(t, "missing.yaml", "reports: {database: \"sqlite:"+filepath.Join(t.TempDir(), "none.db")+"\"}\n")
	for name, c := range map[string]struct {
		args []string
		code int
		want string
	}{
		"off":             {[]string{"blue.example", "--config", off}, exitFailure, "reports.out is off"},
		"no mail":         {[]string{"red.example", "--config", on}, exitFailure, "no mail was counted"},
		"another day":     {[]string{"blue.example", "--config", on, "--day", "yesterday"}, exitFailure, "no mail was counted"},
		"XML of no mail":  {[]string{"red.example", "--config", on, "--xml"}, exitFailure, "no mail was counted"},
		"no database":     {[]string{"blue.example", "--config", none}, exitFailure, "nothing is kept"},
		"not made yet":    {[]string{"blue.example", "--config", missing}, exitFailure, "the daemon makes it"},
		"no domain":       {[]string{"--config", on}, exitUsage, "give one domain"},
		"a broken domain": {[]string{"a..b", "--config", on}, exitUsage, "not a domain name"},
		"a broken day":    {[]string{"blue.example", "--config", on, "--day", "monday"}, exitUsage, "--day"},
		"xml and json":    {[]string{"blue.example", "--config", on, "--xml", "--json"}, exitUsage, "exclude"},
	} {
		t.Run(name, func(t *testing.T) {
			r := execute(t, "", append([]string{"report", "preview"}, c.args...)...)
			if r.code != c.code || !strings.Contains(r.stdout+r.stderr, c.want) {
				t.Errorf("exit %d, %s%s", r.code, r.stdout, r.stderr)
			}
		})
	}
	r := execute(t, "", "report", "preview", "blue.example", "--config", none, "--json")
	var e struct{ Error, Remedy string }
	if err := json.Unmarshal([]byte(r.stdout), &e); err != nil || r.code != exitFailure || e.Error == "" || e.Remedy == "" {
		t.Errorf("exit %d, %v: %s", r.code, err, r.stdout)
	}
}

func TestReportSuppressed(t *testing.T) {
	config, db := previewSetup(t, outOn)
	if r := execute(t, "", "report", "suppressed", "--config", config); r.code != exitOK || r.stdout != "No address is suppressed.\n" {
		t.Errorf("exit %d, %s%s", r.code, r.stdout, r.stderr)
	}
	until := time.Now().Add(48 * time.Hour).Unix()
	if _, err := db.Exec(t.Context(), `INSERT INTO outgoing_suppressed (address, since, until, bounces, why) VALUES ('rua@blue.example', ?, ?, 2, '550 no such user')`, until-100, until); err != nil {
		t.Fatal(err)
	}
	r := execute(t, "", "report", "suppressed", "--config", config)
	if r.code != exitOK || !strings.Contains(r.stdout, "rua@blue.example\n    until ") || !strings.Contains(r.stdout, "after 2 bounces: 550 no such user") {
		t.Errorf("exit %d, %s%s", r.code, r.stdout, r.stderr)
	}
	if r := execute(t, "", "report", "preview", "blue.example", "--config", config); r.code != exitFailure || !strings.Contains(strings.Join(strings.Fields(r.stdout), " "), "signpost report suppressed --lift rua@blue.example") {
		t.Errorf("exit %d, %s%s", r.code, r.stdout, r.stderr)
	}
	if r := execute(t, "", "report", "suppressed", "--config", config, "--json"); !strings.Contains(r.stdout, `"address": "rua@blue.example"`) || !strings.Contains(r.stdout, `"bounces": 2`) {
		t.Errorf("%s", r.stdout)
	}
	if r := execute(t, "", "report", "suppressed", "--config", config, "--lift", "RUA@blue.example"); r.code != exitOK || !strings.Contains(r.stdout, "gets reports again") {
		t.Errorf("exit %d, %s%s", r.code, r.stdout, r.stderr)
	}
	if r := execute(t, "", "report", "suppressed", "--config", config, "--lift", "rua@blue.example"); r.code != exitFailure || !strings.Contains(r.stderr, "is not suppressed") {
		t.Errorf("exit %d, %s%s", r.code, r.stdout, r.stderr)
	}
}
