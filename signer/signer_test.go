package signer

import (
	"context"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"signpost/internal/config"
	"signpost/internal/dkim"
	"signpost/internal/dns"
	"signpost/internal/message"
	"signpost/keys"
	"signpost/keys/lifecycle"
)

var testTime = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

// newSigner makes the keys that a configuration names, and its signer.
func newSigner(t testing.TB, yaml string, extra ...keys.Ref) (*Signer, *keys.Store) {
	t.Helper()
	cfg := Defaults()
	src := config.Decode("test.yaml", []byte(yaml), &cfg)
	cfg.Validate(src.Bad)
	if err := src.Err(); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "keys")
	for _, ref := range append(cfg.Refs(), extra...) {
		algorithm := keys.Ed25519
		if strings.HasPrefix(ref.Selector, "rsa") {
			algorithm = keys.RSA
		}
		if ref.Domain == AnyDomain {
			continue
		}
		if _, err := keys.Generate(dir, ref.Domain, ref.Selector, algorithm, 2048); err != nil {
			t.Fatal(err)
		}
	}
	kc := keys.Defaults()
	kc.Dir = dir
	kc.Shared = cfg.Index().SharedKeys()
	store, err := keys.Open(kc, cfg.Refs())
	if err != nil {
		t.Fatal(err)
	}
	plan := &lifecycle.Spec{Config: kc, Store: store, Listed: cfg.Listed(store.Refs())}
	lifecycle.NewTracker(filepath.Join(dir, "none"), func() time.Time { return testTime }).Preview(plan)
	return New(cfg, cfg.Index(), &plan.Active, func() time.Time { return testTime }), store
}

func header(t testing.TB, text string) message.Header {
	t.Helper()
	h, _, err := message.Split(strings.NewReader(text+"\n"), message.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	return h
}

const testBody = "Hello\r\n"

func sign(s *Signer, env message.Envelope, h message.Header) message.Outcome {
	t := s.Sign(context.Background(), env)
	if t.Header(env, h) {
		t.Body([]byte(testBody))
	}
	return t.End()
}

// zoneOf has the record of every key.
func zoneOf(store *keys.Store) *dns.Zone {
	zone := dns.NewZone()
	for _, k := range store.Keys() {
		zone.AddTXT(k.RecordName(), k.Record())
	}
	return zone
}

// verify returns the outcomes of the signatures that were put on top.
func verify(t *testing.T, store *keys.Store, out message.Outcome, h message.Header) []dkim.Outcome {
	t.Helper()
	zone := zoneOf(store)
	signed := message.Header{}
	for _, f := range out.Insert {
		signed = append(signed, message.Field{Name: f.Name, Value: " " + f.Value})
	}
	v := dkim.NewVerification(append(signed, h...), dkim.Options{Now: testTime})
	for i := range v.Keys() {
		v.LookupKey(context.Background(), i, zone)
	}
	v.Write([]byte(testBody))
	return v.Finish()
}

func noteOf(o message.Outcome, key string) string {
	for _, n := range o.Log {
		if n.Key == key {
			return n.Value
		}
	}
	return ""
}

const letter = "From: alice@example.com\nTo: bob@example.net\nSubject: hello\n"

func TestEverySelectorSigns(t *testing.T) {
	s, store := newSigner(t, "domains:\n  - domain: example.com\n    selectors: [rsa1, ed1]\n")
	h := header(t, letter)
	out := sign(s, message.Envelope{}, h)
	if len(out.Insert) != 2 || out.Disposition != message.Accept {
		t.Fatalf("outcome %+v, want two signatures", out)
	}
	for i, o := range verify(t, store, out, h) {
		want := []string{"rsa-sha256 rsa1", "ed25519-sha256 ed1"}[i]
		if got := o.Algorithm + " " + o.Selector; o.Result != dkim.Pass || got != want || o.Domain != "example.com" {
			t.Errorf("signature %d: %s by %s of %s (%s), want a pass by %s", i, o.Result, got, o.Domain, o.Reason, want)
		}
	}
}

func TestTheFourCanonicalizations(t *testing.T) {
	for _, c := range []string{"relaxed/relaxed", "relaxed/simple", "simple/relaxed", "simple/simple"} {
		t.Run(c, func(t *testing.T) {
			s, store := newSigner(t, "canonicalization: "+c+"\ndomains:\n  - domain: example.com\n    selectors: [ed1]\n")
			h := header(t, "From:  alice@example.com\nSubject:\thello\n  again \n")
			out := sign(s, message.Envelope{}, h)
			if !strings.Contains(out.Insert[0].Value, "c="+c) {
				t.Errorf("the field lacks c=%s: %s", c, out.Insert[0].Value)
			}
			if o := verify(t, store, out, h); o[0].Result != dkim.Pass {
				t.Errorf("%s: %s", o[0].Result, o[0].Reason)
			}
		})
	}
}

func TestTheAuthorDomainChoosesTheKey(t *testing.T) {
	s, _ := newSigner(t, `
domains:
  - domain: example.com
    selectors: [ed1]
    subdomains: true
  - domain: deep.example.com
    selectors: [ed2]
  - domain: bücher.example
    selectors: [ed3]
  - domain: "*"
    selectors: [any1]
`, keys.Ref{Domain: "customer.example", Selector: "any1"})
	for _, c := range []struct{ name, from, sdid, selectors string }{
		{"the domain itself", "a@example.com", "example.com", "ed1"},
		{"in another case", "a@EXAMPLE.Com", "example.com", "ed1"},
		{"a name below a domain with subdomains", "a@news.example.com", "example.com", "ed1"},
		{"the most specific entry first", "a@deep.example.com", "deep.example.com", "ed2"},
		{"below an entry without subdomains the next one up decides", "a@x.deep.example.com", "example.com", "ed1"},
		{"an internationalized domain", "a@BÜCHER.example", "xn--bcher-kva.example", "ed3"},
		{"any other domain that has a key", "a@customer.example", "customer.example", "any1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			out := sign(s, message.Envelope{}, header(t, "From: "+c.from+"\n"))
			if noteOf(out, "signed") != c.sdid || noteOf(out, "selectors") != c.selectors {
				t.Errorf("signed %q with %q, want %q with %q; log %v", noteOf(out, "signed"), noteOf(out, "selectors"), c.sdid, c.selectors, out.Log)
			}
		})
	}
}

func TestWhatIsNotSignedSaysWhichRuleDecided(t *testing.T) {
	s, _ := newSigner(t, "domains:\n  - domain: example.com\n    selectors: [ed1]\n")
	for _, c := range []struct{ name, header, want string }{
		{"a domain without an entry", "From: a@other.example\n", "author domain other.example has no entry in signer.domains"},
		{"a name that only ends alike", "From: a@evil-example.com\n", "author domain evil-example.com has no entry"},
		{"a name below an entry without subdomains", "From: a@x.example.com\n", "author domain x.example.com has no entry"},
		{"no From field", "Subject: x\n", "the author domain is not certain"},
		{"two From fields", "From: a@example.com\nFrom: b@example.com\n", "the author domain is not certain"},
		{"Sender does not stand in for From", "Sender: a@example.com\n", "the author domain is not certain"},
	} {
		t.Run(c.name, func(t *testing.T) {
			out := sign(s, message.Envelope{}, header(t, c.header))
			if out.Disposition != message.Accept || len(out.Insert) != 0 {
				t.Fatalf("outcome %+v, want it passed unsigned", out)
			}
			if got := noteOf(out, "unsigned"); !strings.Contains(got, c.want) {
				t.Errorf("the rule is %q, want it to say %q", got, c.want)
			}
		})
	}
}

func TestTheDefaultFieldsAreCovered(t *testing.T) {
	h := header(t, "Received: x\nFrom: a@example.com\nTo: b@example.net\nSubject: x\nList-Unsubscribe: <https://example.com>\n"+
		"list-unsubscribe-post: List-Unsubscribe=One-Click\nDKIM-Signature: v=1\nAuthentication-Results: mx; none\nReturn-Path: <a@b>\nContent-Type: text/plain\n")
	names := signedNames(Fields{}.covered(), h)
	want := []string{"From", "From", "To", "To", "Cc", "Subject", "Subject", "Date", "Reply-To",
		"Content-Type", "Content-Type", "List-Unsubscribe", "List-Unsubscribe-Post"}
	if !slices.Equal(names, want) {
		t.Errorf("h= is\n%v, want\n%v", names, want)
	}
}

func TestAnAddedFieldBreaksTheSignature(t *testing.T) {
	s, store := newSigner(t, "domains:\n  - domain: example.com\n    selectors: [ed1]\n")
	h := header(t, letter)
	out := sign(s, message.Envelope{}, h)
	for _, added := range []string{"From: eve@evil.example", "Subject: other", "To: x@y.example", "Cc: x@y.example",
		"Reply-To: x@y.example", "Date: now", "Content-Type: text/html"} {
		name, value, _ := strings.Cut(added, ":")
		for _, changed := range []message.Header{
			append(message.Header{{Name: name, Value: value}}, h...),
			append(slices.Clone(h), message.Field{Name: name, Value: value}),
		} {
			if o := verify(t, store, out, changed); o[0].Result == dkim.Pass {
				t.Errorf("the signature still passes with %q added", added)
			}
		}
	}
}

func TestNullSenderIsSigned(t *testing.T) {
	s, _ := newSigner(t, "domains:\n  - domain: example.com\n    selectors: [ed1]\n")
	out := sign(s, message.Envelope{Sender: ""}, header(t, "From: MAILER-DAEMON@example.com\n"))
	if len(out.Insert) != 1 {
		t.Errorf("outcome %+v, want one signature", out)
	}
}

func TestOurOwnFailureToSignFollowsOnError(t *testing.T) {
	for onError, want := range map[string]message.Disposition{"tempfail": message.Tempfail, "unsigned": message.Accept} {
		t.Run(onError, func(t *testing.T) {
			s, _ := newSigner(t, "on_error: "+onError+"\ndomains:\n  - domain: example.com\n    selectors: [ed1]\n")
			tx := s.Sign(context.Background(), message.Envelope{}).(*Signing)
			tx.Header(message.Envelope{}, header(t, letter))
			tx.err = os.ErrDeadlineExceeded
			out := tx.End()
			if out.Disposition != want || len(out.Insert) != 0 {
				t.Errorf("outcome %+v, want %s without a signature", out, want)
			}
			if noteOf(out, "error") == "" {
				t.Error("the log says nothing of the error")
			}
		})
	}
}

func TestOutbound(t *testing.T) {
	s, _ := newSigner(t, "ours:\n  networks: [192.0.2.0/24, 2001:db8::/32]\n  daemon_names: [ORIGINATING]\n")
	for _, c := range []struct {
		name string
		env  message.Envelope
		ours bool
		why  string
	}{
		{"a network of ours", message.Envelope{ClientAddr: netip.MustParseAddr("192.0.2.7")}, true, "client 192.0.2.7 in 192.0.2.0/24"},
		{"an IPv6 network of ours", message.Envelope{ClientAddr: netip.MustParseAddr("2001:db8::7")}, true, "client 2001:db8::7 in 2001:db8::/32"},
		{"a login", message.Envelope{ClientAddr: netip.MustParseAddr("203.0.113.1"), AuthAuthen: "alice"}, true, "logged in as alice"},
		{"a daemon name", message.Envelope{ClientAddr: netip.MustParseAddr("203.0.113.1"), DaemonName: "ORIGINATING"}, true, "daemon name ORIGINATING"},
		{"a stranger", message.Envelope{ClientAddr: netip.MustParseAddr("203.0.113.1"), DaemonName: "smtpd"}, false, `client 203.0.113.1 in none of signer.ours.networks, no login, daemon name "smtpd" not in signer.ours.daemon_names`},
		{"a client without an address", message.Envelope{}, false, "client without an address"},
		{"a listener that signs", message.Envelope{Role: message.RoleSign}, true, "the listener's role is sign"},
		{"a listener that verifies", message.Envelope{Role: message.RoleVerify, AuthAuthen: "alice"}, false, "the listener's role is verify"},
		{"an empty daemon name", message.Envelope{DaemonName: ""}, false, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			ours, why := s.Outbound(c.env)
			if ours != c.ours || !strings.Contains(why, c.why) {
				t.Errorf("ours is %v because %q, want %v because %q", ours, why, c.ours, c.why)
			}
		})
	}
	t.Run("no daemon names are configured", func(t *testing.T) {
		s, _ := newSigner(t, "on_error: tempfail\n")
		if _, why := s.Outbound(message.Envelope{ClientAddr: netip.MustParseAddr("203.0.113.1"), DaemonName: "mx"}); why != "client 203.0.113.1 in none of signer.ours.networks, no login" {
			t.Errorf("the reason is %q", why)
		}
	})
	t.Run("a login that does not count", func(t *testing.T) {
		s, _ := newSigner(t, "ours:\n  networks: []\n  authenticated: false\n")
		if ours, _ := s.Outbound(message.Envelope{AuthAuthen: "alice", ClientAddr: netip.MustParseAddr("127.0.0.1")}); ours {
			t.Error("the message is ours")
		}
	})
}

func TestTheConfigurationIsHeldToItsRules(t *testing.T) {
	for _, c := range []struct{ name, yaml, want string }{
		{"no selectors", "domains:\n  - domain: example.com\n", `test.yaml:2:5: domains[0]: "example.com" has no selectors`},
		{"a single label", "domains:\n  - domain: com\n    selectors: [a]\n", `"com" is not a domain name of at least two labels`},
		{"a domain twice", "domains:\n  - {domain: example.com, selectors: [a]}\n  - {domain: EXAMPLE.com, selectors: [b]}\n", "stands already in domains[0]"},
		{"a selector twice", "domains:\n  - {domain: example.com, selectors: [a, A]}\n", `"A" is listed twice`},
		{"a record in place of its selector", "domains:\n  - {domain: example.com, selectors: [mail._domainkey.example.com]}\n", `"mail._domainkey.example.com" is the name of a record: write the selector alone, mail`},
		{"a bad selector", "domains:\n  - {domain: example.com, selectors: [\"a b\"]}\n", `"a b" is not a selector`},
		{"an entry without a selector", "domains:\n  - {domain: example.com, selectors: [{active_from: 2027-01-01}]}\n", "an entry needs a selector"},
		{"a bad moment", "domains:\n  - {domain: example.com, selectors: [{selector: a, active_from: soon}]}\n", `"soon" is not a moment: write a day, 2027-01-31`},
		{"a bad canonicalization", "canonicalization: relaxed\n", "write relaxed/relaxed"},
		{"a bad choice", "on_error: ignore\n", "tempfail"},
		{"a bad self-check", "self_check: -1\n", "self_check: -1: write 0 for none, 1 for every message"},
		{"tables asked too often", "tables_every: 1ms\n", "tables_every: 1ms is out of range: write a time from 1s to 24h, as 1m"},
		{"subdomains of any", "domains:\n  - {domain: \"*\", selectors: [a], subdomains: true}\n", `"*" matches every domain already`},
	} {
		t.Run(c.name, func(t *testing.T) {
			wantProblem(t, c.yaml, c.want)
		})
	}
}

// wantProblem reads a section and wants this among its problems.
func wantProblem(t *testing.T, yaml, want string) {
	t.Helper()
	cfg := Defaults()
	src := config.Decode("test.yaml", []byte(yaml), &cfg)
	cfg.Validate(src.Bad)
	if err := src.Err(); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("the error is %v, want it to say %q", err, want)
	}
}

// publishedSigner returns a signer that has asked this zone for its keys.
func publishedSigner(t *testing.T, zone *dns.Zone, yaml string) *Signer {
	t.Helper()
	s, store := newSigner(t, yaml)
	plan := &lifecycle.Spec{Config: keys.Defaults(), Store: store, Listed: s.cfg.Listed(store.Refs()), Require: s.cfg.RequirePublished}
	for _, server := range dns.Each(zone) {
		plan.Servers = append(plan.Servers, server)
	}
	lifecycle.NewTracker(filepath.Join(t.TempDir(), "none"), time.Now).Begin(t.Context(), plan, slog.New(slog.DiscardHandler))
	return New(s.cfg, s.table.Index, &plan.Active, s.now)
}

func TestOnlyPublishedKeysSign(t *testing.T) {
	const yaml = "domains:\n  - domain: example.com\n    selectors: [ed1, rsa1]\n"
	absent := dns.NewZone()
	broken := dns.NewZone()
	for _, selector := range []string{"ed1", "rsa1"} {
		broken.Fail(selector+"._domainkey.example.com", "", dns.ServFail)
	}
	half := dns.NewZone()
	half.Fail("ed1._domainkey.example.com", "", dns.ServFail)
	for _, c := range []struct {
		name      string
		zone      *dns.Zone
		yaml      string
		selectors string
		note, why string
	}{
		{"none is published", absent, yaml, "", "unsigned",
			"signer.domains example.com: ed1 does not sign yet: DNS has no key at ed1._domainkey.example.com; publish what signpost keys record example.com ed1 prints; rsa1"},
		{"none is published, which is not required", absent, "require_published: false\n" + yaml, "ed1,rsa1", "", ""},
		{"DNS does not answer", broken, yaml, "ed1,rsa1", "", ""},
		{"DNS does not answer for one, and the other is not there", half, yaml, "ed1", "not_as_listed", "rsa1 does not sign yet: DNS has no key"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { // a failure has to last until it is silence
				out := sign(publishedSigner(t, c.zone, c.yaml), message.Envelope{}, header(t, letter))
				if out.Disposition != message.Accept || noteOf(out, "selectors") != c.selectors || !strings.Contains(noteOf(out, c.note), c.why) {
					t.Errorf("outcome %+v, want %q to sign, and %s to say %q", out, c.selectors, c.note, c.why)
				}
			})
		})
	}
}

func TestAKeyForEverybodyIsNotAskedFor(t *testing.T) {
	dir := t.TempDir()
	if _, err := keys.Generate(dir, AnyDomain, "any1", keys.Ed25519, 0); err != nil {
		t.Fatal(err)
	}
	cfg := Defaults()
	cfg.Domains = []Domain{{Domain: AnyDomain, Selectors: []Selector{{Selector: "any1"}}}}
	kc := keys.Defaults()
	kc.Dir = dir
	store, err := keys.Open(kc, cfg.Refs())
	if err != nil {
		t.Fatal(err)
	}
	plan := &lifecycle.Spec{Config: kc, Store: store, Listed: cfg.Listed(store.Refs()), Require: true}
	for _, server := range dns.Each(dns.NewZone()) {
		plan.Servers = append(plan.Servers, server)
	}
	lifecycle.NewTracker(filepath.Join(dir, "none"), time.Now).Begin(t.Context(), plan, slog.New(slog.DiscardHandler))
	out := sign(New(cfg, cfg.Index(), &plan.Active, time.Now), message.Envelope{}, header(t, letter))
	if noteOf(out, "signed") != "example.com" || noteOf(out, "selectors") != "any1" {
		t.Errorf("outcome %+v", out)
	}
}
