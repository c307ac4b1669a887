package e2e

import (
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/emersion/go-milter"
)

// A neighbour is another milter that changes the header before Signpost. It uses
// go-milter and speaks version 2 of the protocol.
type neighbour struct {
	milter.NoOpMilter
	addr string

	mu   sync.Mutex
	edit func(*milter.Modifier) error
}

func startNeighbour(t *testing.T) *neighbour {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	check(t, err)
	n := &neighbour{addr: l.Addr().String()}
	server := &milter.Server{
		NewMilter: func() milter.Milter { return n },
		Actions:   milter.OptAddHeader | milter.OptChangeHeader,
		Protocol:  milter.OptNoConnect | milter.OptNoHelo | milter.OptNoMailFrom | milter.OptNoRcptTo | milter.OptNoBody,
	}
	go server.Serve(l)
	t.Cleanup(func() { server.Close() })
	return n
}

// next sets the action for the next messages.
func (n *neighbour) next(edit func(*milter.Modifier) error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.edit = edit
}

func (n *neighbour) Body(m *milter.Modifier) (milter.Response, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.edit != nil {
		if err := n.edit(m); err != nil {
			return nil, err
		}
	}
	return milter.RespContinue, nil
}

// ar is the name of the field in the cases below.
const ar = "Authentication-Results"

// edits are the changes by a milter before ours to a header that has, top first, a
// claim, a foreign field, a claim and a foreign field; with the fields that remain
// after both. A new field at the top is above the MTA's own.
var edits = []struct {
	name   string
	edit   func(*milter.Modifier) error
	onTop  []string // names
	remain []string
	bottom string
}{
	{name: "a claim put on top", remain: []string{"b", "d"},
		edit: func(m *milter.Modifier) error { return m.InsertHeader(0, ar, authservID+"; spf=pass") }},
	{name: "another's field put on top", onTop: []string{ar}, remain: []string{"b", "d"},
		edit: func(m *milter.Modifier) error { return m.InsertHeader(0, ar, "elsewhere.example; spf=pass") }},
	{name: "a claim added at the end", remain: []string{"b", "d"},
		edit: func(m *milter.Modifier) error { return m.AddHeader(ar, authservID+"; spf=pass") }},
	{name: "a folded field added at the end", remain: []string{"b", "d"}, bottom: "X-Scan: clean\r\n\tby the neighbour\r\n",
		edit: func(m *milter.Modifier) error { return m.AddHeader("X-Scan", "clean\r\n\tby the neighbour") }},
	{name: "the first claim deleted", remain: []string{"b", "d"},
		edit: func(m *milter.Modifier) error { return m.ChangeHeader(1, ar, "") }},
	{name: "the last claim deleted", remain: []string{"b", "d"},
		edit: func(m *milter.Modifier) error { return m.ChangeHeader(3, ar, "") }},
	{name: "another's field between two claims deleted", remain: []string{"d"},
		edit: func(m *milter.Modifier) error { return m.ChangeHeader(2, ar, "") }},
	{name: "another's field made a claim", remain: []string{"d"},
		edit: func(m *milter.Modifier) error { return m.ChangeHeader(2, ar, authservID+"; spf=pass") }},
	{name: "a claim made another's field", remain: []string{"A", "b", "d"},
		edit: func(m *milter.Modifier) error { return m.ChangeHeader(1, ar, "elsewhere.example; n=A") }},
	{name: "one deleted, one put on top, one added", remain: []string{"d"},
		edit: func(m *milter.Modifier) error {
			for _, err := range []error{
				m.ChangeHeader(2, ar, ""), m.InsertHeader(0, ar, authservID+"; spf=pass"), m.AddHeader(ar, authservID+"; spf=pass"),
			} {
				if err != nil {
					return err
				}
			}
			return nil
		}},
}

func TestHeaderChangesAfterAnotherMilter(t *testing.T) {
	wantSendmail(t)
	verify := "inet:" + freeAddr(t)
	startDaemon(t, config{Zone: strangersZone(), Listen: []string{"{address: \"" + verify + "\", role: verify}"}})
	for _, kind := range mtas {
		t.Run(kind.name, func(t *testing.T) {
			n := startNeighbour(t)
			m := kind.start(t, "inet:"+n.addr, verify)
			c := dial(t, m.addr, nil)
			for i, e := range edits {
				t.Run(e.name, func(t *testing.T) {
					n.next(e.edit)
					rcpt := fmt.Sprintf("edit-%d@%s", i, destDomain)
					var above strings.Builder
					for _, id := range []string{authservID + "; n=a", "elsewhere.example; n=b", authservID + "; n=c", "elsewhere.example; n=d"} {
						above.WriteString(ar + ": " + id + "\r\nX-Between: " + id + "\r\n")
					}
					accepted(t, c.send("ann@strict.example", []string{rcpt}, above.String()+rest(rcpt)))
					got := m.sink.wait(t, rcpt).Data
					verdictsOf(t, got)

					remains := func(n string) bool { return slices.Contains(e.remain, n) }
					var want strings.Builder
					for _, n := range []string{"a", "b", "c", "d"} {
						id := map[bool]string{true: authservID, false: "elsewhere.example"}[n == "a" || n == "c"]
						if remains(n) {
							want.WriteString(ar + ": " + id + "; n=" + n + "\r\n")
						} else if upper := strings.ToUpper(n); remains(upper) {
							want.WriteString(ar + ": elsewhere.example; n=" + upper + "\r\n")
						}
						want.WriteString("X-Between: " + id + "; n=" + n + "\r\n")
					}
					header, body, _ := strings.Cut(rest(rcpt), "\r\n\r\n")
					sameBelow(t, got, slices.Concat([]string{ar}, e.onTop, []string{"Received"}),
						want.String()+header+"\r\n"+e.bottom+"\r\n"+body)
				})
			}
		})
	}
}

// signedShapes are headers to sign, above From and the rest. Sendmail rewrites
// addresses in outgoing mail, so no shape is in an address.
var signedShapes = []headerCase{
	{"plain", nil},
	{"no, one and two leading blanks, tabs", []given{stays("Keywords:none"), stays("Comments:  two"), stays("Keywords:	tab")}},
	{"folded", []given{stays("References: <a@example.com>\r\n\t<b@example.com>"), stays("Comments:\r\n folded first")}},
	{"equal fields", []given{stays("Comments: 1"), stays("comments: 2"), stays("Comments: 3")}},
	{"empty fields and blanks at the end", []given{stays("Comments: x   "), stays("Keywords: a\tb  c ")}},
	{"a long field", []given{stays("References:" + strings.Repeat("\r\n <0123456789@example.com>", 60))}},
}

func TestSignaturesFromBothMTAs(t *testing.T) {
	wantSendmail(t)
	rewrite := func(m *milter.Modifier) error {
		for _, err := range []error{
			m.ChangeHeader(1, "Subject", "[checked] of\r\n\theaders"), m.AddHeader("Reply-To", "alice@"+ourDomain),
			m.InsertHeader(0, "X-Scan", "clean"), m.ChangeHeader(2, "Comments", ""), m.InsertHeader(1, "Comments", "on top"),
		} {
			if err != nil {
				return err
			}
		}
		return nil
	}
	// Simple detects every changed octet.
	sign := "inet:" + freeAddr(t)
	startDaemon(t, config{Listen: []string{sign}, Zone: ourZone(), Canon: "simple/simple"})
	for _, kind := range mtas {
		t.Run(kind.name, func(t *testing.T) {
			n := startNeighbour(t)
			m := kind.start(t, "inet:"+n.addr, sign)
			c := dial(t, m.addr, nil)
			for i, s := range signedShapes {
				for j, edit := range []func(*milter.Modifier) error{nil, rewrite} {
					t.Run(s.name+[]string{"", ", changed by another milter"}[j], func(t *testing.T) {
						n.next(edit)
						rcpt := fmt.Sprintf("shape-%d-%d@%s", i, j, destDomain)
						msg := sent(s.fields) + strings.Replace(rest(rcpt), "ann@strict.example", "alice@"+ourDomain, 1)
						accepted(t, c.send("alice@"+ourDomain, []string{rcpt}, msg))
						got := m.sink.wait(t, rcpt).Data
						signedFor(t, got, 1)
						if edit == nil {
							sameBelow(t, got, []string{"DKIM-Signature", "Received"}, msg)
						} else if !strings.Contains(head(got), "Subject: [checked] of\r\n\theaders") {
							t.Errorf("the other milter's change is lost:\n%s", head(got))
						}
					})
				}
			}
		})
	}
}

// Verify first and sign last, as in docs/postfix.md: the milter between them breaks
// neither.
func TestAMilterThatChangesMailBetweenVerifyAndSign(t *testing.T) {
	want(t)
	verify, sign := "inet:"+freeAddr(t), "inet:"+freeAddr(t)
	startDaemon(t, config{Zone: ourZone() + strangersZone(), Listen: []string{
		"{address: \"" + verify + "\", role: verify}", "{address: \"" + sign + "\", role: sign}",
	}})
	n := startNeighbour(t)
	n.next(func(m *milter.Modifier) error { return m.ChangeHeader(1, "Subject", "[checked]") })
	p := startPostfix(t, verify+", inet:"+n.addr, func(p *postfix) {
		out := "inet:" + n.addr + "," + sign
		p.main = strings.Replace(p.main, "non_smtpd_milters = "+verify+", inet:"+n.addr, "non_smtpd_milters = "+out, 1)
		p.master = strings.Replace(p.master, "-o milter_macro_daemon_name", "-o smtpd_milters="+out+"\n  -o milter_macro_daemon_name", 1)
	})
	changed := func(t *testing.T, msg []byte) {
		t.Helper()
		if got := named(msg, "Subject"); len(got) != 1 || got[0] != " [checked]" {
			t.Errorf("Subject:%q, want what the other milter wrote", got)
		}
	}
	const in, out, local = "between-in@" + destDomain, "between-out@" + destDomain, "between-local@" + destDomain

	l := letter{from: "a@strict.example", signed: true}
	accepted(t, dial(t, p.mx, other).send(l.from, []string{in}, l.text(t, in)))
	got := p.sink.wait(t, in).Data
	changed(t, got)
	if v := verdictsOf(t, got); v["dkim"] != "pass" {
		t.Errorf("dkim=%s, want pass: it was judged before the change", v["dkim"])
	}
	c := dial(t, p.submission, roaming)
	c.login("alice")
	accepted(t, c.send("alice@"+ourDomain, []string{out}, ourMail(out, "by login")))
	p.sendmail(t, "alice@"+ourDomain, local, ourMail(local, "by sendmail"))
	for _, rcpt := range []string{out, local} {
		got := p.sink.wait(t, rcpt).Data
		changed(t, got)
		signedFor(t, got, 1)
	}
}
