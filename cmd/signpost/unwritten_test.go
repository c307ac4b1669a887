package main

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Each command that answers on standard output, where there is no room.
func TestAnAnswerThatCannotBeWrittenIsAFailure(t *testing.T) {
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Skip(err)
	}
	defer full.Close()
	dir := signingConfig(t)
	config, mail := filepath.Join(dir, "signpost.yaml"), filepath.Join(dir, "mail.eml")
	tables := map[string]string{
		"mail.eml": "From: alice@example.com\r\n\r\nhello\r\n",
		"kt":       "k example.com:s1:" + filepath.Join(dir, "keys/example.com/s1.pem") + "\n", "st": "example.com k\n",
	}
	for name, text := range tables {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, args := range [][]string{
		{"help"}, {"version"}, {"version", "--json"}, {"serve", "--help"}, {"check-config", config}, {"check-config", "--json", config},
		{"keys", "help"}, {"keys", "record", "--config", config, "example.com", "s1"}, {"keys", "record", "--json", "--config", config, "example.com", "s1"},
		{"keys", "list", "--config", config}, {"keys", "list", "--json", "--config", config},
		{"keys", "generate", "--dir", dir, "example.com", "s2"}, {"keys", "rotate", "--dry-run", "--config", config, "example.com"},
		{"keys", "import", "--dry-run", "--dir", filepath.Join(dir, "keys"), "--keytable", filepath.Join(dir, "kt"), "--signingtable", filepath.Join(dir, "st")},
		{"sign", "--config", config, mail}, {"verify", "--config", config, mail}, {"verify", "--json", "--config", config, mail},
		{"explain", "--config", config, mail}, {"explain", "--outbound", "--config", config, mail},
	} {
		var said strings.Builder
		code := run(args, strings.NewReader(""), full, &said)
		if code != exitFailure || !strings.Contains(said.String(), "no space left on device") {
			t.Errorf("%v: exit %d, standard error %q", args, code, said.String())
		}
	}
}

// The daemon outlives the reader of its log.
func TestALogThatNobodyReadsDoesNotEndTheDaemon(t *testing.T) {
	program, dir := builtCommand(t), signingConfig(t)
	cmd := exec.Command(program, "serve", "--config", filepath.Join(dir, "signpost.yaml"))
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = w
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	w.Close()
	log := make([]byte, 64<<10)
	for said := ""; !strings.Contains(said, "configuration in force"); {
		n, err := r.Read(log)
		if err != nil {
			t.Fatalf("%v after %q", err, said)
		}
		said += string(log[:n])
	}
	r.Close()
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	for range 3 { // each reload writes several lines
		if err := cmd.Process.Signal(syscall.SIGHUP); err != nil {
			break
		}
		probe := exec.Command(program, "probe", "unix:"+filepath.Join(dir, "m.sock"), os.DevNull)
		_ = probe.Run() // its message has a line too
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		t.Fatal(err)
	}
	select {
	case err := <-ended:
		if err != nil {
			t.Errorf("it ended with %v", err)
		}
	case <-time.After(30 * time.Second):
		t.Fatal("it does not end")
	}
}
