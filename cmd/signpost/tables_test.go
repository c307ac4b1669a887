package main

import (
	"strings"
	"testing"
)

// withTables is a configuration with a key, and a table and a list of senders in
// files of their own.
func withTables(t *testing.T, table, senders string) (config string) {
	t.Helper()
	dir := t.TempDir()
	if r := execute(t, "", "keys", "generate", "--dir", dir, "--type", "ed25519", "example.com", "s1"); r.code != exitOK {
		t.Fatal(r.stderr)
	}
	return writeFile(t, "c.yaml", "keys: {dir: "+dir+"}\ndns: {zone_file: "+writeFile(t, "dns.zone", "")+"}\nsigner:\n"+
		"  domains: [{domain: example.com, selectors: [s1]}]\n  require_published: false\n"+
		"  tables: ["+writeFile(t, "domains", table)+"]\n"+
		"  senders: {mode: reject, file: "+writeFile(t, "senders", senders)+"}\n")
}

func TestTablesInFilesOfTheirOwnAreReadWithTheConfiguration(t *testing.T) {
	config := withTables(t, "customer.test s1 keys_of=example.com\nalias.test sdid=example.com\n", "alice alice@customer.test *@alias.test\n")
	r := execute(t, "", "check-config", config)
	if r.code != exitOK || !strings.Contains(r.stdout, "good: 3 domains, 2 keys") ||
		!strings.Contains(r.stdout, "warning: signer.domains alias.test: d=example.com is not aligned with alias.test") {
		t.Errorf("exit %d, %s%s", r.code, r.stdout, r.stderr)
	}
	e := explained(t, "From: alice@customer.test\n\nhello\n", "--outbound", "--login", "alice", "--config", config)
	if e.Notes["signed"] != "customer.test" || !strings.Contains(e.Inserted[0], "d=customer.test;") {
		t.Errorf("the explanation is %+v", e)
	}
	wantSteps(t, e, `signer.senders | login "alice"; it may be alice@customer.test *@alias.test | allowed`,
		"signer.domains | customer.test | its own entry", "active keys | customer.test | these sign: s1")
	e = explained(t, "From: bob@customer.test\n\nhello\n", "--outbound", "--login", "alice", "--config", config)
	if e.Disposition != "reject" || e.Reply != `550 5.7.1 login "alice" may not send mail as bob@customer.test: put an address of your own into From, or ask the postmaster to allow this one` {
		t.Errorf("the explanation is %+v", e)
	}
	if r := execute(t, "", "keys", "list", "--config", config); r.code != exitOK || !strings.Contains(r.stdout, "customer.test") {
		t.Errorf("keys list: exit %d, %s%s", r.code, r.stdout, r.stderr)
	}
	if r := execute(t, "", "keys", "record", "--config", config, "customer.test", "s1"); r.code != exitOK || !strings.Contains(r.stdout, "s1._domainkey.customer.test") {
		t.Errorf("keys record: exit %d, %s%s", r.code, r.stdout, r.stderr)
	}
}

func TestMistakesInTablesAreToldWithTheirLines(t *testing.T) {
	config := withTables(t, "\ncustomer.test\n", "alice\n")
	r := execute(t, "", "check-config", config)
	if r.code != exitFailure || !strings.Contains(r.stderr, `domains:2: "customer.test" has no selectors`) || !strings.Contains(r.stderr, "senders:1: alice: an entry needs authors") {
		t.Errorf("exit %d, %s", r.code, r.stderr)
	}
}

func TestRotateLeavesAloneWhatItCannotChangeByItself(t *testing.T) {
	dir := t.TempDir()
	if r := execute(t, "", "keys", "generate", "--dir", dir, "--type", "ed25519", "example.com", "s1"); r.code != exitOK {
		t.Fatal(r.stderr)
	}
	config := writeFile(t, "c.yaml", "keys: {dir: "+dir+"}\nsigner:\n  domains:\n    - {domain: example.com, selectors: [s1]}\n"+
		"    - {domain: a.test, selectors: [s1], keys_of: example.com}\n    - {domain: b.test, sdid: example.com}\n    - {domain: \"*.c.test\", selectors: [s1]}\n")
	for domain, want := range map[string]string{
		"a.test":   "a.test signs with the keys of example.com",
		"b.test":   "b.test is signed as example.com: signpost keys rotate example.com",
		"*.c.test": `"*.c.test" is no domain`,
	} {
		if r := execute(t, "", "keys", "rotate", "--dry-run", "--config", config, domain); r.code != exitFailure || !strings.Contains(r.stderr, want) {
			t.Errorf("%s: exit %d, %s%s", domain, r.code, r.stdout, r.stderr)
		}
	}
}

// verify decides about own domains as the daemon does: a domain of a table is one of ours.
func TestVerifyProtectsOwnDomainsOfTables(t *testing.T) {
	config := writeFile(t, "c.yaml", "dns: {zone_file: "+writeFile(t, "dns.zone", "")+"}\nverifier: {mode: enforce, own_domains: protect}\n"+
		"signer:\n  require_published: false\n  tables: ["+writeFile(t, "domains", "customer.test s1\n")+"]\n")
	r := execute(t, "From: ceo@customer.test\n\npay me\n", "verify", "-", "--config", config, "--ip", "203.0.113.66", "--from", "x@attack.example")
	if r.code != exitOK || !strings.Contains(r.stdout, "policy reject") || !strings.Contains(r.stdout, "own domain customer.test") {
		t.Errorf("exit %d, %s%s", r.code, r.stdout, r.stderr)
	}
}
