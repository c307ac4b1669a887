package e2e

import (
	"fmt"
	"testing"
)

// TestManyConnectionsAtOnce does each step of a transaction on all connections before
// the next step, so that the daemon has all messages at once. Each must get its own
// verdicts or its own signature.
func TestManyConnectionsAtOnce(t *testing.T) {
	want(t)
	d := startDaemon(t, config{Listen: []string{"inet:" + freeAddr(t)}, Zone: ourZone() + strangersZone()})
	p := startPostfix(t, d.milter())
	const width, rounds = 12, 3
	kinds := []struct {
		client *party
		letter *letter // nil: mail of ours
		want   string
	}{
		{colleague, nil, ""},
		{stranger, &letter{from: "a@strict.example", signed: true}, "pass pass pass"},
		{other, &letter{from: "b@doubt.example", signed: true, forged: true}, "fail fail fail"},
		{stranger, &letter{from: "c@silent.example"}, "none none none"},
	}
	var open [width]*client
	for i := range open {
		open[i] = dial(t, p.mx, kinds[i%len(kinds)].client)
	}
	for round := range rounds {
		rcpt := func(i int) string { return fmt.Sprintf("many-%d-%d@%s", round, i, destDomain) }
		for i, c := range open {
			from := "alice@" + ourDomain
			if l := kinds[i%len(kinds)].letter; l != nil {
				from = l.from
			}
			c.must(250, "MAIL FROM:<"+from+">")
		}
		for i, c := range open {
			c.must(250, "RCPT TO:<"+rcpt(i)+">")
		}
		for _, c := range open {
			c.must(354, "DATA")
		}
		for i, c := range open {
			if l := kinds[i%len(kinds)].letter; l != nil {
				c.put(l.text(t, rcpt(i)))
			} else {
				c.put(ourMail(rcpt(i), fmt.Sprintf("number %d of round %d", i, round)))
			}
		}
		for i, c := range open {
			accepted(t, c.say(""))
			got := p.sink.wait(t, rcpt(i)).Data
			if want := kinds[i%len(kinds)].want; want == "" {
				signedFor(t, got, 1)
			} else if v := verdictsOf(t, got); v["spf"]+" "+v["dkim"]+" "+v["dmarc"] != want {
				t.Errorf("%s: %v, want %s", rcpt(i), v, want)
			}
		}
	}
}
