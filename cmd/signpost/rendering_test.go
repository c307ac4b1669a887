package main

import (
	"flag"
	"os"
	"testing"
)

var update = flag.Bool("update", false, "write the golden files of testdata/rich anew")

// What verify prints of a rich message, to the octet. The messages are those
// of the verifier's own test.
func TestVerifyOfARichMessage(t *testing.T) {
	const rich = "../../verifier/testdata/rich/"
	how := []string{"--zone", rich + "dns.zone", "--at", "2026-11-21T12:00:00Z", "--mta", "mx.receiver.example", "--config"}
	const usual, all = "testdata/rich/signpost.yaml", "testdata/rich/all-checks.yaml"
	for _, c := range []struct {
		name, config string
		args         []string
	}{
		{"fails.txt", usual, []string{"verify", rich + "fail.eml", "--ip", "203.0.113.66", "--helo", "mail.list.example", "--from", "alice@example.com"}},
		{"fails.json", usual, []string{"verify", rich + "fail.eml", "--ip", "203.0.113.66", "--helo", "mail.list.example", "--from", "alice@example.com", "--json"}},
		{"second-opinion.txt", usual, []string{"verify", rich + "fail.eml", "--ip", "203.0.113.66", "--from", "alice@example.com", "--second-opinion"}},
		{"second-opinion.json", usual, []string{"verify", rich + "fail.eml", "--ip", "203.0.113.66", "--from", "alice@example.com", "--second-opinion", "--json"}},
		{"passes.txt", usual, []string{"verify", rich + "pass.eml", "--ip", "203.0.113.66", "--helo", "mail.list.example", "--from", "bounce@list.example"}},
		{"passes.json", usual, []string{"verify", rich + "pass.eml", "--ip", "203.0.113.66", "--helo", "slow.example", "--from", "<>", "--json"}},
		{"plain.txt", usual, []string{"verify", rich + "plain.eml", "--from", "alice@slow.example"}},
		{"plain.json", usual, []string{"verify", rich + "plain.eml", "--from", "alice@slow.example", "--json"}},
		{"unjudged.txt", usual, []string{"verify", rich + "fail.eml", "--ip", "198.51.100.1", "--from", "alice@example.com"}},
		{"unjudged.json", usual, []string{"verify", rich + "fail.eml", "--ip", "198.51.100.1", "--from", "alice@example.com", "--json"}},
		{"all-checks.txt", all, []string{"verify", rich + "fail.eml", "--ip", "203.0.113.66", "--from", "bounce@list.example", "--login", "alice"}},
		{"all-checks.json", all, []string{"verify", rich + "fail.eml", "--ip", "203.0.113.66", "--from", "bounce@list.example", "--login", "alice", "--json"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := execute(t, "", append(append(c.args, how...), c.config)...)
			if r.code != exitOK {
				t.Fatalf("exit %d: %s", r.code, r.stderr)
			}
			path := "testdata/rich/" + c.name
			if *update {
				if err := os.WriteFile(path, []byte(r.stdout), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if r.stdout != string(want) {
				t.Errorf("now\n%s\nwas\n%s", r.stdout, want)
			}
		})
	}
}
