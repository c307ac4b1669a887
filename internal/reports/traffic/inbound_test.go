package traffic

import (
	"bytes"
	"crypto/ed25519"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"signpost/internal/config"
	"signpost/internal/dkim"
	"signpost/internal/dns"
	"signpost/internal/message"
	"signpost/milter"
	"signpost/verifier"
)

var (
	testTime = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	testKey  = ed25519.NewKeyFromSeed(bytes.Repeat([]byte{7}, ed25519.SeedSize))
)

const testZone = `author.example. TXT "v=spf1 ip4:192.0.2.10 -all"
_dmarc.author.example. TXT "v=DMARC1; p=reject; sp=quarantine; rua=mailto:r@author.example,mailto:s@author.example; fo=1; adkim=s"
none.example. TXT "v=spf1 ip4:192.0.2.10 -all"
_dmarc.none.example. TXT "v=DMARC1; p=none; rua=mailto:r@none.example"
_dmarc.test.example. TXT "v=DMARC1; p=reject; t=y"
_dmarc.hold.example. TXT "v=DMARC1; p=quarantine"
forwarder.example. TXT "v=spf1 ip4:198.51.100.1 -all"
bare.example. TXT "v=spf1 -all"
`

// inbound is a message that comes in, and what is counted of it.
type inbound struct {
	name, yaml, header, sender, ip, clientName string
	recipients                                 []string
	signed                                     []string // domains
	want                                       string
}

func (c inbound) decided(t testing.TB) milter.Decided {
	t.Helper()
	cfg := verifier.Defaults()
	if c.yaml != "" {
		src := config.Decode(c.name, []byte(c.yaml), &cfg)
		cfg.Validate(src.Bad)
		if err := src.Err(); err != nil {
			t.Fatal(err)
		}
	}
	zone, err := dns.ParseZone(strings.NewReader(testZone), "zone")
	if err != nil {
		t.Fatal(err)
	}
	record, err := dkim.KeyRecord(testKey.Public())
	if err != nil {
		t.Fatal(err)
	}
	header, _, err := message.Split(strings.NewReader(strings.ReplaceAll(c.header, "\n", "\r\n")+"\r\n\r\n"), message.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	for _, domain := range c.signed {
		zone.AddTXT("ed._domainkey."+domain, record)
		s, err := dkim.NewSigning(header, []dkim.SignParams{{Domain: domain, Selector: "ed", Key: testKey, HeaderCanon: dkim.Relaxed, BodyCanon: dkim.Relaxed, Headers: []string{"From"}, Time: testTime}})
		if err != nil {
			t.Fatal(err)
		}
		fields, err := s.Fields()
		if err != nil {
			t.Fatal(err)
		}
		header = append(message.Header(fields), header...)
	}
	env := message.Envelope{Sender: c.sender, Helo: "helo.example", MTAName: "mx.example.org", ClientName: c.clientName, Recipients: c.recipients, ClientAddr: netip.MustParseAddr(c.ip)}
	v := verifier.New(cfg, zone, "mx.example.org", func() time.Time { return testTime }).WithOwnDomains(func(d string) bool { return d == "own.example" })
	tx := v.Verify(t.Context(), env)
	if tx.Header(env, header) {
		tx.Body(nil)
	}
	return milter.Decided{Envelope: &env, Header: header, Outcome: tx.End()}
}

// shown is a row in one line: the facts that are not empty.
func shown(r Row) string {
	var b strings.Builder
	add := func(name string, value any) {
		if text := fmt.Sprint(value); text != "" && text != "false" && text != "[]" {
			fmt.Fprintf(&b, "%s=%s ", name, text)
		}
	}
	add("result", r.Result)
	add("from", r.HeaderFrom)
	add("mfrom", r.EnvelopeFrom)
	add("policy", strings.Join(strings.Fields(strings.Join([]string{r.Policy.Domain, r.Policy.P, r.Policy.SP, r.Policy.ADKIM, r.Policy.RUA}, " ")), ","))
	add("spf", strings.TrimSuffix(r.SPFResult+"/"+r.SPFScope, "/"))
	add("dkim", r.DKIM)
	add("aligned", strings.TrimSpace(strings.Join([]string{map[bool]string{true: "dkim"}[r.DKIMAligned], map[bool]string{true: "spf"}[r.SPFAligned]}, " ")))
	add("requested", r.Requested)
	add("disposition", r.Disposition)
	add("reasons", r.Reasons)
	add("action", r.Action)
	add("would", r.Would)
	add("rule", r.Rule)
	add("host", r.Host)
	add("route", r.Route)
	add("forwarder", r.Forwarder)
	add("optional", r.Optional)
	return strings.TrimSpace(b.String())
}

const plainFrom = "From: a@author.example\nSubject: x"

func TestWhatIsCountedOfAMessage(t *testing.T) {
	const enforce = "mode: enforce\n"
	for _, c := range []inbound{
		{name: "aligned SPF", header: plainFrom, sender: "b@author.example", ip: "192.0.2.10", clientName: "mx.author.example",
			want: "result=pass from=author.example mfrom=author.example policy=author.example,reject,quarantine,s,mailto:r@author.example,mailto:s@author.example spf=pass/mfrom aligned=spf requested=reject disposition=pass action=accept"},
		{name: "an aligned signature beside another one", header: plainFrom, sender: "", ip: "203.0.113.9", signed: []string{"author.example", "other.example"},
			want: "result=pass from=author.example policy=author.example,reject,quarantine,s,mailto:r@author.example,mailto:s@author.example spf=none/helo dkim=[{other.example ed pass} {author.example ed pass}] aligned=dkim requested=reject disposition=pass action=accept"},
		{name: "a pass under p=none", header: "From: a@none.example", sender: "a@none.example", ip: "192.0.2.10",
			want: "result=pass from=none.example mfrom=none.example policy=none.example,none,r,mailto:r@none.example spf=pass/mfrom aligned=spf requested=none disposition=none action=accept"},
		{name: "a failure under p=none", yaml: enforce, header: "From: a@none.example", sender: "a@bare.example", ip: "203.0.113.9",
			want: "result=fail from=none.example mfrom=bare.example policy=none.example,none,r,mailto:r@none.example spf=fail/mfrom requested=none disposition=none action=accept rule=verifier.dmarc"},
		{name: "a failure in monitor mode", header: plainFrom, sender: "x@forwarder.example", ip: "198.51.100.1", clientName: "MX.Forwarder.example",
			want: "result=fail from=author.example mfrom=forwarder.example policy=author.example,reject,quarantine,s,mailto:r@author.example,mailto:s@author.example spf=pass/mfrom requested=reject disposition=none reasons=[{local_policy no policy is enforced here}] action=accept would=reject rule=verifier.dmarc host=mx.forwarder.example"},
		{name: "a failure in enforce mode", yaml: enforce, header: "From: a@hold.example", sender: "", ip: "198.51.100.1", clientName: "unknown",
			want: "result=fail from=hold.example policy=hold.example,quarantine,r spf=none/helo requested=quarantine disposition=quarantine action=tag rule=verifier.dmarc"},
		{name: "refused", yaml: enforce, header: plainFrom, sender: "", ip: "198.51.100.1",
			want: "result=fail from=author.example policy=author.example,reject,quarantine,s,mailto:r@author.example,mailto:s@author.example spf=none/helo requested=reject disposition=reject action=reject rule=verifier.dmarc"},
		{name: "a policy that the configuration weakens", yaml: enforce + "dmarc: {on_reject: tag}\n", header: "From: a@sub.author.example", sender: "", ip: "198.51.100.1",
			want: "result=fail from=sub.author.example policy=author.example,reject,quarantine,s,mailto:r@author.example,mailto:s@author.example spf=none/helo requested=quarantine disposition=quarantine action=tag rule=verifier.dmarc"},
		{name: "reject treated as quarantine", yaml: enforce + "dmarc: {on_reject: tag}\n", header: plainFrom, sender: "", ip: "198.51.100.1",
			want: "result=fail from=author.example policy=author.example,reject,quarantine,s,mailto:r@author.example,mailto:s@author.example spf=none/helo requested=reject disposition=quarantine reasons=[{local_policy }] action=tag rule=verifier.dmarc"},
		{name: "t=y", yaml: enforce, header: "From: a@test.example", sender: "", ip: "198.51.100.1",
			want: "result=fail from=test.example policy=test.example,reject,r spf=none/helo requested=reject disposition=quarantine reasons=[{policy_test_mode }] action=tag rule=verifier.dmarc"},
		{name: "t=y in monitor mode", header: "From: a@test.example", sender: "", ip: "198.51.100.1",
			want: "result=fail from=test.example policy=test.example,reject,r spf=none/helo requested=reject disposition=none reasons=[{policy_test_mode } {local_policy no policy is enforced here}] action=accept would=tag rule=verifier.dmarc"},
		{name: "a forwarder", yaml: enforce + "forwarders: [{network: 198.51.100.0/24, name: lists}]\n", header: plainFrom, sender: "", ip: "198.51.100.1",
			want: "result=fail from=author.example policy=author.example,reject,quarantine,s,mailto:r@author.example,mailto:s@author.example spf=none/helo requested=reject disposition=none reasons=[{trusted_forwarder forwarder lists}] action=accept rule=verifier.forwarders forwarder=lists"},
		{name: "an override that lets pass", yaml: enforce + "overrides: [{domain: author.example, on_fail: none, note: agreed}]\n", header: plainFrom, sender: "", ip: "198.51.100.1",
			want: "result=fail from=author.example policy=author.example,reject,quarantine,s,mailto:r@author.example,mailto:s@author.example spf=none/helo requested=reject disposition=none reasons=[{local_policy override author.example, agreed}] action=accept rule=verifier.overrides"},
		{name: "an override that refuses", yaml: enforce + "overrides: [{domain: none.example, on_fail: reject}]\n", header: "From: a@none.example", sender: "", ip: "198.51.100.1",
			want: "result=fail from=none.example policy=none.example,none,r,mailto:r@none.example spf=none/helo requested=none disposition=reject reasons=[{local_policy override none.example}] action=reject rule=verifier.overrides"},
		{name: "an override in monitor mode", yaml: enforce + "overrides: [{domain: none.example, on_fail: reject, mode: monitor}]\n", header: "From: a@none.example", sender: "", ip: "198.51.100.1",
			want: "result=fail from=none.example policy=none.example,none,r,mailto:r@none.example spf=none/helo requested=none disposition=none action=accept would=reject rule=verifier.dmarc"},
		{name: "no record", header: "From: a@bare.example", sender: "a@bare.example", ip: "198.51.100.1", signed: []string{"bare.example"},
			want: "result=none from=bare.example mfrom=bare.example spf=fail/mfrom requested=none disposition=none action=accept"},
		{name: "SPF alone", yaml: "spf: {on_fail: reject}\n", header: "From: a@bare.example", sender: "a@bare.example", ip: "198.51.100.1",
			want: "result=none from=bare.example mfrom=bare.example spf=fail/mfrom requested=none disposition=none action=accept would=reject rule=verifier.spf.on_fail"},
		{name: "through a list", header: plainFrom + "\nList-Id: <x.lists.example>", sender: "x@forwarder.example", ip: "198.51.100.1",
			want: "result=fail from=author.example mfrom=forwarder.example policy=author.example,reject,quarantine,s,mailto:r@author.example,mailto:s@author.example spf=pass/mfrom requested=reject disposition=none reasons=[{local_policy no policy is enforced here}] action=accept would=reject rule=verifier.dmarc route=list"},
		{name: "forwarded with SRS", header: "From: a@none.example", sender: "SRS0=abc=xy=none.example=a@forwarder.example", ip: "198.51.100.1",
			want: "result=fail from=none.example mfrom=forwarder.example policy=none.example,none,r,mailto:r@none.example spf=pass/mfrom requested=none disposition=none action=accept rule=verifier.dmarc route=forwarded"},
		{name: "a report", header: "From: a@none.example\nSubject: Report  Domain: x.example Submitter: none.example\n Report-ID: <1@none.example>", sender: "a@none.example", ip: "192.0.2.10",
			want: "result=pass from=none.example mfrom=none.example policy=none.example,none,r,mailto:r@none.example spf=pass/mfrom aligned=spf requested=none disposition=none action=accept optional=true"},
		{name: "mail to our report address", header: "From: a@none.example", sender: "a@none.example", ip: "192.0.2.10", recipients: []string{"x@example.org", "DMARC@Example.org"},
			want: "result=pass from=none.example mfrom=none.example policy=none.example,none,r,mailto:r@none.example spf=pass/mfrom aligned=spf requested=none disposition=none action=accept optional=true"},
		{name: "a relay that judged already", yaml: "trusted: {networks: [198.51.100.0/24]}\n", header: plainFrom, sender: "", ip: "198.51.100.1", want: ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := c.decided(t)
			var p pending
			p.add(&d, testTime, map[string]bool{"dmarc@example.org": true})
			p.add(&d, testTime.Add(time.Minute), map[string]bool{"dmarc@example.org": true})
			rows, outbound, _ := p.take()
			got := ""
			for _, counted := range rows {
				r := counted.row()
				got += shown(*r)
				if r.Tally != (Tally{2, testTime.Unix(), testTime.Unix() + 60}) || r.Day != DayOf(testTime) || r.Source.String() != c.ip {
					t.Errorf("the row is %+v", r)
				}
			}
			if got != c.want || len(outbound) != 0 {
				t.Errorf("the rows are\n%s, want\n%s", got, c.want)
			}
		})
	}
}

// A message that is refused for now comes again, and is counted in no report.
func TestAMessageThatComesAgainIsNotReported(t *testing.T) {
	r := Row{Result: "fail", Policy: Policy{Domain: "a.example"}, Source: netip.MustParseAddr("192.0.2.1"), Disposition: "none"}
	if !r.Reportable() {
		t.Error("a row is not reportable")
	}
	for name, change := range map[string]func(*Row){
		"no policy": func(r *Row) { r.Policy.Domain = "" }, "temperror": func(r *Row) { r.Result = "temperror" },
		"451": func(r *Row) { r.Disposition = disposition("tempfail", nil) }, "folded": func(r *Row) { r.Folded = true }, "no source": func(r *Row) { r.Source = netip.Addr{} },
	} {
		r := r
		change(&r)
		if r.Reportable() {
			t.Errorf("%s: it is reportable", name)
		}
	}
}

func TestOfTooManySignaturesThoseThatSayMostRemain(t *testing.T) {
	d := inbound{header: plainFrom, ip: "192.0.2.10", sender: "a@author.example"}.decided(t)
	v := &d.Outcome.Judged.(*verifier.Result).Verdict
	for i := range 150 {
		v.DKIM = append(v.DKIM, dkim.Outcome{Result: dkim.Fail, Domain: fmt.Sprintf("n%d.example", i), Selector: "s"})
	}
	v.DKIM = append(v.DKIM, dkim.Outcome{Result: dkim.Pass, Domain: "other.example", Selector: "s"}, dkim.Outcome{Result: dkim.Pass, Domain: "author.example", Selector: "s"})
	var r Row
	if !r.judged(&d) || len(r.DKIM) != maxSignatures || r.DKIM[0].Domain != "author.example" || r.DKIM[1].Domain != "other.example" || r.DKIM[2].Domain != "n0.example" {
		t.Errorf("%d signatures, %v", len(r.DKIM), r.DKIM[:min(3, len(r.DKIM))])
	}
}

// RFC 9990 §3.1.1.10: the result of every signature that was verified is in the report. One that
// fails under a test key has the result none.
func TestAFailingSignatureOfATestKeyIsCounted(t *testing.T) {
	d := inbound{header: plainFrom, ip: "192.0.2.10", sender: "a@author.example"}.decided(t)
	v := &d.Outcome.Judged.(*verifier.Result).Verdict
	v.DKIM = []dkim.Outcome{{Result: dkim.None, Testing: true, Domain: "author.example", Selector: "s", Reason: "changed"}, {Result: dkim.PermError}}
	var r Row
	if !r.judged(&d) || !slices.Equal(r.DKIM, []Signature{{"author.example", "s", "none"}}) {
		t.Errorf("%v", r.DKIM)
	}
}

func TestReportSubjects(t *testing.T) {
	for subject, want := range map[string]bool{
		" Report Domain: a.example Submitter: b.example Report-ID: <x>": true,
		"\tReport\r\n Domain: a.example\r\n Submitter: b Report-ID: x":  true,
		" Re: Report Domain: a.example Submitter: b Report-ID: x":       false,
		" report domain: a.example submitter: b report-id: x":           false,
		" Report Domain: a.example":                                     false,
		"":                                                              false, " Report": false,
	} {
		if got := isReport(message.Header{{Name: "subject", Value: subject}}); got != want {
			t.Errorf("%q: %t", subject, got)
		}
	}
	for field, want := range map[message.Field]bool{
		{Name: "Content-Type", Value: ` multipart/Report; report-type=delivery-status`}: true,
		{Name: "Content-Type", Value: " multipart/mixed"}:                               false,
		{Name: "TLS-Report-Domain", Value: " a.example"}:                                true,
	} {
		if got := isReport(message.Header{field}); got != want {
			t.Errorf("%v: %t", field, got)
		}
	}
}

func TestWhatIsCountedOfAMessageOfOurs(t *testing.T) {
	author := message.Header{{Name: "From", Value: " a@example.com"}}.Author()
	for _, c := range []struct {
		name string
		out  message.Outcome
		want string
	}{
		{"signed", message.Outcome{Disposition: message.Accept, Author: &author, Rule: "signer.domains example.com", Signatures: []message.Signature{{Domain: "example.com", Selector: "s1", Algorithm: "rsa"}, {Domain: "example.com", Selector: "e1", Algorithm: "ed25519"}}},
			`example.com|signer.domains example.com|example.com s1 rsa;example.com e1 ed25519|`},
		{"not signed", message.Outcome{Disposition: message.Accept, Author: &author, Unsigned: "no entry"}, `example.com|||no entry`},
		{"our own failure", message.Outcome{Disposition: message.Tempfail, Author: &author, Failure: "broken"}, `example.com|||broken`},
		{"an author that is not certain", message.Outcome{Disposition: message.Accept, Author: &message.Author{Problem: "x", Domains: []string{"a.example"}}, Unsigned: strings.Repeat("é", 200)}, `|||` + strings.Repeat("é", 127)},
		{"decided by the milter", message.Outcome{Disposition: message.Reject}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			var p pending
			for range 2 {
				p.add(&milter.Decided{Outbound: true, Envelope: &message.Envelope{}, Outcome: c.out}, testTime, nil)
			}
			_, outbound, _ := p.take()
			got := ""
			for _, o := range outbound {
				got = strings.Join([]string{o.Author, o.Entry, strings.ReplaceAll(o.Signatures, "\n", ";"), o.Unsigned}, "|")
				if o.Count != 2 {
					t.Errorf("it counts %d", o.Count)
				}
			}
			if got != c.want {
				t.Errorf("the row is %q, want %q", got, c.want)
			}
		})
	}
}

// A counter that is there already costs no memory.
func TestARepeatedMessageAllocatesNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector drops memory that is kept for the next message")
	}
	d := inbound{header: plainFrom + "\nList-Id: <x>", ip: "203.0.113.9", sender: "a@author.example", signed: []string{"other.example"}, yaml: "mode: enforce\n"}.decided(t)
	d.Outcome.Judged.(*verifier.Result).Verdict.DMARC.Record.RUA = slices.Clip(d.Outcome.Judged.(*verifier.Result).Verdict.DMARC.Record.RUA[:1])
	var p pending
	p.add(&d, testTime, nil)
	if n := testing.AllocsPerRun(200, func() { p.add(&d, testTime, nil) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}
