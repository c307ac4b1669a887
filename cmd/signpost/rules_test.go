package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// explain of each rule of the administrator, to the octet. A file of testdata/rules has the
// options, sections of the configuration, the DNS and the message; NAME.golden is the output.
func TestExplainOfEveryLocalRule(t *testing.T) {
	cases, err := filepath.Glob("testdata/rules/*.case")
	if err != nil || len(cases) == 0 {
		t.Fatalf("no cases: %v", err)
	}
	for _, path := range cases {
		t.Run(filepath.Base(path), func(t *testing.T) {
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			parts := strings.Split(string(text), "----\n")
			if len(parts) != 4 {
				t.Fatalf("%d parts, want options, configuration, DNS and message", len(parts))
			}
			zone, keys := writeFile(t, "dns.zone", parts[2]), t.TempDir()
			if !strings.Contains(parts[1], "signer:") {
				parts[1] += "signer: {require_published: false, domains: [{domain: ours.example, selectors: [s1]}]}\n"
			}
			config := writeFile(t, "signpost.yaml", "dns: {zone_file: "+zone+"}\nkeys: {dir: "+keys+"}\n"+parts[1])
			if r := execute(t, "", "keys", "generate", "--dir", keys, "--type", "ed25519", "ours.example", "s1"); r.code != exitOK {
				t.Fatal(r.stderr)
			}
			r := execute(t, parts[3], append([]string{"explain", "-", "--config", config}, strings.Fields(parts[0])...)...)
			if r.code != exitOK {
				t.Fatalf("exit %d: %s", r.code, r.stderr)
			}
			golden := strings.TrimSuffix(path, ".case") + ".golden"
			if *update {
				if err := os.WriteFile(golden, []byte(r.stdout), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if r.stdout != string(want) {
				t.Errorf("now\n%s\nwas\n%s", r.stdout, want)
			}
		})
	}
}
