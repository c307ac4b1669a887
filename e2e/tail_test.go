package e2e

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
)

// control is a control socket for one daemon, as the test's configuration writes it.
func controlSocket(t *testing.T) string {
	t.Helper()
	dir := folder(t)
	uid, gid := ids(t, "nobody", "postfix")
	check(t, os.Chown(dir, uid, gid))
	return "control: {listen: unix:" + dir + "/c.sock, group: \"\"}"
}

// reader is a running signpost tail, whose lines a test waits for.
type reader struct {
	t     *testing.T
	lines chan string
}

func startTail(t *testing.T, d *daemon, args ...string) *reader {
	t.Helper()
	cmd := signpost(t, append([]string{"tail", "--config", d.path("signpost.yaml")}, args...)...)
	out, err := cmd.StdoutPipe()
	check(t, err)
	notes, err := cmd.StderrPipe()
	check(t, err)
	check(t, cmd.Start())
	r := &reader{t, make(chan string, 100)}
	go func() {
		for in := bufio.NewScanner(out); in.Scan(); {
			r.lines <- in.Text()
		}
		close(r.lines)
	}()
	if line, err := bufio.NewReader(notes).ReadString('\n'); err != nil || !strings.Contains(line, "connected") {
		t.Fatalf("signpost tail says %q, %v", line, err)
	}
	t.Cleanup(func() {
		check(t, cmd.Process.Signal(syscall.SIGINT))
		for range r.lines {
		}
		if err := cmd.Wait(); err != nil {
			t.Errorf("signpost tail ends with %v", err)
		}
	})
	return r
}

func (r *reader) next() string {
	r.t.Helper()
	select {
	case line := <-r.lines:
		return line
	case <-time.After(patience):
		r.t.Fatal("signpost tail shows no message")
	}
	return ""
}

func TestTailShowsMailThroughPostfix(t *testing.T) {
	want(t)
	d := startDaemon(t, config{
		Listen: []string{"inet:" + freeAddr(t)}, Zone: ourZone() + strangersZone(), Mode: "enforce", Selectors: []string{"rsa", "ed"}, Milter: controlSocket(t),
	})
	p := startPostfix(t, d.milter())
	all, refused, rules := startTail(t, d), startTail(t, d, "--result", "reject", "--json"), startTail(t, d, "--explain", "--direction", "out")

	login := dial(t, p.submission, roaming)
	login.login("alice")
	foreign := dial(t, p.mx, other)
	for n := range 2 {
		rcpt := fmt.Sprintf("tail-%d@%s", n, destDomain)
		accepted(t, login.send("alice@"+ourDomain, []string{rcpt}, ourMail(rcpt, "seen")))
		if line := all.next(); !strings.Contains(line, " out accept ") || !strings.Contains(line, " example.com >dest.example signed rsa,ed") {
			t.Errorf("signed: %s", line)
		}
		if line := rules.next(); !strings.Contains(line, " out accept ") {
			t.Errorf("signed, with its rules: %s", line)
		}
		for line := ""; !strings.Contains(line, "these sign: rsa"); {
			line = rules.next()
		}
		for line := ""; !strings.HasPrefix(line, "entry: signer.domains example.com"); {
			line = rules.next()
		}
		forged := letter{from: "a@strict.example", signed: true, forged: true}
		if r := foreign.send("a@strict.example", []string{rcpt}, forged.text(t, rcpt)); r.code != 550 {
			t.Fatalf("the forgery is answered %v", r)
		}
		if line := all.next(); !strings.Contains(line, " in  reject ") || !strings.Contains(line, " strict.example >dest.example spf,dkim,dmarc=fail dmarc: policy reject") {
			t.Errorf("refused: %s", line)
		}
		var e struct {
			Queue       string `json:"queue_id"`
			Client      string `json:"client"`
			Disposition string `json:"disposition"`
		}
		line := refused.next()
		if err := json.Unmarshal([]byte(line), &e); err != nil || e.Client != other.addr || e.Disposition != "reject" {
			t.Errorf("%v in %s", err, line)
		}
		if e.Queue == "" {
			t.Fatalf("there is no queue id in %s", line)
		}
		until(t, "Postfix's log has the queue id "+e.Queue, func() bool {
			log, err := os.ReadFile(p.path("maillog"))
			return err == nil && bytes.Contains(log, []byte(e.Queue+": milter-reject: END-OF-MESSAGE"))
		})
		explainedLater(t, d, e.Queue)
	}
}

// explainedLater asks about a refused message by its queue id, as the daemon's user and as
// another one, who may not.
func explainedLater(t *testing.T, d *daemon, queue string) {
	t.Helper()
	cmd := signpost(t, "explain", "--queue-id", queue, "--config", d.path("signpost.yaml"))
	out, err := cmd.CombinedOutput()
	for _, part := range []string{
		queue + "  arrived:\n    from strict.example, envelope strict.example>dest.example, 1 recipient\n", "not ours: client " + other.addr,
		"spf\n      compared  strict.example\n      result    fail", "dkim\n      compared  strict.example selector ", "result    reject (dmarc: policy reject of strict.example",
		"\ndisposition: reject\nreply: 550 5.7.26 DMARC",
	} {
		if err != nil || !bytes.Contains(out, []byte(part)) {
			t.Errorf("%v; %q is missing in\n%s", err, part, out)
		}
	}
	stranger := signpost(t, "explain", "--queue-id", queue, "--config", d.path("signpost.yaml"))
	uid, gid := ids(t, "daemon", "daemon")
	stranger.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}
	if out, err := stranger.CombinedOutput(); err == nil || !bytes.Contains(out, []byte("may not ask the daemon")) {
		t.Errorf("another user gets %v, %s", err, out)
	}
}
