package e2e

import (
	"bytes"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"os/exec"
	"strings"
	"testing"
)

// dkimpySealScript reads a message and seals it, as a mailing list does.
const dkimpySealScript = `
import dkim, json, sys, types

# What dkimpy asks of the package authres, which may not be installed.
class Parsed:
    @staticmethod
    def parse(field):
        id, *results = [part.split() for part in field.partition(":")[2].split(";")]
        parsed = Parsed()
        parsed.authserv_id = id[0]
        parsed.results = [types.SimpleNamespace(method=r[0].split("=")[0], result=r[0].split("=")[1]) for r in results]
        return parsed
dkim.authres = types.SimpleNamespace(AuthenticationResultsHeader=Parsed, core=types.SimpleNamespace(SyntaxError=ValueError))

ask = json.load(sys.stdin)
message = ask["message"].encode()
lines = dkim.arc_sign(message, ask["selector"].encode(), ask["domain"].encode(), ask["key"].encode(), ask["id"].encode(),
    include_headers=[b"from", b"to", b"subject", b"date", b"message-id"])
sys.stdout.buffer.write(b"".join(lines) + message)
`

// listed is a letter as a mailing list passes it on: with another subject, a footer, the
// list's results and its seal. The author's signature, if there is one, is broken.
func listed(t *testing.T, l letter, rcpt, domain string) string {
	t.Helper()
	msg := strings.Replace(l.text(t, rcpt), "Subject: from", "Subject: [list] from", 1) + "-- \r\nthe list\r\n"
	msg = "Authentication-Results: mx." + domain + "; spf=none; dkim=pass header.d=" + l.from[strings.IndexByte(l.from, '@')+1:] + "\r\n" + msg
	key, ok := theirKey().signer.(*rsa.PrivateKey)
	if !ok {
		t.Fatalf("a key of type %T", theirKey().signer)
	}
	ask, err := json.Marshal(map[string]string{
		"message": msg, "domain": domain, "selector": theirKey().selector, "id": "mx." + domain,
		"key": string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)})),
	})
	check(t, err)
	cmd := exec.Command("/usr/bin/python3", "-c", dkimpySealScript)
	cmd.Stdin = bytes.NewReader(ask)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("dkimpy: %v\n%s", err, stderr.Bytes())
	}
	return string(out)
}

// Mail that a list changed and dkimpy sealed is delivered if the list is trusted, and
// refused if it is not, through Postfix.
func TestMailOfATrustedListIsDelivered(t *testing.T) {
	want(t)
	zone := txtLine("strict.example", "v=spf1 ip4:192.0.2.1 -all") + txtLine("_dmarc.strict.example", "v=DMARC1; p=reject") +
		theirKey().line("strict.example") + theirKey().line("lists.example") + theirKey().line("other.example")
	d := startDaemon(t, config{Listen: []string{"inet:" + freeAddr(t)}, Zone: zone, Mode: "enforce", Verifier: "  arc: {trusted_sealers: [lists.example]}\n"})
	p := startPostfix(t, d.milter())
	const rcpt = "reader@" + destDomain
	author := letter{from: "a@strict.example", sender: "bounce@lists.example", signed: true}
	smtp := dial(t, p.mx, other)
	for range 2 { // on one connection
		r := smtp.send("bounce@other.example", []string{rcpt}, listed(t, author, rcpt, "other.example"))
		if r.code != 550 {
			t.Errorf("the seal of a list that is not trusted: %v, want 550", r)
		}
		forged := strings.Replace(listed(t, author, rcpt, "lists.example"), "Hello.", "Pay me.", 1)
		if r := smtp.send(author.sender, []string{rcpt}, forged); r.code != 550 {
			t.Errorf("a message changed after the trusted seal: %v, want 550", r)
		}
	}
	if p.sink.has(rcpt) {
		t.Fatal("a message was delivered")
	}
	accepted(t, smtp.send(author.sender, []string{rcpt}, listed(t, author, rcpt, "lists.example")))
	got := strings.ReplaceAll(string(p.sink.wait(t, rcpt).Data), "\r\n ", "")
	for _, part := range []string{"dmarc=fail (p=reject dis=none)", "local policy: arc=pass as[1].d=lists.example", "header.oldest-pass=0", "smtp.remote-ip=203.0.113.9"} {
		if !strings.Contains(got, part) {
			t.Errorf("the delivered message lacks %q:\n%s", part, got)
		}
	}
	d.logged(t, "local_policy=", "arc=pass as[1].d=lists.example")
}
