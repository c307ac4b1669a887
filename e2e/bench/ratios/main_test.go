package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestRatiosAreOfMedians(t *testing.T) {
	path := filepath.Join(t.TempDir(), "r.jsonl")
	text := `{"label":"signpost-sign-rsa","size":"2k","c":64,"cpu_ms_per_msg":0.4,"msgs_per_s":2000,"p50_ms":10,"p99_ms":15}
{"label":"opendkim-sign-rsa","size":"2k","c":64,"cpu_ms_per_msg":2.8}
{"label":"signpost-sign-rsa","size":"2k","c":64,"cpu_ms_per_msg":0.5,"msgs_per_s":2100,"p50_ms":10,"p99_ms":20}
{"label":"signpost-sign-rsa","size":"2k","c":64,"cpu_ms_per_msg":9,"msgs_per_s":100,"p50_ms":10,"p99_ms":90}
{"label":"opendkim-sign-rsa","size":"2k","c":64,"cpu_ms_per_msg":3.2}
{"label":"noop-goraw","size":"2k","c":64,"cpu_ms_per_msg":0.047}
{"label":"libcrypto-sign","size":"2k","c":0,"cpu_ms_per_msg":0.35}
{"label":"signpost-sign-rsa-1cpu","size":"2k","c":64,"msgs_per_s":1900}
{"label":"signpost-sign-rsa-2cpu","size":"2k","c":64,"msgs_per_s":3610}
`
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	if err := printAll([]string{path}, &out); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"| signpost-sign-rsa | 2k | 64 | 3 | 0.500 (0.400–9.000) | 2000 | 2.0 | 0 | 0 |",
		"| sign-rsa | opendkim-sign-rsa | 2k | 6.00 | 6.4–7.0 | 4.7 |",
		"| libcrypto-sign | – | – | 1 | 0.350 (0.350–0.350) | – | – | – | – |",
		"over the floor (a server that does nothing 0.047 + libcrypto's signature 0.350 + SHA-256, reckoned at 1.2 GB/s, 0.003 ms): 1.25",
		"sign-rsa 2k with the generator on all processors, over both on one: 1.90",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is not in:\n%s", want, out.String())
		}
	}
	if strings.Contains(out.String(), "rspamd") {
		t.Errorf("a peer that was not measured is compared:\n%s", out.String())
	}
	if err := os.WriteFile(path, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := printAll([]string{path}, &out); err == nil {
		t.Error("half a result was taken")
	}
}
