package main

import (
	"strings"
	"testing"
)

func TestCheckConfigSaysWhoMayConnect(t *testing.T) {
	const senders = "signer: {senders: {mode: reject, allow: [{login: \"*\", authors: [\"{{login}}\"]}]}}\n"
	for _, c := range []struct {
		name, text string
		words      []string // of one warning; none: no warning about listeners
	}{
		{"loopback", "milter: {listen: [inet:127.0.0.1:8891]}\n", nil},
		{"all addresses", "milter: {listen: [inet:0.0.0.0:8891]}\n", []string{"milter.listen[0]", "inet:0.0.0.0:8891", "milter.peers"}},
		{"remote peers", "milter: {listen: [inet:192.0.2.1:8891], peers: [192.0.2.0/24]}\n", []string{"192.0.2.1:8891", "milter.peers", "192.0.2.0/24"}},
		{"TCP beside senders", "milter: {listen: [inet:127.0.0.1:8891]}\n" + senders, []string{"signer.senders.mode: reject", "unix socket", "socket_group"}},
		{"a unix socket beside senders", "milter: {listen: [unix:/run/signpost/m.sock]}\n" + senders, nil},
		{"one of two over TCP beside senders", "milter: {listen: [unix:/run/signpost/m.sock, inet:127.0.0.1:8891]}\n" + senders, []string{"127.0.0.1:8891", "unix socket"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := execute(t, "", "check-config", writeFile(t, "c.yaml", c.text))
			if r.code != exitOK {
				t.Fatalf("exit %d: %s", r.code, r.stderr)
			}
			var found []string
			for line := range strings.Lines(r.stdout) {
				if strings.HasPrefix(line, "warning: milter.listen") {
					found = append(found, line)
				}
			}
			if len(found) != min(1, len(c.words)) {
				t.Fatalf("warnings %q", found)
			}
			for _, w := range c.words {
				if !strings.Contains(found[0], w) {
					t.Errorf("no %q in %q", w, found[0])
				}
			}
		})
	}
}
