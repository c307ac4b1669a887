package daemon

import (
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"signpost/internal/message"
	"signpost/keys"
)

// house is a configuration with its keys and zone in one folder.
type house struct {
	t                 *testing.T
	dir, config, zone string
	contents          string // of the zone
}

const houseYAML = `milter: {listen: ["unix:DIR/m.sock"]}
keys: {dir: DIR/keys, state: DIR/state/keys.json}
dns: {zone_file: DIR/zone}
control: {listen: "unix:DIR/control.sock"}
signer:
  require_published: true
  domains:
    - {domain: example.com, selectors: [s2025, e2025]}
    - {domain: example.org, selectors: [s1]}
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

// replace changes the configuration.
func (h *house) replace(old, text string) {
	h.t.Helper()
	before := h.read(h.config)
	if !strings.Contains(before, old) {
		h.t.Fatalf("the configuration has no %q", old)
	}
	h.write(h.config, strings.Replace(before, old, text, 1))
}

// live has a daemon begin with the configuration, and end: its state is written.
func (h *house) live() {
	h.t.Helper()
	g, err := Load(h.config, time.Now, nil)
	if err != nil {
		h.t.Fatal(err)
	}
	s := &Service{processors: newProcessors(g.underLoad), log: slog.New(slog.DiscardHandler), current: g}
	s.begin(g)
	for _, d := range g.Config.Signer.Domains {
		if _, err := g.Spec.Active.For(h.t.Context(), d.Domain, ""); err != nil {
			h.t.Fatal(err)
		}
	}
	s.watchKeys()()
}

func wantParts(t *testing.T, what, text string, parts ...string) {
	t.Helper()
	for _, p := range parts {
		if !strings.Contains(text, p) {
			t.Errorf("%s lacks %q:\n%s", what, p, text)
		}
	}
}

// setUp writes a configuration of one domain with its key, in enforce mode, and returns
// its path.
func setUp(t *testing.T) (config string) {
	t.Helper()
	dir := t.TempDir()
	key, err := keys.Generate(filepath.Join(dir, "keys"), "example.com", "s1", keys.Ed25519, 0)
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"zone": "example.com TXT \"v=spf1 ip4:192.0.2.10 -all\"\n_dmarc.example.com TXT \"v=DMARC1; p=reject\"\n" + key.ZoneLine() + "\n",
		"signpost.yaml": "keys: {dir: " + dir + "/keys, state: " + dir + "/keys.json}\nsigner: {domains: [{domain: example.com, selectors: [s1]}]}\n" +
			"dns: {zone_file: " + dir + "/zone}\nverifier: {authserv_id: mx.example.net, mode: enforce}\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(dir, "signpost.yaml")
}

// decide takes a message through a transaction, as the milter does.
func decide(tx message.Transaction, env message.Envelope, h message.Header, body string) message.Outcome {
	for in, more := strings.NewReader(body), tx.Header(env, h); more; {
		chunk, err := io.ReadAll(io.LimitReader(in, 64<<10))
		if err != nil || len(chunk) == 0 {
			break
		}
		more = tx.Body(chunk)
	}
	return tx.End()
}
