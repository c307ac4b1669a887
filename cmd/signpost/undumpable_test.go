package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"signpost/keys"
)

// builtCommand is a build of this command that every user may run.
func builtCommand(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, d := range []string{dir, filepath.Dir(dir)} {
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	path := filepath.Join(dir, "signpost")
	if out, err := exec.Command("go", "build", "-o", path, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return path
}

// signingConfig is a folder with a configuration that signs, and its key.
func signingConfig(t *testing.T) (dir string) {
	t.Helper()
	dir = t.TempDir()
	if _, err := keys.Generate(filepath.Join(dir, "keys"), "example.com", "s1", keys.RSA, 0); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"dns.zone": "",
		"signpost.yaml": fmt.Sprintf("milter: {listen: ['unix:%[1]s/m.sock']}\nkeys: {dir: %[1]s/keys, state: %[1]s/state/keys.json}\n"+
			"dns: {zone_file: %[1]s/dns.zone}\nsigner: {domains: [{domain: example.com, selectors: [s1]}]}\n", dir),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// startAndAwait begins a command and returns its standard error, read up to the line that
// has a word.
func startAndAwait(t *testing.T, cmd *exec.Cmd, word string) *bufio.Reader {
	t.Helper()
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	r := bufio.NewReader(stderr)
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			t.Fatalf("%v before %q", err, word)
		}
		if strings.Contains(line, word) {
			return r
		}
	}
}

// A crash of the daemon leaves no core dump, with any limits of its shell.
func TestTheDaemonLeavesNoCoreDump(t *testing.T) {
	program, dir := builtCommand(t), signingConfig(t)
	cmd := exec.Command("/bin/sh", "-c", `ulimit -c unlimited 2>/dev/null; exec "$0" serve --config "$1"`, program, filepath.Join(dir, "signpost.yaml"))
	cmd.Dir, cmd.Env = dir, append(os.Environ(), "GOTRACEBACK=crash")
	rest := startAndAwait(t, cmd, "signpost is ready")
	if err := cmd.Process.Signal(syscall.SIGQUIT); err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, rest)
	_ = cmd.Wait()
	status := cmd.ProcessState.Sys().(syscall.WaitStatus)
	if !status.Signaled() {
		t.Errorf("it ended with %v, not by a signal", cmd.ProcessState)
	}
	if status.CoreDump() {
		t.Errorf("it ended with %v", cmd.ProcessState)
	}
}

// The memory of a process that must not be dumped belongs to root, so that another
// process of the same user cannot read it.
func TestNoProcessOfTheSameUserReadsTheMemoryOfOneThatHoldsKeys(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("this needs root, to be somebody else")
	}
	const uid = 65534
	program, dir := builtCommand(t), signingConfig(t)
	if err := filepath.Walk(dir, func(path string, _ os.FileInfo, err error) error {
		if err != nil {
			return err
		}
		return os.Chown(path, uid, uid)
	}); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Dir(dir), 0o755); err != nil {
		t.Fatal(err)
	}
	config := filepath.Join(dir, "signpost.yaml")
	pipe := filepath.Join(dir, "pipe") // a command that reads it is held there
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(pipe, uid, uid); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{
		{"serve", "--config", config},
		{"sign", "--config", config, pipe},
		{"check-config", pipe},
		{"keys", "list", "--config", pipe},
		{"keys", "check", "--config", pipe},
		{"keys", "record", "--config", pipe, "example.com", "s1"},
		{"keys", "generate", "--config", pipe, "example.com", "s2"},
		{"keys", "rotate", "--config", pipe, "example.com"},
		{"keys", "import", "--dry-run", pipe},
	} {
		t.Run(strings.Join(args[:2], " "), func(t *testing.T) {
			cmd := exec.Command(program, args...)
			cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
			if args[0] == "serve" {
				startAndAwait(t, cmd, "signpost is ready")
			} else {
				if err := cmd.Start(); err != nil {
					t.Fatal(err)
				}
				held, err := os.OpenFile(pipe, os.O_WRONLY, 0) // returns when it is read
				if err != nil {
					t.Fatal(err)
				}
				defer held.Close()
			}
			info, err := os.Stat(fmt.Sprintf("/proc/%d/mem", cmd.Process.Pid))
			if err != nil {
				t.Fatal(err)
			}
			if owner := info.Sys().(*syscall.Stat_t).Uid; owner != 0 {
				t.Errorf("/proc/%d/mem belongs to the user %d", cmd.Process.Pid, owner)
			}
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		})
	}
}
