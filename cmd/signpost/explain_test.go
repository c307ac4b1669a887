package main

import (
	"encoding/json"
	"os"
	"strings"
	"testing"
)

// explained runs explain --json on a letter.
func explained(t *testing.T, letter string, args ...string) explanation {
	t.Helper()
	r := execute(t, letter, append([]string{"explain", "-", "--json"}, args...)...)
	if r.code != exitOK {
		t.Fatalf("exit %d, %s", r.code, r.stderr)
	}
	var e explanation
	if err := json.Unmarshal([]byte(r.stdout), &e); err != nil {
		t.Fatalf("%v in %s", err, r.stdout)
	}
	return e
}

// wantSteps holds the steps to lines "rule | compared | result". Each part
// has to occur, in this order; steps between them may be left out.
func wantSteps(t *testing.T, e explanation, want ...string) {
	t.Helper()
	i := 0
	for _, s := range e.Steps {
		if i == len(want) {
			break
		}
		parts := strings.Split(want[i], " | ")
		if s.Rule == parts[0] && strings.Contains(s.Compared, parts[1]) && strings.Contains(s.Result, parts[2]) {
			i++
		}
	}
	if i < len(want) {
		t.Errorf("no step %q in order in\n%+v", want[i], e.Steps)
	}
}

const explainLetter = "From: a@example.com\nSubject: x\n\nhello\n"

func TestExplainShowsEveryRuleOfASignedMessage(t *testing.T) {
	config, _ := setUp(t)
	e := explained(t, explainLetter, "--outbound", "--login", "alice", "--ip", "203.0.113.7", "--config", config)
	if !e.Ours || e.Assumed || e.Notes["signed"] != "example.com" || len(e.Inserted) != 1 || e.Disposition != "accept" {
		t.Errorf("the explanation is %+v", e)
	}
	wantSteps(t, e,
		"milter.listen role | auto | the connection decides",
		`signer.ours.authenticated | true; login "alice" by "PLAIN" | ours`,
		`author domain | addresses ["a@example.com"] | signed by the rules for example.com`,
		"signer.domains | example.com | its own entry",
		"active keys | the keys of example.com | these sign: s1 (ed25519-sha256, 256 bits)",
		"signature | entry signer.domains example.com | d=example.com s=s1 c=relaxed/relaxed",
		"fields covered | header | h=From:From:")
	if e.Steps[1].Rule != "signer.ours.authenticated" || e.Steps[2].Rule == "signer.ours.networks" {
		t.Error("rules behind the one that decided were asked")
	}
}

func TestExplainSaysWhyAMessageIsNotOursAndGoesOn(t *testing.T) {
	config, _ := setUp(t)
	e := explained(t, "From: a@www.example.com\n\nhello\n", "--outbound", "--ip", "203.0.113.7", "--daemon", "smtpd", "--config", config)
	if e.Ours || !e.Assumed || len(e.Inserted) != 0 || !strings.Contains(e.Notes["unsigned"], "author domain www.example.com has no entry") {
		t.Errorf("the explanation is %+v", e)
	}
	wantSteps(t, e,
		`signer.ours.authenticated | login "" | no match`,
		`signer.ours.daemon_names | daemon name "smtpd" | no match`,
		"signer.ours.networks | 127.0.0.0/8 ::1/128; client 203.0.113.7 | no match",
		"signer.domains | www.example.com | no entry of its own",
		"signer.domains | example.com | an entry, but without subdomains: true",
		"signer.domains | com | no entry",
		`signer.domains "*" | www.example.com | no such entry: not signed`)
	r := execute(t, explainLetter, "explain", "--outbound", "-", "--config", config)
	for _, want := range []string{"NOT OURS", "client without an address in none of signer.ours.networks", "put its network into signer.ours.networks", "signed: example.com"} {
		if !strings.Contains(r.stdout, want) {
			t.Errorf("the text lacks %q:\n%s", want, r.stdout)
		}
	}
}

func TestExplainSaysWhatTheAuthorIsTakenFor(t *testing.T) {
	config, _ := setUp(t)
	for from, want := range map[string]string{
		"J\xfcrgen <a@example.com>":       "author | example.com in every reading, although the From field has octets that are not UTF-8; on_ambiguous: reject | does not apply",
		"a@example.com, b@other.example":  "author | ambiguous: the From field has addresses of several domains, example.com and other.example; on_ambiguous: reject | applies: reject",
		"MAILER-DAEMON (Delivery System)": "author | no author domain in a message with a null sender: the From field is malformed: text without an address; on_ambiguous: reject | does not apply",
	} {
		e := explained(t, "From: "+from+"\n\nhello\n", "--ip", "203.0.113.66", "--helo", "mail.example.net", "--from", "<>", "--config", config)
		wantSteps(t, e, want)
	}
}

func TestExplainShowsEveryRuleOfAJudgedMessage(t *testing.T) {
	config, _ := setUp(t)
	e := explained(t, explainLetter, "--ip", "203.0.113.66", "--helo", "evil.example", "--from", "<a@example.com>", "--config", config)
	if e.Ours || e.Disposition != "reject" || !strings.HasPrefix(e.Reply, "550 5.7.1 DMARC:") {
		t.Errorf("the explanation is %+v", e)
	}
	wantSteps(t, e,
		"signer.ours.networks | client 203.0.113.66 | no match",
		"verifier.trusted.networks | client 203.0.113.66 | judged",
		"spf | MAIL FROM <a@example.com> | fail: for example.com, -all",
		"dkim | the header | no signature",
		"dmarc record | example.com | at _dmarc.example.com, policy reject",
		`dmarc | aligned by SPF "", by DKIM "" | fail`,
		"author | one author | does not apply",
		"verifier.dmarc | dmarc fail, policy reject; on_reject: reject | applies: reject")
	r := execute(t, explainLetter, "explain", "-", "--ip", "203.0.113.66", "--helo", "evil\x1b.example", "--from", "a@example.com", "--config", config)
	if !strings.Contains(r.stdout, "disposition: reject") || strings.Contains(r.stdout, "\x1b") {
		t.Errorf("the text is %q", r.stdout)
	}
}

func TestExplainKnowsTheListenersRole(t *testing.T) {
	config, _ := setUp(t)
	e := explained(t, explainLetter, "--role", "sign", "--config", config)
	wantSteps(t, e, "milter.listen role | sign | ours", "active keys | example.com | s1")
	if r := execute(t, "", "explain", "x", "--role", "both"); r.code != exitUsage || !strings.Contains(r.stderr, "write auto, sign, verify or seal") {
		t.Errorf("exit %d, %s", r.code, r.stderr)
	}
	if r := execute(t, "", "explain"); r.code != exitUsage || !strings.Contains(r.stderr, "give one message file") {
		t.Errorf("exit %d, %s", r.code, r.stderr)
	}
}

// explain shows that fields that claim to be ours leave mail of ours too, as in the daemon.
func TestExplainShowsRemovedFieldsOfMailOfOurs(t *testing.T) {
	config, _ := setUp(t)
	e := explained(t, "Authentication-Results: mx.example.net; dmarc=pass\nFrom: a@example.com\n\nhello\n", "--outbound", "--login", "alice", "--config", config)
	if e.Notes["removed"] != "1 fields that claim to be ours" || e.Notes["signed"] != "example.com" {
		t.Errorf("the explanation is %+v", e)
	}
}

func TestExplainSaysWhichMailIsSealed(t *testing.T) {
	config, _ := setUp(t)
	text, err := os.ReadFile(config)
	if err != nil {
		t.Fatal(err)
	}
	changed := strings.Replace(string(text), "signer: {", "signer: {arc: {seal: forwarded, domain: example.com, selector: s1, recipients: [bob@example.com]}, ", 1)
	if err := os.WriteFile(config, []byte(changed), 0o600); err != nil {
		t.Fatal(err)
	}
	args := []string{"--ip", "203.0.113.66", "--from", "<a@other.example>", "--config", config}
	e := explained(t, "From: a@other.example\n\nhello\n", append(args, "--rcpt", "al@example.com", "--rcpt", "<bob@example.com>")...)
	wantSteps(t, e, `signer.arc | recipients ["al@example.com" "bob@example.com"] | sealed if accepted: a recipient in signer.arc.recipients bob@example.com`)
	if e.Notes["sealed"] != "i=1 cv=none d=example.com s=s1" || len(e.Inserted) != 4 {
		t.Errorf("the explanation is %+v", e)
	}
	e = explained(t, "From: a@other.example\n\nhello\n", append(args, "--rcpt", "al@example.com")...)
	wantSteps(t, e, `signer.arc | recipients ["al@example.com"] | not chosen: no ARC seal`)
}
