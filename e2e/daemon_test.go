package e2e

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"text/template"
	"time"
)

// config are the varying parts of Signpost's configuration.
type config struct {
	Milter       string   // further lines of section milter
	Listen       []string // in Signpost's form; startDaemon waits for the first
	Zone         string   // zone text; "" when Servers are asked
	Servers      []string
	Selectors    []string
	Canon        string
	Mode         string
	OnQuarantine string
	OnTemperror  string
	CheckEvery   string
	Signer       string // further lines of section signer
	Verifier     string // further lines of section verifier
	Reports      string // lines of section reports
	AuthservID   string // default: the MTA's own name
	Timeout      string // of one question to one of Servers
	LogLevel     string
	Descriptors  int // that the process may open; 0: as many as this one
	SoftLimit    int // the same as a soft limit, which the process may raise
}

var configText = template.Must(template.New("").Parse(`
milter:
  listen:{{range .Listen}}
    - {{.}}{{end}}
  socket_group: postfix
{{.Milter}}
dns:
{{- if .Servers}}
  servers: [{{range .Servers}}"{{.}}"{{end}}]
  timeout: {{or .Timeout "30s"}}
{{- else}}
  zone_file: {{.Dir}}/zone
{{- end}}
keys:
  dir: {{.Dir}}/keys
  state: {{.Dir}}/state/keys.json
  check_every: {{or .CheckEvery "10m"}}
signer:
  ours:
    networks: [127.0.0.0/8, 10.0.0.0/8]
    authenticated: true
    daemon_names: [ORIGINATING]
  domains:
    - domain: ` + ourDomain + `
      selectors: [{{range $i, $s := .Selectors}}{{if $i}}, {{end}}{{$s}}{{end}}]
      subdomains: true
  canonicalization: {{or .Canon "relaxed/relaxed"}}
{{.Signer}}
verifier:
{{- with .AuthservID}}
  authserv_id: {{.}}
{{- end}}
  mode: {{or .Mode "monitor"}}
  dmarc:
    on_quarantine: {{or .OnQuarantine "tag"}}
  on_temperror: {{or .OnTemperror "accept"}}
{{.Verifier}}
{{- with .Reports}}
reports:
{{.}}
{{- end}}
log: {format: text, level: {{or .LogLevel "debug"}}}
`))

// authservID is the name of our verifier in Authentication-Results: Postfix's
// myhostname, by the macro j.
const authservID = "mx.example.com"

// A daemon is one running signpost serve.
type daemon struct {
	dir     string
	listen  string
	socket  string // of its service manager
	limits  string // shell command that lowers those of open files, or ""
	cmd     *exec.Cmd
	log     ledger[string]
	states  ledger[string] // notifications to its service manager: READY=1, STOPPING=1
	readied int
	done    chan struct{} // closed when the process has ended
}

// startDaemon starts the program as an ordinary user and under a service manager, as
// deployed, and waits until it reports that it is ready. Its keys are ourKeys.
func startDaemon(t *testing.T, c config) *daemon {
	t.Helper()
	d := &daemon{dir: folder(t), listen: c.Listen[0]}
	switch {
	case c.Descriptors > 0:
		d.limits = fmt.Sprintf("ulimit -n %d", c.Descriptors)
	case c.SoftLimit > 0:
		d.limits = fmt.Sprintf("ulimit -S -n %d", c.SoftLimit)
	}
	uid, gid := ids(t, "nobody", "postfix")
	d.keys(t, uid, gid)
	d.configure(t, c)
	d.socket = d.manage(t)
	t.Cleanup(func() { d.close(t) })
	d.start(t)
	return d
}

// start starts the process, for the first time or again, and waits until it reports
// that it is ready.
func (d *daemon) start(t *testing.T) {
	t.Helper()
	d.cmd = signpost(t, "serve", "--config", d.path("signpost.yaml"))
	if d.limits != "" {
		d.cmd.Args = append([]string{"sh", "-c", d.limits + ` && exec "$0" "$@"`}, d.cmd.Args...)
		d.cmd.Path = "/bin/sh"
	}
	d.cmd.Env = append(os.Environ(), "NOTIFY_SOCKET="+d.socket)
	out, in := io.Pipe()
	d.cmd.Stdout, d.cmd.Stderr = in, in
	cmd, done := d.cmd, make(chan struct{})
	d.done = done
	check(t, cmd.Start())
	go d.follow(out)
	go func() {
		cmd.Wait()
		in.Close()
		close(done)
	}()
	d.ready(t, d.readied+1)
}

// restart ends the process and starts it again.
func (d *daemon) restart(t *testing.T) {
	t.Helper()
	d.terminate(t)
	d.start(t)
}

// terminate ends the process as its service manager does: it finishes its messages.
func (d *daemon) terminate(t *testing.T) {
	t.Helper()
	check(t, d.cmd.Process.Signal(syscall.SIGTERM))
	if code := d.ended(t); code != 0 {
		t.Errorf("signpost ended with exit code %d", code)
	}
}

// kill ends the process with SIGKILL.
func (d *daemon) kill(t *testing.T) {
	t.Helper()
	check(t, d.cmd.Process.Kill())
	d.ended(t)
}

// signpost is a command of the program, run as the daemon's user.
func signpost(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	bin, err := binary()
	check(t, err)
	uid, gid := ids(t, "nobody", "postfix")
	cmd := exec.Command(bin, args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}
	cmd.Dir = "/"
	return cmd
}

func (d *daemon) path(name string) string { return filepath.Join(d.dir, name) }

// keys writes our key files: root's, and the daemon's group may read them.
func (d *daemon) keys(t *testing.T, uid, gid int) {
	t.Helper()
	dir := d.path("keys/" + ourDomain)
	check(t, os.MkdirAll(dir, 0o755))
	check(t, os.Chown(dir, 0, gid))
	check(t, os.MkdirAll(d.path("state"), 0o755))
	check(t, os.Chown(d.path("state"), uid, gid))
	for _, k := range ourKeys() {
		file := filepath.Join(dir, k.selector+".pem")
		check(t, os.WriteFile(file, k.pem, 0o640))
		check(t, os.Chown(file, 0, gid))
	}
}

// configure writes the configuration and its zone; a running daemon reads them at the
// next reload.
func (d *daemon) configure(t *testing.T, c config) {
	t.Helper()
	if c.Selectors == nil {
		c.Selectors = []string{"rsa"}
	}
	var text bytes.Buffer
	check(t, configText.Execute(&text, struct {
		config
		Dir string
	}{c, d.dir}))
	write(t, d.path("signpost.yaml"), text.String())
	write(t, d.path("zone"), c.Zone)
}

// manage acts as the service manager: it listens on a socket for the daemon's
// notifications (sd_notify(3)).
func (d *daemon) manage(t *testing.T) (socket string) {
	t.Helper()
	socket = d.path("notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"})
	check(t, err)
	check(t, os.Chmod(socket, 0o777))
	t.Cleanup(func() { conn.Close() })
	go func() {
		buf := make([]byte, 4096)
		for {
			n, err := conn.Read(buf)
			if err != nil {
				return
			}
			for _, state := range strings.Fields(string(buf[:n])) {
				d.states.add(state)
			}
		}
	}()
	return socket
}

// ready waits until the daemon has reported that it is ready this many times: once
// after its start, and once after each reload. It returns if the daemon ends.
func (d *daemon) ready(t *testing.T, times int) {
	t.Helper()
	is := func(s string) bool { return s == "READY=1" }
	until(t, fmt.Sprintf("signpost is ready for the %d. time", times), func() bool {
		if !d.running() {
			t.Fatal("signpost ended")
		}
		return len(d.states.find(is)) >= times
	})
	d.readied = times
}

// reload makes the daemon read its configuration again and waits for the result,
// success or failure.
func (d *daemon) reload(t *testing.T) {
	t.Helper()
	check(t, d.cmd.Process.Signal(syscall.SIGHUP))
	d.ready(t, d.readied+1)
}

// ended waits for the process and returns its exit code.
func (d *daemon) ended(t *testing.T) int {
	t.Helper()
	select {
	case <-d.done:
	case <-time.After(patience):
		t.Fatalf("waited %v in vain: signpost ends", patience)
	}
	return d.cmd.ProcessState.ExitCode()
}

func (d *daemon) running() bool {
	select {
	case <-d.done:
		return false
	default:
		return true
	}
}

func (d *daemon) close(t *testing.T) {
	if d.done != nil && d.running() {
		d.cmd.Process.Signal(syscall.SIGTERM)
		d.ended(t)
	}
	if t.Failed() {
		lines, _ := d.log.all()
		t.Logf("signpost's log:\n%s", strings.Join(lines[max(0, len(lines)-80):], "\n"))
	}
}

func (d *daemon) follow(r io.Reader) {
	in := bufio.NewScanner(r)
	in.Buffer(nil, 1<<20)
	for in.Scan() {
		d.log.add(in.Text())
	}
}

// logged waits for a log line that contains all of these.
func (d *daemon) logged(t *testing.T, parts ...string) string {
	t.Helper()
	return d.log.wait(t, fmt.Sprintf("a log line with %q", parts), func(line string) bool {
		for _, p := range parts {
			if !strings.Contains(line, p) {
				return false
			}
		}
		return true
	})
}

// milter is the daemon's first listener in the form of Postfix's smtpd_milters.
// Signpost understands that form itself.
func (d *daemon) milter() string { return d.listen }
