package verifier

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"signpost/internal/dns"
	"signpost/internal/message"
)

// resolverAddr stands in the errors of the resolvers here, as in those of internal/dns.
const resolverAddr = "10.9.8.7:53"

// The causes of a refusal are named in the log line; the client is told the decisive one,
// in printable ASCII, without the address of a resolver.
func TestARefusedMessageNamesItsCause(t *testing.T) {
	key := "DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed; d={d}; s={s}; h=from; bh=47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=; b=AAAABBBB"
	junk := func(domain, selector string) message.Field {
		name, value, _ := strings.Cut(strings.NewReplacer("{d}", domain, "{s}", selector).Replace(key), ":")
		return message.Field{Name: name, Value: value}
	}
	z := dns.NewZone()
	z.AddTXT("_dmarc.victim.example", "v=DMARC1; p=reject; pct=0")
	z.AddTXT("victim.example", "v=spf1 include:missing.example -all")
	z.AddTXT("attack.example", "v=spf1 +all")
	z.AddTXT("revoked._domainkey.victim.example", "v=DKIM1; p=")
	env := message.Envelope{ClientAddr: netip.MustParseAddr("203.0.113.66")}
	for _, tt := range []struct {
		name, sender string
		signatures   []message.Field
		reply        string
		log          map[string]string
	}{
		{"a revoked key", "x@attack.example", []message.Field{junk("attack.example", "a"), junk("victim.example", "revoked")},
			"; DKIM selector revoked: key record: the key is revoked",
			map[string]string{"dkim_selector": "a (attack.example) revoked (victim.example)", "dkim_reason": "there is no key record; key record: the key is revoked", "dmarc_reason": "not aligned"}},
		{"no key of the author's", "x@attack.example", []message.Field{junk("attack.example", "a")},
			`; not aligned with the author domain: SPF domain "attack.example"`, map[string]string{"dkim_selector": "a (attack.example)"}},
		{"a broken SPF record", "x@victim.example", nil,
			"; SPF: the target of an include: \"missing.example\" has no SPF record", map[string]string{"spf_reason": "missing.example", "dmarc_reason": `"pct=0" of the record is ignored`}},
		{"four signatures", "x@attack.example", []message.Field{junk("victim.example", "a"), junk("victim.example", "b"), junk("victim.example", "c"), junk("victim.example", "d")},
			"; DKIM selector a: there is no key record", map[string]string{"dkim_selector": "a (victim.example) b (victim.example) c (victim.example)"}},
		{"a key that does not come", "x@attack.example", []message.Field{junk("victim.example", "dead")},
			"did not answer for dead._domainkey.victim.example", map[string]string{"dkim_reason": resolverAddr, "dmarc_reason": resolverAddr}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cfg := Defaults()
			cfg.Mode = Enforce
			resolver := fails{z, "dead._domainkey.victim.example", false, errors.New(resolverAddr + ": SERVFAIL")}
			v := New(cfg, resolver, "mx.receiver.example", func() time.Time { return caseTime })
			env.Sender = tt.sender
			tx := v.Verify(context.Background(), env)
			tx.Header(env, append(message.Header(tt.signatures), message.Field{Name: "From", Value: " ceo@victim.example"}))
			out := tx.End()
			if !strings.Contains(out.Reply.Text, tt.reply) {
				t.Errorf("the reply lacks %q: %s", tt.reply, out.Reply.Text)
			}
			checkReply(t, out)
			log := map[string]string{}
			for _, n := range out.Log {
				log[n.Key] = n.Value
			}
			for k, want := range tt.log {
				if !strings.Contains(log[k], want) {
					t.Errorf("%s is %q, want %q in it", k, log[k], want)
				}
			}
		})
	}
}

func checkReply(t *testing.T, out message.Outcome) {
	t.Helper()
	if out.Reply.Code == 0 || strings.Contains(out.Reply.Text, resolverAddr) {
		t.Errorf("the reply: %+v", out.Reply)
	}
	for _, c := range out.Reply.Text {
		if c < ' ' || c > '~' {
			t.Errorf("the reply has %q: %q", c, out.Reply.Text)
		}
	}
}

// Text of strangers stands in records and signatures; what of it is told to the
// client is printable.
func TestHostileTextIsNotRepeatedInReplies(t *testing.T) {
	for _, text := range hostile {
		z := dns.NewZone()
		z.AddTXT("_dmarc.victim.example", "v=DMARC1; p=reject; pct="+text)
		z.AddTXT("victim.example", "v=spf1 "+text+" -all")
		cfg := Defaults()
		cfg.Mode = Enforce
		v := New(cfg, z, "mx.receiver.example", func() time.Time { return caseTime })
		env := message.Envelope{ClientAddr: netip.MustParseAddr("203.0.113.66"), Sender: "x@victim.example", Helo: text}
		tx := v.Verify(context.Background(), env)
		tx.Header(env, message.Header{
			{Name: "DKIM-Signature", Value: " v=1; a=rsa-sha256; d=victim.example; s=" + text + "; h=from; bh=" + text + "; b=eA=="},
			{Name: "DKIM-Signature", Value: " v=1; a=rsa-sha256; d=" + text + ".victim.example; s=x; h=from; bh=47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=; b=eA=="},
			{Name: "From", Value: " ceo@victim.example"},
		})
		out := tx.End()
		checkReply(t, out)
	}
}
