package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"signpost/internal/daemon"
)

// begun is the time of the tests and of the commands that they run: the day does not end meanwhile.
var begun = time.Now()

func TestMain(m *testing.M) {
	clock = func() time.Time { return begun }
	m.Run()
}

// result is what a command did.
type result struct {
	code           int
	stdout, stderr string
}

func execute(t *testing.T, stdin string, args ...string) result {
	t.Helper()
	var out, err bytes.Buffer
	code := run(args, strings.NewReader(stdin), &out, &err)
	return result{code, out.String(), err.String()}
}

func TestEveryCommandHasHelpWithAnExample(t *testing.T) {
	for _, c := range commands() {
		for _, args := range [][]string{{c.name, "--help"}, {"help", c.name}} {
			r := execute(t, "", args...)
			if r.code != exitOK || !strings.Contains(r.stdout, "signpost "+c.name) {
				t.Errorf("%v: exit %d, standard output %q, standard error %q", args, r.code, r.stdout, r.stderr)
			}
		}
	}
}

func TestHelpFitsATerminal(t *testing.T) {
	names := [][]string{{}}
	for _, c := range append(described(), describeCommand(internalCommands()[1], "__manual")) {
		names = append(names, strings.Fields(c.Name))
	}
	for _, name := range names {
		r := execute(t, "", append(name, "--help")...)
		if r.code != exitOK {
			t.Errorf("%v: exit %d", name, r.code)
		}
		for line := range strings.Lines(r.stdout) {
			if n := len(strings.TrimSuffix(line, "\n")); n > helpWidth {
				t.Errorf("%v: a line of %d octets: %s", name, n, line)
			}
		}
	}
}

func TestWrongUsageSaysWhatToDo(t *testing.T) {
	for _, c := range []struct {
		args []string
		want string
	}{
		{nil, "signpost COMMAND"},
		{[]string{"sing"}, `no command "sing": did you mean sign?; signpost help lists them`},
		{[]string{"verify"}, "give one message file"},
		{[]string{"verify", "x.eml", "--ip", "nonsense"}, "write one such as 192.0.2.10"},
		{[]string{"verify", "x.eml", "--at", "yesterday"}, "write one such as 2026-11-21T12:00:00Z"},
		{[]string{"sign"}, "give one message file"},
		{[]string{"probe", "inet:127.0.0.1:1"}, "give the milter's address and one message file"},
		{[]string{"serve", "--nonsense"}, "nonsense"},
		{[]string{"serve", "surplus"}, `unexpected argument "surplus"`},
	} {
		r := execute(t, "", c.args...)
		if r.code != exitUsage || !strings.Contains(r.stderr, c.want) || r.stdout != "" {
			t.Errorf("%v: exit %d, standard output %q, standard error %q, want it to say %q", c.args, r.code, r.stdout, r.stderr, c.want)
		}
	}
}

func TestTheExampleConfigurationIsTheDefaults(t *testing.T) {
	c, _, err := daemon.Read("../../config.example.yaml")
	if err != nil {
		t.Fatal(err)
	}
	want := daemon.Defaults()
	// An empty list in the file is not nil; nothing else may differ.
	for _, p := range []struct {
		name      string
		got, want any
	}{
		{"milter", c.Milter, want.Milter}, {"dns", c.DNS, want.DNS}, {"keys", c.Keys, want.Keys},
		{"signer", c.Signer, want.Signer}, {"verifier", c.Verifier, want.Verifier}, {"log", c.Log, want.Log}, {"control", c.Control, want.Control}, {"metrics", c.Metrics, want.Metrics},
	} {
		got, _ := json.Marshal(p.got)
		expected, _ := json.Marshal(p.want)
		if g, w := strings.ReplaceAll(string(got), "[]", "null"), strings.ReplaceAll(string(expected), "[]", "null"); g != w {
			t.Errorf("section %s of the example differs from the defaults:\n%s\n%s", p.name, g, w)
		}
	}
}

func TestTheExampleConfigurationNamesEveryKey(t *testing.T) {
	text, err := os.ReadFile("../../config.example.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var walk func(t reflect.Type, path string)
	walk = func(typ reflect.Type, path string) {
		for typ.Kind() == reflect.Slice {
			typ = typ.Elem()
		}
		if typ.Kind() != reflect.Struct {
			return
		}
		for i := range typ.NumField() {
			key := typ.Field(i).Tag.Get("yaml")
			if key == "" {
				continue
			}
			if !strings.Contains(string(text), key+":") {
				t.Errorf("the example says nothing of %s%s", path, key)
			}
			walk(typ.Field(i).Type, path+key+".")
		}
	}
	walk(reflect.TypeFor[Config](), "")
}

// writeFile puts text into a file of the test's own and returns its path.
func writeFile(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestCheckConfigReportsEveryMistakeWithItsLine(t *testing.T) {
	path := writeFile(t, "bad.yaml", `milter:
  lisen: [inet:127.0.0.1:8891]
signer:
  on_error: ignore
  domains:
    - domain: example.com
verifier:
  mode: strict
log:
  level: loud
`)
	r := execute(t, "", "check-config", path)
	if r.code != exitFailure {
		t.Errorf("exit %d, want %d", r.code, exitFailure)
	}
	for _, want := range []string{":2:3: milter.lisen", "listen", ":4:3: signer.on_error", ":6:7: signer.domains[0]", ":8:3: verifier.mode", ":10:3: log.level"} {
		if !strings.Contains(r.stderr, want) {
			t.Errorf("standard error lacks %q:\n%s", want, r.stderr)
		}
	}
	r = execute(t, "", "check-config", "--json", path)
	var report checkReport
	if err := json.Unmarshal([]byte(r.stdout), &report); err != nil || report.Valid || r.code != exitFailure {
		t.Errorf("exit %d, JSON %s (%v)", r.code, r.stdout, err)
	}
}

func TestCheckConfigOfAMissingKeySaysHowToMakeIt(t *testing.T) {
	dir := t.TempDir()
	path := writeFile(t, "c.yaml", "keys: {dir: "+dir+"}\nsigner: {domains: [{domain: example.com, selectors: [s1]}]}\n")
	r := execute(t, "", "check-config", path)
	if r.code != exitFailure || !strings.Contains(r.stderr, "signpost keys generate") {
		t.Errorf("exit %d, standard error %q", r.code, r.stderr)
	}
}

// setUp makes a key, a zone with its record and a configuration.
func setUp(t *testing.T) (config, zone string) {
	t.Helper()
	dir := t.TempDir()
	r := execute(t, "", "keys", "generate", "--dir", dir, "--type", "ed25519", "--json", "example.com", "s1")
	if r.code != exitOK {
		t.Fatalf("keys generate: exit %d, %s", r.code, r.stderr)
	}
	var made struct {
		Record string `json:"record_value"`
	}
	if err := json.Unmarshal([]byte(r.stdout), &made); err != nil {
		t.Fatalf("%v in %s", err, r.stdout)
	}
	zone = writeFile(t, "dns.zone", "example.com TXT \"v=spf1 ip4:192.0.2.10 -all\"\n_dmarc.example.com TXT \"v=DMARC1; p=reject\"\n"+
		"s1._domainkey.example.com TXT \""+made.Record+"\"\n")
	config = writeFile(t, "c.yaml", "keys: {dir: "+dir+"}\nsigner: {domains: [{domain: example.com, selectors: [s1]}]}\n"+
		"dns: {zone_file: "+zone+"}\nverifier: {authserv_id: mx.example.net, mode: enforce}\n")
	return config, zone
}

func TestWhatSignWritesVerifyPasses(t *testing.T) {
	config, zone := setUp(t)
	for name, letter := range map[string]string{
		"LF":          "From: a@example.com\nSubject: x\n\nhello\n",
		"CRLF":        "From: a@example.com\r\nSubject: x\r\n\r\nhello\r\n",
		"no body":     "From: a@example.com\n",
		"mbox":        "From a@example.com Fri Nov 20 10:00:00 2026\nFrom: a@example.com\n\nhello\n",
		"no line end": "From: a@example.com\n\nhello",
	} {
		t.Run(name, func(t *testing.T) {
			signed := execute(t, letter, "sign", "-", "--config", config)
			if signed.code != exitOK || !strings.HasSuffix(signed.stdout, letter[strings.Index(letter, "From: "):]) {
				t.Fatalf("exit %d, %q, %s", signed.code, signed.stdout, signed.stderr)
			}
			if crlf := strings.Contains(letter, "\r\n"); crlf != (strings.Count(signed.stdout, "\n") == strings.Count(signed.stdout, "\r\n")) {
				t.Errorf("the line ends are mixed: %q", signed.stdout)
			}
			r := execute(t, signed.stdout, "verify", "-", "--zone", zone, "--json", "--ip", "203.0.113.1", "--helo", "x.example", "--from", "<bounce@other.example>")
			var report verifyReport
			if err := json.Unmarshal([]byte(r.stdout), &report); err != nil {
				t.Fatalf("%v in %s%s", err, r.stdout, r.stderr)
			}
			if len(report.DKIM) != 1 || report.DKIM[0].Result != "pass" || report.SPF.Result != "none" || report.DMARC.Result != "pass" {
				t.Errorf("the report is %s", r.stdout)
			}
		})
	}
}

func TestSignOfAStrangersMessageWritesNothingAndNamesTheRule(t *testing.T) {
	config, _ := setUp(t)
	r := execute(t, "From: a@other.example\n\nhello\n", "sign", "-", "--config", config)
	if r.code != exitFailure || r.stdout != "" || !strings.Contains(r.stderr, "other.example has no entry in signer.domains") {
		t.Errorf("exit %d, %q, %q", r.code, r.stdout, r.stderr)
	}
}

func TestVerifyEndsWithTheFieldTheDaemonWouldAdd(t *testing.T) {
	config, _ := setUp(t)
	r := execute(t, "From: a@example.com\n\nhello\n", "verify", "-", "--config", config, "--ip", "203.0.113.66", "--helo", "evil.example", "--from", "a@example.com")
	at := strings.Index(r.stdout, "\nAuthentication-Results: ")
	if r.code != exitOK || at < 0 {
		t.Fatalf("exit %d, %s%s", r.code, r.stdout, r.stderr)
	}
	field := r.stdout[at+1:]
	for i, line := range strings.Split(strings.TrimSuffix(field, "\n"), "\n") {
		if i > 0 && !strings.HasPrefix(line, " ") && !strings.HasPrefix(line, "\t") {
			t.Errorf("after the field stands %q", line)
		}
	}
	if !strings.Contains(field, "mx.example.net;") || !strings.Contains(field, "dmarc=fail (p=reject dis=reject)") {
		t.Errorf("the field is %s", field)
	}
}

func TestVerifyJudgesAsOfAMoment(t *testing.T) {
	config, zone := setUp(t)
	signed := execute(t, "From: a@example.com\n\nhello\n", "sign", "-", "--config", config, "--at", "1700000000")
	for at, want := range map[string]string{"1700000000": "pass", "2023-11-14T22:13:20Z": "pass", "1600000000": "permerror"} {
		r := execute(t, signed.stdout, "verify", "-", "--zone", zone, "--json", "--at", at)
		var report verifyReport
		if err := json.Unmarshal([]byte(r.stdout), &report); err != nil || report.DKIM[0].Result != want {
			t.Errorf("at %s: %s, want dkim=%s", at, r.stdout, want)
		}
	}
}

func TestVerifyAsksGoMsgauthForASecondOpinion(t *testing.T) {
	config, zone := setUp(t)
	signed := execute(t, "From: a@example.com\n\nhello\n", "sign", "-", "--config", config)
	for text, want := range map[string]string{signed.stdout: "pass", signed.stdout + "changed\n": "fail"} {
		r := execute(t, text, "verify", "-", "--zone", zone, "--json", "--second-opinion")
		var report verifyReport
		if err := json.Unmarshal([]byte(r.stdout), &report); err != nil || len(report.SecondOpinion) != 1 {
			t.Fatalf("%v in %s%s", err, r.stdout, r.stderr)
		}
		if got := report.SecondOpinion[0].Result; got != want || report.DKIM[0].Result != want {
			t.Errorf("go-msgauth says %s, we say %s, want %s", got, report.DKIM[0].Result, want)
		}
	}
}

func TestVerifyOfATrustedRelayIsUnjudged(t *testing.T) {
	path := writeFile(t, "c.yaml", "dns: {zone_file: "+writeFile(t, "z", "")+"}\nverifier: {trusted: {networks: [192.0.2.0/24]}}\n")
	r := execute(t, "From: a@example.com\n\nhello\n", "verify", "-", "--config", path, "--ip", "192.0.2.1")
	if r.code != exitOK || !strings.HasPrefix(r.stdout, "unjudged: client 192.0.2.1") {
		t.Errorf("exit %d, %q, %q", r.code, r.stdout, r.stderr)
	}
}

func TestCheckConfigJSONListsTheProblems(t *testing.T) {
	r := execute(t, "", "check-config", "--json", writeFile(t, "bad.yaml", "verifier:\n  mode: strict\n  nonsense: 1\n"))
	var report checkReport
	if err := json.Unmarshal([]byte(r.stdout), &report); err != nil || len(report.Problems) != 2 {
		t.Fatalf("%v in %s", err, r.stdout)
	}
	if p := report.Problems[0]; p.Line != 2 || p.Column == 0 || p.Path != "verifier.mode" || p.Text == "" {
		t.Errorf("the first problem is %+v", p)
	}
}

func TestUnreadableInputIsToldPlainly(t *testing.T) {
	config, _ := setUp(t)
	for _, args := range [][]string{
		{"verify", "/no/such.eml", "--config", config},
		{"sign", "/no/such.eml", "--config", config},
		{"verify", "-", "--config", "/no/such.yaml"},
		{"verify", "-", "--zone", "/no/such.zone"},
		{"serve", "--config", "/no/such.yaml"},
		{"probe", "inet:127.0.0.1:1", "-"},
	} {
		r := execute(t, "From: a@example.com\n\n", args...)
		if r.code != exitFailure || r.stderr == "" || strings.Contains(r.stderr, "goroutine") {
			t.Errorf("%v: exit %d, %q", args, r.code, r.stderr)
		}
	}
}

func TestTheDemonstrationShowsThreeMessages(t *testing.T) {
	state := filepath.Join(t.TempDir(), "run")
	for range 2 { // the second time with the state folder there
		r := execute(t, "", "demo", "--state", state, "--once")
		if r.code != exitOK {
			t.Fatalf("exit %d, %s", r.code, r.stderr)
		}
		for _, want := range []string{"+ DKIM-Signature: v=1; a=rsa-sha256", "+ DKIM-Signature: v=1; a=ed25519-sha256",
			"dmarc=pass (p=reject dis=none)", "reply:   550 5.7.1 DMARC", "dmarc=fail (p=reject dis=none)",
			"dns.zone in that folder, not the network's", "inet:127.0.0.1:28", "example.com  rsa1, ed1", "2 messages: 1 accepted, 1 refused", "1 message: 1 signed"} {
			if !strings.Contains(r.stdout, want) {
				t.Errorf("standard output lacks %q:\n%s", want, r.stdout)
			}
		}
		for line := range strings.Lines(r.stdout) {
			if len(line) > helpWidth+1 && !strings.Contains(line, state) || strings.Contains(line, "\x1b") {
				t.Errorf("%d octets, or colour in a pipe: %s", len(line), line)
			}
		}
	}
}
