package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

// checkConfig is what check-config says of a configuration with a key for example.com.
func checkConfig(t *testing.T, signer, rest string) (text string, m meaning) {
	t.Helper()
	dir := t.TempDir()
	if r := execute(t, "", "keys", "generate", "--dir", dir, "--type", "ed25519", "example.com", "s1"); r.code != exitOK {
		t.Fatal(r.stderr)
	}
	config := writeFile(t, "c.yaml", "keys: {dir: "+dir+", state: "+dir+"/state.json}\ndns: {zone_file: "+writeFile(t, "dns.zone", "")+"}\nsigner:\n"+
		"  require_published: false\n"+signer+rest)
	r := execute(t, "", "check-config", config)
	if r.code != exitOK {
		t.Fatalf("exit %d, %s", r.code, r.stderr)
	}
	var report struct{ Meaning meaning }
	if err := json.Unmarshal([]byte(execute(t, "", "check-config", "--json", config).stdout), &report); err != nil {
		t.Fatal(err)
	}
	return r.stdout, report.Meaning
}

func TestCheckConfigSaysWhatTheConfigurationMeans(t *testing.T) {
	const domain = "  domains:\n    - {domain: example.com, selectors: [s1]}\n"
	for name, c := range map[string]struct {
		signer, rest string
		want         []string // lines, in order
		not          []string
	}{
		"the defaults": {domain, "", []string{
			"A message is ours if", "  the client has logged in", "  the client is in 127.0.0.0/8, ::1/128",
			"It is signed by the domain in its From:", "  example.com: by s1 (ed25519-sha256)",
			"All other mail is judged and delivered (monitor). In enforce mode:",
			"  addresses of several domains in From, or none: refused (550)",
			"  fails DMARC under p=reject: refused (550)",
			"  fails DMARC under p=quarantine: delivered with X-Signpost-Disposition",
			"  DNS is silent about what could make it pass: put off (451)",
		}, nil},
		"enforced with other actions": {domain, "verifier: {mode: enforce, dmarc: {on_reject: quarantine, on_quarantine: accept}, spf: {on_fail: reject}, on_undecided: accept}\n", []string{
			"All other mail is judged:", "  fails DMARC under p=reject: held in the queue", "  fails DMARC under p=quarantine: delivered",
			"  DNS is silent about what could make it pass: delivered", "  spf=fail, and no DMARC record: refused (550)",
		}, []string{"(monitor)"}},
		"entries of all kinds": {"  domains:\n    - {domain: example.com, selectors: [s1], subdomains: true}\n    - {domain: customer.test, selectors: [s1], keys_of: example.com}\n" +
			"    - {domain: news@example.com, sdid: example.com}\n    - {domain: \"*\", selectors: [s1]}\n  senders: {mode: reject, allow: [{login: alice, authors: [\"*\"]}]}\n", "", []string{
			"  example.com and all names below it: by s1 (ed25519-sha256)", "  customer.test: by s1 (ed25519-sha256) of example.com",
			"  news@example.com: as mail of example.com", "  every other domain that has a key: by s1",
			"  only for authors that signer.senders allows; else refused (550)",
		}, nil},
		"what is ours": {"  ours: {networks: [192.0.2.0/24], authenticated: false, daemon_names: [ORIGINATING, MSA]}\n" + domain,
			"milter: {listen: [{address: \"inet:127.0.0.1:18991\", role: sign}, {address: \"inet:127.0.0.1:18992\", role: verify}]}\n", []string{
				"  the client is in 192.0.2.0/24", "  it came in at the service ORIGINATING or MSA", "  it came in at inet:127.0.0.1:18991 (role: sign)",
				"  but nothing at inet:127.0.0.1:18992 (role: verify)",
			}, []string{"logged in"}},
		"nothing is signed": {"  domains: []\n", "", []string{"Mail is ours, but no domain is listed in signer.domains: nothing is signed."}, []string{"It is signed by"}},
		"nothing is ours":   {"  ours: {networks: [], authenticated: false}\n" + domain, "", []string{"No mail is ours: nothing is signed."}, []string{"It is signed by"}},
		"exceptions": {domain, "verifier:\n  own_domains: protect\n  trusted: {networks: [10.0.0.0/8]}\n  forwarders: [{network: 192.0.2.0/28, name: lists.example}]\n" +
			"  overrides:\n    - {domain: gmail.com, on_fail: reject, mode: monitor}\n    - {domain: bank.example, require: dkim}\n    - {domain: lax.example, on_fail: none}\n", []string{
			"  from 10.0.0.0/8: passed as it is, not judged",
			"  through the forwarder lists.example: judged, not refused for SPF or DMARC",
			"  gmail.com fails: refused (550), noted in the log alone (mode: monitor)",
			"  bank.example has no aligned DKIM signature: refused (550)", "  lax.example fails: delivered",
			"  our own domain in From, and neither SPF nor DKIM for it: refused (550)",
		}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			text, m := checkConfig(t, c.signer, c.rest)
			rest := text
			for _, line := range c.want {
				_, after, found := strings.Cut(rest, line+"\n")
				if !found {
					t.Errorf("no line %q in order in\n%s", line, text)
				}
				rest = after
			}
			for _, not := range c.not {
				if strings.Contains(text, not) {
					t.Errorf("it says %q:\n%s", not, text)
				}
			}
			if len(m.Judged) == 0 || m.Refuses != strings.Contains(c.rest, "enforce") {
				t.Errorf("as JSON: %+v", m)
			}
		})
	}
}

func TestTheMeaningOfManyEntriesIsCut(t *testing.T) {
	domains := "  domains:\n    - {domain: example.com, selectors: [s1]}\n"
	for i := range 50 {
		domains += fmt.Sprintf("    - {domain: d%d.example, selectors: [s1], keys_of: example.com}\n", i)
	}
	text, _ := checkConfig(t, domains, "")
	if !strings.Contains(text, "  and 31 more\n") || strings.Contains(text, "d40.example") {
		t.Error(text)
	}
	for line := range strings.Lines(text) {
		if len(line) > helpWidth+1 && !strings.HasPrefix(line, "warning:") && !strings.HasPrefix(line, "/") {
			t.Errorf("%d octets: %s", len(line), line)
		}
	}
}
