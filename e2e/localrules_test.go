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

// Overrides decide in place of the published policy: a domain with p=none is refused, one that
// is only watched is delivered and noted, and a listener demands DKIM of everybody.
func TestOverridesDecideThroughPostfix(t *testing.T) {
	want(t)
	zone := strangersZone() + txtLine("_dmarc.free.example", "v=DMARC1; p=none") + txtLine("_dmarc.watched.example", "v=DMARC1; p=none")
	usual, partners, port := "inet:"+freeAddr(t), "inet:"+freeAddr(t), freeAddr(t)
	d := startDaemon(t, config{
		Listen: []string{usual, partners}, Zone: zone, Mode: "enforce",
		Verifier: "  overrides:\n    - {domain: free.example, on_fail: reject, note: publishes p=none}\n" +
			"    - {domain: watched.example, on_fail: reject, mode: monitor}\n    - {listener: \"" + partners + "\", require: dkim}\n",
	})
	p := startPostfix(t, usual, func(p *postfix) { p.master += port + " inet n - n - - smtpd\n  -o smtpd_milters=" + partners + "\n" })
	const rcpt, refused = "reader@" + destDomain, "nobody-gets-this@" + destDomain
	smtp, partner := dial(t, p.mx, other), dial(t, port, stranger)
	for range 2 { // on one connection
		r := smtp.send("x@elsewhere.example", []string{refused}, letter{from: "a@free.example"}.text(t, refused))
		if r.code != 550 || !strings.Contains(r.text, "mail from free.example must pass SPF or DKIM") {
			t.Errorf("a forgery of a domain with p=none: %v, want 550", r)
		}
		// The client passes SPF for strict.example.
		r = partner.send("a@strict.example", []string{refused}, letter{from: "a@strict.example"}.text(t, refused))
		if r.code != 550 || !strings.Contains(r.text, "must have a valid DKIM signature of that domain") || !strings.Contains(r.text, "5.7.20") {
			t.Errorf("SPF alone at a listener with require: dkim: %v, want 550", r)
		}
		r = partner.send("", []string{refused}, strings.Replace(letter{from: "boss@strict.example"}.text(t, refused), "<boss@strict.example>", "The Boss <boss>", 1))
		if r.code != 550 || !strings.Contains(r.text, "mail without an author domain must have a valid DKIM signature") {
			t.Errorf("no author at a listener with require: dkim: %v, want 550", r)
		}
	}
	d.logged(t, "local_policy=\"override free.example, publishes p=none\"", "disposition=reject")
	accepted(t, smtp.send("x@elsewhere.example", []string{rcpt}, letter{from: "a@watched.example"}.text(t, rcpt)))
	p.sink.wait(t, rcpt)
	d.logged(t, "would=\"reject (override watched.example is in mode monitor)\"", "disposition=accept")
	accepted(t, partner.send("a@strict.example", []string{"signed-" + rcpt}, letter{from: "a@strict.example", signed: true}.text(t, rcpt)))
	p.sink.wait(t, "signed-"+rcpt)
	accepted(t, dial(t, p.mx, stranger).send("a@strict.example", []string{"usual-" + rcpt}, letter{from: "a@strict.example"}.text(t, rcpt)))
	p.sink.wait(t, "usual-"+rcpt)
	if p.sink.has(refused) {
		t.Error("a refused message was delivered")
	}
}
