package main

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"signpost/internal/setup"
)

// initArgs are for a host in a folder, without an MTA.
func initArgs(t *testing.T, more ...string) (root string, args []string) {
	t.Helper()
	root, err := os.MkdirTemp("", "sp")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(root) })
	zone := writeFile(t, "zone", "")
	return root, append([]string{"init", "--root", root, "--zone", zone, "--sendmail", root, "example.com"}, more...)
}

func TestInitAsksBeforeItMakesAnything(t *testing.T) {
	for answer, makes := range map[string]bool{"": false, "n\n": false, "No\n": false, "maybe\n": false, "y\n": true, "\n": true, "YES\n": true} {
		root, args := initArgs(t, "--no-wait")
		r := execute(t, answer, args...)
		_, err := os.Stat(filepath.Join(root, "etc/signpost/signpost.yaml"))
		if made := err == nil; made != makes || (r.code == exitOK) != makes || !strings.Contains(r.stdout, "Make what is new? [Y/n]") {
			t.Errorf("%q: exit %d, made %t\n%s%s", answer, r.code, made, r.stdout, r.stderr)
		}
		if entries, _ := os.ReadDir(root); !makes && len(entries) > 0 {
			t.Errorf("%q: %v was made", answer, entries)
		}
	}
}

// Ctrl-C at the question is a no, though nothing was typed.
func TestInitQuestionEndsAtCtrlC(t *testing.T) {
	typed, terminal := io.Pipe()
	defer terminal.Close()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	r := &initRun{in: bufio.NewReader(typed), out: io.Discard}
	if r.ask(ctx, "Make what is new?") {
		t.Error("it is a yes")
	}
}

func TestInitDryRunMakesNothing(t *testing.T) {
	root, args := initArgs(t, "--dry-run")
	r := execute(t, "", args...)
	if entries, _ := os.ReadDir(root); r.code != exitOK || len(entries) > 0 || !strings.Contains(r.stdout, "RSA-2048 key s2") {
		t.Errorf("exit %d, %v\n%s%s", r.code, entries, r.stdout, r.stderr)
	}
}

func TestInitInJSON(t *testing.T) {
	_, args := initArgs(t, "--json", "--yes", "--rsa-only")
	r := execute(t, "", args...)
	var report struct {
		New   bool `json:"config_is_new"`
		Keys  []setup.Key
		Steps []setup.Step
		MTA   setup.MTA
		Notes []string
	}
	if err := json.Unmarshal([]byte(r.stdout), &report); err != nil || r.code != exitOK {
		t.Fatalf("exit %d, %v in %s%s", r.code, err, r.stdout, r.stderr)
	}
	if !report.New || report.Keys[0].There {
		t.Errorf("what was made is not new: %+v", report)
	}
	if len(report.Keys) != 1 || !strings.HasPrefix(report.Keys[0].Value, "v=DKIM1; k=rsa;") || len(report.Steps) != 5 || !report.Steps[0].Done || report.Steps[1].Done || report.Steps[1].Hint == "" {
		t.Errorf("%+v", report)
	}
}

func TestInitRefusesWhatItCannotDo(t *testing.T) {
	for args, code := range map[string]int{
		"init": exitUsage, "init --postfix a --sendmail b example.com": exitUsage, "init --nonsense example.com": exitUsage,
		"init a_b": exitUsage, "init localhost": exitUsage, "init --postfix /none --dry-run --root /none example.com": exitOK,
	} {
		r := execute(t, "", strings.Fields(args)...)
		if r.code != code || (code != exitOK && r.stderr == "") {
			t.Errorf("%s: exit %d, %q", args, r.code, r.stderr)
		}
	}
}

func TestInitSaysThatPostfixCannotBeRead(t *testing.T) {
	root, err := os.MkdirTemp("", "sp")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(root) })
	r := execute(t, "", "init", "--dry-run", "--root", root, "--postfix", root+"/none", "example.com")
	if r.code != exitOK || !strings.Contains(r.stdout, "postfix in "+root+"/none: cannot be read") || strings.Contains(r.stdout, "connected") {
		t.Errorf("exit %d\n%s%s", r.code, r.stdout, r.stderr)
	}
}

// All but records, paths and commands fits a terminal.
func TestInitFitsATerminal(t *testing.T) {
	_, args := initArgs(t, "--yes", "--no-wait")
	r := execute(t, "", args...)
	for line := range strings.Lines(r.stdout) {
		if len(line) > helpWidth+1 && !strings.Contains(line, "/") && !strings.Contains(line, "p=") && !strings.HasPrefix(line, "\t\"") {
			t.Errorf("%d octets: %s", len(line), line)
		}
	}
	if strings.Contains(r.stdout, "\x1b") {
		t.Error("there is colour in a pipe")
	}
}
