package main

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"
)

// imported is an installation of opendkim that was imported: its folder, and the path
// of our configuration.
func imported(t *testing.T, signingTable, more string) (dir, config string) {
	t.Helper()
	dir = installation(t, map[string]string{
		"opendkim.conf": "KeyTable refile:@DIR/kt\nSigningTable refile:@DIR/st\n" + more,
		"kt":            "k example.com:s1:@DIR/k\nn example.com:s2:@DIR/n\n", "st": signingTable,
	}, "k", "n")
	r := execute(t, "", "keys", "import", "--dir", t.TempDir(), filepath.Join(dir, "opendkim.conf"))
	if r.code != exitOK {
		t.Fatal(r.stderr)
	}
	return dir, writeFile(t, "signpost.yaml", r.stdout)
}

func TestKeysImportCheckFindsNoDifference(t *testing.T) {
	dir, config := imported(t, "boss@example.com n\n*@example.com k\n*@*.example.com k\n*@alias.example k\n", "InternalHosts 127.0.0.1,192.0.2.0/24,!192.0.2.7\nMTA relay\n")
	r := execute(t, "", "keys", "import", "--check", "--config", config, filepath.Join(dir, "opendkim.conf"))
	if r.code != exitOK {
		t.Errorf("exit %d: %s%s", r.code, r.stdout, r.stderr)
	}
	wantParts(t, "the result", r.stdout, "authors and", "clients compared: all are treated as by opendkim")
	// The same again, after another key was put in its place.
	again := execute(t, "", "keys", "import", "--check", "--config", config, "--keytable", writeFile(t, "kt", "k example.com:s1:"+dir+"/n\nn example.com:s2:"+dir+"/n\n"),
		"--signingtable", "refile:"+filepath.Join(dir, "st"), "--from", "joe@example.com", "--from", "boss@example.com")
	if again.code != exitFailure || !strings.Contains(again.stdout, "joe@example.com") || strings.Contains(again.stdout, "boss@example.com") {
		t.Errorf("another key under the name: exit %d: %s%s", again.code, again.stdout, again.stderr)
	}
}

func TestKeysImportCheckShowsDifferences(t *testing.T) {
	dir, config := imported(t, "*@example.com k\n*@*.example.com n\nnews-*@example.net k\n", "SenderHeaders Sender,From\n")
	conf := filepath.Join(dir, "opendkim.conf")
	r := execute(t, "", "keys", "import", "--check", "--config", config, conf)
	if r.code != exitFailure {
		t.Errorf("exit %d: %s", r.code, r.stderr)
	}
	wantParts(t, "the table", r.stdout, "From, or client", "postmaster@any.example.com", "news-any@example.net", "unsigned", "differ", "not compared, although they decide about signing: opendkim.conf, line 3: SenderHeaders")
	table, _, _ := strings.Cut(r.stdout, "\n\n")
	for line := range strings.Lines(table) {
		if len(strings.TrimRight(line, "\n")) > 80 {
			t.Errorf("%q has more than 80 columns", line)
		}
	}
	var c comparison
	asJSON := execute(t, "", "keys", "import", "--check", "--json", "--from-file", writeFile(t, "from", "# two\njoe@example.com\njoe@sub.example.com # below\n"), "--config", config, conf)
	if err := json.Unmarshal([]byte(asJSON.stdout), &c); err != nil || asJSON.code != exitFailure {
		t.Fatalf("exit %d, %v: %s", asJSON.code, err, asJSON.stdout)
	}
	if c.Authors != 2 || len(c.Differences) != 1 || c.Differences[0].From != "joe@sub.example.com" || c.Differences[0].OpenDKIM.Signatures[0].Selector != "s2" || c.Differences[0].Signpost.Signatures[0].Selector != "s1" {
		t.Errorf("%+v", c)
	}
}

func TestKeysImportCheckSaysWhatIsWrong(t *testing.T) {
	dir, config := imported(t, "*@example.com k\n", "")
	conf := filepath.Join(dir, "opendkim.conf")
	for _, c := range []struct {
		name string
		args []string
		code int
		said string
	}{
		{"no address", []string{"--check", "--config", config, "--from", "joe", conf}, exitUsage, "this is not an address"},
		{"an empty list", []string{"--check", "--config", config, "--from-file", writeFile(t, "empty", "#\n"), conf}, exitFailure, "has no address"},
		{"both lists", []string{"--check", "--from", "a@b.example", "--from-file", "x", conf}, exitUsage, "--from or --from-file"},
		{"a folder for keys", []string{"--check", "--dir", dir, conf}, exitUsage, "--check copies no keys"},
		{"json without check", []string{"--json", conf}, exitUsage, "belong to --check"},
		{"no configuration", []string{"--check", "--config", "/nowhere/signpost.yaml", conf}, exitFailure, "/nowhere/signpost.yaml"},
	} {
		r := execute(t, "", append([]string{"keys", "import"}, c.args...)...)
		if r.code != c.code || !strings.Contains(r.stderr+r.stdout, c.said) {
			t.Errorf("%s: exit %d, %s%s", c.name, r.code, r.stderr, r.stdout)
		}
	}
	r := execute(t, "", "keys", "import", "--check", "--json", filepath.Join(dir, "gone.conf"))
	var problem map[string]string
	if err := json.Unmarshal([]byte(r.stdout), &problem); err != nil || r.code != exitFailure || !strings.Contains(problem["error"], "gone.conf") {
		t.Errorf("exit %d: %s", r.code, r.stdout)
	}
}
