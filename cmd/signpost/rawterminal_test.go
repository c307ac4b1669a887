package main

import (
	"bytes"
	"strings"
	"testing"
)

// A reporter writes what the administrator's terminal shows.
func TestRawReportOnATerminal(t *testing.T) {
	config := reportsPlace(t)
	document := strings.Replace(aggregateReport(t, "big.example", "example.com", 1, reportRow{"192.0.2.1", 1, "pass", "fail", ""}),
		"<org_name>", "<org_name>\x1b]0;title\x07é\u009b31m\r", 1)
	if r := execute(t, document, "report", "import", "--config", config, "-"); r.code != exitOK {
		t.Fatalf("%+v", r)
	}
	if r := execute(t, "", "report", "list", "--config", config, "--raw", "1"); r.stdout != document {
		t.Errorf("%q", r.stdout)
	}
	screen, shown := newTerminal(t)
	var stderr bytes.Buffer
	if code := reportListCommand([]string{"--config", config, "--raw", "1"}, nil, screen, &stderr); code != exitOK {
		t.Fatal(code, stderr.String())
	}
	var text string
	for !strings.Contains(text, "</feedback>") {
		line, err := shown.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		text += line
	}
	if !strings.Contains(text, "<org_name>?]0;title?é?31mbig.example</org_name>") {
		t.Errorf("%q", text)
	}
}
