package daemon

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"signpost/milter"
)

// sharedBuffer is a log that a test reads while the daemon's goroutines write to it.
type sharedBuffer struct {
	mu  sync.Mutex
	log bytes.Buffer
}

func (b *sharedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.log.Write(p)
}

func (b *sharedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.log.String()
}

func (b *sharedBuffer) Reset() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.log.Reset()
}

// reloader is a running service, without listeners, whose files a test changes.
type reloader struct {
	*Service
	log sharedBuffer
}

func startReloader(t *testing.T, config string) *reloader {
	t.Helper()
	g, err := Load(config, time.Now, nil)
	if err != nil {
		t.Fatal(err)
	}
	r := &reloader{}
	log := slog.New(slog.NewTextHandler(&r.log, nil))
	r.Service = &Service{processors: newProcessors(g.underLoad), path: config, log: log, current: g, started: g.Config, server: milter.NewServer(g.Config.Milter, g.Handlers(), log)}
	r.begin(g)
	t.Cleanup(r.watchKeys())
	return r
}

// domainsAfter reloads, and returns how many domains sign and what was logged.
func (r *reloader) domainsAfter() (int, string) {
	r.log.Reset()
	r.reload()
	return len(r.current.Config.Signer.Domains), r.log.String()
}

func TestAReloadDoesNotTakeAllDomainsAway(t *testing.T) {
	for _, c := range []struct {
		name, text string
		domains    int
		says       string
	}{
		{"an empty file", "", 2, "has no key at all"},
		{"a file of comments", "# being written\n", 2, "has no key at all"},
		{"a file that was cut off before its domains", "keys: {dir: DIR/keys, state: DIR/state/keys.json}\nsigner:\n", 2, "no signing domain, and had 2 before (example.com, example.org)"},
		{"another section alone", "verifier: {mode: enforce}\n", 2, "no signing domain, and had 2 before"},
		{"a table beside domains: []", "keys: {dir: DIR/keys, state: DIR/state/keys.json}\nsigner: {domains: [], tables: [DIR/table]}\n", 2, "no signing domain, and had 2 before"},
		{"domains: []", "keys: {dir: DIR/keys, state: DIR/state/keys.json}\nsigner: {domains: []}\n", 0, "entries are no longer in the configuration"},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := newHouse(t)
			h.write(h.dir+"/table", "# none\n")
			r := startReloader(t, h.config)
			good := h.read(h.config)
			for range 2 { // the old one stays in force however often it is tried
				h.write(h.config, strings.ReplaceAll(c.text, "DIR", h.dir))
				if n, log := r.domainsAfter(); n != c.domains || !strings.Contains(log, c.says) {
					t.Fatalf("%d domains after the reload, want %d and %q:\n%s", n, c.domains, c.says, log)
				}
				if c.domains == 0 {
					return
				}
			}
			h.write(h.config, "milter: [")
			if n, log := r.domainsAfter(); n != 2 {
				t.Errorf("%d domains after a broken file:\n%s", n, log)
			}
			h.write(h.config, good)
			if n, log := r.domainsAfter(); n != 2 || strings.Contains(log, "refused") {
				t.Errorf("%d domains after the good file:\n%s", n, log)
			}
		})
	}
}

func TestAReloadDoesNotTakeAnEmptyTableForAnAnswer(t *testing.T) {
	h := newHouse(t)
	table, senders := h.dir+"/table", h.dir+"/senders"
	h.write(table, "a.test s1 keys_of=example.org\nb.test s1 keys_of=example.org\n")
	h.write(senders, "alice alice@example.com\n")
	text := strings.Replace(h.read(h.config), "  require_published: true\n", "  require_published: false\n  tables: ["+table+"]\n  senders: {mode: reject, file: "+senders+"}\n", 1)
	h.write(h.config, text)
	r := startReloader(t, h.config)
	step := func(path, content string, domains int, says string) {
		t.Helper()
		h.write(path, content)
		if n, log := r.domainsAfter(); n != domains || !strings.Contains(log, says) {
			t.Errorf("%d domains after the reload, want %d and %q:\n%s", n, domains, says, log)
		}
	}
	step(table, "", 4, "is empty, and had entries before (2)")
	step(table, "\n \n", 4, "is empty, and had entries before (2)")
	step(table, "# the last customer has left\n", 2, "entries=\"a.test, b.test\"")
	step(table, "", 2, "reloaded")
	step(senders, "", 2, "has no entry, so signer.senders allows no author")
}

func TestVerifyOnlyNeedsNoDomains(t *testing.T) {
	config := filepath.Join(t.TempDir(), "c.yaml")
	if err := os.WriteFile(config, []byte("verifier: {mode: enforce}\nkeys: {state: "+t.TempDir()+"/keys.json}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	r := startReloader(t, config)
	if n, log := r.domainsAfter(); n != 0 || strings.Contains(log, "refused") {
		t.Errorf("a reload of a file that signs nothing: %s", log)
	}
}
