package main

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"signpost/internal/daemon"
	"signpost/internal/dns"
	"signpost/keys"
)

// house is a configuration with its keys and zone in one folder.
type house struct {
	t                 *testing.T
	dir, config, zone string
	contents          string
}

const houseYAML = `# Mail of Example Ltd.
milter: {listen: ["unix:DIR/m.sock"]}
keys:
  dir: DIR/keys         # made by keys generate
  state: DIR/state/keys.json

dns: {zone_file: DIR/zone}
signer:
  require_published: true
  domains:
    # the main domain
    - domain: example.com      # since 2019
      selectors: [s2025, 'e2025'] # both sign

    - domain: example.org
      selectors:
        - s1   # the only one
verifier: {authserv_id: mx.example.com}
`

func newHouse(t *testing.T) *house {
	t.Helper()
	h := &house{t: t, dir: t.TempDir()}
	h.config, h.zone = filepath.Join(h.dir, "signpost.yaml"), filepath.Join(h.dir, "zone")
	h.write(h.config, strings.ReplaceAll(houseYAML, "DIR", h.dir))
	for _, k := range []struct {
		domain, selector string
		algorithm        keys.Algorithm
	}{{"example.com", "s2025", keys.RSA}, {"example.com", "e2025", keys.Ed25519}, {"example.org", "s1", keys.Ed25519}} {
		made, err := keys.Generate(filepath.Join(h.dir, "keys"), k.domain, k.selector, k.algorithm, 0)
		if err != nil {
			t.Fatal(err)
		}
		h.contents += made.ZoneLine() + "\n"
	}
	h.write(h.zone, h.contents)
	return h
}

func (h *house) write(path, text string) {
	h.t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		h.t.Fatal(err)
	}
}

func (h *house) read(path string) string {
	h.t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		h.t.Fatal(err)
	}
	return string(text)
}

// run executes a keys command with the house's configuration.
func (h *house) run(want int, args ...string) result {
	h.t.Helper()
	r := execute(h.t, "", append(append([]string{"keys"}, args...), "--config", h.config)...)
	if r.code != want {
		h.t.Fatalf("%v: exit %d, want %d\n%s%s", args, r.code, want, r.stdout, r.stderr)
	}
	return r
}

// live has a daemon start with the configuration, and end: its state is written.
func (h *house) live() {
	h.t.Helper()
	g, err := daemon.LoadForStart(h.config, time.Now)
	if err != nil {
		h.t.Fatal(err)
	}
	s, err := daemon.New(g, h.config, "", slog.New(slog.DiscardHandler))
	if err != nil {
		h.t.Fatal(err)
	}
	served := s.Start()
	for _, d := range g.Config.Signer.Domains {
		if d.SDID != "" {
			continue // it has no keys of its own
		}
		if _, err := g.Spec.Active.For(h.t.Context(), d.Domain, ""); err != nil {
			h.t.Fatal(err)
		}
	}
	if err := s.Shutdown(h.t.Context()); err != nil {
		h.t.Fatal(err)
	}
	<-served
	s.Close()
}

func wantParts(t *testing.T, what, text string, parts ...string) {
	t.Helper()
	for _, p := range parts {
		if !strings.Contains(text, p) {
			t.Errorf("%s lacks %q:\n%s", what, p, text)
		}
	}
}

func TestKeysRotateEditsTheConfigurationInPlace(t *testing.T) {
	h := newHouse(t)
	before := h.read(h.config)
	month := begun.Format("200601")

	dry := h.run(exitOK, "rotate", "example.com", "--dry-run")
	wantParts(t, "the dry run", dry.stdout, "Nothing is changed", "s2025 of example.com would be replaced by s"+month, "would be written to")
	if h.read(h.config) != before {
		t.Fatal("a dry run changed the configuration")
	}

	h.live()
	r := h.run(exitOK, "rotate", "Example.COM")
	want := strings.Replace(before, "[s2025, 'e2025']", "[s"+month+", 'e"+month+"']", 1)
	if got := h.read(h.config); got != want {
		t.Errorf("the configuration is\n%s\nwant\n%s", got, want)
	}
	wantParts(t, "the output", r.stdout, "s2025 of example.com is replaced by s"+month+" (rsa-sha256)", "e"+month+"._domainkey.example.com. 3600 IN TXT",
		"until DNS has it    s2025 and e2025 go on signing", "for 7 days", "signpost keys record --revoke example.com s2025")

	again := h.run(exitFailure, "rotate", "example.com")
	wantParts(t, "a rotation before the reload", again.stderr, "the last rotation is not finished: the daemon knows nothing of s"+month+" yet", "reload")
	wantParts(t, "check-config", execute(t, "", "check-config", h.config).stdout,
		"as far as is known, example.com: s"+month+" does not sign yet", "until then e2025 and s2025 go on signing")
	h.live() // as after a reload
	list := h.run(exitOK, "list", "example.com").stdout
	wantParts(t, "the list", list, "s2025 ", "retiring", "pending", "\nexample.com: s"+month+" does not sign yet")
	if regexp.MustCompile(`(?m) $`).MatchString(list) {
		t.Errorf("a line of the list ends in a blank:\n%s", list)
	}
	r = h.run(exitFailure, "rotate", "example.com")
	wantParts(t, "a second rotation", r.stderr, "the last rotation is not finished: s"+month+" is pending")
	h.run(exitOK, "rotate", "example.com", "--force", "--type", "rsa")
	wantParts(t, "the configuration", h.read(h.config), "[s"+month+"b, 'e"+month+"']")

	r = h.run(exitOK, "rotate", "example.org", "--template", "k{{year}}-{{day}}", "--json")
	var report struct {
		Rotated []rotation `json:"rotated"`
	}
	if err := json.Unmarshal([]byte(r.stdout), &report); err != nil || len(report.Rotated) != 1 {
		t.Fatalf("%v in %s", err, r.stdout)
	}
	wantParts(t, "the configuration", h.read(h.config), "        - k"+begun.Format("2006-02")+"   # the only one\n")
	if report.Rotated[0].Record.Algorithm != "ed25519-sha256" {
		t.Errorf("the new key is %+v", report.Rotated[0].Record)
	}
}

func TestKeysRotateTellsWhatItCannotDo(t *testing.T) {
	h := newHouse(t)
	for _, c := range []struct {
		args string
		code int
		says string
	}{
		{"rotate", exitUsage, "give one domain"},
		{"rotate example.com --type dsa", exitUsage, "neither rsa nor ed25519"},
		{"rotate example.net", exitFailure, "has no entry in signer.domains"},
		{"rotate example.org --type rsa", exitFailure, "has no rsa key to rotate"},
		{"rotate example.com --template s{{week}}", exitUsage, "it knows {{year}}"},
		{"rotate example.com --template a/b", exitUsage, "makes no selector"},
	} {
		t.Run(c.args, func(t *testing.T) {
			wantParts(t, "standard error", h.run(c.code, strings.Fields(c.args)...).stderr, c.says)
		})
	}
	h.write(h.config, strings.Replace(h.read(h.config), "- s1 ", "- {selector: s1, active_from: 2099-01-01} ", 1))
	wantParts(t, "standard error", h.run(exitFailure, "rotate", "example.org").stderr, "a change to s1 is planned already")
	h.write(h.config, strings.Replace(h.read(h.config), "2099-01-01", "2020-01-01", 1))
	h.run(exitOK, "rotate", "example.org", "--template", "s2")
	wantParts(t, "the configuration", h.read(h.config), "- {selector: s2, active_from: 2020-01-01}")
	if left, _ := filepath.Glob(filepath.Join(h.dir, ".new-*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestKeysListShowsTheLifeOfEachKey(t *testing.T) {
	h := newHouse(t)
	if _, err := keys.Generate(filepath.Join(h.dir, "keys"), "example.org", "spare", keys.Ed25519, 0); err != nil {
		t.Fatal(err)
	}
	before := h.run(exitOK, "list").stdout
	wantParts(t, "before a start", before, "DOMAIN", "pending", "unused", "the daemon knows nothing of it yet: reload")
	h.write(h.zone, strings.Join(strings.SplitAfter(h.contents, "\n")[:4], "")) // without example.org's
	h.live()
	var report struct {
		Keys []listedKey `json:"keys"`
	}
	r := h.run(exitOK, "list", "--json")
	if err := json.Unmarshal([]byte(r.stdout), &report); err != nil {
		t.Fatalf("%v in %s", err, r.stdout)
	}
	got := map[string]listedKey{}
	for _, k := range report.Keys {
		got[k.Selector] = k
	}
	for selector, want := range map[string]string{"s2025": "active rsa-sha256 2048", "e2025": "active ed25519-sha256 256", "s1": "pending ed25519-sha256 256", "spare": "unused ed25519-sha256 256"} {
		k := got[selector]
		if s := fmt.Sprintf("%s %s %d", k.State, k.Algorithm, k.Bits); s != want || k.Made == nil || (k.LastSeen != nil) != (k.State == "active") {
			t.Errorf("%s is %+v, want %s", selector, k, want)
		}
	}
	if text := h.run(exitOK, "list", "example.org").stdout; strings.Contains(text, "example.com") {
		t.Errorf("the list of one domain has others:\n%s", text)
	}
	h.write(filepath.Join(h.dir, "state", "keys.json"), "{")
	r = h.run(exitFailure, "list")
	wantParts(t, "with a damaged state", r.stderr, "it is damaged")
	wantParts(t, "with a damaged state", r.stdout, "s2025")
}

func TestKeysCheckComparesWithDNS(t *testing.T) {
	h := newHouse(t)
	good := h.run(exitOK, "check").stdout
	wantParts(t, "the check", good, "s2025._domainkey.example.com: good: DNS has this key", "    the zone file: has it", "s1._domainkey.example.org: good")
	h.write(h.zone, strings.ReplaceAll(h.contents, "v=DKIM1; k=ed25519;", "v=DKIM1; k=ed25519; t=y;"))
	wantParts(t, "t=y left over", h.run(exitOK, "check", "example.org").stdout, "warning: the record says t=y")
	h.write(h.zone, strings.ReplaceAll(h.contents, "v=DKIM1; k=ed25519;", "v=DKIM1; k=ed25519; h=sha1;"))
	wantParts(t, "h= without sha256", h.run(exitFailure, "check", "example.org").stdout,
		"s1._domainkey.example.org: FAULT\n    the zone file: the record has this key, but verifiers do not use it")
	h.write(h.zone, "s1._domainkey.example.org TXT \"v=DKIM1; p=\"\ns2025._domainkey.example.com SERVFAIL\n")
	bad := h.run(exitFailure, "check").stdout
	wantParts(t, "the check", bad, "s1._domainkey.example.org: FAULT\n    the zone file: the record is revoked",
		"e2025._domainkey.example.com: FAULT\n    the zone file: the record does not exist", "what it should be: signpost keys record example.com e2025",
		"s2025._domainkey.example.com: UNKNOWN: DNS did not answer\n    the zone file: gave no answer", "see to that DNS server, or name others in dns.servers; then ask again")
	r := h.run(exitFailure, "check", "example.org", "s1", "--json")
	var report struct {
		Keys []checkedKey `json:"keys"`
	}
	if err := json.Unmarshal([]byte(r.stdout), &report); err != nil || len(report.Keys) != 1 || report.Keys[0].Good || report.Keys[0].Servers[0].Answer != "differs" {
		t.Errorf("%v in %s", err, r.stdout)
	}
	wantParts(t, "a key that is not there", h.run(exitFailure, "check", "example.org", "none").stdout, "FAULT: the key none of example.org")
	wantParts(t, "a domain that is not listed", h.run(exitFailure, "check", "example.net").stderr, "lists no such key")
}

func TestKeysRecordHasEveryForm(t *testing.T) {
	h := newHouse(t)
	all := h.run(exitOK, "record", "example.com", "s2025").stdout
	value := strings.TrimSpace(h.run(exitOK, "record", "example.com", "s2025", "--format", "value").stdout)
	quoted := strings.TrimSpace(h.run(exitOK, "record", "example.com", "s2025", "--format", "quoted").stdout)
	zone := h.run(exitOK, "record", "example.com", "s2025", "--format", "zone").stdout
	wantParts(t, "all", all, value, quoted, strings.TrimSpace(zone))
	if joined := strings.NewReplacer(`" "`, "", `"`, "").Replace(quoted); joined != value {
		t.Errorf("quoted is %s, which joins to %s", quoted, joined)
	}
	options := strings.TrimSpace(h.run(exitOK, "record", "example.org", "s1", "--format", "zone", "--testing", "--email", "--note", `for "mail"; 50% = a=b`).stdout)
	z, err := dns.ParseZone(strings.NewReader(options+"\n"), "zone")
	if err != nil {
		t.Fatal(err)
	}
	got, err := z.LookupTXT(t.Context(), "s1._domainkey.example.org")
	if err != nil || len(got) != 1 {
		t.Fatalf("%q, %v", got, err)
	}
	wantParts(t, "the record", got[0], "v=DKIM1; k=ed25519; s=email; t=y; n=for =22mail=22=3B 50% =3D a=3Db; p=")
	k, err := keys.Load(filepath.Join(h.dir, "keys"), "example.org", "s1")
	if err != nil {
		t.Fatal(err)
	}
	if f := keys.CompareRecord(k.Fingerprint(), got); f.Answer != keys.Found || len(f.Warnings) != 1 {
		t.Errorf("the record is %+v", f)
	}
	revoked := h.run(exitOK, "record", "--revoke", "example.org", "gone", "--format", "zone").stdout
	if revoked != "gone._domainkey.example.org. 3600 IN TXT \"v=DKIM1; p=\"\n" {
		t.Errorf("revoked: %s", revoked)
	}
	wantParts(t, "two options", h.run(exitUsage, "record", "--revoke", "--testing", "example.org", "s1").stderr, "--revoke takes no other option")
	wantParts(t, "a strange form", h.run(exitUsage, "record", "--format", "xml", "example.org", "s1").stderr, `"xml" is not one of all, zone, value, quoted`)
}

func TestKeysListShowsWhoSignsNow(t *testing.T) {
	h := newHouse(t)
	h.write(h.config, strings.Replace(h.read(h.config), "verifier:", "    - {domain: alias.test, sdid: example.com}\nverifier:", 1))
	if _, err := keys.Generate(filepath.Join(h.dir, "keys"), "example.org", "s2", keys.Ed25519, 0); err != nil {
		t.Fatal(err)
	}
	signing := func(args ...string) string {
		t.Helper()
		var report struct {
			Signing []signingNow `json:"signing"`
		}
		r := h.run(exitOK, append(append([]string{"list"}, args...), "--json")...)
		if err := json.Unmarshal([]byte(r.stdout), &report); err != nil {
			t.Fatalf("%v in %s", err, r.stdout)
		}
		var lines []string
		for _, s := range report.Signing {
			lines = append(lines, strings.TrimSpace(s.Domain+" "+s.State+" "+strings.Join(s.Selectors, ",")+" "+s.SDID))
		}
		return strings.Join(lines, "|")
	}
	if got := signing(); got != "example.com unknown s2025,e2025|example.org unknown s1|alias.test unknown s2025,e2025 example.com" {
		t.Errorf("before a start: %s", got)
	}
	wantParts(t, "the list before a start", h.run(exitOK, "list").stdout, "Who signs now", "not known yet", "the daemon has written nothing of its keys")
	h.live()
	if got := signing(); got != "example.com signed s2025,e2025|example.org signed s1|alias.test signed s2025,e2025 example.com" {
		t.Errorf("with all keys published: %s", got)
	}
	h.write(h.config, strings.Replace(h.read(h.config), "- s1 ", "- s2 ", 1))
	h.live() // s2 is not in DNS
	if got := signing("example.org"); got != "example.org stand_in s1" {
		t.Errorf("after a rotation without its record: %s", got)
	}
	text := h.run(exitOK, "list", "example.org").stdout
	wantParts(t, "the list", text, "s2 of example.org: its record does not exist", "s2 does not sign yet: DNS has no key at s2._domainkey.example.org", "until then s1 goes on signing")
	if strings.Contains(text, "alias.test") {
		t.Errorf("the list of one domain has others:\n%s", text)
	}
	if err := os.Remove(h.dir + "/keys/example.com/e2025.pem"); err != nil {
		t.Fatal(err)
	}
	if got := signing("example.com"); got != "example.com signed s2025|alias.test signed s2025 example.com" {
		t.Errorf("with one key file missing: %s", got)
	}
	if err := os.Remove(h.dir + "/keys/example.com/s2025.pem"); err != nil {
		t.Fatal(err)
	}
	if got := signing("example.com"); got != "example.com failing|alias.test failing  example.com" {
		t.Errorf("with both key files missing: %s", got)
	}
	h.write(h.zone, "")
	h.write(h.config, strings.Replace(h.read(h.config), "- s2 ", "- s1 ", 1))
	if err := os.Remove(h.dir + "/state/keys.json"); err != nil {
		t.Fatal(err)
	}
	h.live()
	if got := signing("example.org"); got != "example.org unsigned" {
		t.Errorf("with no record: %s", got)
	}
}
