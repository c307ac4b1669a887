package e2e

import (
	"strings"
	"testing"

	"github.com/miekg/dns"
)

// lameDNS answers SERVFAIL for some names and their subdomains, as for a zone whose own
// servers have failed.
type lameDNS struct {
	*nameserver
	lame []string
}

func (l lameDNS) ServeDNS(w dns.ResponseWriter, ask *dns.Msg) {
	for _, name := range l.lame {
		if dns.IsSubDomain(dns.Fqdn(name), strings.ToLower(ask.Question[0].Name)) {
			w.WriteMsg(new(dns.Msg).SetRcode(ask, dns.RcodeServerFailure))
			return
		}
	}
	l.nameserver.ServeDNS(w, ask)
}

// With p=reject, a sender that uses a name below the victim that fails in DNS gets 451
// and does not evade the policy. Honest mail passes, and policy none is not affected.
func TestWhatTheSenderMakesFailInDNSSparesNoForgery(t *testing.T) {
	want(t)
	zone := txtLine("strict.example", "v=spf1 ip4:192.0.2.1 -all") + txtLine("_dmarc.strict.example", "v=DMARC1; p=reject") +
		txtLine("_dmarc.good.example", "v=DMARC1; p=none") + txtLine("attack.example", "v=spf1 ip4:203.0.113.9 -all") +
		theirKey().line("strict.example")
	lame := lameDNS{startNameserver(t, zone, ""), []string{"lame.strict.example", "lame.good.example", "dead._domainkey.strict.example"}}
	d := startDaemon(t, config{Listen: []string{"inet:" + freeAddr(t)}, Servers: []string{serveDNS(t, lame)}, Timeout: "1s", Mode: "enforce"})
	p := startPostfix(t, d.milter())
	junk := func(domain, selector string) []string {
		return []string{"DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed; d=" + domain + "; s=" + selector +
			"; h=from; bh=47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=; b=AAAABBBB\r\n"}
	}
	for _, c := range []struct {
		name   string
		letter letter
		code   int
		names  string // in the answer
	}{
		{"nothing fails", letter{from: "ceo@strict.example", sender: "x@attack.example"}, 550, "not aligned"},
		{"a d= that fails", letter{from: "ceo@strict.example", sender: "x@attack.example", extra: junk("lame.strict.example", "x")}, 451, "lame.strict.example"},
		{"an s= that fails", letter{from: "ceo@strict.example", sender: "x@attack.example", extra: junk("strict.example", "dead")}, 451, "dead._domainkey.strict.example"},
		{"a MAIL FROM that fails", letter{from: "ceo@strict.example", sender: "x@lame.strict.example"}, 451, "lame.strict.example"},
		{"a d= that fails under p=none", letter{from: "a@good.example", sender: "x@attack.example", extra: junk("lame.good.example", "x")}, 250, ""},
		{"an honest signature beside one that fails", letter{from: "a@strict.example", signed: true, extra: junk("lame.strict.example", "x")}, 250, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			rcpt := strings.Map(func(r rune) rune {
				if r < 'a' || r > 'z' {
					return '-'
				}
				return r
			}, c.name) + "@" + destDomain
			smtp := dial(t, p.mx, other)
			for range 2 { // on one connection
				r := smtp.send(c.letter.reversePath(), []string{rcpt}, c.letter.text(t, rcpt))
				if r.code != c.code || !strings.Contains(r.text, c.names) || strings.Contains(r.text, "127.0.0.1") {
					t.Errorf("answered %v, want %d with %q, and no resolver's address", r, c.code, c.names)
				}
			}
			if c.code != 250 && p.sink.has(rcpt) {
				t.Error("the message was delivered")
			}
		})
	}
	line := d.logged(t, "dkim_selector=", "lame.strict.example")
	for _, part := range []string{"dkim_reason=", "SERVFAIL", "127.0.0.1", "undecided"} {
		if !strings.Contains(line, part) {
			t.Errorf("the log line lacks %q: %s", part, line)
		}
	}
}

// A replayed header with another body, longer than the limit, is refused permanently:
// no other check passes, and a retry does not make it shorter.
func TestABodyThatIsTooLongSparesNoForgery(t *testing.T) {
	want(t)
	d := startDaemon(t, config{
		Listen: []string{"inet:" + freeAddr(t)}, Zone: strangersZone(), Mode: "enforce", Milter: "  max_message_bytes: 64KiB\n",
	})
	p := startPostfix(t, d.milter())
	const rcpt = "long@" + destDomain
	long := func(l letter) string { return l.text(t, rcpt) + strings.Repeat("Pay me, and do it now.\r\n", 8<<10) }
	smtp := dial(t, p.mx, other)
	for range 2 {
		r := smtp.send("x@good.example", []string{rcpt}, long(letter{from: "a@strict.example", signed: true}))
		if r.code != 550 || !strings.Contains(r.text, "too large") {
			t.Errorf("answered %v, want 550 that says why", r)
		}
	}
	if p.sink.has(rcpt) {
		t.Error("the message was delivered")
	}
	for _, l := range []letter{{from: "a@good.example", signed: true}, {from: "a@silent.example"}} {
		accepted(t, smtp.send(l.from, []string{rcpt}, long(l)))
	}
	honest := letter{from: "a@strict.example", signed: true}
	accepted(t, dial(t, p.mx, stranger).send(honest.from, []string{rcpt}, long(honest)))
}
