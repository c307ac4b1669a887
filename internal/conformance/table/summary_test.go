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
