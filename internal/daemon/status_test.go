package daemon

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"signpost/internal/control"
	"signpost/internal/dns"
	"signpost/internal/dns/dnstest"
	"signpost/internal/status"
	"signpost/keys/lifecycle"
)

// ask is the report of a running daemon, by its control socket.
func (r *running) ask(t *testing.T) status.Report {
	t.Helper()
	var got status.Report
	client, err := control.Dial(t.Context(), r.started.Control)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if err := client.Get(t.Context(), "/status", &got); err != nil {
		t.Fatal(err)
	}
	return got
}

// finds reports whether a finding has these words.
func finds(r status.Report, words string) bool {
	for _, f := range r.Findings {
		if strings.Contains(f.Subject+": "+f.Finding, words) {
			return true
		}
	}
	return false
}

func TestTheStatusOfADaemonThatIsWell(t *testing.T) {
	h := newHouse(t)
	r := run(t, h, time.Minute, nil)
	c := r.connect(t)
	c.message("alice@example.com")
	c.message("alice@example.org")
	got := r.ask(t)
	if len(got.Findings) != 0 || !got.Ready || got.NeedsAPerson() {
		t.Errorf("findings %+v, not ready: %v", got.Findings, got.NotReady)
	}
	if g := got.Configuration; g.Generation != 1 || g.File != h.config || g.OnDisk != status.Same || g.Domains != 2 || g.Keys != 3 {
		t.Errorf("configuration %+v", g)
	}
	if l := got.Listeners; len(l) != 1 || l[0].Address != "unix:"+h.dir+"/m.sock" || l[0].Connections != 1 || !strings.HasPrefix(l[0].File, "0660 ") {
		t.Errorf("listeners %+v", l)
	}
	if d := got.Domains; d.Total != 2 || d.States[status.Signing] != 2 || strings.Join(d.List[0].Selectors, " ") != "s2025 e2025" {
		t.Errorf("domains %+v", d)
	}
	if o := got.Hour.Outbound; o.Messages != 2 || o.Signed != 2 || o.Accepted != 2 {
		t.Errorf("last hour %+v", o)
	}
	if got.Resolver.Source != h.zone || got.Version != "test" || got.PID != os.Getpid() {
		t.Errorf("%+v", got)
	}
}

// The file on disk, as it changes and is reloaded.
func TestTheStatusComparesTheFileOnDisk(t *testing.T) {
	h := newHouse(t)
	r := run(t, h, time.Minute, nil)
	good := h.read(h.config)
	for _, step := range []struct {
		name, text, onDisk, finding string
		reload                      string // the log line to wait for; "" : no reload
		generation                  int
	}{
		{"a comment", good + "# a comment\n", status.Changed, "has changed and is not in force", "", 1},
		{"a mistake", good + "nonsense: 1\n", status.Mistaken, "a reload would refuse it", "", 1},
		{"refused", good + "nonsense: 1\n", status.Mistaken, "a reload would refuse it", "reload refused", 1},
		{"put back after a refusal", good, status.Same, "the last reload was refused", "", 1},
		{"reloaded", good, status.Same, "", "reloaded", 2},
		{"a missing key", strings.Replace(good, "s2025", "s1999", 1), status.Changed, "the last reload was refused", "reload refused", 2},
		{"another mode of the log", good + "log: {level: warn}\n", status.Same, "changes of section log wait for a restart", "reloaded", 3},
		{"back again", good, status.Same, "", "reloaded", 4},
	} {
		h.write(h.config, step.text)
		if step.reload != "" {
			r.reload <- syscall.SIGHUP
			r.log.await(t, step.reload)
		}
		got := r.ask(t)
		if c := got.Configuration; c.OnDisk != step.onDisk || c.Generation != step.generation {
			t.Errorf("%s: %+v", step.name, c)
		}
		if step.finding == "" && len(got.Findings) > 0 || step.finding != "" && (!finds(got, step.finding) || !got.NeedsAPerson()) || !got.Ready {
			t.Errorf("%s: %+v", step.name, got.Findings)
		}
	}
	if err := os.Remove(h.config); err != nil {
		t.Fatal(err)
	}
	if got := r.ask(t); got.Configuration.OnDisk != status.Gone || !finds(got, "is gone") {
		t.Errorf("%+v", got.Findings)
	}
}

// get is what a probe sees at the address of the metrics.
func get(c *counters, path string) (int, string) {
	w := httptest.NewRecorder()
	c.handler().ServeHTTP(w, httptest.NewRequest("GET", path, nil))
	return w.Code, w.Body.String()
}

// /readyz is red only where mail cannot be handled at all.
func TestReadiness(t *testing.T) {
	counts := newCounters()
	if code, _ := get(counts, "/readyz"); code != 503 {
		t.Errorf("before a configuration is in force: %d", code)
	}
	for _, c := range []struct {
		name   string
		change func(t *testing.T, h *house)
		code   int
		says   string
	}{
		{"all is well", func(*testing.T, *house) {}, 200, "ready"},
		{"one of two keys of a domain is not published", func(t *testing.T, h *house) {
			h.write(h.zone, strings.ReplaceAll(h.contents, "e2025._domainkey", "x._domainkey"))
		}, 200, "ready"},
		{"one of two domains cannot sign", func(t *testing.T, h *house) {
			h.write(h.zone, strings.ReplaceAll(h.contents, "example.com", "example.net"))
		}, 200, "ready"},
		{"no domain can sign", func(t *testing.T, h *house) { h.write(h.zone, "example.net A 192.0.2.1\n") }, 503, "none of the listed domains can sign"},
		{"a key of one domain is lost", func(t *testing.T, h *house) { remove(t, h.dir+"/keys/example.org") }, 200, "ready"},
		{"all keys are lost", func(t *testing.T, h *house) {
			remove(t, h.dir+"/keys/example.org")
			remove(t, h.dir+"/keys/example.com")
		}, 503, "none"},
		{"nothing to sign", func(t *testing.T, h *house) {
			text := h.read(h.config)
			h.write(h.config, text[:strings.Index(text, "signer:")]+"verifier: {authserv_id: mx.example.com}\n")
		}, 200, "ready"},
		{"DNS does not answer", func(t *testing.T, h *house) {
			h.replace("dns: {zone_file: "+h.zone+"}", fmt.Sprintf("dns: {servers: [%q], timeout: 50ms, tries: 1}", silent(t)))
		}, 200, "ready"},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := newHouse(t)
			c.change(t, h)
			r := run(t, h, time.Minute, nil)
			settle(t, r)
			counts := newCounters()
			counts.ready = r.notReady
			if code, text := get(counts, "/readyz"); code != c.code || !strings.Contains(text, c.says) {
				t.Errorf("%d %s", code, text)
			}
			if code, _ := get(counts, "/healthz"); code != 200 {
				t.Errorf("/healthz: %d", code)
			}
			if got := r.ask(t); got.Ready != (c.code == 200) {
				t.Errorf("status: %v %q", got.Ready, got.NotReady)
			}
		})
	}
}

// settle waits until DNS has been asked about all keys.
func settle(t *testing.T, r *running) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var names []string
	r.current.Spec.Active.Each(func(name string, _ *lifecycle.SigningSet, _ bool) { names = append(names, name) })
	for _, name := range names {
		if _, err := r.current.Spec.Active.For(ctx, name, ""); err != nil {
			t.Fatal(err)
		}
	}
}

// silent is the address of a DNS server that never answers.
func silent(t *testing.T) string {
	t.Helper()
	srv := dnstest.Serve(t, dns.NewZone())
	srv.Behave(dnstest.Drop)
	return srv.Addr
}

func remove(t *testing.T, path string) {
	t.Helper()
	if err := os.RemoveAll(path); err != nil {
		t.Fatal(err)
	}
}

func TestAListenerWithoutItsFileIsDown(t *testing.T) {
	h := newHouse(t)
	r := run(t, h, time.Minute, nil)
	remove(t, filepath.Join(h.dir, "m.sock"))
	got := r.ask(t)
	if got.Ready || !finds(got, "its socket file is gone") || got.Findings[0].Severity != status.Problem {
		t.Errorf("%+v", got.Findings)
	}
}

func TestADNSServerThatDoesNotAnswerIsFoundAtOnce(t *testing.T) {
	h := newHouse(t)
	h.replace("dns: {zone_file: "+h.zone+"}", fmt.Sprintf("dns: {servers: [%q], timeout: 50ms, tries: 1}", silent(t)))
	r := run(t, h, time.Minute, nil)
	got := r.ask(t)
	if !finds(got, "no answer within 50ms; no server is left") || !got.NeedsAPerson() {
		t.Errorf("%+v", got.Findings)
	}
	settle(t, r)
	if s := r.ask(t).Resolver.Servers; len(s) != 1 || s[0].Unanswered == 0 || s[0].Queries != s[0].Unanswered {
		t.Errorf("%+v", s)
	}
}

// No secret and nothing of a message is in a report.
func TestAReportTellsNoSecret(t *testing.T) {
	h := newHouse(t)
	r := run(t, h, time.Minute, nil)
	r.connect(t).message("secret-person@example.com")
	text, err := json.Marshal(r.ask(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{"secret-person", "PRIVATE", "hello", "bob@"} {
		if strings.Contains(string(text), secret) {
			t.Errorf("%q is in the report: %s", secret, text)
		}
	}
}

// What the daemon keeps beside the mail, in a place that does not take it.
func TestTheStatusNamesWhatCannotBeWritten(t *testing.T) {
	h := newHouse(t)
	h.replace(h.dir+"/state/keys.json", h.zone+"/keys.json") // a file where a folder should be
	r := run(t, h, time.Minute, nil)
	for _, words := range []string{"keys.state: cannot be written: " + h.zone + "/keys.json: not a directory; a restart loses the state of the keys", "reports.database: cannot be written: sqlite:" + h.zone} {
		// Both are written in the background.
		for began, got := time.Now(), r.ask(t); !finds(got, words); got = r.ask(t) {
			if time.Since(began) > time.Minute {
				t.Fatalf("no finding %q: %+v", words, got.Findings)
			}
		}
		if got := r.ask(t); !got.NeedsAPerson() || !got.Ready {
			t.Errorf("%+v, ready: %v", got.Findings, got.Ready)
		}
	}
}
