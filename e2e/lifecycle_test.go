package e2e

import (
	"os"
	"strings"
	"syscall"
	"testing"
)

// selectors lists the s= tags of a message's signatures, the top one first.
func selectors(msg []byte) string {
	var found []string
	for _, value := range named(msg, "DKIM-Signature") {
		for _, tag := range strings.Split(value, ";") {
			if s, ok := strings.CutPrefix(strings.TrimSpace(tag), "s="); ok {
				found = append(found, s)
			}
		}
	}
	return strings.Join(found, " ")
}

func TestReload(t *testing.T) {
	want(t)
	c := config{Listen: []string{"inet:" + freeAddr(t)}, Zone: ourZone(), Selectors: []string{"rsa"}}
	d := startDaemon(t, c)
	p := startPostfix(t, d.milter())
	open := dial(t, p.mx, colleague)
	signedBy := func(t *testing.T, rcpt, want string) {
		t.Helper()
		accepted(t, open.send("alice@"+ourDomain, []string{rcpt}, ourMail(rcpt, "reload")))
		got := p.sink.wait(t, rcpt).Data
		if s := selectors(got); s != want {
			t.Errorf("signed with %q, want %q", s, want)
		}
		signedFor(t, got, 1)
	}
	signedBy(t, "before@"+destDomain, "rsa")

	t.Run("SIGHUP puts new selectors in force, on an open connection too", func(t *testing.T) {
		c.Selectors = []string{"rsa2"}
		d.configure(t, c)
		d.reload(t)
		signedBy(t, "after@"+destDomain, "rsa2")
	})
	t.Run("a message that has begun keeps the configuration it began with", func(t *testing.T) {
		const rcpt = "begun@" + destDomain
		open.must(250, "MAIL FROM:<alice@"+ourDomain+">")
		c.Selectors = []string{"rsa"}
		d.configure(t, c)
		d.reload(t)
		open.must(250, "RCPT TO:<"+rcpt+">")
		accepted(t, open.data(ourMail(rcpt, "begun")))
		if s := selectors(p.sink.wait(t, rcpt).Data); s != "rsa2" {
			t.Errorf("signed with %q, want rsa2, which was in force at MAIL FROM", s)
		}
		signedBy(t, "next@"+destDomain, "rsa")
	})
	for _, bad := range []struct {
		name  string
		spoil func(t *testing.T)
		says  string
	}{
		{"an unknown key", func(t *testing.T) { d.append(t, "verifyer: {}\n") }, "verifyer"},
		{"an empty file", func(t *testing.T) { write(t, d.path("signpost.yaml"), "") }, "has no key at all"},
		{"a file cut off before its domains", func(t *testing.T) {
			text, err := os.ReadFile(d.path("signpost.yaml"))
			check(t, err)
			whole, _, found := strings.Cut(string(text), "  domains:")
			if !found {
				t.Fatal("the configuration has no domains")
			}
			write(t, d.path("signpost.yaml"), whole)
		}, "no signing domain, and had 1 before"},
		{"no YAML at all", func(t *testing.T) { write(t, d.path("signpost.yaml"), "milter: [\n") }, "signpost.yaml"},
		{"a key file that is not there", func(t *testing.T) {
			absent := c
			absent.Selectors = []string{"absent"}
			d.configure(t, absent)
		}, "absent"},
	} {
		t.Run("a reload that finds "+bad.name+" leaves the old configuration in force", func(t *testing.T) {
			bad.spoil(t)
			d.reload(t)
			d.logged(t, "level=ERROR", bad.says)
			signedBy(t, "bad-"+strings.ReplaceAll(bad.name, " ", "-")+"@"+destDomain, "rsa")
			d.configure(t, c)
		})
	}
}

// append adds to the configuration file.
func (d *daemon) append(t *testing.T, text string) {
	t.Helper()
	old, err := os.ReadFile(d.path("signpost.yaml"))
	check(t, err)
	write(t, d.path("signpost.yaml"), string(old)+text)
}

func TestDrain(t *testing.T) {
	want(t)
	const held = "sel._domainkey.slow.example"
	key := theirKey()
	ns := startNameserver(t, key.line("slow.example"), held)
	d := startDaemon(t, config{Listen: []string{"inet:" + freeAddr(t)}, Servers: []string{ns.addr}})
	p := startPostfix(t, d.milter())

	const rcpt = "drained@" + destDomain
	idle := dial(t, p.mx, stranger)
	c := dial(t, p.mx, stranger)
	c.must(250, "MAIL FROM:<a@slow.example>")
	c.must(250, "RCPT TO:<"+rcpt+">")
	c.must(354, "DATA")
	c.put(letter{from: "a@slow.example", signed: true}.text(t, rcpt))
	ns.asked.wait(t, "a question for the key", func(q string) bool { return q == held+". TXT" })

	check(t, d.cmd.Process.Signal(syscall.SIGTERM))
	d.states.wait(t, "STOPPING=1", func(s string) bool { return s == "STOPPING=1" })
	if !d.running() {
		t.Fatal("SIGTERM ended the daemon with a message in hand")
	}
	ns.release()
	accepted(t, c.say(""))
	if got := verdictsOf(t, p.sink.wait(t, rcpt).Data)["dkim"]; got != "pass" {
		t.Errorf("dkim=%s for the message that was in hand, want pass", got)
	}
	if code := d.ended(t); code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
	if lines := d.log.find(func(l string) bool { return strings.Contains(l, "unfinished") }); len(lines) > 0 {
		t.Errorf("the drain did not come to its end: %q", lines)
	}
	for _, left := range []*client{c, idle} {
		if r := left.send("a@slow.example", []string{rcpt}, ourMail(rcpt, "late")); r.code != 451 {
			t.Errorf("a message after the end is answered %v, want 451", r)
		}
	}
}

func TestDaemonAwayAndBack(t *testing.T) {
	want(t)
	listen := "inet:" + freeAddr(t)
	p := startPostfix(t, listen)
	const rcpt = "away@" + destDomain
	if r := dial(t, p.mx, colleague).send("alice@"+ourDomain, []string{rcpt}, ourMail(rcpt, "away")); r.code != 451 {
		t.Errorf("without a daemon the message is answered %v, want 451", r)
	}
	startDaemon(t, config{Listen: []string{listen}, Zone: ourZone()})
	accepted(t, dial(t, p.mx, colleague).send("alice@"+ourDomain, []string{rcpt}, ourMail(rcpt, "back")))
	signedFor(t, p.sink.wait(t, rcpt).Data, 1)
}

// A daemon that is killed leaves its socket file behind.
func TestASocketFileLeftBehindIsTakenOver(t *testing.T) {
	want(t)
	sockets := folder(t)
	uid, gid := ids(t, "nobody", "postfix")
	check(t, os.Chown(sockets, uid, gid))
	c := config{Listen: []string{"unix:" + sockets + "/signpost.sock"}, Zone: ourZone()}
	d := startDaemon(t, c)
	p := startPostfix(t, d.milter())
	check(t, d.cmd.Process.Kill())
	d.ended(t)
	if _, err := os.Stat(sockets + "/signpost.sock"); err != nil {
		t.Fatalf("no socket file is left: %v", err)
	}
	startDaemon(t, c)
	const rcpt = "taken-over@" + destDomain
	accepted(t, dial(t, p.mx, colleague).send("alice@"+ourDomain, []string{rcpt}, ourMail(rcpt, "taken over")))
	signedFor(t, p.sink.wait(t, rcpt).Data, 1)
}

func TestListeners(t *testing.T) {
	want(t)
	sockets := folder(t)
	uid, gid := ids(t, "nobody", "postfix")
	check(t, os.Chown(sockets, uid, gid))
	tcp, unix := "inet:"+freeAddr(t), "unix:"+sockets+"/signpost.sock"
	sign, verify := "inet:"+freeAddr(t), "inet:"+freeAddr(t)
	startDaemon(t, config{Zone: ourZone() + strangersZone(), Listen: []string{
		tcp, unix, "{address: \"" + sign + "\", role: sign}", "{address: \"" + verify + "\", role: verify}",
	}})
	for i, c := range []struct {
		name, milter string
		client       *party
		signed       bool
	}{
		{"TCP", tcp, colleague, true},
		{"a Unix socket", unix, colleague, true},
		{"a listener with role sign takes a stranger's mail for ours", sign, stranger, true},
		{"a listener with role verify takes our network's mail for strange", verify, colleague, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := startPostfix(t, c.milter)
			rcpt := string(rune('a'+i)) + "-listener@" + destDomain
			accepted(t, dial(t, p.mx, c.client).send("alice@"+ourDomain, []string{rcpt}, ourMail(rcpt, c.name)))
			got := p.sink.wait(t, rcpt).Data
			if c.signed {
				signedFor(t, got, 1)
			} else if verdictsOf(t, got)["dkim"] != "none" || signatures(got) != 0 {
				t.Errorf("not verified:\n%s", head(got))
			}
		})
	}
}

func TestDNSOverTheNetwork(t *testing.T) {
	want(t)
	var zone strings.Builder
	for _, line := range strings.SplitAfter(ourZone()+strangersZone(), "\n") {
		if !strings.HasSuffix(line, " TIMEOUT\n") && !strings.HasSuffix(line, " SERVFAIL\n") {
			zone.WriteString(line)
		}
	}
	// A key record that is too long for UDP must be queried again over TCP.
	long := theirKey()
	long.record += "; n=" + strings.Repeat("a long note ", 200)
	zone.WriteString(long.line("long.example") + txtLine("long.example", "v=spf1 a -all") + "long.example. 300 IN A 192.0.2.1\n")
	ns := startNameserver(t, zone.String(), "")
	d := startDaemon(t, config{Listen: []string{"inet:" + freeAddr(t)}, Servers: []string{ns.addr}})
	p := startPostfix(t, d.milter())

	for _, c := range []struct{ name, from, want string }{
		{"pass", "a@strict.example", "pass pass pass"},
		{"a long key, over TCP", "a@long.example", "pass pass none"},
		{"a domain that does not exist", "a@nowhere.example", "none permerror none"},
	} {
		t.Run(c.name, func(t *testing.T) {
			rcpt := "dns-" + strings.ReplaceAll(c.from, "@", "-") + "@" + destDomain
			accepted(t, dial(t, p.mx, stranger).send(c.from, []string{rcpt}, letter{from: c.from, signed: true}.text(t, rcpt)))
			got := verdictsOf(t, p.sink.wait(t, rcpt).Data)
			if has := got["spf"] + " " + got["dkim"] + " " + got["dmarc"]; has != c.want {
				t.Errorf("%s, want %s", has, c.want)
			}
		})
	}
	t.Run("our mail is signed", func(t *testing.T) {
		const rcpt = "dns-ours@" + destDomain
		accepted(t, dial(t, p.mx, colleague).send("alice@"+ourDomain, []string{rcpt}, ourMail(rcpt, "ours")))
		signedFor(t, p.sink.wait(t, rcpt).Data, 1)
	})
}
