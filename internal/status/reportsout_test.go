package status

import (
	"bytes"
	"strings"
	"testing"
)

func TestReportsToOthersThatWaitNeedAPerson(t *testing.T) {
	for name, c := range map[string]struct {
		out  *ReportsOut
		want string // severity and part of the finding; "" is none
	}{
		"off":        {nil, ""},
		"all well":   {&ReportsOut{Sent: 5}, ""},
		"waiting":    {&ReportsOut{Waiting: 5}, ""},
		"trouble":    {&ReportsOut{Waiting: 5, Problem: "the MTA does not answer: refused", Remedy: "start it"}, "warning they wait: the MTA does not answer"},
		"suppressed": {&ReportsOut{Suppressed: 2}, "note 2 addresses"},
	} {
		var r Report
		r.ReportsOut = c.out
		got := ""
		for _, f := range r.ReportsOut.findings() {
			got += string(f.Severity) + " " + f.Finding
			if f.Remedy == "" {
				t.Errorf("%s: no remedy", name)
			}
		}
		if (c.want == "") != (got == "") || !strings.HasPrefix(got, c.want) {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
		var b bytes.Buffer
		r.Print(&b, false)
		if shown := strings.Contains(b.String(), "reports out    "); shown != (c.out != nil) {
			t.Errorf("%s:\n%s", name, b.String())
		}
		for line := range strings.Lines(b.String()) {
			if len(line) > 81 {
				t.Errorf("%s: %q", name, line)
			}
		}
	}
}
