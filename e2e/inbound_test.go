package e2e

import (
	"fmt"
	"strings"
	"testing"
)

// other is a client that no domain of strangersZone authorizes.
var other = &party{addr: "203.0.113.9", name: "unknown.example.net", helo: "unknown.example.net"}

// inbound are letters with their expected results.
var inbound = []struct {
	name             string
	client           *party
	letter           letter
	spf, dkim, dmarc string
	enforced         int // the answer under mode enforce with on_quarantine: quarantine
}{
	{"all pass", stranger, letter{from: "a@strict.example", signed: true}, "pass", "pass", "pass", 250},
	{"SPF alone passes, no signature", stranger, letter{from: "a@strict.example"}, "pass", "none", "pass", 250},
	{"DKIM alone passes, from a foreign client", other, letter{from: "a@strict.example", signed: true}, "fail", "pass", "pass", 250},
	{"altered and from a foreign client under p=reject", other, letter{from: "a@strict.example", signed: true, forged: true}, "fail", "fail", "fail", 550},
	{"altered and from a foreign client under p=quarantine", other, letter{from: "a@doubt.example", signed: true, forged: true}, "fail", "fail", "fail", 250},
	{"altered and from a foreign client under p=none", other, letter{from: "a@good.example", signed: true, forged: true}, "fail", "fail", "fail", 250},
	{"nothing published", stranger, letter{from: "a@silent.example"}, "none", "none", "none", 250},
	{"SPF passes for another domain than the author's", stranger,
		letter{from: "ceo@strict.example", sender: "x@good.example"}, "pass", "none", "fail", 550},
	{"SPF cannot be asked", stranger, letter{from: "a@spftemp.example"}, "temperror", "none", "temperror", 451},
	{"SPF cannot be asked, but DKIM passes", stranger, letter{from: "a@spftemp.example", signed: true}, "temperror", "pass", "pass", 250},
	{"the key cannot be asked", other, letter{from: "a@dkimtemp.example", signed: true}, "fail", "temperror", "temperror", 451},
	{"the policy cannot be asked", stranger, letter{from: "a@dmarctemp.example", signed: true}, "pass", "pass", "temperror", 250},
}

func TestWhatIsNotOursIsVerified(t *testing.T) {
	want(t)
	d := startDaemon(t, config{Listen: []string{"inet:" + freeAddr(t)}, Zone: strangersZone()})
	p := startPostfix(t, d.milter())
	for i, c := range inbound {
		t.Run(c.name+", monitored", func(t *testing.T) {
			rcpt := fmt.Sprintf("in-%d@%s", i, destDomain)
			accepted(t, dial(t, p.mx, c.client).send(c.letter.reversePath(), []string{rcpt}, c.letter.text(t, rcpt)))
			held := verdictsOf(t, p.sink.wait(t, rcpt).Data)
			for method, want := range map[string]string{"spf": c.spf, "dkim": c.dkim, "dmarc": c.dmarc} {
				if held[method] != want {
					t.Errorf("%s=%s, want %s", method, held[method], want)
				}
			}
		})
	}
	if held := p.queued(t, "hold"); len(held) > 0 {
		t.Errorf("monitor held %q", held)
	}

	t.Run("two messages on one connection are judged apart", func(t *testing.T) {
		c := dial(t, p.mx, stranger)
		for i, l := range []letter{{from: "a@strict.example", signed: true, forged: true}, {from: "a@silent.example"}, {from: "a@good.example", signed: true}} {
			rcpt := fmt.Sprintf("apart-%d@%s", i, destDomain)
			accepted(t, c.send(l.from, []string{rcpt}, l.text(t, rcpt)))
			got := verdictsOf(t, p.sink.wait(t, rcpt).Data)
			want := []string{"pass fail pass", "none none none", "pass pass pass"}[i]
			if has := got["spf"] + " " + got["dkim"] + " " + got["dmarc"]; has != want {
				t.Errorf("message %d: %s, want %s", i, has, want)
			}
		}
	})
	t.Run("one rejected recipient among three", func(t *testing.T) {
		const one, three = "in-three-1@" + destDomain, "in-three-3@" + destDomain
		c := dial(t, p.mx, stranger)
		c.must(250, "MAIL FROM:<a@good.example>")
		c.must(250, "RCPT TO:<"+one+">")
		c.must(550, "RCPT TO:<"+unknown+">")
		c.must(250, "RCPT TO:<"+three+">")
		accepted(t, c.data(letter{from: "a@good.example", signed: true}.text(t, one)))
		if got := verdictsOf(t, p.sink.wait(t, three).Data)["dmarc"]; got != "pass" {
			t.Errorf("dmarc=%s, want pass", got)
		}
	})
	t.Run("an IPv6 client", func(t *testing.T) {
		wantIPv6(t)
		const rcpt = "six@" + destDomain
		six := &party{addr: "IPV6:2001:db8::1", name: "six.example.net", helo: "six.example.net"}
		accepted(t, dial(t, p.mx, six).send("a@strict.example", []string{rcpt}, letter{from: "a@strict.example"}.text(t, rcpt)))
		if got := verdictsOf(t, p.sink.wait(t, rcpt).Data)["spf"]; got != "fail" {
			t.Errorf("spf=%s, want fail: the domain allows one IPv4 address", got)
		}
	})
	t.Run("a null sender is judged by HELO", func(t *testing.T) {
		const rcpt = "null@" + destDomain
		who := &party{addr: stranger.addr, name: stranger.name, helo: "good.example"}
		accepted(t, dial(t, p.mx, who).send("", []string{rcpt}, letter{from: "postmaster@good.example"}.text(t, rcpt)))
		if got := verdictsOf(t, p.sink.wait(t, rcpt).Data); got["spf"] != "pass" || got["dmarc"] != "pass" {
			t.Errorf("spf=%s dmarc=%s, want pass and pass", got["spf"], got["dmarc"])
		}
	})
}

// forgeries claim our authserv-id in three ways; the foreign field claims none.
var forgeries = []string{
	"Authentication-Results: " + authservID + "; spf=pass smtp.mailfrom=bank.example\r\n",
	"authentication-results:\r\n\t" + strings.ToUpper(authservID) + " 1; dkim=pass header.d=bank.example\r\n",
	"Authentication-Results: (a comment) " + authservID + ";\r\n dmarc=pass header.from=bank.example\r\n",
}

const foreign = "Authentication-Results: elsewhere.example; spf=pass smtp.mailfrom=bank.example\r\n"

func TestForgedResultsDoNotSurvive(t *testing.T) {
	want(t)
	for _, id := range []string{"", authservID} {
		d := startDaemon(t, config{Listen: []string{"inet:" + freeAddr(t)}, Zone: strangersZone(), AuthservID: id})
		p := startPostfix(t, d.milter())
		for _, c := range []struct {
			name  string
			extra []string
			kept  int
		}{
			{"three in a row", forgeries, 0},
			{"three with foreign ones between", []string{foreign, forgeries[0], foreign, forgeries[1], forgeries[2], foreign}, 3},
			{"three with blanks before the colon", []string{
				strings.Replace(forgeries[0], ":", " :", 1), strings.Replace(forgeries[1], ":", "\t:", 1), strings.Replace(forgeries[2], ":", "  :", 1),
			}, 0},
		} {
			t.Run(""+c.name+", authserv_id "+id, func(t *testing.T) {
				rcpt := strings.ReplaceAll(c.name, " ", "-") + id + "@" + destDomain
				l := letter{from: "a@strict.example", signed: true, extra: c.extra}
				accepted(t, dial(t, p.mx, other).send(l.from, []string{rcpt}, l.text(t, rcpt)))
				survivors(t, p.sink.wait(t, rcpt).Data, c.kept)
			})
		}
	}
}

// survivors checks that there are our field and this many foreign ones, and no others.
func survivors(t *testing.T, msg []byte, foreign int) {
	t.Helper()
	verdictsOf(t, msg)
	if n := len(named(msg, "Authentication-Results")); n != 1+foreign {
		t.Errorf("%d fields, want ours and %d foreign ones\n%s", n, foreign, head(msg))
	}
	for _, value := range named(msg, "Authentication-Results") {
		if strings.Contains(value, "bank.example") && !strings.Contains(value, "elsewhere.example") {
			t.Errorf("a forged field survived:%s", value)
		}
	}
}

func TestEnforceRefusesAndQuarantineHolds(t *testing.T) {
	want(t)
	d := startDaemon(t, config{
		Listen: []string{"inet:" + freeAddr(t)}, Zone: strangersZone(), Mode: "enforce", OnQuarantine: "quarantine",
	})
	p := startPostfix(t, d.milter())
	for i, c := range inbound {
		t.Run(c.name+", enforced", func(t *testing.T) {
			rcpt := fmt.Sprintf("en-%d@%s", i, destDomain)
			r := dial(t, p.mx, c.client).send(c.letter.reversePath(), []string{rcpt}, c.letter.text(t, rcpt))
			if r.code != c.enforced {
				t.Fatalf("answered %v, want %d", r, c.enforced)
			}
			if r.code == 550 && !strings.HasPrefix(r.text, "5.7.") {
				t.Errorf("answered %v, want an enhanced code 5.7.x", r)
			}
			switch {
			case r.code != 250:
			case c.letter.from == "a@doubt.example":
				p.releases(t, rcpt)
			default:
				p.sink.wait(t, rcpt)
			}
		})
	}
	for _, c := range []struct{ name, header string }{
		{"two From fields", "From: a@good.example\r\nFrom: a@strict.example\r\n"},
		{"a From field without an address", "From: \r\n"},
		{"two authors of two domains", "From: a@good.example, b@strict.example\r\n"},
	} {
		t.Run(c.name+" are refused", func(t *testing.T) {
			r := dial(t, p.mx, stranger).send("a@good.example", []string{"author@" + destDomain}, c.header+"Subject: x\r\n\r\nHello.\r\n")
			if r.code != 550 || !strings.HasPrefix(r.text, "5.7.") {
				t.Errorf("answered %v, want 550 5.7.x", r)
			}
		})
	}
	t.Run("a refused message leaves the connection fit for the next", func(t *testing.T) {
		const bad, good = "refused@" + destDomain, "after@" + destDomain
		c := dial(t, p.mx, other)
		l := letter{from: "a@strict.example"}
		if r := c.send(l.from, []string{bad}, l.text(t, bad)); r.code != 550 {
			t.Errorf("answered %v, want 550", r)
		}
		l.signed = true
		accepted(t, c.send(l.from, []string{good}, l.text(t, good)))
		if got := verdictsOf(t, p.sink.wait(t, good).Data); got["dkim"] != "pass" || got["dmarc"] != "pass" {
			t.Errorf("the second message: %v", got)
		}
		if p.sink.has(bad) {
			t.Error("the refused message was delivered")
		}
	})
}

func TestOnTemperrorTempfail(t *testing.T) {
	want(t)
	d := startDaemon(t, config{
		Listen: []string{"inet:" + freeAddr(t)}, Zone: strangersZone(), Mode: "enforce", OnTemperror: "tempfail",
	})
	p := startPostfix(t, d.milter())
	for _, c := range inbound {
		if c.dmarc != "temperror" {
			continue
		}
		t.Run(c.name, func(t *testing.T) {
			rcpt := "again@" + destDomain
			r := dial(t, p.mx, c.client).send(c.letter.reversePath(), []string{rcpt}, c.letter.text(t, rcpt))
			if r.code/100 != 4 || !strings.HasPrefix(r.text, "4.") {
				t.Errorf("answered %v, want 4xx 4.x.x", r)
			}
		})
	}
}

// releases checks that the message is in the hold queue, undelivered, and releases it
// as an operator would.
func (p *postfix) releases(t *testing.T, rcpt string) {
	t.Helper()
	held := p.queued(t, "hold")
	if len(held) != 1 {
		t.Fatalf("%d messages held, want one", len(held))
	}
	if p.sink.has(rcpt) {
		t.Error("the held message was delivered")
	}
	p.run(t, "postsuper", "-c", p.path("etc"), "-H", held[0])
	p.run(t, "postqueue", "-c", p.path("etc"), "-i", held[0])
	if got := verdictsOf(t, p.sink.wait(t, rcpt).Data)["dmarc"]; got != "fail" {
		t.Errorf("dmarc=%s after release, want fail", got)
	}
}
