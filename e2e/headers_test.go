package e2e

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
)

// A given field is as the client sends it, with its expected fate.
type given struct {
	text string // without the CRLF at its end
	goes bool   // it claims our authserv-id
}

// spellings are the ways to write one field. %s is the authserv-id, %d makes equal
// fields distinguishable.
var spellings = []string{
	"Authentication-Results: %s; spf=pass smtp.mailfrom=n%d.example",
	"authentication-results:%s; spf=pass smtp.mailfrom=n%d.example",
	"AUTHENTICATION-RESULTS:  %s; spf=pass smtp.mailfrom=n%d.example",
	"Authentication-Results:\t%s;\r\n\tspf=pass\r\n   smtp.mailfrom=n%d.example",
	"Authentication-Results : %s; spf=pass smtp.mailfrom=n%d.example",
	"Authentication-results:\r\n %s 1; spf=pass smtp.mailfrom=n%d.example",
}

// spelled writes field number n, a claim or a foreign one.
func spelled(n int, goes bool) given {
	id := "elsewhere.example"
	if goes {
		id = authservID
	}
	return given{fmt.Sprintf(spellings[n%len(spellings)], id, n), goes}
}

func stays(text string) given { return given{text: text} }

// headerCase is a header above From, Subject and the rest.
type headerCase struct {
	name   string
	fields []given
}

// headerCases are changes that MTAs and milters get wrong: any subset of up to five
// equal fields must be removed, and fields of every shape beside them must stay.
func headerCases() []headerCase {
	cases := []headerCase{
		{"nothing to delete", []given{stays("X-Alone: 1")}},
		{"fields of all shapes stay as they are", []given{
			stays("X-None:none"), stays("X-One: one"), stays("X-Two:  two"), stays("X-Tab:\ttab"),
			spelled(0, true),
			stays("X-Fold: a\r\n b\r\n\tc"), stays("X-Fold-First:\r\n a"), stays("X-Fold-Blanks: a\r\n    b  c"),
			spelled(1, true),
			stays("X-Trailing: blanks  "), stays("X-Colon: a:b::c"), stays("X-Long: " + strings.Repeat("long ", 150) + "end"),
		}},
		{"equal fields of another name are not counted along", []given{
			stays("Results: 1"), spelled(1, false), stays("Results: 2"), spelled(1, true),
			stays("Results: 3"), stays("Authentication-Result: " + authservID + "; none"),
			stays("X-Authentication-Results: " + authservID + "; none"), spelled(2, true),
		}},
		{"equal in every byte, all go", []given{spelled(0, true), spelled(0, true), spelled(0, true)}},
		{"trace fields above, between and below", []given{
			stays("Received: from a.example by b.example; Sat, 3 Jan 2026 10:00:00 +0000"), spelled(0, true),
			stays("Received: from b.example by c.example;\r\n\tSat, 3 Jan 2026 09:00:00 +0000"), spelled(3, false),
			spelled(4, true), stays("Received: from c.example by d.example; Sat, 3 Jan 2026 08:00:00 +0000"),
		}},
	}
	for _, n := range []int{1, 2, 5} {
		for mask := range 1 << n {
			c := headerCase{name: fmt.Sprintf("of %d equal fields those go that have a 1: %0*b", n, n, mask)}
			for i := range n {
				c.fields = append(c.fields, spelled(i, mask>>(n-1-i)&1 == 1), stays(fmt.Sprintf("X-Between-%d: %d", i, i)))
			}
			cases = append(cases, c)
		}
	}
	return cases
}

// rest is the header below the fields of a case.
func rest(rcpt string) string {
	return "From: Ann <ann@strict.example>\r\nTo: <" + rcpt + ">\r\nSubject: of headers\r\n" +
		"Date: Sat, 03 Jan 2026 10:00:00 +0000\r\nMessage-ID: <" + rcpt + ">\r\n\r\nHello.\r\n"
}

func TestHeaderChangesInBothMTAs(t *testing.T) {
	wantSendmail(t)
	verify := "inet:" + freeAddr(t)
	startDaemon(t, config{Zone: strangersZone(), Listen: []string{"{address: \"" + verify + "\", role: verify}"}})
	for _, kind := range mtas {
		t.Run(""+kind.name, func(t *testing.T) {
			m := kind.start(t, verify)
			c := dial(t, m.addr, nil)
			cases, below := headerCases(), map[string]string{}
			rcpt := func(i int) string { return fmt.Sprintf("header-%d@%s", i, destDomain) }
			for i, h := range cases {
				signed := sign(t, rest(rcpt(i)), "strict.example")
				accepted(t, c.send("ann@strict.example", []string{rcpt(i)}, sent(h.fields)+signed))
				below[h.name] = stayed(h.fields) + signed
			}
			for i, h := range cases {
				t.Run(h.name, func(t *testing.T) {
					got := m.sink.wait(t, rcpt(i)).Data
					if v := verdictsOf(t, got); v["dkim"] != "pass" {
						t.Errorf("dkim=%s, want pass", v["dkim"])
					}
					sameBelow(t, got, []string{"Authentication-Results", "Received"}, below[h.name])
				})
			}
		})
	}
}

// sent are the fields as the client sends them, stayed as they must arrive: both MTAs
// remove blanks before the colon.
func sent(fields []given) string {
	var out strings.Builder
	for _, f := range fields {
		out.WriteString(f.text + "\r\n")
	}
	return out.String()
}

func stayed(fields []given) string {
	var out strings.Builder
	for _, f := range fields {
		if !f.goes {
			out.WriteString(strings.Replace(f.text, " :", ":", 1) + "\r\n")
		}
	}
	return out.String()
}

// sameBelow checks that a delivered message is this text, byte for byte, below fields
// of these names.
func sameBelow(t *testing.T, msg []byte, top []string, want string) {
	t.Helper()
	header, _, _ := bytes.Cut(msg, []byte("\r\n\r\n"))
	all := fields(header)
	below := string(msg)
	for i, name := range top {
		if i >= len(all) || all[i].name != name {
			t.Fatalf("field %d is not %s\n%s", i+1, name, head(msg))
		}
		below = below[len(all[i].name)+len(":")+len(all[i].value)+len("\r\n"):]
	}
	same := 0
	for same < min(len(below), len(want)) && below[same] == want[same] {
		same++
	}
	if below != want {
		around := func(s string) string { return s[max(0, same-100):min(len(s), same+100)] }
		t.Errorf("below %s there is\n…%q…, want\n…%q…", strings.Join(top, " and "), around(below), around(want))
	}
}

// hostile are headers that try to hide a claim or to prevent its removal.
var hostile = []struct{ name, header string }{
	{"no header at all", "\r\n"},
	{"a claim and nothing else", ar + ": " + authservID + "; spf=pass\r\n\r\n"},
	{"two hundred claims among two hundred others", strings.Repeat(ar+": "+authservID+"; spf=pass\r\n"+ar+": else.example; none\r\n", 200) + "\r\n"},
	{"a claim after a line that is no field", "X-Good: 1\r\nno field at all\r\n" + ar + ": " + authservID + "; spf=pass\r\n\r\n"},
	{"a claim after a line of blanks", "X-Good: 1\r\n   \r\n" + ar + ": " + authservID + "; spf=pass\r\n\r\n"},
	{"a claim after a field without a name", ": nameless\r\n" + ar + ": " + authservID + "; spf=pass\r\n\r\n"},
	{"a claim after an mbox line", "From a@strict.example Sat Jan  3 10:00:00 2026\r\n" + ar + ": " + authservID + "; spf=pass\r\n\r\n"},
	{"a claim with a long comment and many folds", ar + ":" + strings.Repeat("\r\n (no result)", 100) + " " + authservID + "; spf=pass\r\n\r\n"},
	{"a claim with its name quoted", ar + ": \"" + authservID + "\"; spf=pass\r\n\r\n"},
	{"claims with octets beyond ASCII", ar + ": (\xe9) " + authservID + "; spf=pass\r\n" + ar + ": " + authservID + "; spf=pass (gr\xc3\xbc\xc3\x9fe)\r\n\r\n"},
	{"an empty field of the name between claims", ar + ": " + authservID + "; none\r\n" + ar + ":\r\n" + ar + ": \r\n" + ar + ": " + authservID + "; none\r\n\r\n"},
	{"claims below a Return-Path and a Bcc", "Return-Path: <x@y.example>\r\n" + ar + ": " + authservID + "; none\r\nBcc: <c@dest.example>\r\n" +
		ar + ": " + authservID + "; none\r\n\r\n"},
	{"resent fields above a claim", "Resent-From: <a@strict.example>\r\nResent-To: <b@dest.example>\r\n" + ar + ": " + authservID + "; none\r\n" +
		"From: <a@strict.example>\r\n\r\n"},
}

func TestNoClaimSurvivesInEitherMTA(t *testing.T) {
	wantSendmail(t)
	verify := "inet:" + freeAddr(t)
	startDaemon(t, config{Zone: strangersZone(), Listen: []string{"{address: \"" + verify + "\", role: verify}"}})
	for _, kind := range mtas {
		t.Run(""+kind.name, func(t *testing.T) {
			m := kind.start(t, verify)
			c := dial(t, m.addr, nil)
			for i, h := range hostile {
				t.Run(h.name, func(t *testing.T) {
					rcpt := fmt.Sprintf("hostile-%d@%s", i, destDomain)
					accepted(t, c.send("ann@strict.example", []string{rcpt}, h.header+"Hello.\r\n"))
					verdictsOf(t, m.sink.wait(t, rcpt).Data)
				})
			}
		})
	}
}

// Older versions of the protocol do not tell us which fields have no blank after the
// colon.
func TestOlderMilterProtocols(t *testing.T) {
	want(t)
	verify, sign := "inet:"+freeAddr(t), "inet:"+freeAddr(t)
	startDaemon(t, config{Zone: ourZone() + strangersZone(), Canon: "relaxed/relaxed", Listen: []string{
		"{address: \"" + verify + "\", role: verify}", "{address: \"" + sign + "\", role: sign}",
	}})
	for _, version := range []int{2, 3, 4, 6} {
		t.Run(fmt.Sprint("version ", version), func(t *testing.T) {
			p := startPostfix(t, verify, func(p *postfix) {
				p.main += fmt.Sprintf("milter_protocol = %d\n", version)
				p.master = strings.Replace(p.master, "-o milter_macro_daemon_name", "-o smtpd_milters="+sign+"\n  -o milter_macro_daemon_name", 1)
			})
			h := headerCases()[1]
			const in, out = "old-in@" + destDomain, "old-out@" + destDomain
			accepted(t, dial(t, p.mx, nil).send("ann@strict.example", []string{in}, sent(h.fields)+rest(in)))
			got := p.sink.wait(t, in).Data
			verdictsOf(t, got)
			sameBelow(t, got, []string{ar, "Received"}, stayed(h.fields)+rest(in))

			msg := sent(signedShapes[1].fields) + strings.Replace(rest(out), "ann@strict.example", "alice@"+ourDomain, 1)
			accepted(t, dial(t, p.submission, nil).send("alice@"+ourDomain, []string{out}, msg))
			got = p.sink.wait(t, out).Data
			signedFor(t, got, 1)
			sameBelow(t, got, []string{"DKIM-Signature", "Received"}, msg)
		})
	}
}

func TestBothMTAsWriteOurFieldAlike(t *testing.T) {
	wantSendmail(t)
	verify := "inet:" + freeAddr(t)
	startDaemon(t, config{Zone: strangersZone(), Listen: []string{"{address: \"" + verify + "\", role: verify}"}})
	const rcpt = "alike@" + destDomain
	// Many signatures make a field with many folds.
	msg := rest(rcpt)
	for _, domain := range []string{"strict.example", "good.example", "doubt.example", "dkimtemp.example", "silent.example"} {
		msg = sign(t, msg, domain)
	}
	written := map[string]string{}
	for _, kind := range mtas {
		m := kind.start(t, verify)
		accepted(t, dial(t, m.addr, nil).send("ann@strict.example", []string{rcpt}, msg))
		got := m.sink.wait(t, rcpt).Data
		sameBelow(t, got, []string{ar, "Received"}, msg)
		written[kind.name] = named(got, ar)[0]
	}
	if written["Postfix"] != written["Sendmail"] {
		t.Errorf("Postfix wrote\n%q, Sendmail\n%q", written["Postfix"], written["Sendmail"])
	}
	if field := written["Postfix"]; !strings.HasPrefix(field, " "+authservID+";\r\n ") || strings.Count(field, "dkim=") != 5 {
		t.Errorf("the field is %q", field)
	}
}
