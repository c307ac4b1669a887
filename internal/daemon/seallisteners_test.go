package daemon

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"signpost/milter"
)

func TestAListenerThatSealsNeedsAKeyAndNetworks(t *testing.T) {
	const listen = "milter: {listen: [{address: \"inet:127.0.0.1:8893\", role: seal}]}\n"
	for _, c := range []struct{ name, yaml, problem, warning string }{
		{"with both", listen + "signer: {arc: {seal: forwarded, domain: example.com, selector: s1, list_networks: [127.0.0.1/32]}}\n" + "verifier: {authserv_id: mx.example.com}\n", "", ""},
		{"no name", listen + "signer: {arc: {seal: forwarded, domain: example.com, selector: s1, list_networks: [127.0.0.1/32]}}\n", "", "set verifier.authserv_id"},
		{"nothing else", listen, "milter.listen[0].role: seal needs a key", ""},
		{"sealing is off", listen + "signer: {arc: {domain: example.com, selector: s1, list_networks: [127.0.0.1/32]}}\n", "milter.listen[0].role: seal needs a key", ""},
		{"no list_networks", listen + "signer: {arc: {seal: forwarded, domain: example.com, selector: s1, networks: [127.0.0.1/32]}}\n", "seal needs signer.arc.list_networks", ""},
		{"everybody", listen + "signer: {arc: {seal: forwarded, domain: example.com, selector: s1, list_networks: [10.0.0.0/8, \"::/0\"]}}\n", "signer.arc.list_networks[1]: every client", ""},
		{"no listener", "signer: {arc: {seal: forwarded, domain: example.com, selector: s1, list_networks: [127.0.0.1/32]}}\n", "", "signer.arc.list_networks has no effect"},
		{"another role", "milter: {listen: [{address: \"inet:127.0.0.1:8893\", role: seals}]}\n", "seal", ""},
	} {
		path := filepath.Join(t.TempDir(), "signpost.yaml")
		if err := os.WriteFile(path, []byte(c.yaml), 0o600); err != nil {
			t.Fatal(err)
		}
		cfg, _, err := Read(path)
		if got := ""; err != nil {
			if got = err.Error(); c.problem == "" || !strings.Contains(got, c.problem) {
				t.Errorf("%s: %s, want %q", c.name, got, c.problem)
			}
			continue
		} else if c.problem != "" {
			t.Errorf("%s: no problem, want %q", c.name, c.problem)
		}
		if got := strings.Join(cfg.sealWarnings(), "\n"); !strings.Contains(got, c.warning) || (got == "") != (c.warning == "") {
			t.Errorf("%s: warning %q, want %q", c.name, got, c.warning)
		}
	}
}

func TestMetricsCountSeals(t *testing.T) {
	g := listHouse(t).load()
	counts := newCounters()
	sealed, arrived := forward(t, g, forwarding, forwardedMail)
	again, _ := handBack(t, g, handedBack, throughList(arrived))
	local, _ := handBack(t, g, handedBack, "From: a@example.com\r\n\r\nHi.\r\n")
	_, broken := forward(t, g, forwarding, strings.Replace(arrived, "Hi.", "Ho.", 1))
	ended, _ := forward(t, g, forwarding, broken)
	for _, out := range []milter.Decided{{Outcome: sealed}, {Outbound: true, Outcome: again}, {Outbound: true, Outcome: local}, {Outcome: ended}} {
		counts.Decided(out)
	}
	after := scrape(t, counts, "/metrics")
	for counter, want := range map[string]int{
		`signpost_sealed_total{cv="none"}`: 1, `signpost_sealed_total{cv="pass"}`: 1, `signpost_sealed_total{cv="fail"}`: 0, "signpost_unsealed_total": 2,
	} {
		if got := counterIn(t, after, counter); got != want || !strings.Contains(after, counter+" ") {
			t.Errorf("%s is %d, want %d", counter, got, want)
		}
	}
}
