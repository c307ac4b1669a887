package verifier

import (
	"strings"
	"testing"

	"signpost/internal/config"
)

// Each mistake is told with its line and with what to write instead.
func TestMistakesInLocalRules(t *testing.T) {
	for _, tt := range []struct{ yaml, want string }{
		{"own_domains: protekt", `own_domains: "protekt"`},
		{"forwarders:\n  - {name: x}", `test:2:5: forwarders[0].network: write one of network`},
		{"forwarders:\n  - {network: 192.0.2.0/24, host: a.example}", `test:2:6: forwarders[0].network: write one of network`},
		{"forwarders:\n  - {host: \"*\"}", `test:2:6: forwarders[0].host: "*" is no host name`},
		{"forwarders:\n  - {host: \"a.*.example\"}", `test:2:6: forwarders[0].host: "a.*.example" is no host name`},
		{"forwarders:\n  - {host: example}", `test:2:6: forwarders[0].host: "example" is no host name`},
		{"forwarders:\n  - {network: 0.0.0.0/0}", `test:2:6: forwarders[0].network: every client is in it`},
		{"forwarders:\n  - {network: 192.0.2.0/24}\n  - {network: 192.0.2.0/24}", `test:3:5: forwarders[1]: 192.0.2.0/24 stands already in forwarders[0]`},
		{"forwarders:\n  - {host: A.example}\n  - {host: a.example}", `test:3:5: forwarders[1]: a.example stands already in forwarders[0]`},
		{"forwarders:\n  - {host: a.example, name: \"x\\ty\"}", `test:2:23: forwarders[0].name: has characters that cannot be printed`},
		{"forwarders:\n  - {host: a.example, allow: true}", `test:2:23: forwarders[0].allow`},
		{"overrides:\n  - {on_fail: reject}", `test:2:5: overrides[0]: write one of domain`},
		{"overrides:\n  - {domain: a.example, listener: x, require: dkim}", `test:2:5: overrides[0]: write one of domain`},
		{"overrides:\n  - {domain: a.example}", `test:2:5: overrides[0]: it changes nothing`},
		{"overrides:\n  - {domain: \"*.example\", on_fail: tag}", `test:2:6: overrides[0].domain: "*.example" is no domain`},
		{"overrides:\n  - {domain: a.example, on_fail: accept}", `test:2:25: overrides[0].on_fail: "accept"`},
		{"overrides:\n  - {domain: a.example, require: spf}", `test:2:25: overrides[0].require: "spf"`},
		{"overrides:\n  - {domain: a.example, on_fail: tag, mode: watch}", `test:2:39: overrides[0].mode: "watch"`},
		{"overrides:\n  - {listener: \"inet::1\", on_fail: tag}", `test:2:5: overrides[0]: an override for a listener needs require: dkim`},
		{"overrides:\n  - {domain: a.example, on_fail: tag}\n  - {domain: A.example, require: dkim}", `test:3:5: overrides[1]: a.example stands already in overrides[0]`},
	} {
		cfg := Defaults()
		src := config.Decode("test", []byte(tt.yaml+"\n"), &cfg)
		cfg.Validate(src.Bad)
		if err := src.Err(); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %s", tt.yaml, err, tt.want)
		}
	}
}
