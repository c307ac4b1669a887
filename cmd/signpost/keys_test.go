package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"signpost/internal/daemon"
	"signpost/internal/dkim"
	"signpost/internal/dns"
)

func TestKeysGenerateShowsAllThatIsToBeDone(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "keys")
	r := execute(t, "", "keys", "generate", "--dir", dir, "Example.com", "s2026")
	if r.code != exitOK || r.stderr != "" {
		t.Fatalf("exit %d, standard error %q", r.code, r.stderr)
	}
	for _, part := range []string{
		"The key is in " + dir + "/example.com/s2026.pem (rsa-sha256, -rw",
		"\ns2026._domainkey.example.com. 3600 IN TXT ( \"v=DKIM1; k=rsa; \"\n\t\"p=",
		"Name    s2026._domainkey.example.com\n",
		"Value   v=DKIM1; k=rsa; p=",
		"signpost keys check example.com s2026\n",
		"systemctl reload signpost",
	} {
		if !strings.Contains(r.stdout, part) {
			t.Errorf("it does not say %q:\n%s", part, r.stdout)
		}
	}
}

// What is printed to be pasted must be what the readers of both files take.
func TestWhatKeysGeneratePrintsCanBePasted(t *testing.T) {
	for _, kind := range []string{"rsa", "ed25519"} {
		t.Run(kind, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "with a blank")
			text := execute(t, "", "keys", "generate", "--type", kind, "example.com", "s1", "--dir", dir).stdout
			_, zone, _ := strings.Cut(text, "In a zone file:\n\n")
			zone, _, _ = strings.Cut(zone, "\n\n")
			z, err := dns.ParseZone(strings.NewReader(zone+"\n"), "pasted")
			if err != nil {
				t.Fatal(err)
			}
			records, err := z.LookupTXT(t.Context(), "s1._domainkey.example.com")
			if err != nil || len(records) != 1 || !strings.Contains(text, "Value   "+records[0]+"\n") {
				t.Fatalf("records %q (%v)", records, err)
			}
			if _, err := dkim.ParseKey(records[0]); err != nil {
				t.Error(err)
			}
			_, section, _ := strings.Cut(text, "if any:\n\n")
			section, _, _ = strings.Cut(section, "\n\n")
			section += "\n"
			g, err := daemon.Load(writeFile(t, "pasted.yaml", section), time.Now, nil)
			if err != nil {
				t.Fatalf("%v in\n%s", err, section)
			}
			if k, ok := g.Store.Lookup("example.com", "s1"); !ok || k.Record() != records[0] {
				t.Errorf("the configuration signs with %v", k)
			}
		})
	}
}

func TestKeysGenerateAsJSONAndShowAgree(t *testing.T) {
	dir := t.TempDir()
	made := execute(t, "", "keys", "generate", "bücher.example", "e1", "--json", "--type=ed25519", "--dir", dir)
	shown := execute(t, "", "keys", "record", "--dir", dir, "--json", "xn--bcher-kva.example", "E1")
	if made.code != exitOK || shown.code != exitOK || made.stdout != shown.stdout {
		t.Fatalf("made\n%s%s\nshown\n%s%s", made.stdout, made.stderr, shown.stdout, shown.stderr)
	}
	var k keyInfo
	if err := json.Unmarshal([]byte(made.stdout), &k); err != nil {
		t.Fatal(err)
	}
	if k.Domain != "xn--bcher-kva.example" || k.Selector != "e1" || k.Algorithm != "ed25519-sha256" || k.Bits != 256 ||
		k.Path != filepath.Join(dir, "xn--bcher-kva.example", "e1.pem") || k.Name != "e1._domainkey.xn--bcher-kva.example" ||
		!strings.HasPrefix(k.Value, "v=DKIM1; k=ed25519; p=") || k.ZoneLine != fmt.Sprintf("%s. 3600 IN TXT %q", k.Name, k.Value) {
		t.Errorf("got %+v", k)
	}
	text := execute(t, "", "keys", "record", "--dir", dir, "bücher.example", "e1")
	if text.code != exitOK || !strings.Contains(text.stdout, k.ZoneLine) || strings.Contains(text.stdout, "Reload") {
		t.Errorf("shown as text:\n%s%s", text.stdout, text.stderr)
	}
}

func TestKeysTakesItsFolderFromTheConfiguration(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "signpost.yaml")
	if err := os.WriteFile(file, fmt.Appendf(nil, "keys: {dir: %q}\n", dir), 0o600); err != nil {
		t.Fatal(err)
	}
	r := execute(t, "", "keys", "generate", "--config", file, "--type", "ed25519", "example.com", "e1")
	if r.code != exitOK {
		t.Fatal(r.stderr)
	}
	if _, err := os.Stat(filepath.Join(dir, "example.com", "e1.pem")); err != nil {
		t.Error(err)
	}
	if err := os.WriteFile(file, []byte("keys: {dri: x}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	r = execute(t, "", "keys", "generate", "--config", file, "--type", "ed25519", "example.com", "e2")
	if r.code != exitFailure || !strings.Contains(r.stderr, file+":1:8: keys.dri: unknown key: did you mean dir?") {
		t.Errorf("with a bad configuration: exit %d, %s", r.code, r.stderr)
	}
}

func TestKeysTellsWhatItCannotDo(t *testing.T) {
	dir := t.TempDir()
	if r := execute(t, "", "keys", "generate", "--type", "ed25519", "--dir", dir, "example.com", "there"); r.code != exitOK {
		t.Fatal(r.stderr)
	}
	for _, c := range []struct {
		name, args string
		code       int
		want       string
	}{
		{"no command", "", exitUsage, "signpost keys generate"},
		{"a strange command", "gen", exitUsage, `no command "gen"`},
		{"no names", "generate", exitUsage, "give a domain and a selector, such as example.com s2026 (0 arguments given)"},
		{"a name too many", "generate a.example s t", exitUsage, "(3 arguments given)"},
		{"a strange kind", "generate a.example s --type dsa", exitUsage, `--type "dsa" is neither rsa nor ed25519`},
		{"bits for Ed25519", "generate a.example s --type ed25519 --bits 2048", exitUsage, "--bits is for RSA keys only"},
		{"two places", "generate a.example s --dir x --config y", exitUsage, "--dir and --config exclude each other"},
		{"a strange option", "record a.example s --colour", exitUsage, "colour"},
		{"a weak key", "generate a.example s --bits 1024 --dir " + dir, exitUsage, "1024 bits: make an RSA key of 2048 bits"},
		{"a name that is none", "generate a.example ../s --dir " + dir, exitUsage, `"../s" is not a selector`},
		{"a key that is there", "generate example.com there --dir " + dir, exitFailure, "choose a new selector"},
		{"a key that is not there", "record example.com none --dir " + dir, exitFailure, "make it with: signpost keys generate --dir " + dir + " example.com none"},
		{"a configuration that is not there", "record example.com none --config " + dir + "/none.yaml", exitFailure, "none.yaml: no such file"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := execute(t, "", append([]string{"keys"}, strings.Fields(c.args)...)...)
			if r.code != c.code || !strings.Contains(r.stderr, c.want) || r.stdout != "" {
				t.Errorf("exit %d, standard output %q, standard error %q", r.code, r.stdout, r.stderr)
			}
		})
	}
}

func TestKeysHelpStandsOnStandardOutput(t *testing.T) {
	for _, args := range [][]string{{"keys", "--help"}, {"keys", "generate", "--help"}, {"keys", "record", "example.com", "-h"}} {
		r := execute(t, "", args...)
		if r.code != exitOK || r.stderr != "" || !strings.Contains(r.stdout, "signpost keys "+map[bool]string{true: "record", false: "generate"}[len(args) == 4]) {
			t.Errorf("%v: exit %d, %q, %q", args, r.code, r.stdout, r.stderr)
		}
	}
}

// A script that reads JSON sees the same exit code as a person.
func TestKeysListWithAStateThatCannotBeRead(t *testing.T) {
	dir := t.TempDir()
	config, state := filepath.Join(dir, "signpost.yaml"), filepath.Join(dir, "keys.json")
	for path, text := range map[string]string{state: "damaged", config: "keys: {state: " + state + ", dir: " + dir + "/keys}\nsigner: {domains: []}\n"} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, args := range [][]string{nil, {"--json"}} {
		if r := execute(t, "", append([]string{"keys", "list", "--config", config}, args...)...); r.code != exitFailure || !strings.Contains(r.stderr, state) {
			t.Errorf("%v: exit %d, %s%s", args, r.code, r.stdout, r.stderr)
		}
	}
}
