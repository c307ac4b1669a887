package e2e

import (
	"strings"
	"testing"
)

// An internationalized domain, as people and as DNS write it.
const (
	bücher      = "bücher.example"
	bücherInDNS = "xn--bcher-kva.example"
)

func TestSMTPUTF8(t *testing.T) {
	want(t)
	key := theirKey()
	d := startDaemon(t, config{
		Listen: []string{"inet:" + freeAddr(t)}, Mode: "enforce",
		Zone: ourZone() + key.line(bücherInDNS) + txtLine(bücherInDNS, "v=spf1 ip4:192.0.2.1 -all") +
			txtLine("_dmarc."+bücherInDNS, "v=DMARC1; p=reject"),
	})
	p := startPostfix(t, d.milter())
	text := func(from, rcpt string) string {
		return "From: Élodie <" + from + ">\r\nTo: <" + rcpt + ">\r\nSubject: Grüße\r\n" +
			"Date: Sat, 03 Jan 2026 10:00:00 +0000\r\nMessage-ID: <" + rcpt + ">\r\n\r\nÀ bientôt.\r\n"
	}
	t.Run("ours is signed for the domain of a U-label", func(t *testing.T) {
		const rcpt, from = "utf8-out@" + destDomain, "élodie@bücher." + ourDomain
		accepted(t, dial(t, p.mx, colleague).sendWith("SMTPUTF8", from, []string{rcpt}, text(from, rcpt)))
		got := p.sink.wait(t, rcpt)
		if got.From != from {
			t.Errorf("delivered from %q, want %q", got.From, from)
		}
		signedFor(t, got.Data, 1)
	})
	for _, c := range []struct {
		name, domain string // of the signature
		client       *party
		altered      bool
		want         string
	}{
		{"both pass", bücherInDNS, stranger, false, "pass pass pass"},
		{"a signature whose d= is a U-label", bücher, other, false, "fail pass pass"},
		{"SPF alone passes", "", stranger, false, "pass none pass"},
		{"altered and from a foreign client", bücherInDNS, other, true, "refused"},
	} {
		t.Run("judged: "+c.name, func(t *testing.T) {
			rcpt, from := "utf8-"+strings.ReplaceAll(c.name, " ", "-")+"@"+destDomain, "élodie@"+bücher
			msg := text(from, rcpt)
			if c.domain != "" {
				msg = sign(t, msg, c.domain)
			}
			if c.altered {
				msg = strings.Replace(msg, "bientôt", "jamais", 1)
			}
			r := dial(t, p.mx, c.client).sendWith("SMTPUTF8", from, []string{rcpt}, msg)
			if c.want == "refused" {
				if r.code != 550 || !strings.HasPrefix(r.text, "5.7.") {
					t.Errorf("answered %v, want 550 5.7.x", r)
				}
				return
			}
			accepted(t, r)
			v := verdictsOf(t, p.sink.wait(t, rcpt).Data)
			if has := v["spf"] + " " + v["dkim"] + " " + v["dmarc"]; has != c.want {
				t.Errorf("%s, want %s", has, c.want)
			}
		})
	}
}
