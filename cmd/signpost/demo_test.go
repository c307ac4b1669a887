package main

import (
	"bytes"
	"slices"
	"strings"
	"testing"
)

func TestLongLinesAreFolded(t *testing.T) {
	for line, want := range map[string][]string{
		"short":                          {"short"},
		"exactly 20 octets, ok":          {"exactly 20 octets,", "  ok"},
		"reply:   550 a b c d e":         {"reply:   550 a b c d", "  e"},
		"  indented and too long to fit": {"  indented and too", "    long to fit"},
		strings.Repeat("x", 45):          {strings.Repeat("x", 20), "  " + strings.Repeat("x", 18), "  " + strings.Repeat("x", 7)},
		strings.Repeat(" ", 45):          nil,
	} {
		got := folded(line, 20)
		if want != nil && !slices.Equal(got, want) {
			t.Errorf("%q is folded as %q, want %q", line, got, want)
		}
		for _, part := range got {
			if len(part) > 20 && want != nil {
				t.Errorf("%q is too long", part)
			}
		}
	}
}

// The demonstration must not be taken for a real milter.
func TestTheDemonstrationWarns(t *testing.T) {
	var out bytes.Buffer
	showNext(&out, "127.0.0.1:28891", "run")
	for _, want := range []string{"Do not put this daemon before real mail.", "tail --config run/signpost.yaml", "probe inet:127.0.0.1:28891"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is missing in\n%s", want, out.String())
		}
	}
	if strings.Contains(out.String(), "smtpd_milters") {
		t.Error("it says how to put it before real mail")
	}
}
