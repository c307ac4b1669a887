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
		{"forwarders:\n  - {name: x}", `test:2: forwarders[0].network: write one of network`},
		{"forwarders:\n  - {network: 192.0.2.0/24, host: a.example}", `test:2: forwarders[0].network: write one of network`},
		{"forwarders:\n  - {host: \"*\"}", `test:2: forwarders[0].host: "*" is no host name`},
		{"forwarders:\n  - {host: \"a.*.example\"}", `test:2: forwarders[0].host: "a.*.example" is no host name`},
		{"forwarders:\n  - {host: example}", `test:2: forwarders[0].host: "example" is no host name`},
		{"forwarders:\n  - {network: 0.0.0.0/0}", `test:2: forwarders[0].network: every client is in it`},
		{"forwarders:\n  - {network: 192.0.2.0/24}\n  - {network: 192.0.2.0/24}", `test:3: forwarders[1]: 192.0.2.0/24 stands already in forwarders[0]`},
		{"forwarders:\n  - {host: A.example}\n  - {host: a.example}", `test:3: forwarders[1]: a.example stands already in forwarders[0]`},
		{"forwarders:\n  - {host: a.example, name: \"x\\ty\"}", `test:2: forwarders[0].name: has characters that cannot be printed`},
		{"forwarders:\n  - {host: a.example, allow: true}", `test:2: forwarders[0].allow`},
	} {
		cfg := Defaults()
		src := config.Decode("test", []byte(tt.yaml+"\n"), &cfg)
		cfg.Validate(src.Bad)
		if err := src.Err(); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %s", tt.yaml, err, tt.want)
		}
	}
}
