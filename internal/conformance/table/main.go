// Command table runs the conformance tests and prints the results: a line for
// each suite, then every exception with its reason.
//
//	go run ./internal/conformance/table [-markdown] [package ...]
//
// Without packages it runs those of the whole module. The exit code is 0 when every
// case passed or is an exception, 1 when one failed, 2 when the tests did not run.
// If the suites are absent, one line replaces the table and the code is 0.
//
// It runs the tests that have "conformance" or "suite" in their names. In
// other tests conformance.Run fails, so that none is missing here.
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
)

func main() {
	markdown := flag.Bool("markdown", false, "print Markdown, for docs/conformance.md")
	flag.Parse()
	packages := flag.Args()
	if len(packages) == 0 {
		packages = []string{"./..."}
	}
	os.Exit(run(packages, *markdown))
}

func run(packages []string, markdown bool) int {
	args := append([]string{"test", "-json", "-count=1", "-run", "(?i)(conformance|suite)"}, packages...)
	cmd := exec.Command("go", args...)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "run go test:", err)
		return 2
	}
	s, readErr := collect(out)
	err = cmd.Wait()
	switch {
	case s.absent():
		fmt.Println(s.absence())
	case markdown:
		s.markdown(os.Stdout)
	default:
		s.plain(os.Stdout)
	}
	var exit *exec.ExitError
	switch {
	case readErr != nil:
		fmt.Fprintln(os.Stderr, "read the output of go test:", readErr)
		return 2
	case len(s.Failed) > 0 || errors.As(err, &exit):
		return 1
	case err == nil && s.absent():
		return 0
	case err != nil || len(s.Suites) == 0:
		fmt.Fprintln(os.Stderr, "no conformance test ran:", err)
		return 2
	}
	return 0
}

// collect reads the events of go test -json.
func collect(r io.Reader) (*summary, error) {
	const maxLine = 4 << 20
	s := &summary{}
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxLine)
	for lines.Scan() {
		var e event
		if json.Unmarshal(lines.Bytes(), &e) != nil {
			s.Broken = append(s.Broken, lines.Text()) // the compiler's messages come as plain text
			continue
		}
		s.add(e)
	}
	s.sort()
	return s, lines.Err()
}
