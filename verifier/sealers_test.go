package verifier

import (
	"context"
	"net/netip"
	"strings"
	"testing"
	"time"

	"signpost/internal/arc"
	"signpost/internal/dns"
	"signpost/internal/message"
)

// sealerZone is arcZone with another policy of the author domain; "" for no record.
func sealerZone(t *testing.T, policy string) *dns.Zone {
	t.Helper()
	z := arcZone(t)
	text := "list.example. TXT \"v=spf1 ip4:192.0.2.10 -all\"\n"
	if policy != "" {
		text += "_dmarc.author.example. TXT \"v=DMARC1; " + policy + "\"\n"
	}
	other := parsedZone(t, text)
	for _, domain := range []string{"list.example", "lists.author.example"} {
		record, err := z.LookupTXT(context.Background(), "ed._domainkey.list.example")
		if err != nil {
			t.Fatal(err)
		}
		other.AddTXT("ed._domainkey."+domain, record[0])
	}
	return other
}

// A trusted list's mail is delivered under each rule that it would fail without the list, and
// put off under each of them where DNS does not answer about the list's key.
func TestTrustedSealersCountUnderTheRuleInForce(t *testing.T) {
	own := func(c *Config) { c.OwnDomains = ownDomainsProtect }
	override := func(o Override) func(*Config) {
		o.Domain = "author.example"
		return func(c *Config) { c.Overrides = append(c.Overrides, o) }
	}
	const spf, dkim, dmarcOnly = "spf=pass smtp.mailfrom=jo@author.example", "dkim=pass header.d=author.example", "dmarc=pass header.from=author.example"
	for _, c := range []struct {
		name, policy, results string
		change                func(*Config)
		accepting             bool // the sealer has accept_dmarc
		want                  message.Disposition
		unanswered            message.Disposition // where the key of the list does not come
	}{
		{"own domain, p=reject", "p=reject", spf, own, false, message.Accept, message.Tempfail},
		{"own domain, p=none", "p=none", spf, own, false, message.Accept, message.Tempfail},
		{"own domain, no record", "", spf, own, false, message.Accept, message.Tempfail},
		{"own domain, no record, nothing passed", "", "spf=none; dkim=none", own, false, message.Reject, message.Tempfail},
		{"override, p=reject", "p=reject", spf, override(Override{OnFail: ActReject}), false, message.Accept, message.Tempfail},
		{"override, p=none", "p=none", dkim, override(Override{OnFail: ActReject}), false, message.Accept, message.Tempfail},
		{"override, no record", "", dkim, override(Override{OnFail: ActReject}), false, message.Accept, message.Tempfail},
		{"override, no record, nothing passed", "", "spf=none; dkim=none", override(Override{OnFail: ActReject}), false, message.Reject, message.Tempfail},
		{"override, quarantine", "p=none", "spf=none; dkim=none", override(Override{OnFail: ActQuarantine}), false, message.Quarantine, message.Tempfail},
		{"override that delivers", "p=reject", "spf=none; dkim=none", override(Override{OnFail: onFailNone}), false, message.Accept, message.Accept},
		{"require: dkim, and SPF passed", "p=none", spf, override(Override{Require: requireDKIM}), false, message.Reject, message.Tempfail},
		{"require: dkim, p=reject, and SPF passed", "p=reject", spf, override(Override{Require: requireDKIM}), false, message.Reject, message.Tempfail},
		{"require: dkim, and DKIM passed", "p=none", dkim, override(Override{Require: requireDKIM}), false, message.Accept, message.Tempfail},
		{"require: dkim, and dmarc=pass alone", "p=none", dmarcOnly, override(Override{Require: requireDKIM}), true, message.Reject, message.Tempfail},
		{"override, and dmarc=pass alone", "p=none", dmarcOnly, override(Override{OnFail: ActReject}), true, message.Accept, message.Tempfail},
		{"override that is watched, no record", "", "spf=none; dkim=none", override(Override{OnFail: ActReject, Mode: Monitor}), false, message.Accept, message.Accept},
		{"forwarder", "p=reject", "spf=none; dkim=none", func(c *Config) {
			c.Forwarders = []Forwarder{{Network: netip.MustParsePrefix("192.0.2.10/32"), AllowOwnDomains: true}}
		}, false, message.Accept, message.Accept},
		{"forwarder without our domains", "p=reject", "spf=none; dkim=none", func(c *Config) {
			c.Forwarders = []Forwarder{{Network: netip.MustParsePrefix("192.0.2.10/32")}}
		}, false, message.Reject, message.Tempfail},
		{"no rule, p=none", "p=none", "spf=none; dkim=none", nil, false, message.Accept, message.Accept},
		{"no rule, no record", "", spf, nil, false, message.Accept, message.Accept},
		{"strict alignment, header.d", "p=reject; adkim=s", dkim, nil, false, message.Accept, message.Tempfail},
		{"strict alignment, header.i alone", "p=reject; adkim=s", "dkim=pass header.i=@author.example", nil, false, message.Reject, message.Tempfail},
		{"relaxed alignment, header.i alone", "p=reject", "dkim=pass header.i=jo@author.example", nil, false, message.Accept, message.Tempfail},
	} {
		t.Run(c.name, func(t *testing.T) {
			raw := sealedBy(t, sealedMail, "list.example", "mx.list.example; "+c.results, nil)
			for r, want := range map[Resolver]message.Disposition{
				sealerZone(t, c.policy): c.want, failingKey{sealerZone(t, c.policy), "ed._domainkey.list.example"}: c.unanswered,
			} {
				cfg := Defaults()
				cfg.Mode = Enforce
				cfg.ARC.TrustedSealers = []Sealer{{"list.example", c.accepting}}
				if c.change != nil {
					c.change(&cfg)
				}
				got := judgeOwn(t, raw, r, cfg)
				if got.Decision.Disposition() != want {
					t.Errorf("%T: %s (%s), want %s", r, got.Decision.Disposition(), got.Decision.Rule, want)
				}
			}
		})
	}
}

// judgeOwn judges a message where author.example is a domain of ours.
func judgeOwn(t *testing.T, raw string, r Resolver, cfg Config) Result {
	t.Helper()
	h, body := splitMail(t, raw)
	v := New(cfg, r, "mx", func() time.Time { return caseTime }).WithOwnDomains(func(d string) bool { return d == "author.example" })
	tx := v.Explain(context.Background(), listEnvelope, nil)
	tx.Header(listEnvelope, h)
	tx.Body([]byte(body))
	result, err := tx.Judge()
	if err != nil {
		t.Fatal(err)
	}
	return *result
}

// A MAIL FROM anywhere in the sealer's organization is the sealer's own, beside its domain too.
func TestSPFOfTheSealersOrganizationDoesNotCount(t *testing.T) {
	z := sealerZone(t, "p=reject")
	for mailfrom, want := range map[string]message.Disposition{
		"bounce@lists.author.example": message.Reject, "bounce@author.example": message.Reject,
		"bounce@bounces.author.example": message.Reject, "a.b.author.example": message.Reject,
	} {
		raw := sealedBy(t, sealedMail, "lists.author.example", "mx; spf=pass smtp.mailfrom="+mailfrom, nil)
		if got := judgeMail(t, raw, z, trust("lists.author.example")); got.Decision.Disposition() != want {
			t.Errorf("%s: %s", mailfrom, got.Decision.Rule)
		}
	}
	// The author's organization cannot be found: later.
	for _, c := range []struct {
		sealer, mailfrom, failing string
		want                      message.Disposition
	}{
		{"lists.author.example", "author.example", "_dmarc.example", message.Tempfail},
		{"list.example", "author.example", "_dmarc.example", message.Accept},
		{"list.example", "sub.author.example", "_dmarc.example", message.Tempfail},
		{"list.example", "sub.author.example", "_dmarc.sub.author.example", message.Tempfail},
	} {
		raw := sealedBy(t, sealedMail, c.sealer, "mx; spf=pass smtp.mailfrom="+c.mailfrom, nil)
		if got := judgeMail(t, raw, failingKey{z, c.failing}, trust(c.sealer)).Decision; got.Disposition() != c.want {
			t.Errorf("%+v: %s (%s)", c, got.Disposition(), got.Rule)
		}
	}
}

// Sealers do not all sign Content-Type; Google's h= has MIME-Version alone. Who changes the
// type afterwards shows the author's text in another way and adds none, as under a DKIM
// signature without it. A second copy of a signed one is seen.
func TestASealNeedNotCoverTheTypeOfTheContent(t *testing.T) {
	typed := strings.Replace(sealedMail, "Subject:", "Content-Type: text/plain\r\nSubject:", 1)
	covered := func(p *arc.SealParams) { p.Headers = append(p.Headers, "Content-Type") }
	for _, c := range []struct {
		name, raw string
		want      message.Disposition
	}{
		{"not signed", sealedBy(t, typed, "list.example", authorPassed, nil), message.Accept},
		{"signed", sealedBy(t, typed, "list.example", authorPassed, covered), message.Accept},
		{"signed and changed", strings.Replace(sealedBy(t, typed, "list.example", authorPassed, covered), "text/plain", "text/html", 1), message.Reject},
		{"signed, and another one on top", "Content-Type: text/html\r\n" + sealedBy(t, typed, "list.example", authorPassed, covered), message.Reject},
	} {
		if got := judgeMail(t, c.raw, arcZone(t), trust("list.example")); got.Decision.Disposition() != c.want {
			t.Errorf("%s: %s, want %s", c.name, got.Decision.Rule, c.want)
		}
	}
}

// A trace says what trusted sealers found, and why the others do not count.
func TestExplainSaysWhatTrustedSealersFound(t *testing.T) {
	list := sealedBy(t, sealedMail, "list.example", authorPassed+"; dkim=pass header.i=@author.example", nil)
	for _, c := range []struct {
		name, raw string
		trusted   []string
		want      string
	}{
		{"all that passed", list, []string{"list.example"}, "passed there: spf author.example, dkim header.i author.example"},
		{"nothing", sealedBy(t, sealedMail, "list.example", "mx; none", nil), []string{"list.example"}, "passed there: none"},
		{"an older set is a stranger's", sealedBy(t, list, "gateway.example", "mx; arc=pass", nil), []string{"gateway.example"}, "passed there: none; set 1 of list.example is not listed"},
		{"To is not signed", sealedBy(t, sealedMail, "list.example", authorPassed, func(p *arc.SealParams) { p.Headers = []string{"From"} }),
			[]string{"list.example"}, "set 1 of list.example left a field, or a part of the body, unsigned"},
		{"another author", sealedBy(t, sealedMail, "list.example", "mx; dmarc=pass header.from=other.example", nil), []string{"list.example"}, "set 1 of list.example has results about another author"},
		{"unreadable", sealedBy(t, sealedMail, "list.example", "mx; spf=(", nil), []string{"list.example"}, "set 1 of list.example has results that cannot be read"},
	} {
		cfg := Defaults()
		trust(c.trusted...)(&cfg)
		h, body := splitMail(t, c.raw)
		var trace message.Trace
		tx := New(cfg, arcZone(t), "mx", func() time.Time { return caseTime }).Explain(context.Background(), listEnvelope, &trace)
		tx.Header(listEnvelope, h)
		tx.Body([]byte(body))
		tx.End()
		found := ""
		for _, s := range trace.Steps {
			if s.Rule == "verifier.arc" {
				found = s.Compared
			}
		}
		if !strings.Contains(found, c.want) {
			t.Errorf("%s: %s, want %s", c.name, found, c.want)
		}
	}
}
