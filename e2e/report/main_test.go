package main

import (
	"strings"
	"testing"
)

// events is what go test -json says, shortened to the keys that matter.
func events(lines ...string) string { return strings.Join(lines, "\n") + "\n" }

func TestReport(t *testing.T) {
	for _, c := range []struct {
		name, in, out string
		passed        bool
	}{
		{
			name: "a passing package leaves its closing line alone",
			in: events(
				`{"Action":"run","Package":"p","Test":"TestA"}`,
				`{"Action":"output","Package":"p","Test":"TestA","Output":"=== RUN   TestA\n"}`,
				`{"Action":"output","Package":"p","Test":"TestA","Output":"    a_test.go:3: chatter\n"}`,
				`{"Action":"pass","Package":"p","Test":"TestA"}`,
				`{"Action":"output","Package":"p","Output":"PASS\n"}`,
				`{"Action":"output","Package":"p","Output":"ok  \tp\t0.1s\n"}`,
				`{"Action":"pass","Package":"p"}`),
			out:    "ok  \tp\t0.1s\n1 packages, 1 tests, none skipped\n",
			passed: true,
		},
		{
			name: "a failing test is quoted",
			in: events(
				`{"Action":"output","Package":"p","Test":"TestA","Output":"=== RUN   TestA\n"}`,
				`{"Action":"output","Package":"p","Test":"TestA","Output":"    a_test.go:3: wrong\n"}`,
				`{"Action":"fail","Package":"p","Test":"TestA"}`,
				`{"Action":"output","Package":"p","Output":"FAIL\tp\t0.1s\n"}`,
				`{"Action":"fail","Package":"p"}`),
			out: "    a_test.go:3: wrong\nFAIL\tp\t0.1s\n1 packages, 1 tests, 1 failed, none skipped\nFAIL\n",
		},
		{
			name: "skips are counted by reason",
			in: events(
				`{"Action":"output","Package":"p","Test":"TestA","Output":"    a_test.go:3: needs root\n"}`,
				`{"Action":"output","Package":"p","Test":"TestA","Output":"--- SKIP: TestA (0.00s)\n"}`,
				`{"Action":"skip","Package":"p","Test":"TestA"}`,
				`{"Action":"output","Package":"q","Test":"TestB","Output":"    b_test.go:9: needs root\n"}`,
				`{"Action":"skip","Package":"q","Test":"TestB"}`),
			out:    "skipped 2: needs root (TestA, TestB)\n0 packages, 2 tests, 2 skipped: needs root (2)\n",
			passed: true,
		},
		{
			name: "a package that does not build fails with the compiler's words",
			in: events(
				`{"Action":"build-output","ImportPath":"p","Output":"x.go:1: undefined\n"}`,
				`{"Action":"build-fail","ImportPath":"p"}`),
			out: "x.go:1: undefined\n0 packages, 0 tests, a package failed as a whole, none skipped\nFAIL\n",
		},
		{
			name: "a test that a crash left without an end is quoted",
			in: events(
				`{"Action":"output","Package":"p","Test":"TestA","Output":"panic: boom\n"}`,
				`{"Action":"output","Package":"p","Output":"FAIL\tp\t0.1s\n"}`,
				`{"Action":"fail","Package":"p"}`),
			out: "FAIL\tp\t0.1s\npanic: boom\n1 packages, 0 tests, a package failed as a whole, none skipped\nFAIL\n",
		},
		{name: "nothing run is no pass", in: "", out: "0 packages, 0 tests, none skipped\n"},
		{name: "what is no event is passed on", in: "go: no such module\n", out: "go: no such module\n0 packages, 0 tests, none skipped\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var out strings.Builder
			r := newReport(&out)
			if err := r.read(strings.NewReader(c.in)); err != nil {
				t.Fatal(err)
			}
			r.close()
			if out.String() != c.out {
				t.Errorf("printed %q, want %q", out.String(), c.out)
			}
			if r.passed() != c.passed {
				t.Errorf("passed: %v, want %v", r.passed(), c.passed)
			}
		})
	}
}
