package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

const rspamdConf = `
options {
  pidfile = "DIR/pid"; tempdir = "DIR"; hs_cache_dir = "DIR"; url_tld = "DIR/tld";
  filters = "dkim"; disable_hyperscan = true; local_addrs = [];
  dns { nameserver = ["SERVER"]; }
}
logging { type = "console"; level = "error"; }
dkim { }
modules { path = "/usr/share/rspamd/plugins/arc.lua"; }
arc { }
worker "normal" { bind_socket = "DIR/worker.sock mode=0666"; count = 1; }
`

// startRspamd starts rspamd with its verification of ARC alone, and returns a function that
// asks it for the result of a message's chain: pass, fail, or the names of its symbols.
// ok is false where rspamd is not installed.
func startRspamd(t *testing.T) (ask func(t *testing.T, msg []byte) string, ok bool) {
	t.Helper()
	program, err := exec.LookPath("rspamd")
	if err != nil {
		return nil, false
	}
	var zone strings.Builder
	for name, record := range published() {
		zone.WriteString(txtLine(name, record))
	}
	dir := folder(t)
	uid, gid := ids(t, "nobody", "nogroup")
	work := filepath.Join(dir, "rspamd")
	check(t, os.Mkdir(work, 0o755))
	check(t, os.Chown(work, uid, gid))
	write(t, filepath.Join(work, "tld"), "com\nexample\n")
	conf := filepath.Join(dir, "rspamd.conf")
	write(t, conf, strings.NewReplacer("DIR", work, "SERVER", startNameserver(t, zone.String(), "").addr).Replace(rspamdConf))
	cmd := exec.Command(program, "-f", "-c", conf, "-u", "nobody", "-g", "nogroup")
	var log bytes.Buffer
	cmd.Stdout, cmd.Stderr = &log, &log
	check(t, cmd.Start())
	t.Cleanup(func() {
		cmd.Process.Signal(syscall.SIGTERM)
		cmd.Wait()
		if t.Failed() {
			t.Logf("rspamd: %s", tail(log.Bytes(), 20))
		}
	})
	socket := filepath.Join(work, "worker.sock")
	listening(t, "unix", socket)
	client := http.Client{Timeout: patience, Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", socket)
	}}}
	return func(t *testing.T, msg []byte) string {
		t.Helper()
		r, err := client.Post("http://rspamd/checkv2", "message/rfc822", bytes.NewReader(msg))
		check(t, err)
		defer r.Body.Close()
		var found struct{ Symbols map[string]any }
		check(t, json.NewDecoder(r.Body).Decode(&found))
		var others []string
		for name := range found.Symbols {
			switch name {
			case "ARC_ALLOW":
				return "pass"
			case "ARC_REJECT", "ARC_INVALID":
				return "fail"
			}
			others = append(others, name)
		}
		return strings.Join(others, " ")
	}, true
}
