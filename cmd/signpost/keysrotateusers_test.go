package main

import (
	"database/sql"
	"encoding/json"
	"os"
	"strings"
	"testing"
)

// lender is a house whose key of example.org is used by entries of every kind.
func lender(t *testing.T) (h *house, table, database string) {
	t.Helper()
	h = newHouse(t)
	table, database = h.dir+"/customers", h.dir+"/panel.db"
	h.write(table, "# customers\nfile.test\ts1,e9 keys_of=example.org   # since 2020\nalias.test sdid=yaml.test\n")
	if err := os.MkdirAll(h.dir+"/keys/file.test", 0o700); err != nil {
		t.Fatal(err)
	}
	h.write(h.dir+"/keys/file.test/e9.pem", h.read(h.dir+"/keys/example.com/e2025.pem"))
	db, err := sql.Open("sqlite", "file:"+database)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for _, statement := range []string{"CREATE TABLE d (domain text, selectors text, keys_of text)", "INSERT INTO d VALUES ('row.test', 's1', 'example.org')"} {
		if _, err := db.Exec(statement); err != nil {
			t.Fatal(err)
		}
	}
	text := strings.Replace(h.read(h.config), "verifier:", `    - {domain: yaml.test, selectors: [s1], keys_of: example.org}   # a customer
    - {domain: "*.shops.test", selectors: [s1], keys_of: example.org}
    - {domain: desk@example.org, selectors: [s1]}
    - {domain: own.test, selectors: [e9], keys_of: example.org}
  tables:
    - `+table+`
    - {database: "sqlite:`+database+`", query: "SELECT * FROM d"}
verifier:`, 1)
	h.write(h.config, text)
	if err := os.MkdirAll(h.dir+"/keys/own.test", 0o700); err != nil {
		t.Fatal(err)
	}
	h.write(h.dir+"/keys/own.test/e9.pem", h.read(h.dir+"/keys/example.com/e2025.pem"))
	return h, table, database
}

// uses are the entries of the only rotation that --json tells of, in short.
func uses(t *testing.T, r result) string {
	t.Helper()
	var report struct {
		Rotated []rotation `json:"rotated"`
	}
	if err := json.Unmarshal([]byte(r.stdout), &report); err != nil || len(report.Rotated) != 1 {
		t.Fatalf("%v in %s", err, r.stdout)
	}
	var list []string
	for _, u := range report.Rotated[0].Entries {
		line := u.Entry + " " + u.How
		if u.Changed {
			line += " changed"
		}
		if u.Record != "" {
			line += " " + u.Record
		}
		list = append(list, line)
	}
	return strings.Join(list, "\n")
}

func TestKeysRotateNamesEveryEntryThatUsesTheKey(t *testing.T) {
	h, table, database := lender(t)
	before := h.read(h.config) + h.read(table)
	want := `example.org own changed
yaml.test keys_of ._domainkey.yaml.test
*.shops.test keys_of ._domainkey.*.shops.test
desk@example.org address
file.test keys_of ._domainkey.file.test
row.test keys_of ._domainkey.row.test
alias.test sdid`
	if got := uses(t, h.run(exitOK, "rotate", "example.org", "--template", "s2", "--dry-run", "--json")); got != want {
		t.Errorf("the entries are\n%s\nwant\n%s", got, want)
	}
	dry := h.run(exitOK, "rotate", "example.org", "--template", "s2", "--dry-run").stdout
	wantParts(t, "the dry run", dry, "These entries sign with s1 of example.org, and go on with it:", "yaml.test", "keys_of  signer.domains[2]", "file.test", table+":2",
		"sqlite:"+database+" row 1", "--all-entries changes them too", "keep s1 of example.org, its file and its record")
	if strings.Contains(dry, "--revoke") || strings.Contains(dry, "delete") {
		t.Errorf("the dry run tells to take away what is in use:\n%s", dry)
	}
	if h.read(h.config)+h.read(table) != before {
		t.Fatal("a dry run changed a file")
	}
	own := h.run(exitOK, "rotate", "example.org", "--template", "s2").stdout
	wantParts(t, "the output", own, "put s2 in the place of s1 there", "keep s1 of example.org")
	if got, want := h.read(h.config)+h.read(table), strings.Replace(before, "- s1   #", "- s2   #", 1); got != want {
		t.Errorf("the files are\n%s\nwant\n%s", got, want)
	}
}

func TestKeysRotateTakesAllEntriesAlong(t *testing.T) {
	h, table, _ := lender(t)
	config, customers := h.read(h.config), h.read(table)
	out := h.run(exitOK, "rotate", "example.org", "--template", "e{{year}}9", "--all-entries", "--dry-run").stdout
	wantParts(t, "a dry run", out, "would be replaced by")
	out = h.run(exitOK, "rotate", "example.org", "--template", "s2", "--all-entries").stdout
	wantParts(t, "the output", out, "In "+h.config+", s1 of example.org is replaced by s2", "In "+table+":2, s1 of file.test is replaced by s2",
		"s2._domainkey.yaml.test\n", "s2._domainkey.file.test\n", "*.shops.test                   keys_of  signer.domains[3]", "all need the record first", "a CNAME to s2._domainkey.example.org:\n",
		"alias.test ("+table+":3) is signed by another of these entries", "To do by hand: in sqlite:", "for row.test, put s2 in the place of s1",
		"keep s1 of example.org, its file and its record: 2 entries above sign with it")
	wantConfig := strings.NewReplacer("- s1   #", "- s2   #", `"*.shops.test", selectors: [s1]`, `"*.shops.test", selectors: [s1]`, "selectors: [s1]", "selectors: [s2]").Replace(config)
	if got := h.read(h.config); got != wantConfig {
		t.Errorf("the configuration is\n%s\nwant\n%s", got, wantConfig)
	}
	if got, want := h.read(table), strings.Replace(customers, "\ts1,e9 ", "\ts2,e9 ", 1); got != want {
		t.Errorf("the table is\n%s\nwant\n%s", got, want)
	}
	// With nothing left over, the old key may go, under every name.
	h.write(h.config, strings.NewReplacer("    - {database:", "    #- {database:", `    - {domain: "*.shops.test"`, `    #- {domain: "*.shops.test"`).Replace(h.read(h.config)))
	out = h.run(exitOK, "rotate", "example.org", "--template", "s3", "--all-entries", "--force").stdout
	wantParts(t, "the output", out, "signpost keys record --revoke yaml.test s2", "signpost keys record --revoke file.test s2",
		"signpost keys record --revoke example.org s2\n", "delete the key file of s2, once signpost keys list shows retired\n")
}

func TestKeysRotateKnowsTheDomainsOfTables(t *testing.T) {
	h, table, database := lender(t)
	text := strings.Replace(h.read(h.config), "    - domain: example.org\n      selectors:\n        - s1   # the only one\n", "", 1)
	h.write(h.config, text)
	r := h.run(exitFailure, "rotate", "example.org")
	wantParts(t, "without an entry of its own", r.stderr, "example.org has no entry of its own, and its keys sign for yaml.test, *.shops.test, own.test, file.test, row.test", "--all-entries")
	if got := uses(t, h.run(exitOK, "rotate", "example.org", "--all-entries", "--dry-run", "--json")); !strings.HasPrefix(got, "yaml.test keys_of changed") {
		t.Errorf("the entries are\n%s", got)
	}
	wantParts(t, "a customer", h.run(exitFailure, "rotate", "file.test").stderr, "file.test signs with the keys of example.org", "signpost keys rotate --all-entries example.org")
	h.write(table, "example.org s1 # ours\n"+h.read(table))
	out := h.run(exitOK, "rotate", "example.org", "--template", "s2").stdout
	wantParts(t, "the output", out, "In "+table+":1, s1 of example.org is replaced by s2")
	wantParts(t, "the table", h.read(table), "example.org s2 # ours\n# customers\nfile.test\ts1,e9")

	db, err := sql.Open("sqlite", "file:"+database)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec("INSERT INTO d VALUES ('example.net', 's5', '')"); err != nil {
		t.Fatal(err)
	}
	if r := execute(t, "", "keys", "generate", "--config", h.config, "--type", "ed25519", "example.net", "s5"); r.code != exitOK {
		t.Fatal(r.stderr)
	}
	out = h.run(exitOK, "rotate", "example.net", "--template", "s6").stdout
	wantParts(t, "the output for a row", out, "To do by hand: in sqlite:"+database+" row 2, for example.net, put s6 in the place of s5", "The new key is in "+h.dir+"/keys/example.net/s6.pem")
}

func TestKeysRotateChoosesANameThatIsFreeForAll(t *testing.T) {
	h, _, _ := lender(t)
	if r := execute(t, "", "keys", "generate", "--config", h.config, "--type", "ed25519", "yaml.test", "s2"); r.code != exitOK {
		t.Fatal(r.stderr)
	}
	if got := uses(t, h.run(exitOK, "rotate", "example.org", "--template", "s2", "--all-entries", "--json")); !strings.Contains(got, "yaml.test keys_of changed") {
		t.Error(got)
	}
	wantParts(t, "the configuration", h.read(h.config), "- s2b   #", "{domain: yaml.test, selectors: [s2b]")
}

func TestRevokingAKeyInUseIsWarnedOf(t *testing.T) {
	h, table, _ := lender(t)
	r := h.run(exitOK, "record", "--revoke", "example.org", "s1", "--format", "zone")
	wantParts(t, "standard error", r.stderr, "do not publish this yet: the configuration signs with the key, in example.org (signer.domains[1]), yaml.test (signer.domains[2])",
		"file.test ("+table+":2)", "row.test")
	if r.stdout != "s1._domainkey.example.org. 3600 IN TXT \"v=DKIM1; p=\"\n" {
		t.Errorf("standard output: %s", r.stdout)
	}
	if r := h.run(exitOK, "record", "--revoke", "example.org", "s0"); r.stderr != "" {
		t.Errorf("for a key that no entry lists: %s", r.stderr)
	}
}

// A key that also seals is kept when another one signs in its place.
func TestKeysRotateNamesTheSealsOfAKey(t *testing.T) {
	h, _, _ := lender(t)
	h.write(h.config, strings.Replace(h.read(h.config), "verifier:", "  arc: {seal: forwarded, domain: example.com, selector: s2025, recipients: [a@example.com]}\nverifier:", 1))
	dry := h.run(exitOK, "rotate", "example.com", "--template", "s2", "--dry-run", "--all-entries").stdout
	wantParts(t, "the dry run", dry, "go on with it:\n\n    ARC seals                      seals    signer.arc.selector", "keep s2025 of example.com")
	if strings.Contains(dry, "--revoke example.com s2025") {
		t.Errorf("the dry run tells to revoke the key of the seals:\n%s", dry)
	}
	r := h.run(exitOK, "record", "--revoke", "Example.com", "s2025")
	wantParts(t, "standard error", r.stderr, "do not publish this yet", "ARC seals (signer.arc.selector)")
}
