package e2e

import (
	"strings"
	"testing"
)

// A forwarder's mail of strangers is delivered and marked, without the results that it
// claims in our name. A forgery of our own domain is refused from there as from everywhere.
func TestAForwarderIsJudgedAndNotRefused(t *testing.T) {
	want(t)
	zone := strangersZone() + "9.113.0.203.in-addr.arpa. PTR mx.lists.example.\nmx.lists.example. A 203.0.113.9\n"
	d := startDaemon(t, config{
		Listen: []string{"inet:" + freeAddr(t)}, Zone: zone, Mode: "enforce",
		Verifier: "  own_domains: protect\n  forwarders: [{host: \"*.lists.example\", name: lists.example}]\n",
	})
	p := startPostfix(t, d.milter())
	const rcpt, list = "member@" + destDomain, "bounce@lists.example"
	smtp := dial(t, p.mx, other)
	strange := letter{from: "a@strict.example", signed: true, forged: true, extra: forgeries[:1]}
	accepted(t, smtp.send(list, []string{rcpt}, strange.text(t, rcpt)))
	msg := p.sink.wait(t, rcpt).Data
	survivors(t, msg, 0)
	field := strings.Join(strings.Fields(strings.Join(named(msg, "Authentication-Results"), "")), " ")
	if !strings.Contains(field, `dmarc=fail (p=reject dis=none) reason="local policy: forwarder lists.example"`) || strings.Contains(field, "iprev=") {
		t.Errorf("the field is %s", field)
	}
	forgery := letter{from: "ceo@" + ourDomain}
	if r := smtp.send(list, []string{"boss@" + destDomain}, forgery.text(t, rcpt)); r.code != 550 || !strings.Contains(r.text, "mail from "+ourDomain) {
		t.Errorf("a forgery of our own domain: %v, want 550", r)
	}
	// The same message from a host that is no forwarder.
	if r := dial(t, p.mx, &party{addr: "203.0.113.10", name: "mx.lists.example", helo: "mx.lists.example"}).send(list, []string{"boss@" + destDomain}, strange.text(t, rcpt)); r.code != 550 {
		t.Errorf("from another host: %v, want 550", r)
	}
	if p.sink.has("boss@" + destDomain) {
		t.Error("a refused message was delivered")
	}
}
