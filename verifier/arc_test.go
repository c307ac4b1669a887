package verifier

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"signpost/internal/arc"
	"signpost/internal/config"
	"signpost/internal/dkim"
	"signpost/internal/dns"
	"signpost/internal/message"
)

const sealedMail = "From: jo@author.example\r\nTo: you@example.org\r\nSubject: hello\r\n\r\nHi.\r\n"

// arcZone has a domain that asks for a refusal, and the keys of a list and a gateway.
func arcZone(t *testing.T) *dns.Zone {
	t.Helper()
	z := parsedZone(t, "_dmarc.author.example. TXT \"v=DMARC1; p=reject\"\nlist.example. TXT \"v=spf1 ip4:192.0.2.10 -all\"\n")
	record, err := dkim.KeyRecord(caseKey.Public())
	if err != nil {
		t.Fatal(err)
	}
	for _, domain := range []string{"list.example", "gateway.example", "stranger.example"} {
		z.AddTXT("ed._domainkey."+domain, record)
	}
	return z
}

// sealedBy puts a set on top of a message.
func sealedBy(t *testing.T, raw, domain, payload string, change func(*arc.SealParams)) string {
	t.Helper()
	h, body := splitMail(t, raw)
	judged := arc.Outcome{Result: arc.None}
	if c := arc.Read(h, arc.Options{}); c != nil {
		d := dkim.NewVerification(h, dkim.Options{})
		v := c.Begin(h, d)
		v.LookupKeys(context.Background(), arcZone(t))
		d.Write([]byte(body))
		d.Finish()
		judged = v.Finish()
	}
	p := arc.SealParams{Domain: domain, Selector: "ed", Key: caseKey, Time: caseTime, Headers: []string{"From", "To", "Subject"}, Payload: payload, Body: arc.NewBody()}
	p.Body.Write([]byte(body))
	if change != nil {
		change(&p)
	}
	fields, err := arc.Seal(h, judged, p)
	if err != nil {
		t.Fatal(err)
	}
	return message.Header(append(fields, h...)).String() + "\r\n" + body
}

func splitMail(t *testing.T, raw string) (message.Header, string) {
	t.Helper()
	h, _, err := message.Split(strings.NewReader(raw), message.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	_, body, _ := strings.Cut(raw, "\r\n\r\n")
	return h, body
}

var listEnvelope = message.Envelope{ClientAddr: netip.MustParseAddr("192.0.2.10"), Helo: "mail.list.example", Sender: "bounce@list.example", MTAName: "mx.receiver.example"}

// judgeMail judges a message from a list's host in enforce mode.
func judgeMail(t *testing.T, raw string, r Resolver, change func(*Config)) Result {
	t.Helper()
	cfg := Defaults()
	cfg.Mode = Enforce
	if change != nil {
		change(&cfg)
	}
	h, body := splitMail(t, raw)
	tx := New(cfg, r, "mx", func() time.Time { return caseTime }).Explain(context.Background(), listEnvelope, nil)
	tx.Header(listEnvelope, h)
	tx.Body([]byte(body))
	result, err := tx.Judge()
	if err != nil {
		t.Fatal(err)
	}
	return *result
}

func trust(domains ...string) func(*Config) {
	return func(c *Config) {
		for _, d := range domains {
			c.ARC.TrustedSealers = append(c.ARC.TrustedSealers, Sealer{Domain: d})
		}
	}
}

const authorPassed = "mx.list.example; spf=pass smtp.mailfrom=jo@author.example; dmarc=pass header.from=author.example"

func TestAChainIsReported(t *testing.T) {
	raw := sealedBy(t, sealedBy(t, sealedMail, "list.example", authorPassed, nil), "gateway.example", "mx.gateway.example; arc=pass", nil)
	r := judgeMail(t, raw, arcZone(t), nil)
	field := strings.ReplaceAll(r.Field().Value, "\r\n ", "")
	for _, want := range []string{"arc=pass", "header.oldest-pass=0", "smtp.remote-ip=192.0.2.10", "as[2].d=gateway.example as[2].s=ed as[1].d=list.example"} {
		if !strings.Contains(field, want) {
			t.Errorf("no %q in %s", want, field)
		}
	}
	if text, err := json.Marshal(r.Report()); err != nil || !strings.Contains(string(text), `"arc":{"result":"pass","oldest_pass":0,"sets":[{"instance":2,"domain":"gateway.example","selector":"ed","seal":"pass","message_signature":"pass"}`) {
		t.Errorf("%s %v", text, err)
	}
	if notes := fmt.Sprint(r.notes()); !strings.Contains(notes, "{arc pass (gateway.example)}") {
		t.Error(notes)
	}
	results := fmt.Sprintf("%+v", r.appendResults(nil))
	if !strings.Contains(results, "{Method:arc Value:pass Domain:gateway.example Selector:ed}") {
		t.Error(results)
	}
	r = judgeMail(t, strings.Replace(raw, "Hi.", "Ho.", 1), arcZone(t), nil)
	if field := strings.ReplaceAll(r.Field().Value, "\r\n ", ""); !strings.Contains(field, `arc=fail reason="message signature 2: the body was changed after it was signed"`) || strings.Contains(field, "oldest-pass") {
		t.Error(field)
	}
	if notes := fmt.Sprint(r.notes()); !strings.Contains(notes, "{arc_reason message signature 2: the body") {
		t.Error(notes)
	}
}

// A message without ARC fields has no result, and costs no memory more.
func TestNoARCFieldsNoResult(t *testing.T) {
	r := judgeMail(t, sealedMail, arcZone(t), trust("list.example"))
	if text := r.Field().Value + fmt.Sprint(r.notes(), r.appendResults(nil)); strings.Contains(text, " arc=") || strings.Contains(text, "{arc") {
		t.Error(text)
	}
	if text, _ := json.Marshal(r.Report()); !strings.Contains(string(text), `"arc":{"result":"none"}`) {
		t.Errorf("%s", text)
	}
}

func TestTrustedSealers(t *testing.T) {
	list := func(payload string) string { return sealedBy(t, sealedMail, "list.example", payload, nil) }
	with := func(headers ...string) func(*arc.SealParams) {
		return func(p *arc.SealParams) { p.Headers = headers }
	}
	for _, c := range []struct {
		name      string
		raw       string
		change    func(*Config)
		delivered bool
	}{
		{"no sealer is trusted", list(authorPassed), nil, false},
		{"another one is trusted", list(authorPassed), trust("gateway.example"), false},
		{"the list is trusted", list(authorPassed), trust("list.example"), true},
		{"a name in other case", list(authorPassed), trust("List.Example"), true},
		{"a domain above the sealer", list(authorPassed), trust("example"), false},
		{"DKIM counts", list("mx.list.example; dkim=pass header.d=author.example header.s=x"), trust("list.example"), true},
		{"DKIM with i= alone", list("mx.list.example; dkim=pass header.i=@author.example"), trust("list.example"), true},
		{"DKIM with d= that is no domain, and i=", list("mx.list.example; dkim=pass header.d=x header.i=@author.example"), trust("list.example"), false},
		{"DKIM of another version", list("mx.list.example; dkim/2=pass header.d=author.example"), trust("list.example"), false},
		{"DKIM of version 1", list("mx.list.example; dkim/1=pass header.d=author.example"), trust("list.example"), true},
		{"SPF of another version", list("mx.list.example; spf/2=pass smtp.mailfrom=author.example"), trust("list.example"), false},
		{"dmarc=pass of another version, accepted", list("mx.list.example; dmarc/2=pass header.from=author.example"),
			func(c *Config) { c.ARC.TrustedSealers = []Sealer{{"list.example", true}} }, false},
		{"DKIM of another domain", list("mx.list.example; dkim=pass header.d=other.example header.i=@author.example"), trust("list.example"), false},
		{"without an authserv-id", list("spf=pass (sender) smtp.mailfrom=author.example; dkim=none"), trust("list.example"), true},
		{"SPF failed", list("mx.list.example; spf=fail smtp.mailfrom=jo@author.example"), trust("list.example"), false},
		{"SPF for HELO", list("mx.list.example; spf=pass smtp.helo=author.example"), trust("list.example"), false},
		{"results of another author", list("mx.list.example; spf=pass smtp.mailfrom=jo@author.example; dmarc=pass header.from=other.example"), trust("list.example"), false},
		{"dmarc=pass alone", list("mx.list.example; dmarc=pass header.from=author.example"), trust("list.example"), false},
		{"dmarc=pass alone, accepted", list("mx.list.example; dmarc=pass header.from=author.example"),
			func(c *Config) { c.ARC.TrustedSealers = []Sealer{{"list.example", true}} }, true},
		{"dmarc=pass for no author, accepted", list("mx.list.example; dmarc=pass"),
			func(c *Config) { c.ARC.TrustedSealers = []Sealer{{"list.example", true}} }, false},
		{"unreadable results", list("mx.list.example; spf=pass=pass;;"), trust("list.example"), false},
		{"To is not signed", sealedBy(t, sealedMail, "list.example", authorPassed, with("From", "Subject")), trust("list.example"), false},
		{"a second To is not signed", strings.Replace(list(authorPassed), "To: you", "To: them@example.org\r\nTo: you", 1), trust("list.example"), false},
		{"Reply-To was added afterwards", strings.Replace(list(authorPassed), "To: you", "Reply-To: evil@example.org\r\nTo: you", 1), trust("list.example"), false},
		{"Reply-To with a space before its colon was added afterwards", strings.Replace(list(authorPassed), "To: you", "Reply-To : evil@example.org\r\nTo: you", 1), trust("list.example"), false},
		{"Cc with a tab before its colon was added afterwards", strings.Replace(list(authorPassed), "To: you", "Cc\t: evil@example.org\r\nTo: you", 1), trust("list.example"), false},
		{"two MAIL FROM domains in one result", list(`mx.list.example; spf=pass (domain of "x) smtp.mailfrom=jo@author.example ("@other.example) smtp.mailfrom="x"@other.example`), trust("list.example"), false},
		{"two d= in one result", list("mx.list.example; dkim=pass header.d=author.example header.d=other.example"), trust("list.example"), false},
		{"one MAIL FROM twice in one result", list("mx.list.example; spf=pass smtp.mailfrom=jo@author.example smtp.mailfrom=author.example"), trust("list.example"), true},
		{"the chain fails", strings.Replace(list(authorPassed), "Hi.", "Ho.", 1), trust("list.example"), false},
		{"the newest sealer is a stranger", sealedBy(t, list(authorPassed), "stranger.example", "mx; arc=pass", nil), trust("list.example"), false},
		{"an older sealer is a stranger, and said it passes", sealedBy(t, sealedBy(t, sealedMail, "stranger.example", authorPassed, nil), "list.example", "mx; arc=pass", nil), trust("list.example"), false},
		{"an older sealer is a stranger, and the newest saw it pass", sealedBy(t, sealedBy(t, sealedMail, "stranger.example", "mx; none", nil), "list.example", authorPassed, nil), trust("list.example"), true},
		{"both are trusted, the older saw it pass", sealedBy(t, list(authorPassed), "gateway.example", "mx; arc=pass", nil), trust("list.example", "gateway.example"), true},
		{"both are trusted, the newer left To unsigned", sealedBy(t, list(authorPassed), "gateway.example", "mx; arc=pass", with("From", "Subject")), trust("list.example", "gateway.example"), false},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := judgeMail(t, c.raw, arcZone(t), c.change)
			wanted := message.Reject
			if c.delivered {
				wanted = message.Accept
			}
			if got := r.Decision.Disposition(); got != wanted {
				t.Fatalf("%s (%s), want %s\n%+v", got, r.Decision.Rule, wanted, r.Verdict.ARC)
			}
			field := strings.ReplaceAll(r.Field().Value, "\r\n ", "")
			if excused := strings.Contains(field, `reason="local policy: arc=pass as[`); excused != c.delivered || !strings.Contains(field, "dmarc=fail") {
				t.Errorf("%s", field)
			}
			if c.delivered && !strings.Contains(field, "dis=none") {
				t.Errorf("%s", field)
			}
		})
	}
}

// A forwarder that puts its own domain into MAIL FROM passes SPF with it. That says nothing
// about an author of that domain.
func TestSPFOfTheSealersOwnDomainDoesNotCount(t *testing.T) {
	z := arcZone(t)
	z.AddTXT("_dmarc.list.example", "v=DMARC1; p=reject")
	raw := strings.Replace(sealedMail, "author.example", "list.example", 1)
	for _, mailfrom := range []string{"bounce@list.example", "bounce@lists.list.example", "list.example"} {
		raw := sealedBy(t, raw, "list.example", "mx; spf=pass smtp.mailfrom="+mailfrom, nil)
		saved := listEnvelope
		listEnvelope.Sender, listEnvelope.ClientAddr = "x@other.example", netip.MustParseAddr("192.0.2.99")
		r := judgeMail(t, raw, z, trust("list.example"))
		listEnvelope = saved
		if r.Decision.Disposition() != message.Reject {
			t.Errorf("%s: %s", mailfrom, r.Decision.Rule)
		}
	}
}

// failingKey answers as the zone does, but for one name.
type failingKey struct {
	*dns.Zone
	name string
}

func (f failingKey) LookupTXT(ctx context.Context, name string) ([]string, error) {
	if name == f.name {
		return nil, errors.New("SERVFAIL")
	}
	return f.Zone.LookupTXT(ctx, name)
}

// The chain of a trusted sealer that DNS leaves undecided is put off; that of anybody else
// changes nothing.
func TestATrustedChainThatDNSLeavesUndecidedIsPutOff(t *testing.T) {
	raw := sealedBy(t, sealedMail, "list.example", authorPassed, nil)
	r := failingKey{arcZone(t), "ed._domainkey.list.example"}
	got := judgeMail(t, raw, r, trust("list.example"))
	if d := got.Decision; d.Disposition() != message.Tempfail || d.Reply.Code != 451 || !strings.Contains(d.Reply.Text, "ARC chain sealed by list.example") {
		t.Errorf("%+v", d)
	}
	if field := got.Field().Value; !strings.Contains(field, "arc=fail") || strings.Contains(field, "SERVFAIL") {
		t.Error(field)
	}
	if d := judgeMail(t, raw, r, trust("gateway.example")).Decision; d.Disposition() != message.Reject {
		t.Errorf("%+v", d)
	}
	if d := judgeMail(t, strings.Replace(raw, "spf=pass", "spf=fail", 1), arcZone(t), trust("list.example")).Decision; d.Disposition() != message.Reject {
		t.Errorf("%+v", d)
	}
}

// own_domains refuses no message whose trusted sealer could not be checked, also with p=none.
func TestOwnDomainsWaitsForATrustedChain(t *testing.T) {
	raw := sealedBy(t, sealedMail, "list.example", authorPassed, nil)
	z := parsedZone(t, "_dmarc.author.example. TXT \"v=DMARC1; p=none\"\nlist.example. TXT \"v=spf1 ip4:192.0.2.10 -all\"\n")
	cfg := Defaults()
	cfg.Mode, cfg.OwnDomains = Enforce, ownDomainsProtect
	trust("list.example")(&cfg)
	h, body := splitMail(t, raw)
	v := New(cfg, failingKey{z, "ed._domainkey.list.example"}, "mx", func() time.Time { return caseTime })
	tx := v.WithOwnDomains(func(d string) bool { return d == "author.example" }).Explain(context.Background(), listEnvelope, nil)
	tx.Header(listEnvelope, h)
	tx.Body([]byte(body))
	r, err := tx.Judge()
	if err != nil || r.Decision.Disposition() != message.Tempfail || !strings.Contains(r.Decision.Reply.Text, "ARC chain sealed by list.example") {
		t.Errorf("%+v %v", r.Decision, err)
	}
}

// An author who is not certain is not excused.
func TestAnAmbiguousAuthorIsNotExcused(t *testing.T) {
	raw := sealedBy(t, strings.Replace(sealedMail, "From: jo@author.example", "From: jo@author.example, x@list.example", 1), "list.example", authorPassed, nil)
	r := judgeMail(t, raw, arcZone(t), trust("list.example"))
	if r.Decision.Disposition() != message.Reject || r.Verdict.Sealers.Excuse != "" {
		t.Errorf("%+v", r.Decision)
	}
}

// All that is told of a chain, where its sealer is trusted and where it is not.
func TestEveryRenderingOfAChain(t *testing.T) {
	h, body := splitMail(t, sealedBy(t, sealedBy(t, sealedMail, "list.example", authorPassed+"; arc=none smtp.remote-ip=192.0.2.77", nil), "gateway.example", "mx; arc=pass", nil))
	for name, change := range map[string]func(*Config){"trusted-chain": trust("list.example", "gateway.example"), "untrusted-chain": trust("list.example")} {
		cfg := Defaults()
		cfg.Mode = Enforce
		change(&cfg)
		golden(t, "testdata/rich/"+name+".golden", renderedMail(t, h, []byte(body), arcZone(t), listEnvelope, cfg))
	}
}

// withDeadline answers as the zone does, and notes the time that a look-up of a key has.
type withDeadline struct {
	*dns.Zone
	keys, bounded atomic.Int32
}

func (w *withDeadline) LookupTXT(ctx context.Context, name string) ([]string, error) {
	if strings.Contains(name, "._domainkey.") {
		w.keys.Add(1)
		if at, ok := ctx.Deadline(); ok && time.Until(at) <= arcTimeout {
			w.bounded.Add(1)
		}
	}
	return w.Zone.LookupTXT(ctx, name)
}

// The keys of a chain have a time limit together, since one is asked for after the other.
func TestTheKeysOfAChainHaveOneTimeLimit(t *testing.T) {
	w := &withDeadline{Zone: arcZone(t)}
	r := judgeMail(t, sealedBy(t, sealedBy(t, sealedMail, "list.example", authorPassed, nil), "gateway.example", "mx; arc=pass", nil), w, nil)
	if r.Verdict.ARC.Result != arc.Pass || w.keys.Load() != 2 || w.bounded.Load() != 2 {
		t.Errorf("%s, %d keys, %d with a limit", r.Verdict.ARC.Result, w.keys.Load(), w.bounded.Load())
	}
}

func TestTheOrderOfRules(t *testing.T) {
	var names []string
	for _, rule := range policy {
		names = append(names, rule.name)
	}
	const wanted = "author, verifier.arc, verifier.forwarders, verifier.overrides, verifier.own_domains, verifier.dmarc, verifier.on_undecided, verifier.on_temperror, verifier.spf.on_fail"
	if got := strings.Join(names, ", "); got != wanted {
		t.Errorf("%s, want %s", got, wanted)
	}
}

func TestSealersOfAFile(t *testing.T) {
	read := func(text string) func(string) ([]byte, error) {
		return func(string) ([]byte, error) { return []byte(text), nil }
	}
	a := ARC{TrustedSealers: []Sealer{{"a.example", false}}, File: "/etc/signpost/sealers"}
	got, err := a.WithFile(read("# ours\nlist.example\n\n gateway.example accept_dmarc # theirs\r\na.example accept_dmarc"))
	if want := "[{a.example false} {list.example false} {gateway.example true} {a.example true}]"; err != nil || fmt.Sprint(got.TrustedSealers) != want {
		t.Errorf("%v %v, want %s", got.TrustedSealers, err, want)
	}
	if s := got.sealers(); len(s) != 3 || !s["a.example"].AcceptDMARC {
		t.Error(s)
	}
	for text, wanted := range map[string]string{
		"list.example\nexample": "line 2: \"example\" is not a domain", "a.example accept": "line 1: write a domain", "a b c": "line 1: write",
		strings.Repeat("#", maxSealersFile+1): "is larger than",
	} {
		if _, err := a.WithFile(read(text)); err == nil || !strings.Contains(err.Error(), wanted) {
			t.Errorf("%.20q: %v", text, err)
		}
	}
	if _, err := a.WithFile(func(string) ([]byte, error) { return nil, errors.New("no such file") }); err == nil || !strings.Contains(err.Error(), "verifier.arc.file") {
		t.Error(err)
	}
}

func TestSealersInTheConfiguration(t *testing.T) {
	for text, wanted := range map[string]string{
		"arc: {trusted_sealers: [list.example, {domain: gateway.example, accept_dmarc: true}], file: /etc/s}": "",
		"arc: {trusted_sealers: [example]}":                    "arc.trusted_sealers[0]",
		"arc: {trusted_sealers: [{accept_dmarc: true}]}":       "arc.trusted_sealers[0]",
		"arc: {trusted_sealers: [list.example, LIST.example]}": "is listed twice",
		"arc: {file: sealers}":                                 "is not an absolute path",
	} {
		c := Defaults()
		src := config.Decode("test", []byte(text), &c)
		c.Validate(src.Bad)
		problems := ""
		if err := src.Err(); err != nil {
			problems = err.Error()
		}
		if wanted == "" && (problems != "" || fmt.Sprint(c.ARC) != "{[{list.example false} {gateway.example true}] /etc/s}") {
			t.Errorf("%s: %v %s", text, c.ARC, problems)
		}
		if wanted != "" && !strings.Contains(problems, wanted) {
			t.Errorf("%s: %q, want %q", text, problems, wanted)
		}
	}
}
