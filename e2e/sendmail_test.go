package e2e

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"text/template"
)

// A sendmail is one running instance of Debian's Sendmail, unpacked but not installed,
// with its own files and ports.
type sendmail struct {
	dir  string
	addr string // accepts mail from every client
	sink *sink
	cmd  *exec.Cmd
	done chan struct{} // closed when the process has ended
}

// sendmailMC is its configuration. It uses the hosts file in place of DNS and relays
// all mail to the sink.
var sendmailMC = template.Must(template.New("").Delims("<<", ">>").Parse(`
include(` + "`<<.CF>>/m4/cf.m4'" + `)dnl
OSTYPE(` + "`linux'" + `)dnl
define(` + "`confDOMAIN_NAME', `mx.<<.Domain>>'" + `)dnl
define(` + "`QUEUE_DIR', `<<.Dir>>/queue'" + `)dnl
define(` + "`STATUS_FILE', `<<.Dir>>/status'" + `)dnl
define(` + "`confPID_FILE', `<<.Dir>>/pid'" + `)dnl
define(` + "`confSERVICE_SWITCH_FILE', `<<.Dir>>/switch'" + `)dnl
define(` + "`ALIAS_FILE', `'" + `)dnl
define(` + "`HELP_FILE', `'" + `)dnl
define(` + "`confDONT_PROBE_INTERFACES', `True'" + `)dnl
define(` + "`confTO_RESOLVER_RETRANS', `1s'" + `)dnl
define(` + "`confTO_RESOLVER_RETRY', `1'" + `)dnl
define(` + "`confTO_IDENT', `0'" + `)dnl
define(` + "`confQUEUE_LA', `10000'" + `)dnl
define(` + "`confREFUSE_LA', `10000'" + `)dnl
FEATURE(` + "`nocanonify'" + `)dnl
FEATURE(` + "`no_default_msa'" + `)dnl
FEATURE(` + "`promiscuous_relay'" + `)dnl
FEATURE(` + "`accept_unresolvable_domains'" + `)dnl
DAEMON_OPTIONS(` + "`Name=MTA, Addr=<<.Host>>, Port=<<.Port>>, Family=inet'" + `)dnl
define(` + "`SMART_HOST', `relay:[<<.RelayHost>>]'" + `)dnl
define(` + "`RELAY_MAILER_ARGS', `TCP $h <<.RelayPort>>'" + `)dnl
<<range $i, $m := .Milters>>INPUT_MAIL_FILTER(` + "`milter<<$i>>', `S=<<$m>>, F=T, T=C:30s;S:30s;R:30s;E:5m'" + `)dnl
<<end>><<range .Lines>><<.>>
<<end>>MAILER(` + "`smtp'" + `)dnl
`))

// sendmailFolder is where install-packages.sh unpacks Sendmail.
func sendmailFolder() string {
	if dir := os.Getenv("SIGNPOST_E2E_CACHE"); dir != "" {
		return filepath.Join(dir, "sendmail")
	}
	return "/var/cache/signpost-e2e/sendmail"
}

// wantSendmail is want for a test that needs Sendmail too.
func wantSendmail(t *testing.T) {
	t.Helper()
	want(t)
	program := filepath.Join(sendmailFolder(), "usr/libexec/sendmail/sendmail")
	_, err := os.Stat(program)
	if err == nil {
		_, err = exec.LookPath("m4")
	}
	if err != nil {
		without(t, fmt.Sprintf("end-to-end tests need Sendmail (%v): run e2e/install-packages.sh as root", err))
	}
}

// startSendmail starts an instance whose mail passes through the milters in turn. They
// are written as for Signpost and Postfix; Sendmail calls them milter0 and so on. It
// relays accepted mail to a sink. Further lines go into sendmail.mc.
func startSendmail(t *testing.T, milters []string, lines ...string) *sendmail {
	t.Helper()
	s := &sendmail{dir: folder(t), addr: freeAddr(t), sink: startSink(t), done: make(chan struct{})}
	check(t, os.Mkdir(s.path("queue"), 0o700))
	write(t, s.path("switch"), "hosts files\naliases files\n")
	s.configure(t, milters, lines)
	var said bytes.Buffer
	s.cmd, s.done = s.run(t, "", &said, "-C"+s.path("sendmail.cf"), "-bD", "-Am", "-X", s.path("dialogues"))
	t.Cleanup(func() { s.stop(t, &said) })
	until(t, "Sendmail accepts connections", func() bool {
		select {
		case <-s.done:
			t.Fatalf("Sendmail ended: %v\n%s", s.cmd.ProcessState, &said)
		default:
			wake(s.cmd.Process)
		}
		return reachable("tcp", s.addr)
	})
	return s
}

// run starts the program. The channel closes when it has ended.
func (s *sendmail) run(t *testing.T, input string, said *bytes.Buffer, args ...string) (*exec.Cmd, chan struct{}) {
	t.Helper()
	cmd := exec.Command(filepath.Join(sendmailFolder(), "usr/libexec/sendmail/sendmail"), args...)
	cmd.Stdin = strings.NewReader(input)
	cmd.Stdout, cmd.Stderr = said, said
	// Its deliveries are separate processes that end with it.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	check(t, cmd.Start())
	done := make(chan struct{})
	go func() {
		cmd.Wait()
		close(done)
	}()
	return cmd, done
}

// command runs the program to its end.
func (s *sendmail) command(t *testing.T, input string, args ...string) {
	t.Helper()
	var said bytes.Buffer
	cmd, done := s.run(t, input, &said, args...)
	until(t, "sendmail "+strings.Join(args, " ")+" ends", func() bool {
		select {
		case <-done:
			return true
		default:
			wake(cmd.Process)
			return false
		}
	})
	if !cmd.ProcessState.Success() {
		t.Fatalf("%s: %v\n%s", cmd, cmd.ProcessState, &said)
	}
}

func (s *sendmail) path(name string) string { return filepath.Join(s.dir, name) }

// configure writes sendmail.cf.
func (s *sendmail) configure(t *testing.T, milters, lines []string) {
	t.Helper()
	var sockets []string
	for _, m := range milters {
		// In Sendmail, inet:host:port is inet:port@host, and unix:path is local:path.
		if addr, ok := strings.CutPrefix(m, "inet:"); ok {
			m = "inet:" + port(addr) + "@" + host(addr)
		}
		if path, ok := strings.CutPrefix(m, "unix:"); ok {
			m = "local:" + path
		}
		sockets = append(sockets, m)
	}
	var mc bytes.Buffer
	check(t, sendmailMC.Execute(&mc, map[string]any{
		"CF": filepath.Join(sendmailFolder(), "usr/share/sendmail/cf"), "Dir": s.dir, "Domain": ourDomain,
		"Host": host(s.addr), "Port": port(s.addr),
		"RelayHost": host(s.sink.addr), "RelayPort": port(s.sink.addr), "Milters": sockets, "Lines": lines,
	}))
	s.compile(t, "sendmail", mc.String())
}

// compile has m4 make NAME.cf of the text.
func (s *sendmail) compile(t *testing.T, name, mc string) {
	t.Helper()
	write(t, s.path(name+".mc"), mc)
	m4 := exec.Command("m4", s.path(name+".mc"))
	var complaints bytes.Buffer
	m4.Stderr = &complaints
	cf, err := m4.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s", m4, err, &complaints)
	}
	write(t, s.path(name+".cf"), string(cf))
}

// wake ends the minute that Sendmail sleeps at its start if the host's name has no dot,
// before it reads its configuration (myhostname). SIGUSR1 only logs its state, but it
// must not arrive before Sendmail handles it.
func wake(process *os.Process) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", process.Pid))
	if err != nil {
		return
	}
	_, rest, _ := strings.Cut(string(status), "SigCgt:")
	mask, _, _ := strings.Cut(strings.TrimSpace(rest), "\n")
	caught, err := strconv.ParseUint(mask, 16, 64)
	if err == nil && caught&(1<<(syscall.SIGUSR1-1)) != 0 {
		process.Signal(syscall.SIGUSR1)
	}
}

// stop ends the instance, and prints its output if the test failed.
func (s *sendmail) stop(t *testing.T, said fmt.Stringer) {
	syscall.Kill(-s.cmd.Process.Pid, syscall.SIGTERM)
	<-s.done
	if t.Failed() {
		dialogues, _ := os.ReadFile(s.path("dialogues"))
		t.Logf("Sendmail's dialogues:\n%s\n%s", tail(dialogues, 60), said)
	}
}

// An mta is an instance of either kind, for tests of both.
type mta struct {
	addr string
	sink *sink
}

// mtas are the two kinds.
var mtas = []struct {
	name  string
	start func(t *testing.T, milters ...string) mta
}{
	{"Postfix", func(t *testing.T, milters ...string) mta {
		p := startPostfix(t, strings.Join(milters, ", "))
		return mta{p.mx, p.sink}
	}},
	{"Sendmail", func(t *testing.T, milters ...string) mta {
		s := startSendmail(t, milters)
		return mta{s.addr, s.sink}
	}},
}
