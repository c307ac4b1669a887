// Report reads the events of go test -json from its standard input and prints
// what go test without -v would have printed: one closing line for each package,
// and all that a failing test said. After that it says in one line for each
// reason what was skipped, which go test keeps to itself, and closes with one line:
// how many packages and tests, and what failed or was skipped. Meanwhile it shows how
// far the tests are: on a terminal in a line that changes, else in a line every half
// minute. It ends with 1 when a test failed or a package did not build.
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
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

func main() {
	r := newReport(os.Stdout)
	stop := r.showProgress(isTerminal(os.Stdout))
	err := r.read(os.Stdin)
	stop()
	if err != nil {
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
	mu      sync.Mutex // for showProgress
	out     io.Writer
	running map[[2]string]bool     // package and test
	done    map[string]bool        // packages that came to an end
	said    map[[2]string][]string // package and test: its output
	skips   map[string][]string    // reason: the tests that gave it
	reasons []string               // in the order they came
	failed  int                    // tests, packages and builds
	wrong   int                    // tests
	ran     int                    // tests that came to an end
}

func newReport(out io.Writer) *report {
	return &report{out: out, said: map[[2]string][]string{}, skips: map[string][]string{}, running: map[[2]string]bool{}, done: map[string]bool{}}
}

func (r *report) read(in io.Reader) error {
	lines := bufio.NewReader(in)
	for {
		line, err := lines.ReadBytes('\n')
		if len(line) > 0 {
			r.mu.Lock()
			r.line(line)
			r.mu.Unlock()
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
	switch e.Action {
	case "pass", "fail", "skip":
		r.done[e.Package] = true
	}
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
	case "run":
		r.running[key] = true
	case "pass", "fail", "skip":
		delete(r.running, key)
	}
	switch e.Action {
	case "output":
		r.said[key] = append(r.said[key], e.Output)
	case "fail":
		r.ran++
		r.failed++
		r.wrong++
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
	fmt.Fprintln(r.out, r.summary())
	if r.failed > 0 {
		fmt.Fprintln(r.out, "FAIL")
	}
}

// summary is the closing line.
func (r *report) summary() string {
	line := fmt.Sprintf("%d packages, %d tests", len(r.done), r.ran)
	switch {
	case r.wrong > 0:
		line += fmt.Sprintf(", %d failed", r.wrong)
	case r.failed > 0:
		line += ", a package failed as a whole"
	}
	skipped, why := 0, []string{}
	for _, reason := range r.reasons {
		n := len(r.skips[reason])
		skipped += n
		why = append(why, fmt.Sprintf("%s (%d)", reason, n))
	}
	if skipped == 0 {
		return line + ", none skipped"
	}
	return line + fmt.Sprintf(", %d skipped: %s", skipped, strings.Join(why, "; "))
}

// progress is what has been done so far.
func (r *report) progress() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.done) == 0 && r.ran == 0 && len(r.running) == 0 {
		return "building the tests; the first time this takes some minutes"
	}
	line := fmt.Sprintf("%d tests in %d packages so far", r.ran, len(r.done))
	var names []string
	for key := range r.running {
		if !strings.Contains(key[1], "/") {
			names = append(names, key[1])
		}
	}
	if slices.Sort(names); len(names) > 0 {
		line += ", now " + names[0]
	}
	return line
}

// showProgress prints it until stop is called.
func (r *report) showProgress(terminal bool) (stop func()) {
	every, form := 30*time.Second, "... %s\n"
	if terminal {
		every, form = 300*time.Millisecond, "\r\x1b[K%.78s\r"
	}
	ended := make(chan struct{})
	var shown sync.WaitGroup
	shown.Go(func() {
		tick := time.NewTicker(every)
		defer tick.Stop()
		for {
			select {
			case <-ended:
				if terminal {
					fmt.Fprint(r.out, "\r\x1b[K")
				}
				return
			case <-tick.C:
				fmt.Fprintf(r.out, form, r.progress())
			}
		}
	})
	return func() { close(ended); shown.Wait() }
}

func isTerminal(f *os.File) bool {
	_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	return err == nil
}

func (r *report) passed() bool { return r.failed == 0 && r.ran > 0 }
