package daemon

import (
	"strings"
	"testing"
)

// The whole Internet, also in two halves, is no organization's own network.
func TestNetworksThatHaveStrangersInThemAreWarnedOf(t *testing.T) {
	for networks, want := range map[string]string{
		`["0.0.0.0/0"]`:                                    "0.0.0.0/0",
		`["127.0.0.0/8", "::/0"]`:                          "::/0",
		`["0.0.0.0/1", "128.0.0.0/1"]`:                     "0.0.0.0/1",
		`["127.0.0.0/8", "2000::/3"]`:                      "2000::/3",
		`["127.0.0.0/8", "10.0.0.0/8", "fc00::/7", "::1"]`: "",
	} {
		h := newHouse(t)
		h.replace("signer:", "signer:\n  ours: {networks: "+networks+"}")
		h.replace("verifier: {", "verifier: {trusted: {networks: "+networks+"}, ")
		got := strings.Join(h.load().Warnings(), "\n")
		for _, key := range []string{"signer.ours.networks has ", "verifier.trusted.networks has "} {
			if warned := strings.Contains(got, key+want+", and with it strangers"); warned != (want != "") {
				t.Errorf("%s: %s\n%s", networks, key, got)
			}
		}
	}
}
