package verifier

import (
	"context"
	"flag"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"signpost/internal/dns"
	"signpost/internal/message"
)

var update = flag.Bool("update", false, "write the golden files of testdata/rich anew")

// richMessages are messages with three signatures (one that passes under a key marked as
// a test, one of another body, one whose key is not published), and how they arrive.
var richMessages = []struct{ name, file, ip, helo, from string }{
	{"fails with spf permerror", "fail.eml", "203.0.113.66", "mail.list.example", "alice@example.com"},
	{"fails with spf pass", "fail.eml", "203.0.113.66", "mail.list.example", "bounce@list.example"},
	{"fails with spf fail", "fail.eml", "203.0.113.7", "mail.list.example", "bounce@list.example"},
	{"passes", "pass.eml", "203.0.113.66", "mail.list.example", "bounce@list.example"},
	{"passes with spf temperror", "pass.eml", "203.0.113.66", "slow.example", ""},
	{"no client address, no signature", "plain.eml", "", "localhost", "alice@slow.example"},
}

// Everything that is told of one message, to the octet: the Authentication-Results
// field, the notes of the log line, the results that metrics count, and the trace.
func TestEveryRenderingOfARichMessage(t *testing.T) {
	for _, c := range richMessages {
		t.Run(c.name, func(t *testing.T) {
			env := message.Envelope{Helo: c.helo, Sender: c.from, MTAName: "mx.receiver.example"}
			if c.ip != "" {
				env.ClientAddr = netip.MustParseAddr(c.ip)
			}
			golden(t, "testdata/rich/"+strings.ReplaceAll(c.name, " ", "-")+".golden", rendered(t, c.file, env, Defaults()))
		})
	}
}

// The same with the checks that are off by default.
func TestEveryRenderingOfAllChecks(t *testing.T) {
	cfg := Defaults()
	cfg.IPRev, cfg.Auth = true, AuthUser
	env := message.Envelope{
		ClientAddr: netip.MustParseAddr("203.0.113.66"), Helo: "mail.list.example", Sender: "bounce@list.example", MTAName: "mx.receiver.example",
		AuthType: "PLAIN", AuthAuthen: "alice",
	}
	golden(t, "testdata/rich/all-checks.golden", rendered(t, "fail.eml", env, cfg))
	env.ClientAddr, env.AuthAuthen = netip.MustParseAddr("203.0.113.7"), ""
	golden(t, "testdata/rich/all-checks-fail.golden", rendered(t, "fail.eml", env, cfg))
}

// rendered is all that is told of one of the messages in testdata/rich.
func rendered(t *testing.T, file string, env message.Envelope, cfg Config) string {
	t.Helper()
	zone, err := dns.LoadZone("testdata/rich/dns.zone")
	if err != nil {
		t.Fatal(err)
	}
	in, err := os.Open("testdata/rich/" + file)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	header, r, err := message.Split(in, message.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return renderedMail(t, header, body, zone, env, cfg)
}

// renderedMail is all that is told of a message.
func renderedMail(t *testing.T, header message.Header, body []byte, zone *dns.Zone, env message.Envelope, cfg Config) string {
	t.Helper()
	var trace message.Trace
	tx := New(cfg, zone, "fallback.example", func() time.Time { return caseTime }).Explain(context.Background(), env, &trace)
	if tx.Header(env, header) {
		tx.Body(body)
	}
	out := tx.End()
	var b strings.Builder
	for _, f := range out.Insert {
		fmt.Fprintf(&b, "%s: %q\n", f.Name, f.Value)
	}
	for _, n := range out.Log {
		fmt.Fprintf(&b, "log %s: %s\n", n.Key, n.Value)
	}
	for _, r := range out.Results {
		fmt.Fprintf(&b, "result %+v\n", r)
	}
	for _, s := range trace.Steps {
		fmt.Fprintf(&b, "step %s | %s | %s\n", s.Rule, s.Compared, s.Result)
	}
	return b.String()
}

// golden compares a text with a file.
func golden(t *testing.T, path, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(filepath.FromSlash(path), []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s: now\n%s\nwas\n%s", path, got, want)
	}
}
