package conformance

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
)

// The beginnings of the lines that the summary (folder table) collects.
const (
	markSuite     = "CONFORMANCE"
	markException = "CONFORMANCE-EXCEPTION"
	markSkipped   = "CONFORMANCE-SKIPPED"
)

// Run runs check on each case as a subtest; nil means that the case passed. An error
// fails the test, unless the case is a listed exception; then a pass fails the test. A
// panic is an error. At the end one line is logged: CONFORMANCE, suite, cases, passed,
// exceptions.
func Run(t *testing.T, s *Suite, cases []Case, check func(t testing.TB, c Case) error) {
	t.Helper()
	if !summarized(t.Name()) {
		t.Fatalf("the name of %s has neither \"conformance\" nor \"suite\" in it: the summary would miss it", t.Name())
	}
	run(t, s, cases, check)
}

func run(t *testing.T, s *Suite, cases []Case, check func(t testing.TB, c Case) error) {
	t.Helper()
	if len(cases) == 0 {
		t.Fatalf("suite %s: no cases to run", s.title())
	}
	exceptions := readExceptions(t, s)
	passed, excepted := 0, []string{}
	for _, c := range cases {
		reason, listed := exceptions[c.ID]
		t.Run(c.ID, func(t *testing.T) {
			t.Helper()
			err := guarded(t, c, check)
			if !t.Failed() && verdict(t, c, err, listed) {
				passed++
			} else if !t.Failed() {
				excepted = append(excepted, fmt.Sprintf("%s\t%s\t%s\t%s", markException, s.title(), c.ID, reason))
			}
		})
	}
	for _, line := range excepted {
		t.Log(line)
	}
	t.Logf("%s\t%s\t%d\t%d\t%d", markSuite, s.title(), len(cases), passed, len(excepted))
}

// summarized reports whether the summary runs a test; the name of the outermost test
// decides.
func summarized(test string) bool {
	top, _, _ := strings.Cut(strings.ToLower(test), "/")
	return strings.Contains(top, "conformance") || strings.Contains(top, "suite")
}

// verdict reports whether the case counts as passed. A case that neither passed nor is
// an exception fails the test.
func verdict(t testing.TB, c Case, err error, listed bool) bool {
	t.Helper()
	switch {
	case err == nil && listed:
		t.Errorf("%s passes: strike it from the exceptions", c.ID)
	case err != nil && !listed:
		t.Errorf("%s\n%s", c.Description, err)
	}
	return err == nil
}

func guarded(t testing.TB, c Case, check func(t testing.TB, c Case) error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	return check(t, c)
}

// readExceptions reads testdata/exceptions-SUITE.txt of the package under test:
// "id<TAB>reason" a line; empty lines and lines that begin with # are comments.
func readExceptions(t testing.TB, s *Suite) map[string]string {
	t.Helper()
	path := filepath.Join("testdata", "exceptions-"+s.title()+".txt")
	content, err := os.ReadFile(path)
	if os.IsNotExist(err) {
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	known := make(map[string]bool, len(s.Cases))
	for _, c := range s.Cases {
		known[c.ID] = true
	}
	out := map[string]string{}
	for i, line := range slices.Collect(strings.Lines(string(content))) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		id, reason, ok := strings.Cut(line, "\t")
		_, twice := out[id]
		switch {
		case !ok || strings.TrimSpace(reason) == "":
			t.Errorf("%s:%d: write the id of a case, a tab, and why we fail it", path, i+1)
		case !known[id]:
			t.Errorf("%s:%d: the suite has no case %q", path, i+1, id)
		case twice:
			t.Errorf("%s:%d: %q is listed twice", path, i+1, id)
		}
		out[id] = strings.TrimSpace(reason)
	}
	return out
}
