package main

import (
	"os/exec"
	"strings"
	"testing"
)

// make help has each target with a description once, in lines that fit a terminal.
func TestMakeHelpFitsATerminal(t *testing.T) {
	if _, err := exec.LookPath("make"); err != nil {
		t.Skip("make is not installed")
	}
	out, err := exec.Command("make", "-s", "--no-print-directory", "-C", "../..", "help").Output()
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for line := range strings.Lines(string(out)) {
		if len(line) > helpWidth+1 {
			t.Errorf("%d octets: %s", len(line)-1, line)
		}
		if name, _, _ := strings.Cut(line, " "); name != "" {
			if seen[name] {
				t.Errorf("%s is there twice", name)
			}
			seen[name] = true
		}
	}
	for _, name := range []string{"build", "run", "test", "deb", "release", "uninstall", "help"} {
		if !seen[name] {
			t.Errorf("%s is missing in\n%s", name, out)
		}
	}
}
