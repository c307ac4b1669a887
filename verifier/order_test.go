package verifier

import (
	"slices"
	"testing"
)

// Each row is one message to which several rules could apply. The rule that decides is
// named in its log line.
func TestTheRuleThatDecides(t *testing.T) {
	for _, tt := range []struct {
		name, dns, config, envelope, from, want string
	}{
		{"author before own_domains", "", "own_domains: protect", "", "a@ours.example, b@x.example",
			"author: the From field has addresses of several domains, ours.example and x.example, verifier.author.on_ambiguous"},
		{"author before forwarders", "", "forwarders: [{network: 203.0.113.66/32}]", "", "a@y.example, b@x.example",
			"author: the From field has addresses of several domains, y.example and x.example, verifier.author.on_ambiguous"},
		{"forwarders before DMARC", `_dmarc.x.example. TXT "v=DMARC1; p=reject"`, "forwarders: [{network: 203.0.113.66/32, name: f}]", "", "b@x.example",
			"accepted: forwarder f"},
		{"forwarders before own_domains", `_dmarc.ours.example. TXT "v=DMARC1; p=reject"`,
			"own_domains: protect\nforwarders: [{network: 203.0.113.66/32, name: f, allow_own_domains: true}]", "", "a@ours.example", "accepted: forwarder f"},
		{"own_domains for a forwarder that may not have them", "", "own_domains: protect\nforwarders: [{network: 203.0.113.66/32, name: f}]", "", "a@ours.example",
			"local policy: own domain ours.example, verifier.own_domains"},
		{"overrides before own_domains", "", "own_domains: protect\noverrides: [{domain: ours.example, on_fail: tag}]", "", "a@ours.example",
			"local policy: override ours.example, verifier.overrides"},
		{"overrides before DMARC", `_dmarc.x.example. TXT "v=DMARC1; p=quarantine"`, "overrides: [{domain: x.example, on_fail: reject}]", "", "a@x.example",
			"local policy: override x.example, verifier.overrides"},
		{"overrides in monitor mode decide nothing", `_dmarc.x.example. TXT "v=DMARC1; p=quarantine"`, "overrides: [{domain: x.example, on_fail: reject, mode: monitor}]", "", "a@x.example",
			"dmarc: policy quarantine of x.example, verifier.dmarc.on_quarantine"},
		{"forwarders before overrides", "", "forwarders: [{network: 203.0.113.66/32, name: f}]\noverrides: [{domain: x.example, on_fail: reject}]", "", "a@x.example",
			"accepted: forwarder f"},
		{"own_domains before DMARC", `_dmarc.ours.example. TXT "v=DMARC1; p=quarantine"`, "own_domains: protect", "", "a@ours.example",
			"local policy: own domain ours.example, verifier.own_domains"},
		{"own_domains before SPF alone", `attack.example. TXT "v=spf1 -all"`, "own_domains: protect\nspf: {on_fail: reject}", "", "a@ours.example",
			"local policy: own domain ours.example, verifier.own_domains"},
		{"DMARC for other domains", `_dmarc.x.example. TXT "v=DMARC1; p=reject"`, "own_domains: protect", "", "a@x.example",
			"dmarc: policy reject of x.example, verifier.dmarc.on_reject"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := testCase{name: tt.name, sections: map[string]string{
				"dns": tt.dns + "\n", "config": "mode: enforce\n" + tt.config + "\n",
				"message": "From: " + tt.from + "\nSubject: x\n\nhello\n",
			}}
			c.envelope = pairs("ip: 203.0.113.66\nhelo: mx.attack.example\nfrom: x@attack.example\nown: ours.example\n" + tt.envelope)
			out, _ := c.run(t)
			var decided []string
			for _, n := range out.Log {
				switch {
				case n.Key == "decided":
					decided = []string{n.Value}
				case n.Key == "local_policy":
					decided = []string{"accepted: " + n.Value}
				}
			}
			if !slices.Equal(decided, []string{tt.want}) {
				t.Errorf("decided by %q, want %q", decided, tt.want)
			}
		})
	}
}
