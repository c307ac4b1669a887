package main

import (
	"strings"
	"testing"
)

func TestSignSaysWhoSends(t *testing.T) {
	h := newHouse(t)
	senders := "  senders:\n    mode: MODE\n    allow:\n      - {login: alice, authors: [alice@example.com]}\n      - {network: 192.0.2.0/24, authors: [example.com]}\n"
	h.live()
	text := h.read(h.config)
	const letter = "From: alice@example.com\nSubject: hello\n\nhello\n"
	for _, mode := range []string{"reject", "unsigned"} {
		h.write(h.config, strings.Replace(text, "verifier:", strings.Replace(senders, "MODE", mode, 1)+"verifier:", 1))
		for _, c := range []struct {
			args, says string
			code       int
		}{
			{"--login alice", "", exitOK},
			{"--login alice --ip 198.51.100.1 --from alice@example.com", "", exitOK},
			{"--ip 192.0.2.10", "", exitOK},
			{"--login bob", `- is not signed: login "bob" may not be alice@example.com, signer.senders allows it nothing`, exitFailure},
			{"--login bob --ip 192.0.2.10", `login "bob" may not be`, exitFailure},
			{"--ip 198.51.100.1", "client 198.51.100.1 may not be alice@example.com", exitFailure},
			{"", "say who sends the message, with --login NAME or --ip ADDRESS", exitFailure},
			{"--ip nonsense", "write one such as 192.0.2.10", exitUsage},
		} {
			r := execute(t, letter, append([]string{"sign", "-", "--config", h.config}, strings.Fields(c.args)...)...)
			if r.code != c.code || !strings.Contains(r.stderr, c.says) || (c.code == exitOK) != strings.HasPrefix(r.stdout, "DKIM-Signature:") {
				t.Errorf("mode %s, %q: exit %d, %q, %q; want it to say %q", mode, c.args, r.code, r.stdout, r.stderr, c.says)
			}
		}
	}
}

// No login may write results in our name, in a file to sign either.
func TestSignRemovesFieldsThatClaimToBeOurs(t *testing.T) {
	config, _ := setUp(t)
	const forged = "Authentication-Results: mx.example.net;\r\n\tdmarc=pass\r\n"
	for name, text := range map[string]string{
		"CRLF": "Received: x\r\n" + forged + "From: a@example.com\r\n\r\n" + forged,
		"LF":   strings.ReplaceAll("Received: x\r\n"+forged+"From: a@example.com\r\n\r\n"+forged, "\r\n", "\n"),
		"mbox": "From a@example.com Fri Nov 20 10:00:00 2026\r\n" + forged + "From: a@example.com\r\n\r\n" + forged,
	} {
		r := execute(t, text, "sign", "-", "--config", config)
		forged := forged
		if name == "LF" {
			forged = strings.ReplaceAll(forged, "\r\n", "\n")
		}
		want := strings.Replace(text, forged, "", 1)
		_, want, _ = strings.Cut(want, "From a@example.com Fri Nov 20 10:00:00 2026\r\n")
		if name != "mbox" {
			want = strings.Replace(text, forged, "", 1)
		}
		if r.code != exitOK || !strings.HasSuffix(r.stdout, want) || strings.Count(r.stdout, "dmarc=pass") != 1 {
			t.Errorf("%s: exit %d, %s%s", name, r.code, r.stdout, r.stderr)
		}
		if !strings.Contains(r.stderr, "1 fields that claim to be ours") {
			t.Errorf("%s: standard error %q does not say what was removed", name, r.stderr)
		}
	}
}

// What list software hands back is sealed with the results that it brings; explain shows the rules.
func TestSignAndExplainKnowTheRoleSeal(t *testing.T) {
	h := newHouse(t)
	h.live()
	text := h.read(h.config)
	h.write(h.config, strings.Replace(text, "signer:\n", "signer:\n  arc: {seal: forwarded, domain: example.com, selector: s2025, list_networks: [127.0.0.2/32]}\n", 1))
	if text == h.read(h.config) {
		t.Fatal("the configuration has no signer")
	}
	const results = "Authentication-Results: mx.example.com; dkim=none; spf=pass smtp.mailfrom=else.test; dmarc=none header.from=else.test\r\n"
	const letter = "From: jo@else.test\r\nSubject: [list] hello\r\n\r\nhello\r\n"
	for _, c := range []struct {
		args, message, says string
		code                int
	}{
		{"--role seal --ip 127.0.0.2", results + letter, "", exitOK},
		{"--role seal --ip 127.0.0.2", letter, "no ARC seal: it has no results of this host", exitFailure},
		{"--role seal --ip 203.0.113.9", results + letter, "is neither signed nor sealed: client 203.0.113.9 in none", exitFailure},
		{"--role seal", results + letter, "--role seal needs the list software's host", exitUsage},
		{"--role verify", results + letter, "write sign or seal", exitUsage},
	} {
		r := execute(t, c.message, append([]string{"sign", "-", "--config", h.config}, strings.Fields(c.args)...)...)
		if r.code != c.code || !strings.Contains(r.stderr, c.says) || (c.code == exitOK) != strings.HasPrefix(r.stdout, "ARC-Seal:") {
			t.Errorf("%q: exit %d, %q, %q; want it to say %q", c.args, r.code, r.stdout, r.stderr, c.says)
		}
	}
	e := explained(t, results+letter, "--role", "seal", "--ip", "127.0.0.2", "--config", h.config)
	wantSteps(t, e, "milter.listen role | signer.arc.list_networks 127.0.0.2/32; client 127.0.0.2 | ours, and sealed", "results on arrival | this host | sealed with arc=none")
	e = explained(t, results+letter, "--role", "seal", "--ip", "203.0.113.9", "--config", h.config)
	wantSteps(t, e, "milter.listen role | client 203.0.113.9 | as with role auto", "signer.ours.networks | client 203.0.113.9 | no match")
}
