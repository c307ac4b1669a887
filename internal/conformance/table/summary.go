package main

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
)

// event has the fields of a line of go test -json that are used here.
type event struct {
	Action, Package, Test, Output string
}

type summary struct {
	Suites     []suite
	Exceptions []exception
	Failed     []string // tests, "package: name"
	Skipped    []string // packages in which the suites were not found
	SkippedFor string   // what the last of them said
	Broken     []string // output that belongs to no test

	partial map[string]string // by test: an incomplete line of output
}

type suite struct {
	name                      string
	cases, passed, exceptions int
}

type exception struct{ suite, id, reason string }

// add processes one event. A line of output may come in several events.
func (s *summary) add(e event) {
	switch e.Action {
	case "fail":
		if e.Test != "" {
			s.Failed = append(s.Failed, e.Package+": "+e.Test)
		}
	case "build-output":
		s.Broken = append(s.Broken, strings.TrimRight(e.Output, "\n"))
	case "output":
		if s.partial == nil {
			s.partial = map[string]string{}
		}
		key := e.Package + "\x00" + e.Test
		text := s.partial[key] + e.Output
		if !strings.HasSuffix(text, "\n") {
			s.partial[key] = text
			return
		}
		delete(s.partial, key)
		s.line(e.Package, strings.TrimSuffix(text, "\n"))
	}
}

// line processes one line of a test's output: "file.go:12: CONFORMANCE<TAB>..".
func (s *summary) line(pkg, text string) {
	at := strings.Index(text, "CONFORMANCE")
	if at < 0 {
		return
	}
	f := strings.Split(text[at:], "\t")
	switch {
	case f[0] == "CONFORMANCE" && len(f) == 5:
		n := suite{name: f[1]}
		for i, to := range []*int{&n.cases, &n.passed, &n.exceptions} {
			*to, _ = strconv.Atoi(f[2+i])
		}
		s.Suites = append(s.Suites, n)
	case f[0] == "CONFORMANCE-EXCEPTION" && len(f) == 4:
		s.Exceptions = append(s.Exceptions, exception{f[1], f[2], f[3]})
	case f[0] == "CONFORMANCE-SKIPPED" && len(f) == 2:
		s.Skipped = append(s.Skipped, pkg)
		s.SkippedFor = f[1]
	}
}

// absent reports that no suite was found and no test failed.
func (s *summary) absent() bool {
	return len(s.Suites) == 0 && len(s.Failed) == 0 && len(s.Broken) == 0 && len(s.Skipped) > 0
}

// absence returns the line that replaces the table.
func (s *summary) absence() string {
	return "no conformance suite ran: " + s.SkippedFor + ". The project's own cases run with make test."
}

func (s *summary) sort() {
	slices.SortStableFunc(s.Suites, func(a, b suite) int { return strings.Compare(a.name, b.name) })
	slices.SortStableFunc(s.Exceptions, func(a, b exception) int {
		return strings.Compare(a.suite+"\x00"+a.id, b.suite+"\x00"+b.id)
	})
	slices.Sort(s.Skipped)
	s.Skipped = slices.Compact(s.Skipped)
}

func (s *summary) total() suite {
	sum := suite{name: "all"}
	for _, n := range s.Suites {
		sum.cases += n.cases
		sum.passed += n.passed
		sum.exceptions += n.exceptions
	}
	return sum
}

func (n suite) failed() int { return n.cases - n.passed - n.exceptions }

func (s *summary) plain(w io.Writer) {
	tab := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(tab, "cases\tpassed\texceptions\tfailed\t  suite")
	for _, n := range append(s.Suites, s.total()) {
		fmt.Fprintf(tab, "%d\t%d\t%d\t%d\t  %s\n", n.cases, n.passed, n.exceptions, n.failed(), n.name)
	}
	_ = tab.Flush()
	s.list(w, "exceptions", len(s.Exceptions), func(i int) string {
		x := s.Exceptions[i]
		return x.suite + " " + x.id + ": " + x.reason
	})
	s.list(w, "failed", len(s.Failed), func(i int) string { return s.Failed[i] })
	s.list(w, "suites not found by", len(s.Skipped), func(i int) string { return s.Skipped[i] })
	s.list(w, "not a test's output", len(s.Broken), func(i int) string { return s.Broken[i] })
}

func (s *summary) list(w io.Writer, title string, n int, line func(int) string) {
	if n == 0 {
		return
	}
	fmt.Fprintf(w, "\n%s:\n", title)
	for i := range n {
		fmt.Fprintf(w, "  %s\n", line(i))
	}
}

func (s *summary) markdown(w io.Writer) {
	fmt.Fprintln(w, "| suite | cases | passed | exceptions | failed |\n|---|---:|---:|---:|---:|")
	for _, n := range append(s.Suites, s.total()) {
		fmt.Fprintf(w, "| %s | %d | %d | %d | %d |\n", cell(n.name), n.cases, n.passed, n.exceptions, n.failed())
	}
	if len(s.Exceptions) == 0 {
		return
	}
	fmt.Fprintln(w, "\n| suite | case | why we answer otherwise |\n|---|---|---|")
	for _, x := range s.Exceptions {
		fmt.Fprintf(w, "| %s | %s | %s |\n", cell(x.suite), cell(x.id), cell(x.reason))
	}
}

// cell escapes a text for a table cell.
func cell(s string) string { return strings.ReplaceAll(s, "|", `\|`) }
