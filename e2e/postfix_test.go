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
	"time"
)

const (
	ourDomain  = "example.com"  // its mail is signed
	destDomain = "dest.example" // Postfix accepts its mail from every client
	unknown    = "nobody@" + destDomain
)

// A postfix is one running instance with its own files and ports.
type postfix struct {
	dir        string // has etc, queue, data and maillog
	mx         string // for mail from other hosts
	submission string // for users with a login; its daemon name is ORIGINATING
	sink       *sink

	main, master string // main.cf and master.cf
}

// longest limits an instance's life, in case the test run dies first.
const longest = "1200"

// startPostfix starts an instance whose mail passes through the milter, written as in
// main.cf. It relays accepted mail to a sink. Each adjust may change the files before
// the start.
func startPostfix(t *testing.T, milter string, adjust ...func(*postfix)) *postfix {
	t.Helper()
	dir := folder(t)
	p := &postfix{dir: dir, mx: freeAddr(t), submission: freeAddr(t), sink: startSink(t)}
	p.makeFolders(t)
	p.main, p.master = p.mainCF(milter, startSASL(t)), p.masterCF()
	for _, f := range adjust {
		f(p)
	}
	p.configure(t, "etc/main.cf", p.main)
	p.configure(t, "etc/master.cf", p.master)
	t.Cleanup(func() { p.stop(t) })
	daemons := strings.TrimSpace(p.run(t, "postconf", "-c", p.path("etc"), "-h", "daemon_directory"))
	p.run(t, filepath.Join(daemons, "master"), "-c", p.path("etc"), "-w", "-e", longest)
	listening(t, "tcp", p.mx)
	listening(t, "tcp", p.submission)
	return p
}

func (p *postfix) path(name string) string { return filepath.Join(p.dir, name) }

// configure writes a configuration file with a time stamp one minute old: Postfix
// considers a file of the last two seconds unfinished, and waits.
func (p *postfix) configure(t *testing.T, name, text string) {
	t.Helper()
	write(t, p.path(name), text)
	old := time.Now().Add(-time.Minute)
	check(t, os.Chtimes(p.path(name), old, old))
}

// makeFolders does the work of postfix check, which takes seconds because it starts a
// process for each folder. Modes and owners are those of postfix-files(5).
func (p *postfix) makeFolders(t *testing.T) {
	t.Helper()
	uid, drop := ids(t, "postfix", "postdrop")
	for _, sub := range []string{"etc", "queue", "queue/pid"} {
		check(t, os.Mkdir(p.path(sub), 0o755))
	}
	make := func(sub string, mode os.FileMode, gid int) {
		check(t, os.Mkdir(p.path(sub), 0o700))
		check(t, os.Chown(p.path(sub), uid, gid))
		check(t, os.Chmod(p.path(sub), mode))
	}
	make("data", 0o700, 0)
	make("queue/public", 0o710, drop)
	make("queue/maildrop", 0o730, drop)
	for _, sub := range []string{"active", "bounce", "corrupt", "defer", "deferred", "flush", "hold", "incoming", "private", "saved", "trace"} {
		make("queue/"+sub, 0o700, 0)
	}
}

func (p *postfix) mainCF(milter, sasl string) string {
	return fmt.Sprintf(`
compatibility_level = 3.6
config_directory = %[1]s/etc
queue_directory = %[1]s/queue
data_directory = %[1]s/data
maillog_file_prefixes = %[1]s
maillog_file = %[1]s/maillog
inet_interfaces = 127.0.0.1
inet_protocols = all
myhostname = mx.%[2]s
myorigin = %[2]s
mydestination =
alias_maps =
local_recipient_maps =
local_transport = error:no local delivery
mynetworks = 127.0.0.0/8, 10.0.0.0/8
relay_domains = %[3]s
relayhost = [%[4]s]:%[5]s
disable_dns_lookups = yes
smtp_host_lookup = native
smtpd_peername_lookup = no
local_header_rewrite_clients = permit_mynetworks
smtpd_authorized_xclient_hosts = 127.0.0.0/8
smtpd_relay_restrictions = permit_mynetworks, permit_sasl_authenticated, reject_unauth_destination
smtpd_recipient_restrictions = check_recipient_access inline:{ {%[6]s = 550 5.1.1 user unknown} }
smtpd_sasl_type = dovecot
smtpd_sasl_path = inet:%[7]s
smtpd_client_connection_count_limit = 0
smtpd_error_sleep_time = 0
in_flow_delay = 0
message_size_limit = 104857600
mailbox_size_limit = 0
smtpd_milters = %[8]s
non_smtpd_milters = %[8]s
internal_mail_filter_classes = bounce
milter_default_action = tempfail
`, p.dir, ourDomain, destDomain, host(p.sink.addr), port(p.sink.addr), unknown, sasl, milter)
}

func (p *postfix) masterCF() string {
	return p.mx + " inet n - n - - smtpd\n" +
		p.submission + ` inet n - n - - smtpd
  -o smtpd_sasl_auth_enable=yes
  -o milter_macro_daemon_name=ORIGINATING
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
smtp unix - - n - - smtp
relay unix - - n - - smtp
showq unix n - n - - showq
error unix - - n - - error
retry unix - - n - - error
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
`
}

// run runs one of Postfix's commands on this instance and returns its output.
func (p *postfix) run(t testing.TB, name string, args ...string) string {
	t.Helper()
	return p.feed(t, "", name, args...)
}

func (p *postfix) feed(t testing.TB, input, name string, args ...string) string {
	t.Helper()
	said, err := p.command(input, name, args...)
	check(t, err)
	return said
}

// command is feed for use in any goroutine.
func (p *postfix) command(input, name string, args ...string) (string, error) {
	if _, err := exec.LookPath(name); err != nil {
		name = "/usr/sbin/" + name
	}
	cmd := exec.Command(name, args...)
	cmd.Env = append(os.Environ(), "MAIL_CONFIG="+p.path("etc"))
	cmd.Stdin = strings.NewReader(input)
	// Not CombinedOutput: a daemon that inherits the pipe would keep it open.
	out, err := os.CreateTemp(p.dir, "out")
	if err != nil {
		return "", err
	}
	defer out.Close()
	cmd.Stdout, cmd.Stderr = out, out
	err = cmd.Run()
	text, _ := os.ReadFile(out.Name())
	if err != nil {
		return "", fmt.Errorf("%s: %w\n%s", cmd, err, text)
	}
	return string(text), nil
}

// sendmail submits by sendmail(1). The message's line ends are LF, as that command
// requires.
func (p *postfix) sendmail(t testing.TB, from, to, msg string) {
	t.Helper()
	check(t, p.submit(from, to, msg))
}

// submit is sendmail for use in any goroutine.
func (p *postfix) submit(from, to, msg string) error {
	_, err := p.command(strings.ReplaceAll(msg, "\r\n", "\n"), "sendmail", "-i", "-f", from, to)
	return err
}

// queued lists the queue files in one of Postfix's queues: "hold", "deferred".
func (p *postfix) queued(t testing.TB, queue string) []string {
	t.Helper()
	entries, err := os.ReadDir(p.path("queue/" + queue))
	check(t, err)
	var names []string
	for _, e := range entries {
		if !e.IsDir() {
			names = append(names, e.Name())
		}
	}
	return names
}

// stop ends the instance, and prints its log if the test failed. Postfix takes a second
// to end; only the end of the whole run waits for it.
func (p *postfix) stop(t *testing.T) {
	if log, err := os.ReadFile(p.path("maillog")); err == nil && t.Failed() {
		t.Logf("Postfix's log:\n%s", tail(log, 60))
	}
	text, err := os.ReadFile(p.path("queue/pid/master.pid"))
	if err != nil {
		return
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil || !runs(pid, "master") {
		return
	}
	check(t, syscall.Kill(pid, syscall.SIGTERM))
	atEnd = append(atEnd, func() { comes(func() bool { return !runs(pid, "master") }) })
}

// runs reports whether a process of this number and name is alive.
func runs(pid int, name string) bool {
	comm, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
	return err == nil && strings.TrimSpace(string(comm)) == name
}

func tail(text []byte, lines int) []byte {
	all := bytes.Split(bytes.TrimSpace(text), []byte("\n"))
	return bytes.Join(all[max(0, len(all)-lines):], []byte("\n"))
}

func host(addr string) string { return addr[:strings.LastIndexByte(addr, ':')] }
func port(addr string) string { return addr[strings.LastIndexByte(addr, ':')+1:] }
