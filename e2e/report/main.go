// Report reads the events of go test -json from its standard input and prints
// what go test without -v would have printed: one closing line for each package,
// and all that a failing test said. After that it says in one line for each
// reason what was skipped, which go test keeps to itself. It ends with 1 when a
// test failed or a package did not build.
//
//	go test -json ./... | go run ./e2e/report
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strings"
)

func main() {
	r := newReport(os.Stdout)
	if err := r.read(os.Stdin); err != nil {
		fmt.Fprintln(os.Stderr, "report:", err)
		os.Exit(1)
	}
	r.close()
	if !r.passed() {
		os.Exit(1)
	}
}

// event is one line of go test -json (go doc test2json).
type event struct {
	Action, Package, ImportPath, Test, Output string
}

// A report collects each test's output until it is known whether it is printed.
type report struct {
	out     io.Writer
	said    map[[2]string][]string // package and test: its output
	skips   map[string][]string    // reason: the tests that gave it
	reasons []string               // in the order they came
	failed  int
	ran     int // tests that came to an end
}

func newReport(out io.Writer) *report {
	return &report{out: out, said: map[[2]string][]string{}, skips: map[string][]string{}}
}

func (r *report) read(in io.Reader) error {
	lines := bufio.NewReader(in)
	for {
		line, err := lines.ReadBytes('\n')
		if len(line) > 0 {
			r.line(line)
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// line processes one event; another line (a complaint of the go command) is printed as
// it is.
func (r *report) line(line []byte) {
	var e event
	if line[0] != '{' || json.Unmarshal(line, &e) != nil {
		r.out.Write(line)
		return
	}
	switch {
	case e.Action == "build-output":
		fmt.Fprint(r.out, e.Output)
	case e.Action == "build-fail":
		r.failed++
	case e.Test == "":
		r.ofPackage(e)
	default:
		r.ofTest(e)
	}
}

// ofPackage prints the package's own output, except the PASS that go test prints only
// with -v. It includes the output of a test that crashed the process.
func (r *report) ofPackage(e event) {
	switch {
	case e.Action == "fail":
		r.failed++
		for key, said := range r.said { // tests that a crash left unfinished
			if key[0] == e.Package {
				r.print(said)
				delete(r.said, key)
			}
		}
	case e.Action == "output" && e.Output != "PASS\n":
		fmt.Fprint(r.out, e.Output)
	}
}

func (r *report) ofTest(e event) {
	key := [2]string{e.Package, e.Test}
	switch e.Action {
	case "output":
		r.said[key] = append(r.said[key], e.Output)
	case "fail":
		r.ran++
		r.failed++
		r.print(r.said[key])
		delete(r.said, key)
	case "skip":
		r.ran++
		reason := reasonOf(r.said[key])
		if r.skips[reason] == nil {
			r.reasons = append(r.reasons, reason)
		}
		r.skips[reason] = append(r.skips[reason], e.Test)
		delete(r.said, key)
	case "pass":
		r.ran++
		delete(r.said, key)
	}
}

func (r *report) print(said []string) {
	for _, line := range said {
		if !strings.HasPrefix(line, "=== ") {
			fmt.Fprint(r.out, line)
		}
	}
}

// place is the file and line before the text of t.Skip.
var place = regexp.MustCompile(`^\s+\S+\.go:\d+: `)

// reasonOf is the reason of the test's skip.
func reasonOf(said []string) string {
	for _, line := range slices.Backward(said) {
		if at := place.FindString(line); at != "" {
			return strings.TrimSpace(line[len(at):])
		}
	}
	return "no reason given"
}

// close prints what was skipped.
func (r *report) close() {
	for _, reason := range r.reasons {
		tests := r.skips[reason]
		names := strings.Join(tests[:min(3, len(tests))], ", ")
		if len(tests) > 3 {
			names += ", …"
		}
		fmt.Fprintf(r.out, "skipped %d: %s (%s)\n", len(tests), reason, names)
	}
	if r.failed > 0 {
		fmt.Fprintln(r.out, "FAIL")
	}
}

func (r *report) passed() bool { return r.failed == 0 && r.ran > 0 }
