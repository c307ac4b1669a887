package doctor

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"

	"signpost/internal/control"
)

// pretend runs a control socket with this answer to /status, and something that listens where
// the milter should.
func (h *house) pretend(status map[string]any) {
	h.t.Helper()
	h.stopped = true
	h.listenOnly()
	m := control.NewMux()
	m.Answer("GET /status", func(*http.Request) (any, error) { return status, nil })
	s, err := control.Serve(control.Config{Listen: "unix:" + h.path("control.sock")}, m, slog.New(slog.DiscardHandler))
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(s.Close)
}

// listenOnly accepts connections at the milter's address and closes them.
func (h *house) listenOnly() {
	h.t.Helper()
	h.accept(h.listen, func(conn net.Conn) { conn.Close() })
}

// accept serves the connections to an address until the test ends, and returns the address with its port.
func (h *house) accept(address string, serve func(net.Conn)) string {
	h.t.Helper()
	l, err := net.Listen("tcp", address)
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go serve(conn)
		}
	}()
	return l.Addr().String()
}

// limited is a process with a low limit of open files.
func limited(t *testing.T) int {
	t.Helper()
	cmd := exec.Command("sh", "-c", "ulimit -n 64 && echo ready && exec sleep 600")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	if _, err := io.ReadFull(out, make([]byte, len("ready"))); err != nil {
		t.Fatal(err)
	}
	return cmd.Process.Pid
}

func TestWhatTheRunningDaemonTells(t *testing.T) {
	type object = map[string]any
	for name, c := range map[string]struct {
		status object
		want   string
		says   string
	}{
		"all is well":         {object{"pid": os.Getpid(), "configuration": object{"on_disk": "same"}}, "", ""},
		"a low limit":         {object{"pid": limited(t)}, "daemon.descriptors", "LimitNOFILE=4096"},
		"changed":             {object{"configuration": object{"on_disk": "changed", "file": "x.yaml"}}, "daemon.stale-config", "x.yaml has changed"},
		"with mistakes":       {object{"configuration": object{"on_disk": "mistakes", "mistakes": []string{"line 3"}}}, "daemon.stale-config", "line 3"},
		"gone":                {object{"configuration": object{"on_disk": "gone"}}, "daemon.stale-config", "would not start again"},
		"a restart is needed": {object{"configuration": object{"on_disk": "same", "needs_restart": []string{"milter"}}}, "daemon.stale-config", "systemctl restart signpost"},
		"our name from outside": {object{"last_hour": object{"inbound": object{"messages": 100, "forged": 40}}}, "authserv.foreign-claims",
			"mail.example.com were removed 40 times"},
		"some forged results":   {object{"last_hour": object{"inbound": object{"messages": 1000, "forged": 40}}}, "", ""},
		"a few forged results":  {object{"last_hour": object{"inbound": object{"messages": 3, "forged": 3}}}, "", ""},
		"another listener":      {object{"listeners": []object{{"address": "inet:127.0.0.1:1"}}}, "", ""},
		"an answer to /ping is": {nil, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t)
			h.pretend(c.status)
			r := h.run()
			if ids(r) != c.want || !strings.Contains(remedies(r), c.says) {
				t.Errorf("got %s, want %s with %q\n%s", ids(r), c.want, c.says, text(r))
			}
		})
	}
}

func TestAProbeThatIsNotAnsweredAsConfigured(t *testing.T) {
	stranger := func(p Probe) bool { return p.Login == "" }
	for name, c := range map[string]struct {
		send func(Probe) (ProbeResult, error)
		want string
		says string
	}{
		"as configured": {func(p Probe) (ProbeResult, error) {
			if stranger(p) {
				return ProbeResult{Verdict: "accept", Inserted: []string{"Authentication-Results"}}, nil
			}
			return ProbeResult{Verdict: "accept", Inserted: []string{"DKIM-Signature"}}, nil
		}, "", ""},
		"nothing is signed": {func(Probe) (ProbeResult, error) {
			return ProbeResult{Verdict: "accept", Inserted: []string{"Authentication-Results"}}, nil
		}, "daemon.probe-failed", "gets no DKIM-Signature"},
		"nothing is judged": {func(Probe) (ProbeResult, error) {
			return ProbeResult{Verdict: "accept", Inserted: []string{"DKIM-Signature"}}, nil
		}, "daemon.probe-failed", "gets no Authentication-Results"},
		"451":         {func(Probe) (ProbeResult, error) { return ProbeResult{Verdict: "tempfail", Reply: "451 4.7.1"}, nil }, "daemon.probe-failed", "451"},
		"no milter":   {func(Probe) (ProbeResult, error) { return ProbeResult{}, errors.New("it talks HTTP") }, "daemon.probe-failed", "HTTP"},
		"550 by rule": {func(Probe) (ProbeResult, error) { return ProbeResult{Verdict: "reject", Reply: "550"}, nil }, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t)
			h.pretend(map[string]any{"pid": 0})
			h.state("s1", `"state": "active", "dns": "found", "first_seen": "`+in(-400*day)+`"`)
			h.options.KeyAge = 1000 * day
			h.options.Send = func(_ context.Context, p Probe) (ProbeResult, error) { return c.send(p) }
			r := h.run()
			if ids(r) != c.want || !strings.Contains(remedies(r), c.says) {
				t.Errorf("got %s, want %s with %q\n%s", ids(r), c.want, c.says, text(r))
			}
		})
	}
}

// A daemon whose control socket is off can be seen by its listeners alone.
func TestWithoutAControlSocketTheListenersTell(t *testing.T) {
	h := newHouse(t)
	h.replace(`"unix:@DIR@/control.sock"`, `""`)
	h.stopped = true
	h.listenOnly()
	r := h.run()
	if len(r.Findings) > 0 || r.ExitCode() != 0 || !strings.Contains(text(r), "control.listen is empty") {
		t.Errorf("exit %d\n%s", r.ExitCode(), text(r))
	}
}
