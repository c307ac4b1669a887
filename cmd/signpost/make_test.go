package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func needMake(t *testing.T) {
	t.Helper()
	if _, err := exec.LookPath("make"); err != nil {
		t.Skip("make is not installed")
	}
}

// Every target that uses Go looks first whether it is there.
func TestMakeLooksForGoFirst(t *testing.T) {
	needMake(t)
	help, err := exec.Command("make", "-s", "--no-print-directory", "-C", "../..", "help").Output()
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(help)) {
		target, _, _ := strings.Cut(line, " ")
		if target == "" || slices.Contains([]string{"help", "clean", "uninstall"}, target) {
			continue
		}
		out, err := exec.Command("make", "-n", "--no-print-directory", "-C", "../..", target).Output()
		if err != nil || !strings.HasPrefix(string(out), "sh deploy/check-go.sh go\n") {
			t.Errorf("make %s: %v, it begins with\n%.300s", target, err, out)
		}
	}
}

// Where Go is missing or too old, make says in words what to do.
func TestGoThatCannotBuild(t *testing.T) {
	sh, err := exec.LookPath("sh")
	if err != nil {
		t.Skip("sh is not installed")
	}
	for name, c := range map[string]struct {
		version, toolchain string // the version is "" for a missing command
		builds             bool
		says               string
	}{
		"missing":             {"", "auto", false, "There is no command "},
		"no Go":               {"1", "auto", false, "is not Go."},
		"Debian 12":           {"go1.19.8", "auto", false, "Go 1.19.8 is too old, and cannot fetch a newer one."},
		"Debian 13":           {"go1.24.4", "auto", true, "make: Go 1.24.4 fetches Go 1.26"},
		"Debian 13, but held": {"go1.24.4", "local", false, "GOTOOLCHAIN=local"},
		"new enough":          {"go1.26.0", "local", true, ""},
		"newer":               {"go1.30.1", "local", true, ""},
	} {
		t.Run(name, func(t *testing.T) {
			command := filepath.Join(t.TempDir(), "go")
			if c.version != "" {
				answer := "echo " + c.version
				if c.version == "1" {
					answer = "exit 1"
				}
				if err := os.WriteFile(command, []byte("#!"+sh+"\n"+answer+"\n"), 0o755); err != nil {
					t.Fatal(err)
				}
			}
			check := exec.Command(sh, "../../deploy/check-go.sh", command)
			check.Env = append(os.Environ(), "GOTOOLCHAIN="+c.toolchain)
			out, err := check.CombinedOutput()
			said := strings.Join(strings.Fields(string(out)), " ")
			if (err == nil) != c.builds || !strings.Contains(said, c.says) || c.says == "" && said != "" {
				t.Errorf("%v\n%s", err, out)
			}
			if !c.builds && (!strings.Contains(string(out), "Debian 12:") || !strings.Contains(string(out), "README.md")) {
				t.Errorf("it does not say what to do:\n%s", out)
			}
			for line := range strings.Lines(strings.ReplaceAll(string(out), command, "go")) {
				if len(line) > helpWidth+1 {
					t.Errorf("%d octets: %s", len(line)-1, line)
				}
			}
		})
	}
}

// What make install brings, make uninstall takes away; configuration and keys stay.
func TestUninstallTakesAwayWhatInstallBrought(t *testing.T) {
	needMake(t)
	root := t.TempDir()
	program := filepath.Join(t.TempDir(), "signpost")
	if err := os.WriteFile(program, []byte("program"), 0o755); err != nil {
		t.Fatal(err)
	}
	run := func(target string) {
		t.Helper()
		out, err := exec.Command("make", "-s", "--no-print-directory", "-C", "../..", target, "DESTDIR="+root, "BINARY="+program).CombinedOutput()
		if err != nil {
			t.Fatalf("make %s: %v\n%s", target, err, out)
		}
	}
	files := func() (found []string) {
		err := filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
			if err == nil && !d.IsDir() {
				found = append(found, strings.TrimPrefix(path, root))
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return found
	}
	run("install-files")
	if all := files(); !slices.Contains(all, "/usr/bin/signpost") || !slices.Contains(all, "/usr/share/man/man8/signpost.8.gz") || len(all) < 40 {
		t.Fatalf("installed are %q", all)
	}
	kept := []string{"/etc/signpost/signpost.yaml", "/var/lib/signpost/keys/example.com/s1.pem"}
	for _, file := range kept {
		if err := os.MkdirAll(filepath.Dir(root+file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(root+file, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	run("uninstall")
	if left := files(); !slices.Equal(left, kept) {
		t.Errorf("left are %q", left)
	}
}
