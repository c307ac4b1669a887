package daemon

import (
	"net/netip"
	"strings"
	"testing"

	"signpost/internal/arc"
	"signpost/internal/message"
)

// listHouse seals what list software on 127.0.0.2 hands back.
func listHouse(t *testing.T) *house {
	t.Helper()
	h := sealingHouse(t)
	h.replace(`listen: ["unix:`, `listen: [{address: "inet:127.0.0.1:8893", role: seal}, "unix:`)
	h.replace("networks: [192.0.2.0/28]}", "networks: [192.0.2.0/28], list_networks: [127.0.0.2/32]}")
	return h
}

// handedBack is the envelope of the list software.
var handedBack = message.Envelope{
	ClientAddr: netip.MustParseAddr("127.0.0.2"), Helo: "lists.example.com", Sender: "bounce@lists.example.com",
	Recipients: []string{"reader@far.test"}, MTAName: "mx.example.com", Role: message.RoleSeal,
}

// throughList is what list software makes of a message: a tag in Subject and a footer.
func throughList(raw string) string {
	return strings.Replace(raw, "Subject: ", "Subject: [list] ", 1) + "-- \r\nthe list\r\n"
}

// handBack takes a message through the listener with role seal, and returns it as the MTA
// sends it on.
func handBack(t *testing.T, g *Generation, env message.Envelope, raw string) (message.Outcome, string) {
	t.Helper()
	h, body := split(t, raw)
	handlers := g.Handlers()
	if ours, why := handlers.Signer.Outbound(env); !ours {
		out := decide(handlers.Verifier.Verify(t.Context(), env), env, h, body)
		t.Logf("not ours: %s", why)
		return out, sentOn(h, body, out)
	}
	out := decide(handlers.Signer.Sign(t.Context(), env), env, h, body)
	return out, sentOn(h, body, out)
}

func sentOn(h message.Header, body string, out message.Outcome) string {
	var left message.Header
	for _, f := range out.Insert {
		left = append(left, message.Field{Name: f.Name, Value: " " + f.Value})
	}
	return h.AppendWithout(left, out.Remove).String() + "\r\n" + body
}

// arrive judges a message to the list on the usual listener. No recipient is one of
// signer.arc.recipients unless sealed is set.
func arrive(t *testing.T, g *Generation, raw string, sealed bool) string {
	t.Helper()
	env := forwarding
	if !sealed {
		env.Recipients = []string{"list@example.com"}
	}
	out, text := forward(t, g, env, raw)
	if got := note(out, "sealed") != ""; got != sealed {
		t.Fatalf("sealed on arrival: %v, want %v; %v", got, sealed, out.Log)
	}
	return text
}

// judgedAgain is the next host's result of the chain.
func judgedAgain(t *testing.T, g *Generation, raw string) string {
	t.Helper()
	out, _ := forward(t, g, forwarding, raw)
	return note(out, "arc")
}

func TestListMailIsSealedWithTheResultsOfItsArrival(t *testing.T) {
	g := listHouse(t).load()
	arrived := arrive(t, g, forwardedMail, false)
	out, sent := handBack(t, g, handedBack, throughList(arrived))
	if got := note(out, "sealed"); got != "i=1 cv=none d=example.com s=s2025" || out.Sealed != "none" || note(out, "rule") != "" {
		t.Fatalf("sealed %q, log %v", got, out.Log)
	}
	if got := strings.Join(sealOf(out), " "); got != "ARC-Seal ARC-Message-Signature ARC-Authentication-Results" {
		t.Errorf("inserted %s", got)
	}
	unfold := func(s string) string { return strings.Join(strings.Fields(s), " ") }
	results := unfold(out.Insert[2].Value)
	if !strings.HasPrefix(results, "i=1; mx.example.com; dkim=") || !strings.Contains(results, "smtp.mailfrom=else.test") || strings.ContainsAny(results, "()") {
		t.Errorf("the set has %s", results)
	}
	if strings.Count(sent, "\r\nAuthentication-Results: mx.example.com;") != 1 {
		t.Errorf("our results have to stay, once:\n%s", sent)
	}
	if got := judgedAgain(t, g, sent); !strings.HasPrefix(got, "pass") {
		t.Errorf("the next host: arc=%s", got)
	}
	if got := judgedAgain(t, g, strings.Replace(sent, "the list", "the lost", 1)); !strings.HasPrefix(got, "fail") {
		t.Errorf("another footer: arc=%s", got)
	}
}

func TestWhatTheChainOnArrivalMeansForTheSealOfAList(t *testing.T) {
	g := listHouse(t).load()
	_, once := forward(t, g, forwarding, forwardedMail) // the seal of a host before
	broken := strings.Replace(once, "Hi.", "Ho.", 1)
	_, ended := forward(t, g, forwarding, broken)
	without := func(raw, name string) string {
		h, body := split(t, raw)
		var out message.Outcome
		for i, f := range h {
			if f.Name == name {
				out.Remove = append(out.Remove, i)
			}
		}
		return sentOn(h, body, out)
	}
	same := func(s string) string { return s }
	for _, c := range []struct {
		name   string
		raw    string
		onWay  bool // sealed on arrival, too
		list   func(string) string
		sealed string
		why    string
		next   string
	}{
		{"no chain", forwardedMail, false, same, "i=1 cv=none", "", "pass"},
		{"a chain that passed", once, false, same, "i=2 cv=pass", "", "pass"},
		{"a chain that failed (RFC 8617 §5.1.2)", broken, false, same, "i=2 cv=fail", "", "fail"},
		{"a chain that has ended", ended, false, same, "", arc.ErrEnded.Error(), "fail"},
		{"no chain, sealed by us on arrival", forwardedMail, true, same, "i=2 cv=pass", "", "pass"},
		{"a chain that passed, sealed by us on arrival", once, true, same, "i=3 cv=pass", "", "pass"},
		{"a chain that failed, sealed by us on arrival", broken, true, same, "", arc.ErrEnded.Error(), "fail"},
		{"the list software sealed too", forwardedMail, false, func(s string) string {
			return "ARC-Seal: i=1; cv=none; a=rsa-sha256; d=example.com; s=s2025; b=AAAA\r\nARC-Message-Signature: i=1; a=rsa-sha256; d=example.com; s=s2025; h=from; bh=AAAA; b=AAAA\r\n" +
				"ARC-Authentication-Results: i=1; lists.example.com; none\r\n" + s
		}, "", "another program here", "fail"},
		{"the list software takes the chain out", once, false, func(s string) string {
			return without(without(without(s, arc.NameSeal), arc.NameMessage), arc.NameResults)
		}, "", "are gone", "none"},
		{"the list software takes a part of the chain out", once, false, func(s string) string { return without(s, arc.NameMessage) }, "", "was damaged here", "fail"},
		{"the list software takes a part of a failed chain out", broken, false, func(s string) string { return without(s, arc.NameMessage) }, "i=2 cv=fail", "", "fail"},
		{"the list software takes our results out", forwardedMail, false, func(s string) string { return without(s, "Authentication-Results") }, "", "no results of this host", ""},
	} {
		out, sent := handBack(t, g, handedBack, throughList(c.list(arrive(t, g, c.raw, c.onWay))))
		if got := note(out, "sealed"); !strings.HasPrefix(got, c.sealed) || (got == "") != (c.sealed == "") {
			t.Errorf("%s: sealed %q, want %s; %v", c.name, got, c.sealed, out.Log)
		}
		if got := note(out, "unsealed"); !strings.Contains(got, c.why) || (got == "") != (c.why == "") || got != out.Unsealed {
			t.Errorf("%s: unsealed %q, want %s", c.name, got, c.why)
		}
		if out.Disposition != message.Accept || out.Failure != "" {
			t.Errorf("%s: %s, %s", c.name, out.Disposition, out.Failure)
		}
		if got := judgedAgain(t, g, sent); !strings.HasPrefix(got, c.next) && !(c.next == "none" && got == "") {
			t.Errorf("%s: the next host says arc=%s, want %s", c.name, got, c.next)
		}
	}
}

// Only what we wrote ourselves on arrival is sealed.
func TestWhoseResultsTheSealOfAListHas(t *testing.T) {
	g := listHouse(t).load()
	const forged = "Authentication-Results: mx.example.com; dkim=pass header.d=bank.example; spf=pass smtp.mailfrom=bank.example; dmarc=pass header.from=bank.example\r\n"
	plain := strings.Replace(forwardedMail, "Authentication-Results: mx.example.com; dmarc=pass header.from=bank.example\r\n", "", 1)
	outside, noRole, login := handedBack, handedBack, handedBack
	outside.ClientAddr = netip.MustParseAddr("203.0.113.9")
	noRole.Role = message.RoleAuto
	login.AuthAuthen, login.AuthType = "mailman", "PLAIN"
	for _, c := range []struct {
		name   string
		env    message.Envelope
		raw    string
		sealed bool
		kept   bool // the results leave with the message
	}{
		{"a local post, without results", handedBack, plain, false, false},
		{"a field of ours", handedBack, forged + plain, true, true},
		{"list software with a login", login, forged + plain, true, true},
		{"two fields of ours", handedBack, forged + forged + plain, false, false},
		{"ours in another spelling", handedBack, strings.Replace(forged, "mx.example.com", `"mx.example.com 1"`, 1) + plain, false, false},
		{"ours, and one that cannot be read", handedBack, forged + "Authentication-Results: (\r\n" + plain, false, false},
		{"ours, about a login alone", handedBack, "Authentication-Results: mx.example.com; auth=pass smtp.auth=jo@bank.example\r\n" + plain, false, true},
		{"ours, of our own failure", handedBack, strings.Replace(forged, "dkim=pass", `dkim=temperror reason="internal error"`, 1) + plain, false, true},
		{"ours, of a chain without an answer", handedBack, strings.Replace(forged, "dkim=pass", `arc=fail reason="DNS did not answer"; dkim=pass`, 1) + plain, false, true},
		{"ours, of a chain with a temporary error", handedBack, strings.Replace(forged, "dkim=pass", "arc=temperror; dkim=pass", 1) + plain, false, true},
		{"ours, with two results of the chain", handedBack, strings.Replace(forged, "dkim=pass", "arc=pass; arc=fail; dkim=pass", 1) + plain, false, true},
		{"a client outside of the networks", outside, forged + plain, false, false},
		{"a listener without the role", noRole, forged + plain, false, false},
	} {
		out, sent := handBack(t, g, c.env, c.raw)
		returned := c.env.ClientAddr == handedBack.ClientAddr && c.env.Role == message.RoleSeal
		if got := out.Sealed != ""; got != c.sealed || (out.Unsealed != "") != (returned && !c.sealed) {
			t.Errorf("%s: sealed %v; %v", c.name, got, out.Log)
		}
		left, _ := split(t, sent)
		kept := 0
		for _, f := range left {
			if f.Name == "Authentication-Results" && strings.Contains(f.Value, "bank.example") {
				kept++
			}
		}
		if want := map[bool]int{true: 1}[c.kept]; kept != want {
			t.Errorf("%s: %d fields of results leave, want %d\n%s", c.name, kept, want, sent)
		}
	}
}

// A message with an author of ours is signed below the seal, unless it came in with this author
// and without a proof.
func TestTheListsOwnMailIsSignedAndThenSealed(t *testing.T) {
	g := listHouse(t).load()
	arrived := arrive(t, g, forwardedMail, false)
	for _, c := range []struct {
		name, from, results string
		signed              bool
	}{
		{"the list's own address in From", "list@example.com", "", true},
		{"the author's address in From", "jo@else.test", "", false},
		{"an author of ours, forged", "boss@example.com", "dmarc=fail header.from=example.com", false},
		{"an author of ours, without a record", "boss@example.com", "dmarc=none header.from=example.com", false},
		{"an author of ours, proved", "boss@example.com", "dmarc=pass header.from=example.com", true},
		{"an author of ours, and the result of another author", "boss@example.com, jo@else.test", "dmarc=fail header.from=else.test", false},
		{"an author of ours, and another author before", "jo@else.test, boss@example.com", "dmarc=fail header.from=example.com", false},
		{"an author of ours, who was not read on arrival", "boss@example.com", "dmarc=none", true},
		{"no author", "", "", false},
	} {
		raw := strings.Replace(throughList(arrived), "From: jo@else.test", "From: "+c.from, 1)
		if c.results != "" {
			at := strings.Index(raw, "dmarc=none")
			end := at + strings.Index(raw[at:], "header.from=else.test") + len("header.from=else.test")
			raw = raw[:at] + c.results + raw[end:]
		}
		out, sent := handBack(t, g, handedBack, raw)
		want := "ARC-Seal ARC-Message-Signature ARC-Authentication-Results"
		if c.signed {
			want += " DKIM-Signature"
		}
		if got := strings.Join(sealOf(out), " "); got != want {
			t.Errorf("%s: inserted %s; %v", c.name, got, out.Log)
		}
		if !c.signed && out.Unsigned == "" {
			t.Errorf("%s: no reason; %v", c.name, out.Log)
		}
		if c.from == "" {
			continue
		}
		next, _ := forward(t, g, forwarding, sent)
		if got := note(next, "arc"); !strings.HasPrefix(got, "pass") {
			t.Errorf("%s: the next host says arc=%s", c.name, got)
		}
		if got := note(next, "dkim"); c.signed && !strings.Contains(got, "pass") {
			t.Errorf("%s: the next host says dkim=%s", c.name, got)
		}
	}
}

// Where it is not certain which results are ours, one that speaks against the author is enough: another
// program here may write results in our name.
func TestAForgeryIsNotSignedWhereResultsAreInDoubt(t *testing.T) {
	g := listHouse(t).load()
	const own = "From: boss@example.com\r\nSubject: Hi\r\n\r\nHi.\r\n"
	field := func(value string) string { return "Authentication-Results: mx.example.com; " + value + "\r\n" }
	failed := field("dkim=none; spf=fail smtp.mailfrom=else.test; dmarc=fail header.from=example.com")
	for _, c := range []struct {
		name, fields string
		signed       bool
	}{
		{"a second field, below", failed + field("dkim=none"), false},
		{"a second field, above", field("dkim=none") + failed, false},
		{"a second field that says pass", failed + field("dmarc=pass header.from=example.com"), false},
		{"two results in one field", field("spf=pass; dkim=none; dmarc=fail header.from=example.com; dmarc=pass header.from=example.com"), false},
		{"a second field that cannot be read", "Authentication-Results: (\r\n" + failed, false},
		{"a field that cannot be read", "Authentication-Results: mx.example.com; dmarc=fail (\r\n", false},
		{"in another spelling", strings.Replace(failed, "mx.example.com", `"mx.example.com 1"`, 1), false},
		{"our own failure to judge", field(`spf=temperror reason="internal error"; dkim=temperror reason="internal error"; dmarc=temperror reason="internal error"`), false},
		{"two authors in one result", field("spf=pass; dkim=none; dmarc=fail header.from=example.com header.from=else.test"), false},
		{"two fields of logins", field("auth=pass") + field("auth=pass"), true},
		{"two fields that say pass", strings.ReplaceAll(failed+failed, "dmarc=fail", "dmarc=pass"), true},
		{"none", "", true},
	} {
		out, _ := handBack(t, g, handedBack, c.fields+own)
		if signed := len(out.Signatures) > 0; signed != c.signed || (out.Unsigned == "") != c.signed || out.Disposition != message.Accept {
			t.Errorf("%s: signed %v, want %v; %v", c.name, signed, c.signed, out.Log)
		}
	}
}
