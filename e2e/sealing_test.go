package e2e

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"os/exec"
	"strings"
	"testing"
)

// chainVerifiers are the independent implementations that verify our ARC seals. Each reads
// a message and the key records as JSON, and prints the result of the chain.
var chainVerifiers = []struct {
	name    string
	command []string
}{
	{"dkimpy", []string{"/usr/bin/python3", "-c", `
import base64, dkim, json, sys
ask = json.load(sys.stdin)
def txt(name, timeout=5):
    name = name.decode() if isinstance(name, bytes) else name
    return ask["keys"].get(name.rstrip(".").lower(), "").encode() or None
cv, results, reason = dkim.arc_verify(base64.b64decode(ask["message"]), dnsfunc=txt)
print(cv.decode(), "" if cv == b"pass" else reason)
`}},
	{"Mail::DKIM", []string{"/usr/bin/perl", "-e", `
use strict; use warnings; use JSON::PP; use MIME::Base64; use Net::DNS; use Mail::DKIM::ARC::Verifier;
local $/; my $ask = decode_json(<STDIN>);
no warnings "redefine";
*Mail::DKIM::DNS::query = sub {
	my $record = $ask->{keys}{lc $_[0]} or return ();
	return Net::DNS::RR->new(name => $_[0], type => "TXT", txtdata => [$record =~ /(.{1,255})/g]);
};
my $arc = Mail::DKIM::ARC::Verifier->new();
$arc->PRINT(decode_base64($ask->{message}));
$arc->CLOSE;
print $arc->result eq "pass" ? "pass" : $arc->result_detail;
`}},
}

// chainPasses checks a delivered message with the other implementations: its chain must have
// this many sets and be valid, and be broken where the body is another.
func chainPasses(t *testing.T, msg []byte, sets int, others ...func(*testing.T, []byte) string) {
	t.Helper()
	for _, name := range []string{"ARC-Seal", "ARC-Message-Signature", "ARC-Authentication-Results"} {
		if n := len(named(msg, name)); n != sets {
			t.Fatalf("%d fields %s, want %d\n%s", n, name, sets, head(msg))
		}
	}
	for _, v := range chainVerifiers {
		for text, want := range map[string]string{string(msg): "pass", string(msg) + "Pay me.\r\n": "fail"} {
			ask, err := json.Marshal(map[string]any{"message": base64.StdEncoding.EncodeToString([]byte(text)), "keys": published()})
			check(t, err)
			cmd := exec.Command(v.command[0], v.command[1:]...)
			cmd.Stdin = bytes.NewReader(ask)
			out, err := cmd.CombinedOutput()
			check(t, err)
			if got := strings.TrimSpace(string(out)); !strings.HasPrefix(got, want) {
				t.Errorf("%s says %q of the chain, want %s\n%s", v.name, got, want, head(msg))
			}
			for _, ask := range others {
				if got := ask(t, []byte(text)); got != want {
					t.Errorf("rspamd says %q of the chain, want %s\n%s", got, want, head(msg))
				}
			}
		}
	}
}

// Mail for a recipient whose mail Postfix sends on is sealed on arrival, and other
// implementations verify the seal after Postfix: of one set, of two, and of a message with
// forged results.
func TestForwardedMailIsSealed(t *testing.T) {
	want(t)
	if exec.Command("/usr/bin/perl", "-MMail::DKIM::ARC::Verifier", "-e1").Run() != nil {
		without(t, "libmail-dkim-perl: run e2e/install-packages.sh as root")
	}
	const rcpt, second, elsewhere = "forwarded@" + destDomain, "again@" + destDomain, "mailbox@" + destDomain
	var others []func(*testing.T, []byte) string
	if rspamd, ok := startRspamd(t); ok {
		others = append(others, rspamd)
	} else {
		t.Log("rspamd is not installed: two other implementations are asked, not three")
	}
	d := startDaemon(t, config{
		Listen: []string{"inet:" + freeAddr(t)}, Zone: strangersZone() + ourZone(),
		Signer: "  arc: {seal: forwarded, domain: " + ourDomain + ", selector: rsa2, recipients: [" + rcpt + ", " + second + "]}\n",
	})
	p := startPostfix(t, d.milter())
	c := dial(t, p.mx, stranger)
	l := letter{from: "a@strict.example", signed: true, extra: append([]string{foreign}, forgeries...)}

	accepted(t, c.send(l.from, []string{rcpt}, l.text(t, rcpt)))
	once := p.sink.wait(t, rcpt).Data
	if !bytes.HasPrefix(once, []byte("ARC-Seal:")) {
		t.Errorf("the seal is not on top:\n%s", head(once))
	}
	chainPasses(t, once, 1, others...)
	results := strings.Join(strings.Fields(named(once, "ARC-Authentication-Results")[0]), " ")
	if !strings.HasPrefix(results, "i=1; "+authservID+"; dkim=pass ") || !strings.Contains(results, "dmarc=pass ") || strings.ContainsAny(results, "()") || strings.Contains(results, "bank") {
		t.Errorf("the set has the results %s", results)
	}
	if n := len(named(once, "Authentication-Results")); n != 2 {
		t.Errorf("%d Authentication-Results fields, want ours and the foreign one\n%s", n, head(once))
	}

	// On the same connection: the sealed message once more, then one that is not forwarded.
	accepted(t, c.send(l.from, []string{second}, string(once)))
	chainPasses(t, p.sink.wait(t, second).Data, 2, others...)
	accepted(t, c.send(l.from, []string{elsewhere}, letter{from: "a@strict.example"}.text(t, elsewhere)))
	if held := p.sink.wait(t, elsewhere).Data; len(named(held, "ARC-Seal")) > 0 {
		t.Errorf("another recipient's mail is sealed\n%s", head(held))
	}
	d.logged(t, "sealed=", "i=2 cv=pass d="+ourDomain+" s=rsa2")
}

// throughList is what list software makes of a delivered message: a tag in Subject and a footer.
func throughList(msg []byte) string {
	return strings.Replace(string(msg), "\r\nSubject: ", "\r\nSubject: [list] ", 1) + "-- \r\nthe list\r\n"
}

// Mail comes in through the usual listener. List software changes it and hands it to a port
// of its own, whose milter has the role seal. The seal there has the results of the arrival.
func TestListMailIsSealedWhenItComesBack(t *testing.T) {
	want(t)
	if exec.Command("/usr/bin/perl", "-MMail::DKIM::ARC::Verifier", "-e1").Run() != nil {
		without(t, "libmail-dkim-perl: run e2e/install-packages.sh as root")
	}
	var others []func(*testing.T, []byte) string
	if rspamd, ok := startRspamd(t); ok {
		others = append(others, rspamd)
	}
	const list, sealedList, reader = "list@" + destDomain, "sealed@" + destDomain, "reader@" + destDomain
	usual, seal, back := "inet:"+freeAddr(t), "inet:"+freeAddr(t), freeAddr(t)
	d := startDaemon(t, config{
		Listen: []string{usual, `{address: "` + seal + `", role: seal}`}, Zone: strangersZone() + ourZone(),
		Signer: "  arc: {seal: forwarded, domain: " + ourDomain + ", selector: rsa2, recipients: [" + sealedList + "], list_networks: [127.0.0.1/32]}\n",
	})
	p := startPostfix(t, usual, func(p *postfix) {
		p.main = strings.Replace(p.main, "non_smtpd_milters = "+usual, "non_smtpd_milters = "+seal, 1)
		p.master += back + " inet n - n - - smtpd\n  -o smtpd_milters=" + seal + "\n"
	})
	in, out := dial(t, p.mx, stranger), dial(t, back, nil)
	l := letter{from: "a@strict.example", signed: true, extra: append([]string{foreign}, forgeries...)}
	arrives := func(l letter, rcpt string) []byte {
		t.Helper()
		accepted(t, in.send(l.from, []string{rcpt}, l.text(t, rcpt)))
		return p.sink.wait(t, rcpt).Data
	}
	returns := func(c *client, rcpt, msg string) []byte {
		t.Helper()
		accepted(t, c.send("bounce@"+ourDomain, []string{rcpt}, msg))
		return p.sink.wait(t, rcpt).Data
	}
	once := arrives(l, list)
	got := returns(out, reader, throughList(once))
	chainPasses(t, got, 1, others...)
	results := strings.Join(strings.Fields(named(got, "ARC-Authentication-Results")[0]), " ")
	if !strings.HasPrefix(results, "i=1; "+authservID+"; dkim=pass ") || !strings.Contains(results, "smtp.mailfrom=strict.example") || strings.ContainsAny(results, "()") || strings.Contains(results, "bank") {
		t.Errorf("the set has the results %s", results)
	}
	d.logged(t, "signer.arc.list_networks", "i=1 cv=none d="+ourDomain)

	// On the same connections: a message that was sealed on arrival too, then the list's own
	// address in From, which is signed below the seal.
	got = returns(out, "second-"+reader, throughList(arrives(l, sealedList)))
	chainPasses(t, got, 2, others...)
	d.logged(t, "i=2 cv=pass d="+ourDomain)
	unsigned := arrives(letter{from: l.from}, "unsigned-"+list)
	own := strings.Replace(throughList(unsigned), "\r\nFrom: <"+l.from, "\r\nFrom: <list@"+ourDomain, 1)
	got = returns(out, "own-"+reader, own)
	chainPasses(t, got, 1, others...)
	signedFor(t, got, 1)

	// List software that hands mail to sendmail(1).
	p.sendmail(t, "bounce@"+ourDomain, "local-"+reader, throughList(once))
	chainPasses(t, p.sink.wait(t, "local-"+reader).Data, 1)

	// A client that is no list software brings results in our name.
	got = returns(dial(t, back, stranger), "outside-"+reader, throughList(once))
	if n := len(named(got, "ARC-Seal")); n != 0 || strings.Count(string(got), "Authentication-Results: "+authservID) != 1 {
		t.Errorf("a client outside of list_networks: %d seals\n%s", n, head(got))
	}
	if results := named(got, "Authentication-Results")[0]; !strings.Contains(results, "dkim=fail") {
		t.Errorf("its results were kept: %s", results)
	}
}

// The same through Sendmail, where a port of its own has the filter of the list.
func TestListMailIsSealedThroughSendmail(t *testing.T) {
	wantSendmail(t)
	if exec.Command("/usr/bin/perl", "-MMail::DKIM::ARC::Verifier", "-e1").Run() != nil {
		without(t, "libmail-dkim-perl: run e2e/install-packages.sh as root")
	}
	const list, reader = "list@" + destDomain, "reader@" + destDomain
	usual, seal, back := "inet:"+freeAddr(t), "inet:"+freeAddr(t), freeAddr(t)
	startDaemon(t, config{
		Listen: []string{`{address: "` + usual + `", role: verify}`, `{address: "` + seal + `", role: seal}`}, Zone: strangersZone() + ourZone(),
		Signer: "  arc: {seal: forwarded, domain: " + ourDomain + ", selector: rsa2, list_networks: [127.0.0.1/32]}\n",
	})
	at := strings.TrimPrefix(seal, "inet:")
	s := startSendmail(t, []string{usual}, "MAIL_FILTER(`lists', `S=inet:"+port(at)+"@"+host(at)+", F=T')dnl",
		"DAEMON_OPTIONS(`Name=LISTS, Addr="+host(back)+", Port="+port(back)+", InputMailFilters=lists')dnl")
	in, out := dial(t, s.addr, nil), dial(t, back, nil)
	for _, n := range []string{"one-", "two-"} { // on one connection
		l := letter{from: "a@strict.example", signed: true, extra: forgeries}
		accepted(t, in.send(l.from, []string{n + list}, l.text(t, n+list)))
		accepted(t, out.send("bounce@"+ourDomain, []string{n + reader}, throughList(s.sink.wait(t, n+list).Data)))
		got := s.sink.wait(t, n+reader).Data
		chainPasses(t, got, 1)
		if results := named(got, "ARC-Authentication-Results")[0]; !strings.Contains(results, "dkim=pass") || strings.Contains(results, "bank") {
			t.Errorf("the set has the results %s", results)
		}
	}
}
