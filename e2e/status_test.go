package e2e

import (
	"bytes"
	"encoding/json"
	"os"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/miekg/dns"
)

// statusAs runs signpost status as a user with these groups, and returns its output and exit code.
func statusAs(t *testing.T, d *daemon, user, group string, groups []uint32, args ...string) (string, int) {
	t.Helper()
	cmd := signpost(t, append([]string{"status", "--config", d.path("signpost.yaml")}, args...)...)
	uid, gid := ids(t, user, group)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid), Groups: groups}}
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return out.String(), cmd.ProcessState.ExitCode()
}

// wantStatus runs signpost status as the daemon's user, which must exit so and say this.
func wantStatus(t *testing.T, d *daemon, code int, says string, args ...string) string {
	t.Helper()
	out, got := statusAs(t, d, "nobody", "postfix", nil, args...)
	if got != code || !strings.Contains(strings.Join(strings.Fields(out), " "), says) {
		t.Errorf("signpost status %v exits with %d, not %d; want %q:\n%s", args, got, code, says, out)
	}
	for _, line := range strings.Split(out, "\n") {
		if len(args) == 0 && len([]rune(line)) > 80 && !strings.HasPrefix(line, "signpost status: ") {
			t.Errorf("wider than 80 columns: %s", line)
		}
	}
	return out
}

// silenced is a DNS server that can stop to answer.
type silenced struct {
	dns.Handler
	silent atomic.Bool
}

func (s *silenced) ServeDNS(w dns.ResponseWriter, q *dns.Msg) {
	if !s.silent.Load() {
		s.Handler.ServeDNS(w, q)
	}
}

func TestStatusSaysWhatNeedsAPerson(t *testing.T) {
	want(t)
	zone := &silenced{Handler: startNameserver(t, ourZone(), "")}
	dir := folder(t)
	uid, gid := ids(t, "nobody", "postfix")
	check(t, os.Chown(dir, uid, gid))
	socket := dir + "/m.sock"
	c := config{
		Listen: []string{"inet:" + freeAddr(t), "unix:" + socket}, Servers: []string{serveDNS(t, zone)}, Timeout: "500ms", Selectors: []string{"rsa", "ed"},
		Milter: controlSocket(t),
	}
	d := startDaemon(t, c)
	until(t, "DNS was asked about the keys", func() bool {
		out, code := statusAs(t, d, "nobody", "postfix", nil)
		return code == 0 && strings.Contains(out, "rsa, ed")
	})
	t.Log("\n" + wantStatus(t, d, 0, "all well"))
	wantStatus(t, d, 0, "ready", "--ready")

	config, err := os.ReadFile(d.path("signpost.yaml"))
	check(t, err)
	write(t, d.path("signpost.yaml"), string(config)+"# a comment\n")
	wantStatus(t, d, 1, "has changed and is not in force -> systemctl reload signpost")
	wantStatus(t, d, 0, "ready", "--ready")
	write(t, d.path("signpost.yaml"), string(config)+"nonsense: 1\n")
	d.reload(t)
	wantStatus(t, d, 1, "a reload would refuse it")
	write(t, d.path("signpost.yaml"), string(config))
	d.reload(t)
	wantStatus(t, d, 0, "generation 2 since")

	zone.silent.Store(true)
	wantStatus(t, d, 1, "no answer within 500ms; no server is left")
	wantStatus(t, d, 0, "ready", "--ready")
	zone.silent.Store(false)
	wantStatus(t, d, 0, "all well")

	check(t, os.Remove(socket))
	t.Log("\n" + wantStatus(t, d, 1, "its socket file is gone: no MTA can connect there -> systemctl restart signpost"))
	wantStatus(t, d, 1, "not ready: listener unix:"+socket, "--ready")
	d.terminate(t)
	wantStatus(t, d, 1, "systemctl status signpost")
}

func TestStatusAnswersTheGroupAlone(t *testing.T) {
	want(t)
	// The daemon's group takes the place of signpost-admin: it may give the socket to that one.
	d := startDaemon(t, config{Listen: []string{"inet:" + freeAddr(t)}, Zone: ourZone(), Milter: strings.Replace(controlSocket(t), `group: ""`, "group: postfix", 1)})
	_, admin := ids(t, "nobody", "postfix")
	for _, c := range []struct {
		who         string
		user, group string
		groups      []uint32
		allowed     bool
	}{
		{"root", "root", "root", nil, true},
		{"the daemon's user", "nobody", "postfix", nil, true},
		{"a member by its primary group", "daemon", "postfix", nil, true},
		{"a member by another group", "daemon", "daemon", []uint32{uint32(admin)}, true},
		{"a stranger", "daemon", "daemon", nil, false},
	} {
		out, code := statusAs(t, d, c.user, c.group, c.groups, "--ready")
		if c.allowed != (code == 0) || !c.allowed && !strings.Contains(out, "usermod -aG postfix daemon") {
			t.Errorf("%s: exit code %d, %s", c.who, code, out)
		}
	}
}

// Postfix tells mail of the sendmail command from mail of SMTP clients.
func TestStatusCountsMailByDirectionAndOrigin(t *testing.T) {
	want(t)
	d := startDaemon(t, config{Listen: []string{"inet:" + freeAddr(t)}, Zone: ourZone() + strangersZone(), Mode: "enforce", Milter: controlSocket(t)})
	p := startPostfix(t, d.milter())
	rcpt := "status@" + destDomain
	login := dial(t, p.submission, roaming)
	login.login("alice")
	accepted(t, login.send("alice@"+ourDomain, []string{rcpt}, ourMail(rcpt, "by SMTP")))
	check(t, p.submit("alice@"+ourDomain, rcpt, ourMail(rcpt, "by sendmail")))
	forged := letter{from: "a@strict.example", signed: true, forged: true}
	if r := dial(t, p.mx, other).send("a@strict.example", []string{rcpt}, forged.text(t, rcpt)); r.code != 550 {
		t.Fatalf("the forgery is answered %v", r)
	}
	type outcomes struct{ Messages, Signed, Rejected, Local, SMTP int }
	var got struct {
		Hour struct{ Inbound, Outbound outcomes } `json:"last_hour"`
	}
	until(t, "three messages are counted", func() bool {
		out, _ := statusAs(t, d, "nobody", "postfix", nil, "--json")
		check(t, json.Unmarshal([]byte(out), &got))
		return got.Hour.Inbound.Messages+got.Hour.Outbound.Messages == 3
	})
	if got.Hour.Outbound != (outcomes{Messages: 2, Signed: 2, Local: 1, SMTP: 1}) || got.Hour.Inbound != (outcomes{Messages: 1, Rejected: 1, SMTP: 1}) {
		t.Errorf("%+v", got)
	}
}
