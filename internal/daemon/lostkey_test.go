package daemon

import (
	"bytes"
	"database/sql"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"

	"signpost/internal/message"
	"signpost/keys"
	"signpost/milter"
)

// signed is the outcome for a message from an author of the domain.
func (s *Service) signed(t *testing.T, from string) message.Outcome {
	t.Helper()
	h := message.Header{{Name: "From", Value: " " + from}, {Name: "Subject", Value: " hello"}}
	job := s.current.Signer.Sign(t.Context(), message.Envelope{})
	if job.Header(message.Envelope{}, h) {
		job.Body([]byte("hello\r\n"))
	}
	return job.End()
}

// sentence is an outcome in short.
func sentence(o message.Outcome) string {
	if o.Disposition == message.Tempfail {
		return strings.TrimSuffix(strings.Split(o.Reply.Text, ",")[0], "\r\n") + ": " + o.Failure
	}
	var selectors []string
	for _, s := range o.Signatures {
		selectors = append(selectors, s.Selector)
	}
	return "signed with " + strings.Join(selectors, ",") + o.Unsigned
}

func startFor(t *testing.T, config string) *reloader {
	t.Helper()
	g, err := LoadForStart(config, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	r := &reloader{}
	log := slog.New(slog.NewTextHandler(&r.log, nil))
	r.Service = &Service{processors: newProcessors(g.underLoad), path: config, log: log, current: g, started: g.Config, server: milter.NewServer(g.Config.Milter, g.Handlers(), log)}
	r.begin(g)
	t.Cleanup(r.watchKeys())
	r.logGeneration("configuration in force")
	return r
}

func TestAMissingKeyAtTheStartCostsItsEntryAlone(t *testing.T) {
	const rest = `    - {domain: customer.test, selectors: [s1], keys_of: example.org}
    - {domain: alias.test, sdid: customer.test}
    - {domain: "*.shops.test", selectors: [s1], keys_of: example.org}
    - {domain: desk@example.com, selectors: [s2025]}
    - {domain: desk@gone.test, selectors: [s9]}
    - {domain: "*", selectors: [s7]}
`
	h := newHouse(t)
	h.replace("verifier:", rest+"verifier:")
	h.replace("require_published: true", "require_published: false")
	if err := os.Remove(h.dir + "/keys/example.org/s1.pem"); err != nil {
		t.Fatal(err)
	}
	const cannot = "the message could not be signed just now: "
	r := startFor(t, h.config)
	wantParts(t, "the log", r.log.String(), "level=ERROR", "a listed key cannot be used", "there is no file "+h.dir+"/keys/example.org/s1.pem; make it with: signpost keys generate")
	for from, want := range map[string]string{
		"alice@example.com":   "signed with s2025,e2025",
		"desk@example.com":    "signed with s2025",
		"alice@example.org":   cannot + "signing as example.org: signer.domains example.org: the key s1 of example.org: there is no file",
		"alice@customer.test": cannot + "signing as customer.test: signer.domains customer.test: the key s1 of example.org: there is no file",
		"alice@alias.test":    cannot + "signing as alias.test: signer.domains alias.test: the key s1",
		"a@x.shops.test":      cannot + `signing as x.shops.test: signer.domains "*.shops.test": the key s1`,
		"desk@gone.test":      cannot + "signing as gone.test: signer.domains",
		"a@else.test":         cannot + `signing as else.test: signer.domains "*": the selector s7 for domain "*"`,
	} {
		if got := sentence(r.signed(t, from)); !strings.HasPrefix(got, want) {
			t.Errorf("%s: %s, want %s", from, got, want)
		}
	}
	if _, err := Load(h.config, time.Now, nil); err == nil || !strings.Contains(err.Error(), "there is no file "+h.dir+"/keys/example.org/s1.pem") {
		t.Errorf("a check of the configuration: %v", err)
	}
	// What is missing already is no reason to refuse a reload; what goes missing is.
	if _, log := r.domainsAfter(); strings.Contains(log, "refused") {
		t.Errorf("the reload is refused:\n%s", log)
	}
	if err := os.Remove(h.dir + "/keys/example.com/e2025.pem"); err != nil {
		t.Fatal(err)
	}
	if _, log := r.domainsAfter(); !strings.Contains(log, "reload refused") || sentence(r.signed(t, "alice@example.com")) != "signed with s2025,e2025" {
		t.Errorf("a key that went missing, at a reload: %s", log)
	}
}

func TestOneOfTwoKeysMissingLeavesTheOtherSigning(t *testing.T) {
	h := newHouse(t)
	h.live()
	if err := os.Remove(h.dir + "/keys/example.com/s2025.pem"); err != nil {
		t.Fatal(err)
	}
	r := startFor(t, h.config)
	out := r.signed(t, "alice@example.com")
	if got := sentence(out); got != "signed with e2025" || !strings.Contains(note(out, "not_as_listed"), "s2025 does not sign: the key s2025 of example.com: there is no file") {
		t.Errorf("%s, %+v", got, out.Log)
	}
	if !strings.Contains(r.log.String(), "not every listed key signs") {
		t.Errorf("the log is\n%s", &r.log)
	}
	text := strings.Replace(h.read(h.config), "signer:", "signer:\n  on_error: unsigned", 1)
	h.write(h.config, text)
	if err := os.Remove(h.dir + "/keys/example.com/e2025.pem"); err != nil {
		t.Fatal(err)
	}
	out = startFor(t, h.config).signed(t, "alice@example.com")
	if out.Disposition != message.Accept || !strings.Contains(out.Failure, "there is no file") || out.Unsigned == "" {
		t.Errorf("with on_error: unsigned: %+v", out)
	}
}

func TestADamagedKeyAtTheStartCostsItsEntryAlone(t *testing.T) {
	h := newHouse(t)
	h.live()
	h.write(h.dir+"/keys/example.org/s1.pem", "")
	g, err := LoadForStart(h.config, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	s := &Service{processors: newProcessors(g.underLoad), log: slog.New(slog.DiscardHandler), current: g}
	s.begin(g)
	if got := sentence(s.signed(t, "alice@example.org")); !strings.Contains(got, "signing as example.org") {
		t.Error(got)
	}
	if got := sentence(s.signed(t, "alice@example.com")); got != "signed with s2025,e2025" {
		t.Error(got)
	}
	s.watchKeys()() // which writes the state
	facts := bytes.Count([]byte(h.read(h.dir+"/state/keys.json")), []byte(`"selector"`))
	if facts != 3 {
		t.Errorf("%d keys are known, want 3: the lost one is not forgotten", facts)
	}
}

// note returns the outcome's first note with one of these keys.
func note(o message.Outcome, keys ...string) string {
	for _, key := range keys {
		for _, n := range o.Log {
			if n.Key == key {
				return n.Value
			}
		}
	}
	return ""
}

// A row of a database may name a key that was never made: its mail goes unsigned. One that
// was in use and is missing is a fault.
func TestAKeyOfARowThatWasInUseIsNotSilentlyMissing(t *testing.T) {
	h := newHouse(t)
	h.replace("verifier:", "  tables:\n    - {database: \"sqlite:"+h.dir+"/panel.db\", query: \"SELECT * FROM d\"}\nverifier:")
	db, err := sql.Open("sqlite", "file:"+h.dir+"/panel.db")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec("CREATE TABLE d (domain text, selectors text, keys_of text); INSERT INTO d VALUES ('used.test', 'e5', ''), ('new.test', 'e5', '')"); err != nil {
		t.Fatal(err)
	}
	k, err := keys.Generate(h.dir+"/keys", "used.test", "e5", keys.Ed25519, 0)
	if err != nil {
		t.Fatal(err)
	}
	h.write(h.zone, h.contents+k.ZoneLine()+"\n")
	begin := func() *Service {
		t.Helper()
		g, err := LoadForStart(h.config, time.Now)
		if err != nil {
			t.Fatal(err)
		}
		s := &Service{processors: newProcessors(g.underLoad), log: slog.New(slog.DiscardHandler), current: g}
		s.begin(g)
		return s
	}
	s := begin()
	if got := sentence(s.signed(t, "a@used.test")); got != "signed with e5" {
		t.Fatal(got)
	}
	s.watchKeys()() // which writes that it is in use
	if err := os.Remove(k.Path); err != nil {
		t.Fatal(err)
	}
	s = begin()
	defer s.watchKeys()()
	if got := sentence(s.signed(t, "a@used.test")); !strings.HasPrefix(got, "the message could not be signed just now: signing as used.test") {
		t.Error(got)
	}
	if got := sentence(s.signed(t, "a@new.test")); !strings.HasPrefix(got, "signed with signer.domains new.test: no key is loaded") {
		t.Error(got)
	}
	if got := sentence(s.signed(t, "a@example.com")); got != "signed with s2025,e2025" {
		t.Error(got)
	}
}
