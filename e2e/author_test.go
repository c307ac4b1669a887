package e2e

import (
	"fmt"
	"strings"
	"testing"
)

// Malformed From fields and bounces without an address pass enforce mode through a real
// Postfix; a second author far behind does not. All use one connection.
func TestTheAuthorInEnforceMode(t *testing.T) {
	want(t)
	d := startDaemon(t, config{Listen: []string{"inet:" + freeAddr(t)}, Zone: strangersZone(), Mode: "enforce"})
	// As in older releases of Postfix: a CR alone stays in the message.
	p := startPostfix(t, d.milter(), func(p *postfix) { p.main += "cleanup_replace_stray_cr_lf = no\n" })
	c := dial(t, p.mx, stranger)
	hundred := strings.Repeat("x@good.example,\r\n ", 100)
	for i, tt := range []struct {
		name, sender, from string
		code               int
		dmarc              string
	}{
		{"a bounce without an address", "", "MAILER-DAEMON (Mail Delivery System)", 250, "none"},
		{"the victim behind 100 addresses", "x@good.example", hundred + "ceo@strict.example", 550, ""},
		{"a bounce of two domains", "", "MAILER-DAEMON@good.example, ceo@strict.example", 550, ""},
		{"a bounce in the name of a domain", "", "MAILER-DAEMON@strict.example (Mail Delivery System)", 550, ""},
		{"Latin-1 in the display name", "a@strict.example", "J\xfcrgen M\xfcller <a@strict.example>", 250, "pass"},
		{"a semicolon behind the name", "a@strict.example", "Bob;<a@strict.example>", 250, "pass"},
		{"a final dot", "a@strict.example", "a@strict.example.", 250, "pass"},
		{"an @ in the name", "a@strict.example", "Jane @ Strict <a@strict.example>", 250, "pass"},
		{"a malformed field of a forger", "x@good.example", "J\xfcrgen; <ceo@strict.example>", 550, ""},
		{"two fields of one domain", "a@strict.example", "a@strict.example\r\nFrom: ceo@strict.example", 550, ""},
		{"another field with a From field behind a CR alone", "a@strict.example", "a@strict.example\r\nX-A: x\rFrom: ceo@good.example", 550, ""},
		{"no address and a sender", "x@good.example", `"Scanner 3rd floor" <scanner>`, 550, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			rcpt := fmt.Sprintf("author-%d@%s", i, destDomain)
			r := c.send(tt.sender, []string{rcpt}, "From: "+tt.from+"\r\nTo: <"+rcpt+">\r\nSubject: x\r\n\r\nHello.\r\n")
			if r.code != tt.code || r.code == 550 && !strings.HasPrefix(r.text, "5.7.") {
				t.Fatalf("answered %v, want %d", r, tt.code)
			}
			if r.code != 250 {
				return
			}
			if got := verdictsOf(t, p.sink.wait(t, rcpt).Data)["dmarc"]; got != tt.dmarc {
				t.Errorf("dmarc=%s, want %s", got, tt.dmarc)
			}
		})
	}
}
