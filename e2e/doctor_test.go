package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// finding is one of those that signpost doctor --json prints.
type finding struct {
	ID, Severity, Subject, Finding, Remedy string
}

// doctor returns the findings about the MTA. It runs as root.
func doctor(t *testing.T, d *daemon, p *postfix) []finding {
	t.Helper()
	bin, err := binary()
	check(t, err)
	return findings(t, exec.Command(bin, "doctor", "--json", "--config", d.path("signpost.yaml"), "--postfix", p.path("etc"), "--mta-log", p.path("maillog")))
}

// findings are those about the MTA.
func findings(t *testing.T, cmd *exec.Cmd) []finding {
	t.Helper()
	var out, problems bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &problems
	_ = cmd.Run() // exit code 1 and 2 are results too
	var report struct{ Findings []finding }
	if err := json.Unmarshal(out.Bytes(), &report); err != nil {
		t.Fatalf("%s: %v\n%s\n%s", cmd, err, &out, &problems)
	}
	var mta []finding
	for _, f := range report.Findings {
		for _, prefix := range []string{"postfix.", "sendmail.", "opendkim.", "delivery."} {
			if strings.HasPrefix(f.ID, prefix) {
				mta = append(mta, f)
			}
		}
	}
	return mta
}

// apply runs the commands of a remedy as they are printed. The lines of prose end in a colon.
func apply(t *testing.T, p *postfix, f finding) {
	t.Helper()
	for line := range strings.Lines(f.Remedy) {
		if line = strings.TrimSpace(line); strings.HasSuffix(line, ":") {
			continue
		}
		t.Log(line)
		cmd := exec.Command("sh", "-c", line)
		cmd.Env = append(os.Environ(), "PATH="+os.Getenv("PATH")+":/usr/sbin:/sbin")
		// Postfix' reload leaves processes behind that hold the output open.
		out, err := os.CreateTemp(p.dir, "out")
		check(t, err)
		cmd.Stdout, cmd.Stderr = out, out
		if err := cmd.Run(); err != nil {
			text, _ := os.ReadFile(out.Name())
			t.Fatalf("%s: %v\n%s", line, err, text)
		}
		out.Close()
	}
}

// Each fault at the joint with Postfix harms mail, doctor names it, and its remedy mends it.
func TestDoctorNamesAndMendsFaultsOfPostfix(t *testing.T) {
	want(t)
	chrooted := func(p *postfix, _ string) {
		p.master = strings.Replace(p.master, p.mx+" inet n - n", p.mx+" inet n - y", 1)
		p.master = strings.Replace(p.master, "cleanup unix n - n", "cleanup unix n - y", 1)
	}
	for _, c := range []struct {
		id     string
		way    string // of the mail that is harmed: "" is port 25; "local", "login", "bounce"
		unix   bool   // the socket is in the queue directory
		fault  func(p *postfix, milter string)
		always func(t *testing.T, d *daemon)
	}{
		{id: "postfix.wrong-address", fault: func(p *postfix, milter string) {
			p.main = strings.ReplaceAll(p.main, milter, "inet:127.0.0.1:1")
		}},
		{id: "postfix.service-without-milter", way: "login", fault: func(p *postfix, _ string) {
			p.master = strings.Replace(p.master, "-o milter_macro_daemon_name=ORIGINATING", "-o milter_macro_daemon_name=ORIGINATING\n  -o smtpd_milters=", 1)
		}},
		{id: "postfix.bounces-unsigned", way: "bounce", fault: func(p *postfix, _ string) {
			p.main = strings.Replace(p.main, "internal_mail_filter_classes = bounce", "", 1)
		}},
		{id: "postfix.local-mail-unsigned", way: "local", fault: func(p *postfix, milter string) {
			p.main = strings.Replace(p.main, "non_smtpd_milters = "+milter, "", 1)
		}},
		{id: "postfix.chroot-socket", unix: true, fault: chrooted},
		{id: "postfix.socket-permission", unix: true, always: func(t *testing.T, d *daemon) {
			socket := strings.TrimPrefix(d.listen, "unix:")
			check(t, os.Chmod(socket, 0o600))
			check(t, os.Chown(socket, 0, 0))
		}},
	} {
		t.Run(c.id, func(t *testing.T) {
			listen := "inet:" + freeAddr(t)
			if c.unix {
				dir := folder(t)
				uid, gid := ids(t, "nobody", "postfix")
				check(t, os.Chown(dir, uid, gid))
				listen = "unix:" + filepath.Join(dir, "m.sock")
			}
			d := startDaemon(t, config{Listen: []string{listen}, Zone: ourZone() + strangersZone()})
			if c.always != nil {
				c.always(t, d)
			}
			p := startPostfix(t, d.milter(), func(p *postfix) {
				if c.fault != nil {
					c.fault(p, d.milter())
				}
			})
			if signs(t, p, "before", c.way) {
				t.Fatal("the fault does no harm")
			}
			found := doctor(t, d, p)
			if len(found) == 0 {
				t.Fatal("doctor finds nothing")
			}
			for _, f := range found {
				t.Logf("%+v", f)
				if f.ID != c.id {
					t.Errorf("%s: %s", f.ID, f.Finding)
				}
				apply(t, p, f)
			}
			until(t, "mail is signed", func() bool { return signs(t, p, "after", c.way) })
			for _, f := range doctor(t, d, p) {
				t.Errorf("still: %+v", f)
			}
		})
	}
}

// Lists of macros from old tutorials do no harm, since Signpost asks for its own; doctor says so, and its
// remedy takes them out.
func TestDoctorOnMacros(t *testing.T) {
	want(t)
	d := startDaemon(t, config{Listen: []string{"inet:" + freeAddr(t)}, Zone: ourZone() + strangersZone()})
	p := startPostfix(t, d.milter(), func(p *postfix) { p.main += "milter_mail_macros = i {mail_addr}\nmilter_connect_macros = j\n" })
	const rcpt = "macros@" + destDomain
	c := dial(t, p.submission, roaming)
	c.login("alice")
	accepted(t, c.send("alice@"+ourDomain, []string{rcpt}, ourMail(rcpt, "with a login")))
	if signatures(p.sink.wait(t, rcpt).Data) == 0 {
		t.Error("mail of a login is not signed")
	}
	found := doctor(t, d, p)
	if len(found) != 2 {
		t.Errorf("%d findings", len(found))
	}
	for _, f := range found {
		if f.ID != "postfix.macros-overridden" || f.Severity != "low" {
			t.Errorf("%+v", f)
		}
		apply(t, p, f)
	}
	for _, f := range doctor(t, d, p) {
		t.Errorf("still: %+v", f)
	}
}

// A receiver's verdict in Postfix' log is joined with our own line about the message, or with what the daemon
// knows of it.
func TestDoctorReadsRefusals(t *testing.T) {
	want(t)
	sockets := folder(t)
	uid, gid := ids(t, "nobody", "postfix")
	check(t, os.Chown(sockets, uid, gid))
	d := startDaemon(t, config{Listen: []string{"inet:" + freeAddr(t)}, Zone: ourZone() + strangersZone(),
		Milter: `control: {listen: "unix:` + sockets + `/control.sock", group: ""}`})
	p := startPostfix(t, d.milter())
	const sender = "refused@" + ourDomain
	for range 2 {
		const rcpt = "somebody@" + choosyDomain
		accepted(t, dial(t, p.mx, nil).send(sender, []string{rcpt}, ourMail(rcpt, "to be refused")))
	}
	until(t, "both have been refused", func() bool {
		return len(p.sink.got.find(func(b delivered) bool { return slices.Contains(b.To, sender) })) == 2
	})
	joined := func() {
		t.Helper()
		found := doctor(t, d, p)
		if len(found) != 1 || found[0].ID != "delivery.refused" || !strings.Contains(found[0].Finding, "refused 2 messages of "+ourDomain+": our signature (d="+ourDomain+") did not verify there") {
			t.Errorf("%+v", found)
		}
	}
	joined()
	d.terminate(t)
	log, err := os.ReadFile(p.path("maillog"))
	check(t, err)
	own, _ := d.log.all()
	write(t, p.path("maillog"), strings.Join(own, "\n")+"\n"+string(log))
	joined()
}

// A sendmail.cf made by m4 is read as Sendmail reads it.
func TestDoctorReadsSendmail(t *testing.T) {
	wantSendmail(t)
	bin, err := binary()
	check(t, err)
	d := startDaemon(t, config{Listen: []string{"inet:" + freeAddr(t)}, Zone: ourZone() + strangersZone()})
	empty := freeAddr(t)
	for _, c := range []struct {
		milter string
		lines  []string
		want   string
	}{
		{d.milter(), nil, ""},
		{d.milter(), []string{"MASQUERADE_AS(`example.net')dnl"}, "sendmail.rewrites"}, // of root@mx.example.com
		{d.milter(), []string{"MASQUERADE_AS(`example.net')dnl", "MASQUERADE_DOMAIN(`example.com')dnl"}, "sendmail.rewrites"},
		{d.milter(), []string{"define(`confMUST_QUOTE_CHARS', `.')dnl"}, "sendmail.rewrites"},
		{d.milter(), []string{"define(`confINPUT_MAIL_FILTERS', `other')dnl"}, "sendmail.not-connected"},
		{"inet:" + empty, nil, "sendmail.not-connected"},
	} {
		s := &sendmail{dir: folder(t), addr: freeAddr(t), sink: startSink(t)}
		s.configure(t, []string{c.milter}, c.lines)
		var ids []string
		for _, f := range findings(t, exec.Command(bin, "doctor", "--json", "--config", d.path("signpost.yaml"), "--sendmail", s.dir, "--log-days", "0")) {
			ids = append(ids, f.ID)
		}
		if got := strings.Join(ids, " "); got != c.want {
			t.Errorf("%q %q: %q, want %q", c.milter, c.lines, got, c.want)
		}
	}
}

// attempts numbers the messages, so that each has its own recipient.
var attempts int

// signs sends a message of ours, and reports whether it, or its bounce, arrives with a signature.
func signs(t *testing.T, p *postfix, name, way string) bool {
	t.Helper()
	attempts++
	rcpt, sender := fmt.Sprintf("doctor-%s-%d@%s", name, attempts, destDomain), fmt.Sprintf("alice-%d@%s", attempts, ourDomain)
	arrives := rcpt
	if way == "bounce" {
		rcpt, arrives = "gone@"+refusedDomain, sender
	}
	if way == "local" {
		p.sendmail(t, sender, rcpt, ourMail(rcpt, "for the doctor"))
		return signatures(p.sink.wait(t, arrives).Data) > 0
	}
	addr, who := p.mx, (*party)(nil)
	if way == "login" {
		addr, who = p.submission, roaming
	}
	c := dial(t, addr, who)
	defer c.text.Close()
	if way == "login" {
		c.login("alice")
	}
	if r := c.send(sender, []string{rcpt}, ourMail(rcpt, "for the doctor")); r.code != 250 {
		return false
	}
	return signatures(p.sink.wait(t, arrives).Data) > 0
}
