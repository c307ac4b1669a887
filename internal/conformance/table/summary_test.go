package main

import (
	"strings"
	"testing"
)

const events = `{"Action":"output","Package":"p","Test":"TestConformance","Output":"    run.go:1: CONFORMANCE\tspf\t10\t8\t1\n"}
{"Action":"output","Package":"p","Test":"TestConformance","Output":"    run.go:1: CONFORMANCE-EXCEPTION\tspf\tb\tRFC 1 | 2\n"}
{"Action":"output","Package":"q","Test":"TestConformance","Output":"    run.go:1: CONFORM"}
{"Action":"output","Package":"p","Test":"TestConformance","Output":"CONFORMANCE is a word\n"}
{"Action":"output","Package":"q","Test":"TestConformance","Output":"ANCE\tarc\t5\t5\t0\n"}
{"Action":"output","Package":"r","Test":"TestConformance","Output":"    run.go:1: CONFORMANCE-SKIPPED\tnot there\n"}
{"Action":"fail","Package":"p","Test":"TestConformance/a"}
{"Action":"fail","Package":"p"}
# q
q.go:1: undefined: x
`

func TestTheSummaryHoldsSuitesExceptionsAndFailures(t *testing.T) {
	s, err := collect(strings.NewReader(events))
	if err != nil {
		t.Fatal(err)
	}
	var plain, md strings.Builder
	s.plain(&plain)
	s.markdown(&md)
	for _, want := range []string{
		"    5       5           0       0  arc",
		"   10       8           1       1  spf",
		"   15      13           1       1  all",
		"spf b: RFC 1 | 2",
		"p: TestConformance/a",
		"suites not found by:\n  r\n",
		"q.go:1: undefined: x",
	} {
		if !strings.Contains(plain.String(), want) {
			t.Errorf("%q is not in\n%s", want, plain.String())
		}
	}
	for _, want := range []string{"| arc | 5 | 5 | 0 | 0 |", `| spf | b | RFC 1 \| 2 |`} {
		if !strings.Contains(md.String(), want) {
			t.Errorf("%q is not in\n%s", want, md.String())
		}
	}
}

func TestWithoutSuitesOneLineSaysSo(t *testing.T) {
	const skip = `{"Action":"output","Package":"p","Test":"TestConformance","Output":"    suite.go:1: CONFORMANCE-SKIPPED\tthe public suites are not in /x; set SIGNPOST_CASES to their folder\n"}` + "\n"
	for name, tt := range map[string]struct {
		events string
		absent bool
	}{
		"all skip":                   {skip + skip, true},
		"nothing ran at all":         {"", false},
		"one suite is there":         {skip + events, false},
		"a test fails beside":        {skip + `{"Action":"fail","Package":"p","Test":"TestSuite"}` + "\n", false},
		"a package is not built":     {skip + `{"Action":"build-output","Output":"x.go:1: undefined: y\n"}` + "\n", false},
		"what is no event is broken": {skip + "go: no such tool\n", false},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := collect(strings.NewReader(tt.events))
			if err != nil || s.absent() != tt.absent {
				t.Fatalf("absent is %v, %v: %+v", s.absent(), err, s)
			}
			if line := s.absence(); tt.absent && (strings.Contains(line, "\n") || !strings.Contains(line, "not in /x")) {
				t.Errorf("%q", line)
			}
		})
	}
}
