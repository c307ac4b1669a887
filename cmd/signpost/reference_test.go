package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"signpost/internal/manual"
)

// reference writes the manual pages, the schema and the completions into a folder of the test.
func reference(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if r := execute(t, "", "__manual", "--date", "2026-11-30", dir); r.code != exitOK {
		t.Fatal(r.stderr)
	}
	return dir
}

// Every command has a page, and the page every option. The list of commands in signpost(8) is whole.
func TestEveryCommandHasAPage(t *testing.T) {
	dir := reference(t)
	overview, err := os.ReadFile(filepath.Join(dir, "man", "signpost.8"))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range described() {
		name := "signpost-" + strings.ReplaceAll(c.Name, " ", "-")
		page, err := os.ReadFile(filepath.Join(dir, "man", name+".8"))
		if err != nil {
			t.Errorf("%s has no page: %v", c.Name, err)
		}
		escaped := strings.ReplaceAll(name, "-", `\-`)
		if !strings.Contains(string(overview), ".BR "+escaped+" (8)") {
			t.Errorf("signpost(8) does not name %s", name)
		}
		if c.Summary == "" || len(c.Text) < 40 {
			t.Errorf("%s has no help", c.Name)
		}
		for _, o := range c.Options {
			if !strings.Contains(string(page), `\fB`+strings.ReplaceAll("--"+o.Name, "-", `\-`)+`\fR`) {
				t.Errorf("%s does not name --%s", name, o.Name)
			}
		}
	}
}

// mandoc and groff have nothing to say about the pages, at any level of warnings.
func TestPagesAreWellFormed(t *testing.T) {
	pages, err := filepath.Glob(filepath.Join(reference(t), "man", "*"))
	if err != nil || len(pages) < 20 {
		t.Fatalf("%d pages: %v", len(pages), err)
	}
	for _, tool := range [][]string{{"mandoc", "-Tlint"}, {"man", "--warnings", "-E", "UTF-8", "-l", "-Tutf8", "-Z"}} {
		t.Run(tool[0], func(t *testing.T) {
			needs(t, tool[0])
			for _, page := range pages {
				cmd := exec.Command(tool[0], append(tool[1:], page)...)
				cmd.Env = append(os.Environ(), "MANWIDTH=80", "LC_ALL=C.UTF-8")
				var said bytes.Buffer
				if cmd.Stderr = &said; tool[0] == "mandoc" {
					cmd.Stdout = &said
				}
				if err := cmd.Run(); err != nil || said.Len() > 0 {
					t.Errorf("%s: %v\n%s", filepath.Base(page), err, said.String())
				}
			}
		})
	}
}

// needs skips a test where a program is missing.
func needs(t *testing.T, program string) {
	t.Helper()
	if _, err := exec.LookPath(program); err == nil {
		return
	}
	if os.Getenv("SIGNPOST_E2E") == "require" {
		t.Fatalf("SIGNPOST_E2E=require, but %s is not installed", program)
	}
	t.Skipf("%s is not installed", program)
}

// validator reads {"schema": …, "files": {name: value}} and prints the first mistake of each file that has one.
const validator = `
import json, sys, jsonschema
job = json.load(sys.stdin)
jsonschema.Draft202012Validator.check_schema(job["schema"])
v = jsonschema.Draft202012Validator(job["schema"])
print(json.dumps({n: e.message for n, f in job["files"].items() for e in list(v.iter_errors(f))[:1]}))
`

// Another hand's validator takes the schema, and agrees with check-config: about the example, the documents' examples
// and files with mistakes that a schema can see.
func TestTheSchemaAgreesWithCheckConfig(t *testing.T) {
	if out, err := exec.Command("python3", "-c", "import jsonschema; jsonschema.Draft202012Validator").CombinedOutput(); err != nil {
		needs(t, "python3 with jsonschema ("+strings.TrimSpace(string(out))+")")
	}
	good, bad := map[string]string{}, map[string]string{}
	for name, text := range schemaCases {
		if strings.HasPrefix(name, "bad ") {
			bad[name] = text
		} else {
			good[name] = text
		}
	}
	example, err := os.ReadFile("../../config.example.yaml")
	if err != nil {
		t.Fatal(err)
	}
	good["example"] = string(example)
	for _, b := range documentBlocks(t) {
		if b.isConfiguration() {
			good[b.where] = b.text
		}
	}
	found := validate(t, good, bad)
	for name, text := range good {
		if problem := found[name]; problem != "" {
			t.Errorf("%s: the schema says %s\n%s", name, problem, text)
		}
	}
	for name, text := range bad {
		if found[name] == "" {
			t.Errorf("%s: the schema finds nothing in\n%s", name, text)
		}
		if r := execute(t, "", "check-config", writeFile(t, "c.yaml", text)); r.code != exitFailure {
			t.Errorf("%s: check-config finds nothing in\n%s", name, text)
		}
	}
}

// schemaCases are configurations by name; those whose name begins with "bad " have a mistake.
var schemaCases = map[string]string{
	"numbers that are words":   "signer: {domains: [{domain: example.com, selectors: [2026, s1]}]}\nmilter: {socket_mode: 660}",
	"a day":                    "signer: {domains: [{domain: example.com, selectors: [s1, {selector: s2, active_from: 2027-01-31}]}]}",
	"short and long listeners": "milter: {listen: [inet:127.0.0.1:8891, {address: unix:/run/x.sock, role: sign}]}",
	"an empty section":         "signer:\nverifier: {mode: enforce}",
	"sealers":                  "verifier: {arc: {trusted_sealers: [a.example, {domain: b.example, accept_dmarc: true}]}}",
	"bad key":                  "signer: {domain: []}",
	"bad section":              "signers: {}",
	"bad word":                 "verifier: {mode: enforced}",
	"bad word in a list":       "verifier: {overrides: [{domain: a.example, on_fail: refuse}]}",
	"bad key in a list":        "signer: {domains: [{domain: a.example, selector: s1}]}",
	"bad duration":             "dns: {timeout: 2 seconds}",
	"bad size":                 "milter: {max_packet_bytes: 1MegaByte}",
	"bad number":               "dns: {tries: three}",
	"bad switch":               "verifier: {iprev: 'yes'}",
	"bad list":                 "dns: {servers: 127.0.0.1:53}",
	"bad days":                 "reports: {keep: 90 days}",
	"bad file without keys":    "{}",
}

func validate(t *testing.T, groups ...map[string]string) map[string]string {
	t.Helper()
	files := map[string]any{}
	for _, group := range groups {
		for name, text := range group {
			files[name] = asJSON(t, text)
		}
	}
	s, err := schema()
	if err != nil {
		t.Fatal(err)
	}
	job, err := json.Marshal(map[string]any{"schema": json.RawMessage(s), "files": files})
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("python3", "-c", validator)
	cmd.Stdin = bytes.NewReader(job)
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	found := map[string]string{}
	if err := json.Unmarshal(out, &found); err != nil {
		t.Fatal(err)
	}
	return found
}

// asJSON is YAML as an editor sees it: the core schema of YAML 1.2, where a day is a string.
func asJSON(t *testing.T, text string) any {
	t.Helper()
	var doc yaml.Node
	if err := yaml.Unmarshal([]byte(text), &doc); err != nil {
		t.Fatalf("%v:\n%s", err, text)
	}
	return core(doc.Content[0])
}

func core(n *yaml.Node) any {
	switch n.Kind {
	case yaml.MappingNode:
		m := map[string]any{}
		for i := 0; i+1 < len(n.Content); i += 2 {
			m[n.Content[i].Value] = core(n.Content[i+1])
		}
		return m
	case yaml.SequenceNode:
		list := []any{}
		for _, item := range n.Content {
			list = append(list, core(item))
		}
		return list
	}
	var v any
	if n.Tag != "!!timestamp" && n.Tag != "!!str" && n.Decode(&v) == nil {
		return v
	}
	return n.Value
}

// Real shells complete: bash and fish by their own functions, zsh in a terminal of its own where the command line runs.
func TestShellsComplete(t *testing.T) {
	bin := t.TempDir()
	if out, err := exec.Command("go", "build", "-o", filepath.Join(bin, "signpost"), ".").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	config := writeFile(t, "c.yaml", "signer: {domains: [{domain: example.com, selectors: [s2026a]}]}\n")
	cases := [][2]string{
		{"keys ge", "keys generate"},
		{"keys generate --type ed", "keys generate --type ed25519"},
		{"keys record --config " + config + " example.", "keys record --config " + config + " example.com"},
		{"keys record --config " + config + " example.com s", "keys record --config " + config + " example.com s2026a"},
		{"check-config " + config[:len(config)-3], "check-config " + config},
	}
	for shell, script := range map[string]string{"bash": completeInBash, "zsh": completeInZsh, "fish": completeInFish} {
		t.Run(shell, func(t *testing.T) {
			needs(t, shell)
			ctx, stop := context.WithTimeout(t.Context(), 2*time.Minute) // a shell that waits for ever is no answer
			defer stop()
			var lines, want strings.Builder
			for _, c := range cases {
				lines.WriteString(c[0] + "\n")
				want.WriteString("signpost " + c[1] + "\n")
			}
			path := writeFile(t, "script", script)
			args := map[string][]string{"bash": {"--norc", path}, "zsh": {"-f", path}, "fish": {"--no-config", path}}[shell]
			cmd := exec.CommandContext(ctx, shell, args...)
			cmd.Env = append(os.Environ(), "PATH="+bin+":"+os.Getenv("PATH"), "TERM=dumb", "HOME="+t.TempDir(), "LINES_FILE="+writeFile(t, "lines", lines.String()))
			out, err := cmd.CombinedOutput()
			if got := strings.ReplaceAll(string(out), "\r", ""); err != nil || got != want.String() {
				t.Errorf("%v: got\n%s\nwant\n%s", err, got, want.String())
			}
		})
	}
}

const completeInBash = `
source <(signpost completion bash)
while IFS= read -r line; do
	read -ra COMP_WORDS <<<"signpost $line"
	COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
	_signpost
	unset 'COMP_WORDS[COMP_CWORD]'
	echo "${COMP_WORDS[*]} ${COMPREPLY[*]}"
done <"$LINES_FILE"
`

const completeInFish = `
signpost completion fish | source
while read -l line
	echo (string replace -r '[^ ]*$' '' -- "signpost $line")(complete -C "signpost $line" | string replace -r '\t.*' '')
end <$LINES_FILE
`

const completeInZsh = `
zmodload zsh/zpty
zpty z zsh -f -i
wait_for() {
	local chunk
	while zpty -r z chunk; do [[ $chunk == *"$1"* ]] && return; done
	return 1
}
zpty -w z 'PS1=; unset zle_bracketed_paste; autoload -Uz compinit; compinit -u -D; source <(signpost completion zsh)'
zpty -w z 'signpost() { [[ $1 == __complete ]] && command signpost "$@" || print -r -- "GOT"":$*" }; print RE""ADY'
wait_for READY
chunk=
for line in "${(@f)$(<$LINES_FILE)}"; do
	zpty -w z "signpost $line"$'\t'
	while zpty -r z chunk; do
		[[ $chunk == *GOT:* ]] || continue
		print -r -- "signpost ${${chunk##*GOT:}%%[$'\r\n']*}"
		break
	done
done
zpty -d z
`

func TestCompletionNamesItsShells(t *testing.T) {
	for _, shell := range manual.Shells() {
		if r := execute(t, "", "completion", shell); r.code != exitOK || !strings.Contains(r.stdout, "__complete") {
			t.Errorf("%s: exit %d: %s%s", shell, r.code, r.stdout, r.stderr)
		}
	}
	if r := execute(t, "", "completion", "csh"); r.code != exitUsage || !strings.Contains(r.stderr, "bash, zsh, fish") {
		t.Errorf("csh: exit %d: %s", r.code, r.stderr)
	}
}
