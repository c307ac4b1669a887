package e2e

import (
	"fmt"
	"strings"
	"testing"
)

// iprev of clients with names of every kind, over one connection each, and a second
// message on one of them.
func TestIPRevThroughPostfix(t *testing.T) {
	want(t)
	zone := strangersZone() + `1.2.0.192.in-addr.arpa. PTR mail.stranger.example.
mail.stranger.example. A 192.0.2.1
9.113.0.203.in-addr.arpa. PTR mail.stranger.example.
2.113.0.203.in-addr.arpa. TIMEOUT
`
	d := startDaemon(t, config{Listen: []string{"inet:" + freeAddr(t)}, Zone: zone, Verifier: "  iprev: true"})
	p := startPostfix(t, d.milter())
	for i, c := range []struct {
		client *party
		want   string
	}{
		{stranger, "iprev=pass (mail.stranger.example) policy.iprev=192.0.2.1"},
		{other, `iprev=fail reason="no name of the client's address leads back to it" policy.iprev=203.0.113.9`},
		{&party{addr: "203.0.113.2", name: "x.example.net", helo: "x.example.net"}, `iprev=temperror reason="DNS did not answer" policy.iprev=203.0.113.2`},
		{&party{addr: "203.0.113.3", name: "y.example.net", helo: "y.example.net"}, `iprev=permerror reason="the client's address has no name in DNS" policy.iprev=203.0.113.3`},
	} {
		conn := dial(t, p.mx, c.client)
		for n := range 2 {
			rcpt := fmt.Sprintf("iprev-%d-%d@%s", i, n, destDomain)
			accepted(t, conn.send("a@good.example", []string{rcpt}, letter{from: "a@good.example"}.text(t, rcpt)))
			if got := ourField(t, p.sink.wait(t, rcpt).Data); !strings.HasSuffix(got, "; "+c.want) {
				t.Errorf("message %d of %s: %s, want %s", n, c.client.addr, got, c.want)
			}
		}
	}
}

// A login is reported in mail that is signed, as far as the configuration wants it, and
// the signatures stay valid. Mail of ours without a login has no such field.
func TestAuthThroughPostfix(t *testing.T) {
	want(t)
	for mode, field := range map[string]string{"off": "", "method": authservID + "; auth=pass (PLAIN)", "user": authservID + "; auth=pass (PLAIN) smtp.auth=alice"} {
		t.Run(mode, func(t *testing.T) {
			d := startDaemon(t, config{Listen: []string{"inet:" + freeAddr(t)}, Zone: ourZone(), Selectors: []string{"rsa", "ed"}, Verifier: "  auth: " + mode})
			p := startPostfix(t, d.milter())
			c := dial(t, p.submission, roaming)
			c.login("alice")
			for n := range 2 {
				rcpt := fmt.Sprintf("auth-%s-%d@%s", mode, n, destDomain)
				forged := "Authentication-Results: " + authservID + "; auth=pass smtp.auth=root\r\n"
				accepted(t, c.send("alice@"+ourDomain, []string{rcpt}, forged+ourMail(rcpt, "by login")))
				msg := p.sink.wait(t, rcpt).Data
				signedFor(t, msg, 2)
				if field == "" {
					if found := named(msg, "Authentication-Results"); len(found) > 0 {
						t.Errorf("off, and there is %q", found)
					}
				} else if got := ourField(t, msg); got != field {
					t.Errorf("message %d: %q, want %q", n, got, field)
				}
			}
			rcpt := "noauth-" + mode + "@" + destDomain
			accepted(t, dial(t, p.mx, colleague).send("alice@"+ourDomain, []string{rcpt}, ourMail(rcpt, "by network")))
			msg := p.sink.wait(t, rcpt).Data
			signedFor(t, msg, 2)
			if found := named(msg, "Authentication-Results"); len(found) > 0 {
				t.Errorf("no login, and there is %q", found)
			}
		})
	}
}

// ourField is the value of the one Authentication-Results field, on one line.
func ourField(t *testing.T, msg []byte) string {
	t.Helper()
	found := named(msg, "Authentication-Results")
	if len(found) != 1 || !strings.HasPrefix(string(msg), "Authentication-Results:") {
		t.Fatalf("want one Authentication-Results field, on top:\n%s", head(msg))
	}
	return strings.Join(strings.Fields(found[0]), " ")
}
