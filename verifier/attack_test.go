package verifier

import (
	"context"
	"net/netip"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"signpost/internal/dns"
	"signpost/internal/message"
)

// hostile are texts that break out of XML, of a log line or of a header field.
var hostile = []string{
	"</record><record>", "a&b", "a]]>b", "a\x00b", "a\x1bb", "a\xffb", "a\ufffeb", "a\u202eb", `a"b`, "a\r\nX: y", "a;dmarc=pass", "a(b",
}

// What reports and logs are made of later is in the verdict and in the notes.
// d=, s= and the names of SPF are domain names there, or nothing.
func TestATK059NamesInAVerdictAreDomainNames(t *testing.T) {
	for _, text := range hostile {
		z := dns.NewZone()
		z.AddTXT("example.com", "v=spf1 -all")
		v := New(Defaults(), z, "mx.receiver.example", func() time.Time { return caseTime })
		env := message.Envelope{
			ClientAddr: netip.MustParseAddr("203.0.113.66"), Helo: text + ".example", ClientName: text, QueueID: "x",
			Sender: "alice@" + text + ".example",
		}
		const tags = "; h=from; bh=47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=; b=eA=="
		h := message.Header{
			{Name: "DKIM-Signature", Value: " v=1; a=ed25519-sha256; s=sel; d=" + text + ".example" + tags},
			{Name: "DKIM-Signature", Value: " v=1; a=ed25519-sha256; d=example.com; s=" + text + tags},
			{Name: "DKIM-Signature", Value: " v=1; a=" + text + "; d=example.com; s=sel" + tags},
			{Name: "From", Value: " alice@example.com"},
		}
		tx := v.Explain(context.Background(), env, nil)
		tx.Header(env, h)
		tx.Body([]byte("x\r\n"))
		j, err := tx.Judge()
		if err != nil {
			t.Fatal(err)
		}
		names := []string{j.Verdict.Helo, j.Verdict.SPF.Domain, j.Verdict.DMARC.AuthorDomain, j.Verdict.DMARC.RecordDomain}
		for _, o := range j.Verdict.DKIM {
			names = append(names, o.Domain, o.Selector, o.Algorithm)
		}
		for _, name := range names {
			for _, c := range []byte(name) {
				if c <= ' ' || c >= 0x7f || strings.IndexByte(`<>&"'()\;`, c) >= 0 {
					t.Errorf("%q: the verdict has the name %q", text, name)
				}
			}
		}
		field := j.Field().Value
		if strings.Contains(field, text) || strings.ContainsAny(field, "<>&\x00\x1b") || !utf8.ValidString(field) {
			t.Errorf("%q is in the field: %q", text, field)
		}
	}
}

// What a stranger writes into the message about lists, forwarding or earlier
// checks changes no decision; only trusted.networks do.
func TestATK074NoFieldChangesADecision(t *testing.T) {
	cfg := Defaults()
	cfg.Mode = Enforce
	z := dns.NewZone()
	z.AddTXT("_dmarc.example.com", "v=DMARC1; p=reject")
	v := New(cfg, z, "mx.receiver.example", func() time.Time { return caseTime })
	env := message.Envelope{ClientAddr: netip.MustParseAddr("203.0.113.66"), Sender: "bounces@list.example", Helo: "list.example"}
	for _, extra := range []message.Field{
		{Name: "List-Id", Value: " <members.list.example>"},
		{Name: "List-Id", Value: " <members.example.com>"},
		{Name: "Precedence", Value: " list"},
		{Name: "Auto-Submitted", Value: " auto-generated"},
		{Name: "X-Forwarded-To", Value: " bob@receiver.example"},
		{Name: "X-Original-From", Value: " alice@example.com"},
		{Name: "Resent-From", Value: " alice@example.com"},
		{Name: "ARC-Seal", Value: " i=1; a=rsa-sha256; cv=none; d=google.com; s=arc; b=eA=="},
		{Name: "ARC-Authentication-Results", Value: " i=1; mx.receiver.example; dmarc=pass header.from=example.com"},
		{Name: "Authentication-Results", Value: " mx.receiver.example; dmarc=pass header.from=example.com"},
		{Name: "Received-SPF", Value: " pass"},
		{Name: "X-Signpost-Disposition", Value: " accept"},
	} {
		tx := v.Explain(context.Background(), env, nil)
		if tx.Header(env, message.Header{extra, {Name: "From", Value: " alice@example.com"}}) {
			tx.Body([]byte("x\r\n"))
		}
		if out := tx.End(); out.Disposition != message.Reject {
			t.Errorf("with %s the message is taken: %+v", extra.Name, out)
		}
	}
}

// A terminal's control sequence inside the author domain makes another domain of it for
// some readers: none of them gets a pass, and no control octet is passed on.
func TestAControlSequenceInTheAuthorDomainIsNoOtherDomain(t *testing.T) {
	for _, from := range []string{"a@ex\x1b[2Jample.com", "a@ex\x1b]0;t\aample.com", "a@examplex\b.com", "a@ex\x9b2Jample.com"} {
		z := dns.NewZone()
		for _, sent := range []string{"example.com", "ex2jample.com", "examplex.com", "j.attack.example"} {
			z.AddTXT(sent, "v=spf1 +all")
			z.AddTXT("_dmarc."+sent, "v=DMARC1; p=none")
			cfg := Defaults()
			cfg.Mode, cfg.Author.OnAmbiguous = Enforce, ActAccept
			v := New(cfg, z, "mx.receiver.example", func() time.Time { return caseTime })
			env := message.Envelope{ClientAddr: netip.MustParseAddr("203.0.113.66"), Helo: "mail." + sent, QueueID: "x", Sender: "a@" + sent}
			tx := v.Explain(context.Background(), env, nil)
			tx.Header(env, message.Header{{Name: "From", Value: " " + from}})
			tx.Body([]byte("x\r\n"))
			r, err := tx.Judge()
			if err != nil {
				t.Fatal(err)
			}
			text := r.Field().Value + r.Decision.Rule + r.Decision.Reply.Text
			for _, n := range r.notes() {
				text += n.Value
			}
			if r.Decision.Action != ActReject || r.Verdict.DMARC.Result == "pass" {
				t.Errorf("%q sent by %s: %+v, dmarc %s", from, sent, r.Decision, r.Verdict.DMARC.Result)
			}
			if strings.ContainsFunc(text, func(c rune) bool { return c < ' ' && !strings.ContainsRune("\r\n\t", c) || 0x7f <= c && c < 0xa0 }) || !utf8.ValidString(text) {
				t.Errorf("%q: %q", from, text)
			}
		}
	}
}

// A program behind us may end lines at a CR or LF alone, and find our results there.
func TestATK066ResultsBehindACRAloneAreRemoved(t *testing.T) {
	v := New(Defaults(), dns.NewZone(), "mx.receiver.example", func() time.Time { return caseTime })
	for value, want := range map[string]bool{
		" x\rAuthentication-Results: mx.receiver.example; dmarc=pass":            true,
		" x\nAuthentication-Results: \"MX.receiver.example\"; dmarc=pass":        true,
		" x\r\n y\rX: y\rauthentication-results : mx.receiver.example; spf=pass": true,
		" x\rX-Signpost-Disposition: none":                                       true,
		" x\r Authentication-Results: mx.receiver.example; dmarc=pass":           false,
		" x\rAuthentication-Results: other.example; dmarc=pass":                  false,
		" x Authentication-Results: mx.receiver.example; dmarc=pass":             false,
	} {
		h := message.Header{{Name: "From", Value: " a@example.com"}, {Name: "Subject", Value: value}}
		if got := v.Forged(message.Envelope{}, h); (len(got) == 1 && got[0] == 1) != want || len(got) > 1 {
			t.Errorf("%q: %v is removed, want %v", value, got, want)
		}
	}
}
