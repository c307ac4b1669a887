package verifier

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"signpost/internal/config"
	"signpost/internal/dkim"
	"signpost/internal/dns"
	"signpost/internal/message"
)

// A case is a text file with these sections:
//
//   - dns is a zone file, config is the section verifier;
//   - envelope has ip, helo, from and listener, and changes to the message, in this order:
//     "sign: DOMAIN" puts a valid signature of that domain on top (selector ed);
//     "seal: DOMAIN RESULTS" puts a valid ARC set on top (selector ed);
//     "prepend: NAME: VALUE" puts a field on top, as a forger or a list would;
//     "body: TEXT" replaces the body;
//   - besides, "key: TAG" in envelope adds a tag to the key record of the signatures, and
//     "own: DOMAIN" makes a domain one that we sign for;
//   - message is the message;
//   - want has "field: TEXT", which must be in the Authentication-Results field with its folds
//     opened, and "not-field: TEXT", which must not. All other lines are compared whole.
type testCase struct {
	name     string
	sections map[string]string
	envelope map[string][]string
}

func readCase(t *testing.T, path string) testCase {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	c := testCase{name: strings.TrimSuffix(filepath.Base(path), ".txt"), sections: map[string]string{}}
	section := ""
	for line := range strings.Lines(string(text)) {
		if name, ok := strings.CutPrefix(strings.TrimRight(line, "\n"), "-- "); ok {
			section = strings.TrimSuffix(name, " --")
			continue
		}
		c.sections[section] += line
	}
	c.envelope = pairs(c.sections["envelope"])
	return c
}

func pairs(text string) map[string][]string {
	m := map[string][]string{}
	for line := range strings.Lines(text) {
		if key, value, ok := strings.Cut(strings.TrimSpace(line), ":"); ok {
			m[key] = append(m[key], strings.TrimSpace(value))
		}
	}
	return m
}

func (c testCase) first(key string) string {
	if v := c.envelope[key]; len(v) > 0 {
		return v[0]
	}
	return ""
}

var caseTime = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

// caseKey is the key of every signature in the cases.
var caseKey = ed25519.NewKeyFromSeed(bytes.Repeat([]byte{7}, ed25519.SeedSize))

// zone is the case's DNS with the keys of the domains that sign.
func (c testCase) zone(t *testing.T) *dns.Zone {
	t.Helper()
	z, err := dns.ParseZone(strings.NewReader(c.sections["dns"]), c.name)
	if err != nil {
		t.Fatal(err)
	}
	record, err := dkim.KeyRecord(caseKey.Public())
	if err != nil {
		t.Fatal(err)
	}
	if tag := c.first("key"); tag != "" {
		record += "; " + tag
	}
	for _, domain := range c.envelope["sign"] {
		z.AddTXT("ed._domainkey."+domain, record)
	}
	for _, seal := range c.envelope["seal"] {
		domain, _, _ := strings.Cut(seal, " ")
		if name := "ed._domainkey." + domain; !strings.Contains(c.sections["dns"], name) {
			z.AddTXT(name, record)
		}
	}
	return z
}

// message returns the header and the body as they arrive.
func (c testCase) message(t *testing.T) (message.Header, []byte) {
	t.Helper()
	header, r, err := message.Split(strings.NewReader(c.sections["message"]), message.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	for _, domain := range c.envelope["sign"] {
		s, err := dkim.NewSigning(header, []dkim.SignParams{{
			Domain: domain, Selector: "ed", Key: caseKey, HeaderCanon: dkim.Relaxed, BodyCanon: dkim.Relaxed,
			Headers: []string{"From", "From", "Subject"}, Time: caseTime,
		}})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Write(body); err != nil {
			t.Fatal(err)
		}
		fields, err := s.Fields()
		if err != nil {
			t.Fatal(err)
		}
		for i := range fields {
			fields[i].Value = " " + fields[i].Value
		}
		header = append(message.Header(fields), header...)
	}
	for _, seal := range c.envelope["seal"] {
		domain, results, _ := strings.Cut(seal, " ")
		header, _ = splitMail(t, sealedBy(t, header.String()+"\r\n"+string(body), domain, results, nil))
	}
	if name, value, ok := strings.Cut(c.first("prepend"), ":"); ok {
		header = append(message.Header{{Name: name, Value: value}}, header...)
	}
	if changed := c.first("body"); changed != "" {
		body = []byte(changed + "\r\n")
	}
	return header, body
}

func (c testCase) run(t *testing.T) (message.Outcome, message.Header) {
	t.Helper()
	return c.runWith(t, nil)
}

// runWith runs the case with these answers at hand.
func (c testCase) runWith(t *testing.T, cached CachedResolver) (message.Outcome, message.Header) {
	t.Helper()
	header, body := c.message(t)
	return c.send(c.verifier(t, cached), header, body), header
}

// verifier is the one of the case, with these answers at hand.
func (c testCase) verifier(t *testing.T, cached CachedResolver) *Verifier {
	t.Helper()
	cfg := Defaults()
	if yaml := c.sections["config"]; yaml != "" {
		src := config.Decode(c.name, []byte(yaml), &cfg)
		cfg.Validate(src.Bad)
		if err := src.Err(); err != nil {
			t.Fatal(err)
		}
	}
	zone := c.zone(t)
	return New(cfg, zone, "fallback.example", func() time.Time { return caseTime }).
		WithOwnDomains(func(domain string) bool { return slices.Contains(c.envelope["own"], domain) }).
		WithSharing(func(netip.Addr) Lookups {
			return Lookups{Policy: zone, AlignedKeys: zone, OtherKeys: zone, Cached: cached}
		})
}

// send gives the message of the case to a verifier.
func (c testCase) send(v *Verifier, header message.Header, body []byte) message.Outcome {
	env := message.Envelope{Helo: c.first("helo"), Sender: c.first("from"), MTAName: "mx.receiver.example", Listener: c.first("listener")}
	if ip := c.first("ip"); ip != "" {
		env.ClientAddr = netip.MustParseAddr(ip)
	}
	tx := v.Verify(context.Background(), env)
	if tx.Header(env, header) {
		tx.Body(body)
	}
	return tx.End()
}

// unfolded is a field's value on one line.
func unfolded(value string) string {
	return strings.Join(strings.Fields(value), " ")
}

func TestCases(t *testing.T) {
	onEachCase(t, func(t *testing.T, c testCase) {
		out, header := c.run(t)
		checkCase(t, c, out, header)
	})
}

func onEachCase(t *testing.T, test func(*testing.T, testCase)) {
	files, err := filepath.Glob("testdata/cases/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no cases found: %v", err)
	}
	for _, path := range files {
		c := readCase(t, path)
		t.Run(c.name, func(t *testing.T) { test(t, c) })
	}
}

func checkCase(t *testing.T, c testCase, out message.Outcome, header message.Header) {
	t.Helper()
	field := ""
	if len(out.Insert) > 0 {
		field = unfolded(out.Insert[0].Value)
	}
	var inserted, removed []string
	for _, f := range out.Insert {
		inserted = append(inserted, f.Name)
	}
	for _, i := range out.Remove {
		removed = append(removed, unfolded(header[i].Value))
	}
	got := map[string]string{
		"disposition": string(out.Disposition), "quarantine": out.QuarantineReason,
		"inserted": strings.Join(inserted, " "), "removed": fmt.Sprint(len(removed)),
	}
	if out.Reply.Code != 0 {
		got["reply"] = fmt.Sprintf("%d %s %s", out.Reply.Code, out.Reply.Enhanced, out.Reply.Text)
	}
	for _, n := range out.Log {
		got["log "+n.Key] = n.Value
	}
	for key, wants := range pairs(c.sections["want"]) {
		for _, want := range wants {
			switch key {
			case "field":
				if !strings.Contains(field, want) {
					t.Errorf("the field lacks %q:\n%s", want, field)
				}
			case "not-field":
				if strings.Contains(field, want) {
					t.Errorf("the field has %q:\n%s", want, field)
				}
			default:
				if got[key] != want {
					t.Errorf("%s is %q, want %q", key, got[key], want)
				}
			}
		}
	}
	if t.Failed() {
		t.Logf("outcome: %+v", out)
	}
}

// A message that is too big to be read to its end is judged by what is known, and
// what claims to be ours is removed from it all the same, in monitor mode.
func TestAMessageThatWasCutIsJudgedWithoutItsSignatures(t *testing.T) {
	c := readCase(t, "testdata/cases/DKIM alone carries DMARC.txt")
	for _, yaml := range []string{"mode: monitor\n", "mode: monitor\non_temperror: tempfail\n"} {
		cfg := Defaults()
		if err := config.Decode("test", []byte(yaml), &cfg).Err(); err != nil {
			t.Fatal(err)
		}
		v := New(cfg, c.zone(t), "mx.receiver.example", func() time.Time { return caseTime })
		env := message.Envelope{ClientAddr: netip.MustParseAddr("203.0.113.66"), Sender: "alice@example.com"}
		header, body := c.message(t)
		header = append(message.Header{{Name: "Authentication-Results", Value: " mx.receiver.example; dmarc=pass"}}, header...)
		tx := v.Verify(context.Background(), env)
		tx.Header(env, header)
		tx.Body(body)
		tx.Cut()
		out := tx.End()
		field := unfolded(out.Insert[0].Value)
		if out.Disposition != message.Accept || len(out.Remove) != 1 || out.Remove[0] != 0 {
			t.Errorf("outcome %+v", out)
		}
		for _, want := range []string{`dkim=temperror (256-bit key) reason="the message is too large to be checked"`, "spf=fail", `dmarc=temperror reason="the message is too large`} {
			if !strings.Contains(field, want) {
				t.Errorf("the field lacks %q: %s", want, field)
			}
		}
	}
}
