package e2e

import (
	"strings"
	"testing"
)

// A refusal of mail from a domain that this host signs for names the setting that makes
// the client ours. If all clients are private, one warning is logged.
func TestTheLogSaysWhatToDoAboutClients(t *testing.T) {
	want(t)
	d := startDaemon(t, config{
		Listen: []string{"inet:" + freeAddr(t)}, Mode: "enforce",
		Zone: strangersZone() + txtLine("_dmarc."+ourDomain, "v=DMARC1; p=reject"),
	})
	p := startPostfix(t, d.milter())
	forgotten := &party{addr: "192.168.7.9", name: "web.example.net", helo: "web.example.net"}
	c := dial(t, p.mx, forgotten)
	for i := range 25 {
		from, code := "a@silent.example", 250
		if i%5 == 0 {
			from, code = "shop@"+ourDomain, 550
		}
		const rcpt = "private@" + destDomain
		if r := c.send("x@good.example", []string{rcpt}, letter{from: from}.text(t, rcpt)); r.code != code {
			t.Fatalf("message %d: answered %v, want %d", i, r, code)
		}
	}
	d.logged(t, "remedy=", "this From is yours; if the client is too, add it to signer.ours", ourDomain, forgotten.addr)
	if line := d.logged(t, "level=WARN", "private addresses", forgotten.addr); !strings.Contains(line, "smtpd_upstream_proxy_protocol") {
		t.Errorf("no remedy: %s", line)
	}
	d.terminate(t)
	lines, _ := d.log.all()
	if n := strings.Count(strings.Join(lines, "\n"), "came from private addresses"); n != 1 {
		t.Errorf("%d warnings, want one", n)
	}
}
