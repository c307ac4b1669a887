package e2e

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/emersion/go-msgauth/dkim"
)

// A flow sends mail of ours while a test changes keys. Each message is verified at
// delivery, with the DNS of that moment.
type flow struct {
	p    *postfix
	ns   *nameserver
	open *client
	sent int
}

// one sends a message, waits for its delivery, verifies it and returns the selector.
func (f *flow) one(t *testing.T) string {
	t.Helper()
	f.sent++
	rcpt := fmt.Sprintf("flow-%d@%s", f.sent, destDomain)
	accepted(t, f.open.send("alice@"+ourDomain, []string{rcpt}, ourMail(rcpt, "flow")))
	msg := f.p.sink.wait(t, rcpt).Data
	results, err := dkim.VerifyWithOptions(bytes.NewReader(msg), &dkim.VerifyOptions{LookupTXT: f.ns.texts})
	if err != nil || len(results) != 1 || results[0].Err != nil || results[0].Domain != ourDomain {
		t.Fatalf("message %d does not verify: %v\n%s", f.sent, err, head(msg))
	}
	return selectors(msg)
}

// until sends mail until the daemon has logged a line with these parts, and some more.
// Before that line, all mail must be signed with one selector.
func (f *flow) until(t *testing.T, d *daemon, with string, parts ...string) {
	t.Helper()
	has := func(line string) bool {
		for _, p := range parts {
			if !strings.Contains(line, p) {
				return false
			}
		}
		return true
	}
	until(t, fmt.Sprintf("a log line with %q", parts), func() bool {
		logged := len(d.log.find(has)) > 0
		if s := f.one(t); s != with && !logged && len(d.log.find(has)) == 0 {
			t.Fatalf("message %d is signed with %q, want %q", f.sent, s, with)
		}
		return logged
	})
}

func (f *flow) signedWith(t *testing.T, want string) {
	t.Helper()
	for range 5 {
		if s := f.one(t); s != want {
			t.Errorf("message %d is signed with %q, want %q", f.sent, s, want)
		}
	}
}

func TestARotationWithMailFlowingAllTheTime(t *testing.T) {
	want(t)
	keys := ourKeys()
	old, next := keys[0], keys[1] // rsa, rsa2
	ns := startNameserver(t, old.line(ourDomain), "")
	d := startDaemon(t, config{Listen: []string{"inet:" + freeAddr(t)}, Servers: []string{ns.addr}, Selectors: []string{old.selector}, CheckEvery: "1s"})
	p := startPostfix(t, d.milter())
	f := &flow{p: p, ns: ns, open: dial(t, p.mx, colleague)}
	f.signedWith(t, "rsa")

	t.Run("the edit comes before the record", func(t *testing.T) {
		text, err := os.ReadFile(d.path("signpost.yaml"))
		check(t, err)
		edited := strings.Replace(string(text), "selectors: [rsa]", "selectors: [rsa2]", 1)
		if edited == string(text) {
			t.Fatal("the configuration does not list rsa")
		}
		write(t, d.path("signpost.yaml"), edited)
		d.reload(t)
		f.until(t, d, "rsa", "level=WARN", "goes on signing", "rsa2 does not sign yet: DNS has no key at "+next.at(ourDomain))
		f.signedWith(t, "rsa")
	})
	t.Run("DNS fails", func(t *testing.T) {
		ns.fail(true)
		before := ns.questions(next.at(ourDomain))
		until(t, "the daemon asks in vain", func() bool { f.one(t); return ns.questions(next.at(ourDomain)) > before+2 })
		ns.fail(false)
		f.signedWith(t, "rsa")
	})
	t.Run("the record is a wrong one", func(t *testing.T) {
		ns.publish(t, next.at(ourDomain), theirKey().record)
		f.until(t, d, "rsa", "selector=rsa2 state=differs")
		f.signedWith(t, "rsa")
	})
	d.restart(t) // the facts about the keys survive
	f.open = dial(t, p.mx, colleague)
	f.signedWith(t, "rsa")
	t.Run("the record is published", func(t *testing.T) {
		ns.publish(t, next.at(ourDomain), next.record)
		f.until(t, d, "rsa", "selector=rsa2 state=active")
		f.signedWith(t, "rsa2")
	})
	t.Run("the old record is withdrawn", func(t *testing.T) {
		ns.publish(t, old.at(ourDomain))
		f.signedWith(t, "rsa2")
		list, err := signpost(t, "keys", "list", "--config", d.path("signpost.yaml")).CombinedOutput()
		check(t, err)
		for _, want := range []string{"retiring", "active"} {
			if !strings.Contains(string(list), want) {
				t.Errorf("keys list does not say %s:\n%s", want, list)
			}
		}
	})
	t.Run("the new one too: mail goes on, unsigned and loudly, until it is back", func(t *testing.T) {
		ns.publish(t, next.at(ourDomain))
		d.logged(t, "level=ERROR", "leaves unsigned", "rsa2 no longer signs")
		const rcpt = "unsigned@" + destDomain
		accepted(t, f.open.send("alice@"+ourDomain, []string{rcpt}, ourMail(rcpt, "unsigned")))
		if n := signatures(p.sink.wait(t, rcpt).Data); n != 0 {
			t.Errorf("%d signatures with a key that DNS does not have", n)
		}
		d.logged(t, "unsigned=", "publish what signpost keys record example.com rsa2 prints")
		ns.publish(t, next.at(ourDomain), next.record)
		until(t, "mail is signed again", func() bool {
			f.sent++
			rcpt := fmt.Sprintf("again-%d@%s", f.sent, destDomain)
			accepted(t, f.open.send("alice@"+ourDomain, []string{rcpt}, ourMail(rcpt, "again")))
			return selectors(p.sink.wait(t, rcpt).Data) == "rsa2"
		})
		f.signedWith(t, "rsa2")
	})
	t.Logf("%d messages", f.sent)
}

// questions counts the queries for a name.
func (n *nameserver) questions(name string) int {
	return len(n.asked.find(func(q string) bool { return q == name+". TXT" }))
}
