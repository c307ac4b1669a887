package main

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"signpost/keys"
)

// installation is one of opendkim: files by name, @ in their text for
// the folder, and keys.
func installation(t *testing.T, files map[string]string, rsaKeys ...string) string {
	t.Helper()
	dir := t.TempDir()
	put := func(name, text string) {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(strings.ReplaceAll(text, "@DIR", dir)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range rsaKeys {
		key, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			t.Fatal(err)
		}
		put(name, string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)})))
	}
	for name, text := range files {
		put(name, text)
	}
	return dir
}

func TestKeysImportTakesOverAnInstallationOfOpenDKIM(t *testing.T) {
	_, edKey, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	dir := installation(t, map[string]string{
		"opendkim.conf": "# Debian's\nSyslog yes\nMode sv\nKeyTable  @DIR/KeyTable\nSigningTable\trefile:@DIR/SigningTable # by pattern\nMultipleSignatures yes\n",
		"KeyTable":      "one example.com:Mail2020:@DIR/mail.private\ntwo example.com:ed:@DIR/ed.key\nall %:s1:@DIR/%/s1.pem\n",
		"SigningTable":  "*@example.com one\n*@example.com two\n*@*.example.com one\nboss@example.net one\n*@*.example all\nnews-*@example.org one\n",
		"ed.key":        base64.StdEncoding.EncodeToString(edKey.Seed()),
	}, "mail.private", "a.example/s1.pem", "b.example/s1.pem")
	to := filepath.Join(t.TempDir(), "keys")
	conf := filepath.Join(dir, "opendkim.conf")

	dry := execute(t, "", "keys", "import", "--dry-run", "--dir", to, conf)
	wantParts(t, "the dry run", dry.stderr, "mail2020 of example.com (rsa-sha256, 2048 bits): would be copied to")
	if _, err := os.Stat(to); err == nil || dry.code != exitOK {
		t.Fatalf("a dry run wrote keys, or ended with %d", dry.code)
	}
	var r result
	for range 2 { // the second time all is there already
		if r = execute(t, "", "keys", "import", "--dir", to, conf); r.code != exitOK {
			t.Fatalf("exit %d: %s", r.code, r.stderr)
		}
	}
	wantParts(t, "standard error", r.stderr, "note: SigningTable, line 4: boss@example.net: boss@example.net is signed as example.com", "note: SigningTable, line 6: news-*@example.org: this is a pattern for local parts", "line 3: *@*.example.com: opendkim signs mail of *.example.com with d=example.com s=mail2020; here", "ed of example.com (ed25519-sha256, 256 bits)", "s1 of b.example")
	wantParts(t, "the fragment", r.stdout, "    - domain: example.com\n      selectors: [mail2020, ed]\n      subdomains: true\n", "    - domain: \"*.example\"\n      selectors: [s1]\n", "    - domain: boss@example.net\n      sdid: example.com\n", "  ours:\n    networks: [\"127.0.0.1/32\", \"::1/128\"]\n")

	config := writeFile(t, "c.yaml", r.stdout)
	if c := execute(t, "", "check-config", config); c.code != exitOK {
		t.Fatalf("the fragment is no configuration: %s", c.stderr)
	}
	for from, want := range map[string]int{"example.com": 2, "sub.example.com": 2, "a.example": 1, "b.example": 1, "c.example": 0} {
		signed := execute(t, "From: a@"+from+"\n\nhello\n", "sign", "-", "--config", config)
		if n := strings.Count(signed.stdout, "DKIM-Signature:"); n != want {
			t.Errorf("%s has %d signatures, want %d: %s", from, n, want, signed.stderr)
		}
	}
	was, err := os.ReadFile(filepath.Join(dir, "a.example/s1.pem"))
	if err != nil {
		t.Fatal(err)
	}
	is, err := os.ReadFile(filepath.Join(to, "a.example/s1.pem"))
	if err != nil || string(is) != string(was) {
		t.Errorf("the copy differs (%v)", err)
	}
}

func TestKeysImportOfOneKeyAndOfTables(t *testing.T) {
	dir := installation(t, map[string]string{
		"one.conf": "Domain example.com, example.org\nSelector mail\nKeyFile @DIR/k\nSubDomains no\n",
		"kt":       "k example.net:n:@DIR/k\n", "st": "*@example.net k\n",
		"sql.conf": "KeyTable dsn:pgsql://x/y\nSigningTable file:@DIR/st\n", "none.conf": "Mode v\n",
		"lost": "k example.net:n:@DIR/nowhere\n", "weak": "k example.net:n:MIIB\n",
	}, "k", "other")
	to := t.TempDir()
	run := func(want int, args ...string) result {
		t.Helper()
		for i := range args {
			args[i] = strings.ReplaceAll(args[i], "@DIR", dir)
		}
		r := execute(t, "", append([]string{"keys", "import", "--dir", to}, args...)...)
		if r.code != want {
			t.Fatalf("%v: exit %d, want %d: %s", args, r.code, want, r.stderr)
		}
		return r
	}
	wantParts(t, "one key", run(exitOK, "@DIR/one.conf").stdout, "domain: example.com\n      selectors: [mail]\n    - domain: example.org")
	wantParts(t, "tables", run(exitOK, "--keytable", "@DIR/kt", "--signingtable", "@DIR/st").stdout, "domain: example.net\n      selectors: [n]\n")
	wantParts(t, "a database", run(exitFailure, "@DIR/sql.conf").stderr, "only file:, refile: and csl: can be read")
	wantParts(t, "nothing that signs", run(exitOK, "@DIR/none.conf").stderr, "Mode v: opendkim signs nothing")
	wantParts(t, "no such file", run(exitFailure, "@DIR/absent.conf").stderr, "absent.conf: no such file")
	wantParts(t, "no arguments", run(exitUsage).stderr, "give an opendkim.conf")
	wantParts(t, "one table", run(exitUsage, "--keytable", "@DIR/kt").stderr, "give an opendkim.conf")
	wantParts(t, "a key that is not there", run(exitFailure, "--keytable", "@DIR/lost", "--signingtable", "@DIR/st").stderr, "nowhere: no such file", "1 key could not be taken over: mend that, and run it again")
	wantParts(t, "a key that is none", run(exitFailure, "--keytable", "@DIR/weak", "--signingtable", "@DIR/st").stderr, "the key n of example.net", "damaged")

	other := installation(t, map[string]string{"kt": "k example.net:n:@DIR/x\n"}, "x")
	wantParts(t, "another key under the name", run(exitFailure, "--keytable", other+"/kt", "--signingtable", "@DIR/st").stderr, "is there already, and is another key")
	k, err := keys.Load(to, "example.net", "n")
	if err != nil {
		t.Fatal(err)
	}
	if text, err := os.ReadFile(filepath.Join(dir, "k")); err != nil || k == nil || !strings.Contains(string(text), "RSA") {
		t.Errorf("%v", err)
	}
}

func TestKeysImportTakesOverWhichFieldsAreSigned(t *testing.T) {
	dir := installation(t, map[string]string{
		"opendkim.conf": "Domain example.com\nSelector s1\nKeyFile @DIR/k\nOversignHeaders From,Subject,X-Ticket,Received\nOmitHeaders Message-ID,Return-Path\nSignHeaders *,+X-Queue\nCanonicalization relaxed\nMTA relay\n",
	}, "k")
	r := execute(t, "", "keys", "import", "--dir", t.TempDir(), filepath.Join(dir, "opendkim.conf"))
	wantParts(t, "the section", r.stdout, "  fields:\n    sign: [\"-Message-ID\", \"+X-Queue\"]\n    oversign: [\"+X-Ticket\"]\n", "  canonicalization: relaxed/simple\n", "    daemon_names: [relay]\n")
	signed := execute(t, "From: a@example.com\nX-Ticket: 1\nX-Queue: 2\nMessage-ID: <1@example.com>\n\nhello\n", "sign", "-", "--config", writeFile(t, "c.yaml", r.stdout+"  require_published: false\n"))
	h := strings.ToLower(strings.Join(strings.Fields(signed.stdout), ""))
	if signed.code != exitOK || !strings.Contains(h, ":x-ticket:x-ticket") || !strings.Contains(h, ":x-queue") || strings.Contains(strings.Split(h, "bh=")[0], "message-id") {
		t.Errorf("exit %d: %s%s", signed.code, signed.stdout, signed.stderr)
	}
}
