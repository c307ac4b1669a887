package doctor

import (
	"encoding/json"
	"os/exec"
	"strings"
	"testing"

	"signpost/internal/dns"
)

func sample() Report {
	r := Report{Unseen: []Unseen{{What: "the MTA's log", Reason: "no file"}}, Domains: 1}
	r.Findings = []Finding{
		{ID: "key.old", Severity: Low, Subject: "a", Finding: "f", Consequence: "c", Remedy: do("rotate:", []string{"signpost", "keys", "rotate", "a b"}), Reference: "r"},
		{ID: "spf.missing", Severity: High, Subject: "b\n$(reboot)", Finding: strings.Repeat("word ", 40), Consequence: "c",
			Remedy: publish("Publish:", "s1._domainkey.example.com. 3600 IN TXT ( \"v=DKIM1; k=rsa; \"\n\t\"p="+strings.Repeat("A", 255)+"\" )"), Reference: "r"},
		{ID: "daemon.down", Severity: Critical, Subject: "c", Finding: "f", Consequence: "c", Remedy: Remedy{}, Reference: "r"},
	}
	r.sort()
	return r
}

func TestTheMostHarmfulFindingIsFirst(t *testing.T) {
	var ids []string
	for _, f := range sample().Findings {
		ids = append(ids, f.ID)
	}
	if got := strings.Join(ids, " "); got != "daemon.down spf.missing key.old" {
		t.Error(got)
	}
}

func TestTheReportFits80Columns(t *testing.T) {
	var b strings.Builder
	sample().Print(&b, false)
	for line := range strings.Lines(b.String()) {
		if n := len([]rune(strings.TrimSuffix(line, "\n"))); n > width {
			t.Errorf("%d columns: %s", n, line)
		}
	}
	if strings.Contains(b.String(), "\x1b") {
		t.Error("colour without being asked for")
	}
}

// A foreign text in a finding must not become a command.
func TestTheScriptIsValidAndQuoted(t *testing.T) {
	var b strings.Builder
	sample().PrintFix(&b)
	if strings.Contains(b.String(), "\n$(reboot)") {
		t.Errorf("a line of a finding begins a command:\n%s", b.String())
	}
	if !strings.Contains(b.String(), "\nsignpost keys rotate 'a b'\n") {
		t.Errorf("the command is missing:\n%s", b.String())
	}
	sh := exec.Command("sh", "-n")
	sh.Stdin = strings.NewReader(b.String())
	if out, err := sh.CombinedOutput(); err != nil {
		t.Errorf("sh -n: %v %s\n%s", err, out, b.String())
	}
}

func TestExitCodes(t *testing.T) {
	low := []Finding{{ID: "key.old", Severity: Low}}
	for name, c := range map[string]struct {
		r    Report
		want int
	}{
		"nothing":                      {Report{}, 0},
		"low findings alone":           {Report{Findings: low}, 0},
		"a medium finding":             {Report{Findings: []Finding{{Severity: Medium}}}, 1},
		"could not look":               {Report{Findings: low, Unseen: []Unseen{{What: "x"}}}, 2},
		"absent by configuration":      {Report{Unseen: []Unseen{{What: "x", Expected: true}}}, 0},
		"a finding and could not look": {Report{Findings: []Finding{{Severity: High}}, Unseen: []Unseen{{What: "x"}}}, 1},
	} {
		if got := c.r.ExitCode(); got != c.want {
			t.Errorf("%s: exit %d, want %d", name, got, c.want)
		}
	}
}

func TestJSONHasTheNamedFieldsAsStrings(t *testing.T) {
	text, err := json.Marshal(sample())
	if err != nil {
		t.Fatal(err)
	}
	var out struct{ Findings []map[string]string }
	if err := json.Unmarshal(text, &out); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"id", "severity", "subject", "finding", "consequence", "remedy", "reference"} {
		if out.Findings[1][key] == "" {
			t.Errorf("%s is missing in %v", key, out.Findings[1])
		}
	}
}

// Whatever a text holds, its record is the same text after it was folded.
func TestAFoldedRecordIsTheSameRecord(t *testing.T) {
	for _, text := range []string{
		"v=DKIM1; p=" + strings.Repeat("A", 400), strings.Repeat(`"\\`, 150), strings.Repeat("\x00\xff", 200), strings.Repeat("é", 300), "short", strings.Repeat(`x"`, 33),
	} {
		folded := strings.Join(foldRecord(txtRecord("a.example.com", text)), "\n")
		z, err := dns.ParseZone(strings.NewReader(folded), "zone")
		if err != nil {
			t.Errorf("%v in:\n%s", err, folded)
			continue
		}
		if got, err := z.LookupTXT(t.Context(), "a.example.com"); err != nil || len(got) != 1 || got[0] != text {
			t.Errorf("got %q, %v, want %q", got, err, text)
		}
	}
}
