package main

import (
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// commandLine is a command with arguments that it takes; "" for one that would run for long.
type commandLine struct{ name, arguments string }

// commandLines are all commands and subcommands.
func commandLines(t *testing.T) []commandLine {
	t.Helper()
	takes := map[string]string{
		"init": "--dry-run --root /none example.com", "check-config": "", "keys generate": "--dir /none example.com s1", "keys record": "example.com s1", "keys list": "",
		"keys check": "", "keys rotate": "example.com", "keys import": "/none/opendkim.conf", "sign": "/none", "verify": "/none --from a@example.com", "explain": "/none", "status": "", "doctor": "",
		"tail": "", "probe": "inet:127.0.0.1:1 /none", "report would-refuse": "", "report import": "/none", "report page": "/none", "report preview": "example.com", "version": "", "demo": "", "serve": "",
	}
	var all []commandLine
	for _, c := range commands() {
		subs := subcommands(c.name)
		for _, sub := range subs {
			all = append(all, commandLine{c.name + " " + sub.name, takes[c.name+" "+sub.name]})
		}
		if len(subs) == 0 {
			all = append(all, commandLine{c.name, takes[c.name]})
		}
	}
	return all
}

// takesOption reports whether a command's help lists an option.
func takesOption(help, option string) bool {
	return regexp.MustCompile(`(?m)^  --` + option + `( |$)`).MatchString(help)
}

var (
	singleDash  = regexp.MustCompile(`(^|[ (])-[a-z]{2,}`)
	optionLines = regexp.MustCompile(`(?m)^  --\S+( .*)?$`)
)

// The options, their help and their mistakes are alike in all commands.
func TestTheCommandLineIsOneHand(t *testing.T) {
	for _, c := range commandLines(t) {
		t.Run(c.name, func(t *testing.T) {
			words := strings.Fields(c.name)
			help := execute(t, "", append(slices.Clone(words), "--help")...)
			if help.code != exitOK || help.stderr != "" || !strings.Contains(help.stdout, "signpost "+c.name) || !strings.Contains(help.stdout, "Example") {
				t.Errorf("help: exit %d\n%s%s", help.code, help.stdout, help.stderr)
			}
			for line := range strings.Lines(help.stdout) {
				if len(line) > helpWidth+1 || strings.Contains(line, "\x1b") {
					t.Errorf("help has a line of %d octets, or colour: %s", len(line), line)
				}
			}
			for _, line := range optionLines.FindAllString(help.stdout, -1) {
				if _, argument, ok := strings.Cut(strings.TrimSpace(line), " "); ok && argument != strings.ToUpper(argument) {
					t.Errorf("the value of an option is in capitals: %s", line)
				}
			}
			if takesOption(help.stdout, "config") && !strings.Contains(strings.Join(strings.Fields(help.stdout), " "), "(default: "+defaultConfig+", if it is there)") {
				t.Error("--config does not name its default")
			}
			wrong := execute(t, "", append(slices.Clone(words), "--no-such-option")...)
			if want := "signpost " + c.name + ": there is no option --no-such-option; signpost " + c.name + " --help shows how\n"; wrong.code != exitUsage || wrong.stdout != "" || wrong.stderr != want {
				t.Errorf("an unknown option: exit %d, %q, %q", wrong.code, wrong.stdout, wrong.stderr)
			}
			if !takesOption(help.stdout, "json") {
				return
			}
			wantProblem(t, execute(t, "", append(slices.Clone(words), "--json", "--no-such-option")...), exitUsage)
			if takesOption(help.stdout, "config") && !strings.Contains(c.arguments, "--dir") && c.name != "init" {
				args := append(append(slices.Clone(words), strings.Fields(c.arguments)...), "--json", "--config", "/none.yaml")
				if c.name == "keys import" {
					args = append(args, "--check")
				}
				code := exitFailure
				if c.name == "doctor" { // it could not look
					code = exitUsage
				}
				wantProblem(t, execute(t, "", args...), code)
			}
		})
	}
}

// wantProblem holds a result to one JSON object with an error and its remedy.
func wantProblem(t *testing.T, r result, code int) {
	t.Helper()
	var problem struct{ Error, Remedy string }
	if err := json.Unmarshal([]byte(r.stdout), &problem); err != nil || r.code != code || problem.Error == "" || problem.Remedy == "" || r.stderr != "" {
		t.Errorf("exit %d, want %d and an error with its remedy: %v\n%s%s", r.code, code, err, r.stdout, r.stderr)
	}
	if singleDash.MatchString(problem.Error) {
		t.Errorf("an option has one dash: %s", problem.Error)
	}
}

func TestBadValuesAreWrongUsage(t *testing.T) {
	for args, want := range map[string]string{
		"serve --grace soon":                      `--grace "soon": give a time such as 30s or 5m`,
		"serve --grace":                           "--grace needs a value",
		"serve --config":                          "--config needs a value",
		"keys generate --bits many example.com s": `--bits "many": give a whole number`,
		"keys generate --type dsa example.com s1": "neither rsa nor ed25519",
		"keys check --timeout x":                  `--timeout "x": give a time`,
		"status --json=maybe":                     `--json "maybe": the option takes no value`,
		"status --domains few":                    `--domains "few": give a whole number`,
		"doctor --log-days few":                   `--log-days "few": give a whole number`,
		"tail --result strange":                   `--result "strange": result "strange" is none`,
		"explain --last x":                        `--last "x": give a number from 1`,
		"explain x --role nothing":                "write auto, sign, verify",
		"explain x --ip nothing":                  "write one such as 192.0.2.10",
		"sign x --ip nothing":                     "write one such as 192.0.2.10",
		"keys record --format x example.com s1":   "--format: ",
		"verify --at never x":                     "write one such as 2026",
		"probe inet:127.0.0.1:1 x --ip nothing":   "write one such as 192.0.2.10",
		"keys nothing":                            `no command "nothing"`,
		"report nothing":                          `no command "nothing"`,
		"nothing --json":                          `no command \"nothing\"`,
		"serve ---config":                         "--",

		"init a_b": `"a_b" is not a domain`,
		"init --dry-run --root /proc/none --listen nowhere example.com": `--listen: "nowhere" is not an address`,
		"init --json --root /proc/none example.com":                     "--json does not ask: give --yes too, or --dry-run",
		"serve --grace -1s":                          "--grace -1s: give a time of at least 0s",
		"demo --state=":                              "--state needs a folder",
		"keys generate a..b s1":                      `"a..b" is not a domain`,
		"keys generate example.com s..1":             `"s..1" is not a selector`,
		"keys generate --bits 12 example.com s1":     "--bits: 12 bits: ",
		"keys record a..b s1":                        `"a..b" is not a domain`,
		"keys list a..b":                             `"a..b" is not a domain`,
		"keys check a..b":                            `"a..b" is not a domain`,
		"keys check example.com s..1":                `"s..1" is not a selector`,
		"keys check --timeout -5s":                   "--timeout -5s: give a time above 0s",
		"keys rotate a..b":                           `"a..b" is not a domain`,
		"keys rotate --bits 12 example.com":          "--bits: 12 bits: ",
		"keys rotate --type ed25519 --bits 4096 a.b": "--bits is for RSA keys only",
		"keys rotate --template {{x}} example.com":   "--template {{x}}: it knows {{year}}",
		"keys import --check --from nothing x":       "--from nothing: this is not an address",
		"status --domains -1":                        "--domains -1: give a number from 0 to 10000",
		"status --domains 10001":                     "--domains 10001: give a number from 0 to 10000",
		"doctor --timeout 0s":                        "--timeout 0s: give a time above 0s",
		"doctor --log-days -1":                       "--log-days -1: give a number of days from 0",
		"tail --direction up":                        "write in or out",
		"explain x --body strange":                   `--body "strange" is none: write 7BIT, 8BITMIME or BINARYMIME`,
		"explain --queue-id=":                        "--queue-id needs an ID",
		"probe nothing x":                            `"nothing" is not an address`,
		"report list a..b":                           `"a..b" is not a domain`,
		"report list --raw 0":                        `--raw "0" is not a number of a report`,
		"report show a..b":                           `"a..b" is not a domain`,
		"report import --database nothing x":         "--database: this is no database",
		"report suppressed --lift nothing":           `"nothing" is not an address`,
	} {
		r := execute(t, "", strings.Fields(args)...)
		if r.code != exitUsage || !strings.Contains(r.stderr+r.stdout, want) {
			t.Errorf("%s: exit %d, %q%q, want %q", args, r.code, r.stdout, r.stderr, want)
		}
		if strings.Count(r.stderr, "\n") > 1 {
			t.Errorf("%s: more than one line: %s", args, r.stderr)
		}
	}
}

// The remedy of an error in JSON is what to do, and not a part of it.
func TestRemediesInJSON(t *testing.T) {
	config := writeFile(t, "c.yaml", "keys: {dir: "+t.TempDir()+"}\nsigner: {domains: []}\n")
	for args, want := range map[string]string{
		"keys record example.com s1": "signpost keys generate",
		"keys rotate example.com":    "signpost keys generate example.com SELECTOR makes its first key",
		"keys check example.com":     "name one with its domain and selector, or list it in signer.domains",
	} {
		r := execute(t, "", append(strings.Fields(args), "--json", "--config", config)...)
		wantProblem(t, r, exitFailure)
		var problem struct{ Remedy string }
		if err := json.Unmarshal([]byte(r.stdout), &problem); err != nil || !strings.Contains(problem.Remedy, want) {
			t.Errorf("%s: %v, the remedy is %q, want %q", args, err, problem.Remedy, want)
		}
	}
}

func TestKeysListOfADomainWithoutKeys(t *testing.T) {
	config := writeFile(t, "c.yaml", "keys: {dir: "+t.TempDir()+"}\nsigner: {domains: []}\n")
	r := execute(t, "", "keys", "list", "--config", config, "example.net")
	if want := "example.net has no keys; signpost keys generate example.net SELECTOR makes the first.\n"; r.code != exitOK || r.stdout != want {
		t.Errorf("exit %d, %q, want %q", r.code, r.stdout, want)
	}
}

func TestWhatAnErrorSaysLastIsItsRemedy(t *testing.T) {
	for problem, want := range map[string]string{
		"no key; run signpost keys generate": "run signpost keys generate",
		"a; b; c":                            "c",
		"nothing to do":                      "signpost x --help shows the options; signpost doctor looks for faults of the host",
		"a; b\nc":                            "signpost x --help shows the options; signpost doctor looks for faults of the host",
	} {
		if got := remedyIn(problem, "x"); got != want {
			t.Errorf("%q: %q, want %q", problem, got, want)
		}
	}
}

func TestAMistypedWordIsRecognized(t *testing.T) {
	for line, want := range map[string]string{
		"sing m.eml":              `signpost: no command "sing": did you mean sign?; signpost help lists them`,
		"chekc-config":            `signpost: no command "chekc-config": did you mean check-config?; signpost help lists them`,
		"frobnicate":              `signpost: no command "frobnicate"; signpost help lists them`,
		"keys lst":                `signpost keys: no command "lst": did you mean list?; signpost keys --help shows how`,
		"report wouldrefuse":      `signpost report: no command "wouldrefuse": did you mean would-refuse?; signpost report --help shows how`,
		"verify --jsno m.eml":     `signpost verify: there is no option --jsno: did you mean --json?; signpost verify --help shows how`,
		"explain --outbund m.eml": `signpost explain: there is no option --outbund: did you mean --outbound?; signpost explain --help shows how`,
	} {
		if got := execute(t, "", strings.Fields(line)...); got.code != exitUsage || got.stdout != "" || got.stderr != want+"\n" {
			t.Errorf("%s: exit %d, %q, %q", line, got.code, got.stdout, got.stderr)
		}
	}
}
