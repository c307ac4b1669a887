package e2e

import (
	"bufio"
	"bytes"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// initiated is a running signpost init, whose lines a test waits for.
type initiated struct {
	t     *testing.T
	cmd   *exec.Cmd
	lines chan string
	all   bytes.Buffer
}

func startInit(t *testing.T, args ...string) *initiated {
	t.Helper()
	bin, err := binary()
	check(t, err)
	i := &initiated{t: t, cmd: exec.Command(bin, append([]string{"init"}, args...)...), lines: make(chan string, 1000)}
	i.cmd.Stdin = strings.NewReader("")
	out, err := i.cmd.StdoutPipe()
	check(t, err)
	i.cmd.Stderr = os.Stderr
	check(t, i.cmd.Start())
	go func() {
		for in := bufio.NewScanner(out); in.Scan(); {
			i.lines <- in.Text()
		}
		close(i.lines)
	}()
	return i
}

// until reads lines up to one with these words, and returns it.
func (i *initiated) until(words string) string {
	i.t.Helper()
	late := time.After(patience)
	for {
		select {
		case line, more := <-i.lines:
			if !more {
				i.t.Fatalf("signpost init has ended without %q:\n%s", words, i.all.String())
			}
			i.all.WriteString(line + "\n")
			if strings.Contains(line, words) {
				return line
			}
		case <-late:
			i.t.Fatalf("signpost init does not say %q:\n%s", words, i.all.String())
		}
	}
}

// ended is the exit code, after all lines.
func (i *initiated) ended() int {
	i.t.Helper()
	for line := range i.lines {
		i.all.WriteString(line + "\n")
	}
	_ = i.cmd.Wait()
	return i.cmd.ProcessState.ExitCode()
}

var zoneRecord = regexp.MustCompile(`(?m)^\S+\._domainkey\.example\.com\. 3600 IN TXT (\([^)]*\)|.*)$`)

// From nothing to the first signed message, with a Postfix that knows nothing of Signpost.
func TestInitLeadsToASignedMessage(t *testing.T) {
	want(t)
	p := startPostfix(t, "")
	root := folder(t)
	zone := root + "/zone"
	write(t, zone, "")
	args := []string{"--root", root, "--zone", zone, "--postfix", p.path("etc"), "--listen", "inet:" + freeAddr(t), "--yes", ourDomain}
	was, err := os.ReadFile(p.path("etc/main.cf"))
	check(t, err)

	first := startInit(t, append(args, "--no-wait")...)
	if code := first.ended(); code != 0 || !strings.Contains(first.all.String(), "[ ] DNS has the records") {
		t.Fatalf("exit %d:\n%s", code, first.all.String())
	}
	if now, err := os.ReadFile(p.path("etc/main.cf")); err != nil || !bytes.Equal(now, was) {
		t.Fatalf("Postfix' configuration was changed without --apply: %v", err)
	}

	i := startInit(t, append(args, "--apply")...)
	i.until("+smtpd_milters = inet:127.0.0.1:")
	copied := strings.TrimPrefix(i.until("The old file is kept as "), "The old file is kept as ")
	if kept, err := os.ReadFile(copied); err != nil || !bytes.Equal(kept, was) {
		t.Errorf("the copy %s: %v", copied, err)
	}
	i.until("Start it now, in another terminal:")
	i.until("signpost serve --config " + root)
	i.until("[x] keys and configuration are there")
	i.until("[ ] DNS has the records")
	records := zoneRecord.FindAllString(first.all.String(), -1)
	if len(records) != 2 {
		t.Fatalf("%d records in\n%s", len(records), first.all.String())
	}
	write(t, zone, strings.Join(records, "\n")+"\n")
	i.until("[x] DNS has the records")

	bin, err := binary()
	check(t, err)
	serve := exec.Command(bin, "serve", "--config", root+"/etc/signpost/signpost.yaml")
	check(t, serve.Start())
	t.Cleanup(func() { _ = serve.Process.Signal(syscall.SIGTERM); _ = serve.Wait() })
	i.until("[x] the daemon answers")
	const rcpt = "first@" + destDomain
	p.sendmail(t, "alice@"+ourDomain, rcpt, ourMail(rcpt, "the first one"))
	i.until("[x] a message was signed")
	if code := i.ended(); code != 0 || !strings.Contains(i.all.String(), "[x] the MTA is connected") {
		t.Errorf("exit %d:\n%s", code, i.all.String())
	}
	if n := signatures(p.sink.wait(t, rcpt).Data); n != 2 {
		t.Errorf("%d signatures, want 2", n)
	}

	before := filesOf(t, root)
	again := startInit(t, append(args, "--apply", "--no-wait")...)
	if code := again.ended(); code != 0 || strings.Contains(again.all.String(), "[ ]") || strings.Contains(again.all.String(), ": new") {
		t.Errorf("again: exit %d:\n%s", code, again.all.String())
	}
	for path, text := range before {
		if now, err := os.ReadFile(path); err != nil || string(now) != text {
			t.Errorf("the second run has changed %s: %v", path, err)
		}
	}
}

// filesOf are the keys and the configuration.
func filesOf(t *testing.T, root string) map[string]string {
	t.Helper()
	files := map[string]string{}
	for _, path := range []string{"etc/signpost/signpost.yaml", "var/lib/signpost/keys/example.com"} {
		path = root + "/" + path
		names := []string{path}
		if entries, err := os.ReadDir(path); err == nil {
			names = nil
			for _, e := range entries {
				names = append(names, path+"/"+e.Name())
			}
		}
		for _, name := range names {
			text, err := os.ReadFile(name)
			check(t, err)
			files[name] = string(text)
		}
	}
	return files
}

// Ctrl-C ends the waiting, and says how to go on.
func TestInitEndsAtCtrlC(t *testing.T) {
	want(t)
	root := folder(t)
	write(t, root+"/zone", "")
	i := startInit(t, "--root", root, "--zone", root+"/zone", "--sendmail", root, "--yes", ourDomain)
	i.until("[ ] a message was signed")
	check(t, i.cmd.Process.Signal(syscall.SIGINT))
	i.until("To go on: signpost init")
	if code := i.ended(); code != 1 {
		t.Errorf("exit %d, want 1", code)
	}
}
