package verifier

import (
	"fmt"
	"strings"
	"testing"
)

// What the hint says is what the configuration then does.
func TestTheSealersThatWouldExcuseAMessage(t *testing.T) {
	const (
		byDKIM   = "mx; dkim=pass header.d=author.example"
		other    = "mx; dkim=pass header.d=elsewhere.example"
		bySub    = "mx; dkim=pass header.d=mail.author.example"
		verdict  = "mx; dmarc=pass header.from=author.example"
		passedOn = "mx; arc=pass"
	)
	seal := func(pairs ...string) string {
		raw := sealedMail
		for i := 0; i < len(pairs); i += 2 {
			raw = sealedBy(t, raw, pairs[i], pairs[i+1], nil)
		}
		return raw
	}
	for _, c := range []struct{ name, raw, want string }{
		{"no chain", sealedMail, "[] false"},
		{"one sealer that saw SPF pass", seal("list.example", authorPassed), "[list.example] false"},
		{"one that saw DKIM pass", seal("list.example", byDKIM), "[list.example] false"},
		{"a subdomain of the author's", seal("list.example", bySub), "[list.example] false"},
		{"a signature of somebody else", seal("list.example", other), "[] false"},
		{"one that tells its verdict alone", seal("list.example", verdict), "[list.example] true"},
		{"one behind another", seal("list.example", byDKIM, "gateway.example", passedOn), "[gateway.example list.example] false"},
		{"the newest is enough", seal("list.example", byDKIM, "gateway.example", byDKIM), "[gateway.example] false"},
		{"the older one tells its verdict", seal("list.example", verdict, "gateway.example", passedOn), "[gateway.example list.example] true"},
		{"a chain that does not pass", strings.Replace(seal("list.example", byDKIM), "Hi.", "Ho.", 1), "[] false"},
	} {
		t.Run(c.name, func(t *testing.T) {
			judged := judgeMail(t, c.raw, arcZone(t), nil)
			domains, accept := judged.Verdict.WouldTrust()
			if got := fmt.Sprint(domains, accept); got != c.want {
				t.Fatalf("the hint is %s, want %s", got, c.want)
			}
			with := judgeMail(t, c.raw, arcZone(t), func(cfg *Config) {
				for i, d := range domains {
					cfg.ARC.TrustedSealers = append(cfg.ARC.TrustedSealers, Sealer{Domain: d, AcceptDMARC: accept && i == len(domains)-1})
				}
			})
			if excused := with.Verdict.Sealers.Excuse != ""; excused != (len(domains) > 0) {
				t.Errorf("with these sealers: %q", with.Verdict.Sealers.Excuse)
			}
			if domains, _ := with.Verdict.WouldTrust(); with.Verdict.Sealers.Excuse != "" && domains != nil {
				t.Error("an excused message has a hint")
			}
		})
	}
}
