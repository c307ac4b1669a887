package e2e

import (
	"bytes"
	"strings"
	"testing"
)

// docs/postfix.md says which settings keep the signatures of 8-bit mail valid before a
// host that does not offer 8BITMIME, and which do not.
func TestEightBitMailBeforeAHostWithout8BITMIME(t *testing.T) {
	want(t)
	const alice = "alice@" + ourDomain
	letter := func(rcpt string) string {
		return strings.Replace(ourMail(rcpt, "8-bit"), "Subject:", "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n"+
			"Content-Transfer-Encoding: 8bit\r\nSubject:", 1) + "Grüße aus Köln\r\n"
	}
	d := startDaemon(t, config{Listen: []string{"inet:" + freeAddr(t)}, Zone: ourZone()})
	for _, tt := range []struct {
		name, setting string
		converted     bool
	}{
		{"as Postfix comes", "", true},
		{"with disable_mime_output_conversion", "disable_mime_output_conversion = yes\n", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := startPostfix(t, d.milter(), func(p *postfix) { p.main += "smtp_discard_ehlo_keywords = 8bitmime, smtputf8\n" + tt.setting })
			tag := map[bool]string{true: "converted", false: "kept"}[tt.converted]
			announced, local := tag+"-smtp@"+destDomain, tag+"-sendmail@"+destDomain
			accepted(t, dial(t, p.mx, colleague).sendWith("BODY=8BITMIME", alice, []string{announced}, letter(announced)))
			p.sendmail(t, alice, local, letter(local))
			for _, rcpt := range []string{announced, local} {
				got := p.sink.wait(t, rcpt).Data
				if bytes.Contains(got, []byte("Gr=C3=BC=C3=9Fe")) != tt.converted {
					t.Errorf("%s: the body is\n%s", rcpt, got)
				}
				if !tt.converted {
					signedFor(t, got, 1)
				} else if verdict := strings.Join(askMsgauth(t, got), " "); verdict == "pass" {
					t.Errorf("%s: the signature survived the conversion", rcpt)
				}
			}
		})
	}
	if lines := d.log.find(func(line string) bool { return strings.Contains(line, "fragile=") }); len(lines) > 0 {
		t.Errorf("well-formed mail is called fragile: %q", lines)
	}
	const rcpt = "undeclared@" + destDomain
	p := startPostfix(t, d.milter())
	p.sendmail(t, alice, rcpt, ourMail(rcpt, "8-bit")+"Grüße aus Köln\r\n")
	p.sink.wait(t, rcpt)
	d.logged(t, "fragile=", "its header does not say so")
}
