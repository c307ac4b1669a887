package lifecycle

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"signpost/keys"
)

// nameserver is one DNS server of a test.
type nameserver struct {
	mu      sync.Mutex
	name    string
	records map[string][]string
	broken  error
	silent  bool
	delay   time.Duration
	slots   chan struct{} // nil: as many as are wanted
	asked   int
}

func (n *nameserver) String() string { return n.name }

func (n *nameserver) Acquire(ctx context.Context) (done func(), err error) {
	if n.slots == nil {
		return func() {}, nil
	}
	select {
	case n.slots <- struct{}{}:
		return func() { <-n.slots }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (n *nameserver) LookupTXT(ctx context.Context, name string) ([]string, error) {
	n.mu.Lock()
	n.asked++
	records, broken, silent, delay := n.records[name], n.broken, n.silent, n.delay
	n.mu.Unlock()
	if silent {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	if delay > 0 {
		select {
		case <-time.After(delay):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	return records, broken
}

func (n *nameserver) set(change func()) {
	n.mu.Lock()
	defer n.mu.Unlock()
	change()
}

func (n *nameserver) queries() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.asked
}

// scene is a watch with its DNS, keys and log, within a synctest bubble.
type scene struct {
	t              *testing.T
	cfg            keys.Config
	dns            []*nameserver
	keys           map[string]*keys.Key
	tracker        *Tracker
	spec           *Spec
	log            *bytes.Buffer
	mu             sync.Mutex
	serversChanged bool
	end            func()
}

func (s *scene) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.log.Write(p)
}

func (s *scene) logged() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	text := s.log.String()
	s.log.Reset()
	return text
}

// newScene has the keys s1, s2 and s3 of example.com.
func newScene(t *testing.T, servers int) *scene {
	dir := t.TempDir()
	s := &scene{t: t, cfg: keys.Defaults(), keys: map[string]*keys.Key{}, log: &bytes.Buffer{}, end: func() {}}
	s.cfg.Dir, s.cfg.State = filepath.Join(dir, "keys"), filepath.Join(dir, "state", "keys.json")
	s.cfg.QueueTime = 6 * time.Hour
	for i := range servers {
		s.dns = append(s.dns, &nameserver{name: "server" + string(rune('1'+i)), records: map[string][]string{}})
	}
	for _, selector := range []string{"s1", "s2", "s3"} {
		k, err := keys.Generate(s.cfg.Dir, "example.com", selector, keys.Ed25519, 0)
		check(t, err)
		s.keys[selector] = k
	}
	return s
}

// publish puts a key's record, or another text, into the DNS of all servers.
func (s *scene) publish(selector string, record ...string) {
	if len(record) == 0 {
		record = []string{s.keys[selector].Record()}
	}
	for _, n := range s.dns {
		n.set(func() { n.records[s.keys[selector].RecordName()] = record })
	}
}

func (s *scene) withdraw(selector string) {
	for _, n := range s.dns {
		n.set(func() { delete(n.records, s.keys[selector].RecordName()) })
	}
}

// start begins as a new process does: with what is in the state file.
func (s *scene) start(listed ...string) {
	s.tracker = NewTracker(s.cfg.State, time.Now)
	s.reload(listed...)
	ctx, cancel := context.WithCancel(s.t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.tracker.Run(ctx)
	}()
	s.end = func() { cancel(); <-done }
	synctest.Wait()
}

// reload lists these selectors; one may be NAME@TIME for its active_from.
func (s *scene) reload(listed ...string) {
	s.t.Helper()
	p := &Spec{Config: s.cfg, Require: true, ServersChanged: s.serversChanged}
	var refs []keys.Ref
	for _, word := range listed {
		name, at, _ := strings.Cut(word, "@")
		from, _ := time.Parse(time.RFC3339, at)
		p.Listed = append(p.Listed, Listed{Ref: keys.Ref{Domain: "example.com", Selector: name}, ActiveFrom: from})
		refs = append(refs, keys.Ref{Domain: "example.com", Selector: name})
	}
	for _, n := range s.dns {
		p.Servers = append(p.Servers, n)
	}
	var err error
	p.Store, err = keys.Open(s.cfg, refs, s.tracker.Standby(refs)...)
	check(s.t, err)
	ctx, cancel := context.WithTimeout(s.t.Context(), MaxWait)
	defer cancel()
	s.tracker.Begin(ctx, p, slog.New(slog.NewTextHandler(s, nil)))
	s.spec = p
}

// after lets time pass, and everything that happens in it.
func (s *scene) after(d time.Duration) { pass(d) }

// pass moves the clock of a synctest bubble, in which no message waits, and lets all happen
// that is due by then.
func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// provenOnce is a process that found the key in DNS and ended, since when the record
// is gone.
func (s *scene) provenOnce(selector string) {
	s.publish(selector)
	s.start(selector)
	s.after(time.Minute)
	s.end()
	s.withdraw(selector)
}

// want holds the keys that sign a message to these, and those known to their states.
func (s *scene) want(when, signing, states string) {
	s.t.Helper()
	var got []string
	if d := s.spec.Active.of("example.com"); len(d.pending) > 0 {
		check(s.t, d.wait(s.t.Context()))
	}
	for _, k := range s.spec.Active.of("example.com").Keys {
		got = append(got, k.Selector)
		k.Used(time.Now())
	}
	if strings.Join(got, " ") != signing {
		s.t.Errorf("%s: %q sign, want %q", when, got, signing)
	}
	var facts []string
	s.tracker.mu.Lock()
	for _, ref := range s.tracker.known.sorted() {
		facts = append(facts, ref.Selector+" "+string(s.tracker.known[ref].State))
	}
	s.tracker.mu.Unlock()
	if got := strings.Join(facts, ", "); got != states {
		s.t.Errorf("%s: the states are %q, want %q", when, got, states)
	}
}

func (s *scene) wantLogged(parts ...string) {
	s.t.Helper()
	text := s.logged()
	for _, p := range parts {
		if !strings.Contains(text, p) {
			s.t.Errorf("the log lacks %q:\n%s", p, text)
		}
	}
}

// play runs a scene, with two servers.
func play(t *testing.T, run func(*scene)) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t, 2)
		defer func() { s.end() }()
		run(s)
	})
}

func TestARotationWithADNSThatPublishesLate(t *testing.T) {
	play(t, func(s *scene) {
		s.publish("s1")
		s.start("s1")
		s.want("at the start", "s1", "s1 active")
		s.after(2 * time.Hour)
		s.logged()
		s.reload("s2")
		s.want("after the edit", "s1", "s1 retiring, s2 pending")
		s.wantLogged("level=WARN", "a key that is no longer listed goes on signing", "until then s1 goes on signing", "signpost keys record example.com s2")
		s.after(2 * s.cfg.QueueTime)
		s.want("two queue times later", "s1", "s1 retiring, s2 pending")
		s.dns[0].set(func() { s.dns[0].records[s.keys["s2"].RecordName()] = []string{s.keys["s2"].Record()} })
		s.after(time.Hour)
		s.want("when one server has it", "s1", "s1 retiring, s2 pending")
		s.logged()
		s.publish("s2")
		s.after(11 * time.Minute)
		s.want("when both have it", "s2", "s1 retiring, s2 active")
		s.wantLogged("all listed keys sign", "selector=s2 state=active was=pending")
		s.after(s.cfg.QueueTime - time.Hour)
		s.want("within the queue time", "s2", "s1 retiring, s2 active")
		s.after(2 * time.Hour)
		s.want("after the queue time", "s2", "s1 retired, s2 active")
		s.wantLogged("a key is retired", "signpost keys record --revoke example.com s1")
		check(t, os.Remove(s.keys["s1"].Path))
		s.after(48 * time.Hour)
		s.want("when its file is gone, and its record is not", "s2", "s1 retired, s2 active")
		s.publish("s1", "v=DKIM1; p=")
		s.after(24*time.Hour + time.Minute)
		s.want("when its record is revoked", "s2", "s2 active")
	})
}

// Else nobody would notice that the record is still there.
func TestARetiredKeyIsKnownUntilItsRecordIsGone(t *testing.T) {
	for name, c := range map[string]struct {
		records func(s *scene) []string // nil: withdrawn
		known   bool
	}{
		"withdrawn":              {nil, false},
		"revoked":                {func(*scene) []string { return []string{"v=DKIM1; p="} }, false},
		"another key":            {func(s *scene) []string { return []string{s.keys["s3"].Record()} }, false},
		"two other keys":         {func(s *scene) []string { return []string{s.keys["s3"].Record(), s.keys["s2"].Record()} }, false},
		"another key besides":    {func(s *scene) []string { return []string{s.keys["s1"].Record(), s.keys["s3"].Record()} }, true},
		"revoked besides":        {func(s *scene) []string { return []string{s.keys["s1"].Record(), "v=DKIM1; p="} }, true},
		"with quotation marks":   {func(s *scene) []string { return []string{`"` + s.keys["s1"].Record() + `"`} }, true},
		"still there, unchanged": {func(s *scene) []string { return []string{s.keys["s1"].Record()} }, true},
	} {
		t.Run(name, func(t *testing.T) {
			play(t, func(s *scene) {
				s.publish("s1")
				s.publish("s2")
				s.start("s1")
				s.reload("s2")
				s.after(s.cfg.QueueTime + 2*time.Hour)
				check(t, os.Remove(s.keys["s1"].Path))
				if c.records == nil {
					s.withdraw("s1")
				} else {
					s.publish("s1", c.records(s)...)
				}
				s.after(48 * time.Hour)
				want := "s2 active"
				if c.known {
					want = "s1 retired, s2 active"
				}
				s.want("two days later", "s2", want)
				s.end()
				s.start("s2")
				s.after(time.Minute)
				s.want("after a restart", "s2", want)
			})
		})
	}
}

// Nothing is asked about it, so what is known of it ends after a year.
func TestWithoutDNSARetiredKeyIsForgottenAfterAYear(t *testing.T) {
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	f := Fact{Domain: "example.com", Selector: "s1", Fingerprint: "x", State: Retired, Unlisted: start, FirstSeen: start, DNS: keys.Found}
	for days, want := range map[int]bool{1: true, 300: true, 370: false} {
		w := &Tracker{spec: &Spec{Config: keys.Config{Dir: t.TempDir()}, Store: keys.NewStore(nil, nil, nil)}, known: facts{f.ref(): &f},
			now: func() time.Time { return start.AddDate(0, 0, days) }}
		w.forgetRetired()
		if known := len(w.known) == 1; known != want {
			t.Errorf("after %d days: known %v", days, known)
		}
	}
}

func TestADNSThatPublishesAWrongKey(t *testing.T) {
	play(t, func(s *scene) {
		s.publish("s1")
		s.start("s1")
		s.publish("s2", s.keys["s3"].Record())
		s.reload("s2")
		s.want("after the edit", "s1", "s1 retiring, s2 differs")
		s.wantLogged("s2 does not sign: in DNS, s2._domainkey.example.com has another key")
		s.publish("s2")
		s.after(11 * time.Second)
		s.want("when it is mended", "s2", "s1 retiring, s2 active")
		s.publish("s2", s.keys["s3"].Record())
		s.withdraw("s1")
		s.after(11 * time.Minute)
		s.want("when both go wrong", "", "s1 retiring, s2 differs")
		s.wantLogged("level=ERROR", "leaves unsigned")
		s.publish("s2")
		s.after(11 * time.Minute)
		s.want("when it is mended again", "s2", "s1 retiring, s2 active")
	})
}

func TestARecordThatVerifiersDoNotUse(t *testing.T) {
	play(t, func(s *scene) {
		s.publish("s1")
		s.start("s1")
		s.publish("s2", strings.Replace(s.keys["s2"].Record(), "v=DKIM1; ", "v=DKIM1; h=sha1; ", 1))
		s.reload("s2")
		s.want("with h=sha1 in its record", "s1", "s1 retiring, s2 differs")
		s.wantLogged("s2 does not sign", "verifiers do not use it")
		s.publish("s2")
		s.after(11 * time.Second)
		s.want("when it is mended", "s2", "s1 retiring, s2 active")
	})
}

func TestADNSThatWithdrawsAKey(t *testing.T) {
	play(t, func(s *scene) {
		s.publish("s1")
		s.start("s1")
		s.withdraw("s1")
		s.after(11 * time.Minute)
		s.want("when it is gone", "", "s1 missing")
		s.wantLogged("level=ERROR", "leaves unsigned", "s1 no longer signs: its record s1._domainkey.example.com is gone from DNS", "publish what signpost keys record example.com s1 prints")
		s.publish("s1")
		s.after(11 * time.Minute)
		s.want("when it is back", "s1", "s1 active")
	})
}

func TestADNSErrorLeavesWhatWasKnown(t *testing.T) {
	play(t, func(s *scene) {
		outage := func(err error) {
			for _, n := range s.dns {
				n.set(func() { n.broken = err })
			}
		}
		s.publish("s1")
		s.start("s1")
		outage(errors.New("SERVFAIL"))
		s.after(24 * time.Hour)
		s.want("a day of SERVFAIL", "s1", "s1 active")
		s.reload("s2")
		s.want("a rotation during an outage", "s1", "s1 retiring, s2 pending")
		s.end()
		s.start("s2")
		s.want("a restart during an outage", "s1", "s1 retiring, s2 pending")
		outage(nil)
		s.after(11 * time.Minute)
		s.want("DNS answers, without the new key", "s1", "s1 retiring, s2 pending")
		s.publish("s2")
		s.after(11 * time.Minute)
		s.want("DNS has it", "s2", "s1 retiring, s2 active")
	})
}

func TestWhereNothingWasEverKnownTheKeySigns(t *testing.T) {
	play(t, func(s *scene) {
		for _, n := range s.dns {
			n.silent = true
		}
		begun := time.Now()
		s.start("s1")
		if took := time.Since(begun); took > 5*time.Second {
			t.Errorf("the start took %v", took)
		}
		s.want("at a start without DNS", "s1", "s1 active")
		for _, n := range s.dns {
			n.set(func() { n.silent = false })
		}
		s.after(time.Minute)
		s.want("when DNS says that it is not there", "", "s1 pending")
		s.wantLogged("leaves unsigned", "s1 does not sign yet: DNS has no key at s1._domainkey.example.com")
		s.publish("s1")
		s.after(11 * time.Minute)
		s.want("when it is published", "s1", "s1 active")
	})
}

func TestANewDomainIsJudgedBeforeItSigns(t *testing.T) {
	play(t, func(s *scene) {
		s.start("s1")
		s.want("without a record", "", "s1 pending")
		s.publish("s1")
		s.after(6 * time.Second)
		s.want("soon after it was published", "s1", "s1 active")
	})
}

func TestAPlannedChange(t *testing.T) {
	play(t, func(s *scene) {
		s.publish("s1")
		s.publish("s2")
		at := time.Now().Add(36 * time.Hour)
		s.start("s1", "s2@"+at.UTC().Format(time.RFC3339))
		s.want("before", "s1", "s1 active, s2 published")
		s.after(36*time.Hour - time.Second)
		s.want("a second before", "s1", "s1 active, s2 published")
		s.after(2 * time.Second)
		s.want("after", "s2", "s1 retiring, s2 active")
	})
}

func TestWhatIsKnownSurvivesARestart(t *testing.T) {
	play(t, func(s *scene) {
		s.publish("s1")
		s.start("s1")
		s.want("at first", "s1", "s1 active")
		s.end()
		facts, err := ReadState(s.cfg.State)
		if err != nil || len(facts) != 1 || facts[0].State != Active || facts[0].LastUsed.IsZero() || facts[0].LastSeen.IsZero() {
			t.Fatalf("the state file has %+v, %v", facts, err)
		}
		s.start("s2")
		s.want("restarted with another selector", "s1", "s1 retiring, s2 pending")
		s.end()

		check(t, os.WriteFile(s.cfg.State, []byte("{"), 0o600))
		s.start("s1", "s2")
		s.wantLogged("level=WARN", "keys.json: it is damaged")
		s.want("with a damaged file", "s1", "s1 active, s2 pending")
		s.end()
		if _, err := os.Stat(s.cfg.State + ".damaged"); err != nil {
			t.Error(err)
		}
		if facts, err := ReadState(s.cfg.State); err != nil || len(facts) != 2 {
			t.Errorf("written anew: %+v, %v", facts, err)
		}
	})
}

func TestAfterALongPauseDNSIsAskedBeforeAnythingIsSigned(t *testing.T) {
	play(t, func(s *scene) {
		s.provenOnce("s1")
		asked := s.dns[0].queries()
		s.tracker = NewTracker(s.cfg.State, time.Now)
		s.reload("s1")
		if n := s.dns[0].queries(); n != asked {
			t.Errorf("a start right after the end waited for %d queries", n-asked)
		}
		s.after(24 * time.Hour)
		s.tracker = NewTracker(s.cfg.State, time.Now)
		s.reload("s1")
		s.want("started a day later", "", "s1 missing")
	})
}

func TestAnotherKeyInTheSameFileBeginsAnew(t *testing.T) {
	play(t, func(s *scene) {
		s.publish("s1")
		s.start("s1")
		s.want("at first", "s1", "s1 active")
		text, err := os.ReadFile(s.keys["s3"].Path)
		check(t, err)
		check(t, os.WriteFile(s.keys["s1"].Path, text, 0o600))
		s.reload("s1")
		s.want("with another key in the file", "", "s1 differs")
	})
}

func TestAStateFileThatCannotBeWrittenIsToldOnce(t *testing.T) {
	play(t, func(s *scene) {
		s.publish("s1")
		s.cfg.State = filepath.Join(s.keys["s1"].Path, "keys.json") // a file where a folder should be
		s.start("s1")
		s.wantLogged("the state of the keys cannot be written", "keys.state")
		s.after(time.Hour)
		if text := s.logged(); strings.Contains(text, "cannot be written") {
			t.Errorf("told again: %s", text)
		}
		s.want("all the same", "s1", "s1 active")
	})
}

// An error has another temporary file in it each time; it is one error all the same.
func TestWhyTheStateCannotBeWritten(t *testing.T) {
	for cause, remedy := range map[error]string{
		syscall.ENOSPC: "free space there: df -h /state, df -i /state",
		syscall.EDQUOT: "free space there: df -h /state, df -i /state",
		syscall.EROFS:  "make the file system of /state writable (ReadWritePaths= of the unit counts, too), or set keys.state",
		syscall.EACCES: "give the daemon a folder of its own there, or set keys.state",
	} {
		got := notSaved("/state/keys.json", errors.Join(nil, &fs.PathError{Op: "write", Path: "/state/.new-123.json", Err: cause}))
		if want := (Unsaved{"/state/keys.json: " + cause.Error(), remedy}); got != want {
			t.Errorf("%+v, want %+v", got, want)
		}
	}
	if got := notSaved("/state/keys.json", nil); got != (Unsaved{}) {
		t.Errorf("no error: %+v", got)
	}
}

func TestDNSIsAskedAsSeldomAsMayBe(t *testing.T) {
	play(t, func(s *scene) {
		s.publish("s1")
		s.start("s1")
		before := s.dns[0].queries()
		s.after(24 * time.Hour)
		if n := s.dns[0].queries() - before; n < 24*6 || n > 24*7 {
			t.Errorf("a key that is as it should be was asked for %d times a day", n)
		}
		s.reload("s1", "s2")
		before = s.dns[0].queries()
		s.after(24 * time.Hour)
		if n := s.dns[0].queries() - before; n > 2*24*7+20 {
			t.Errorf("with a key that is never published, %d queries a day", n)
		}
	})
}

func TestWithoutRequirementNobodyIsAsked(t *testing.T) {
	play(t, func(s *scene) {
		s.tracker = NewTracker(s.cfg.State, time.Now)
		listed := []Listed{{Ref: keys.Ref{Domain: "example.com", Selector: "s1"}}}
		store, err := keys.Open(s.cfg, []keys.Ref{listed[0].Ref})
		check(t, err)
		s.spec = &Spec{Config: s.cfg, Store: store, Listed: listed, Servers: []Server{s.dns[0]}}
		s.tracker.Begin(t.Context(), s.spec, slog.New(slog.DiscardHandler))
		s.want("at once", "s1", "s1 active")
		if n := s.dns[0].queries(); n != 0 {
			t.Errorf("%d queries", n)
		}
	})
}

func TestOtherServersAreAskedAtOnce(t *testing.T) {
	play(t, func(s *scene) {
		s.publish("s1")
		s.start("s1")
		s.serversChanged = true
		s.dns = []*nameserver{{name: "other", records: map[string][]string{}}}
		s.reload("s1")
		s.after(time.Second)
		s.want("with servers that do not have it", "", "s1 missing")
	})
}

func TestAReloadLosesNoUse(t *testing.T) {
	play(t, func(s *scene) {
		s.publish("s1")
		s.start("s1")
		s.after(time.Minute)
		used := time.Now().Unix()
		s.want("before", "s1", "s1 active") // marks it as used
		s.reload("s1")
		s.tracker.mu.Lock()
		defer s.tracker.mu.Unlock()
		if f := s.tracker.known[keys.Ref{Domain: "example.com", Selector: "s1"}]; f.LastUsed.Unix() != used {
			t.Errorf("last used at %v", f.LastUsed)
		}
	})
}

// A large provider: one decision about all of its domains.
func BenchmarkFill100000Domains(b *testing.B) {
	const domains = 100_000
	listed := map[keys.Ref]*keys.Key{}
	p := &Spec{Config: keys.Defaults(), Store: keys.NewStore(listed, nil, nil), Require: true}
	known := facts{}
	for i := range domains {
		ref := keys.Ref{Domain: fmt.Sprintf("d%d.example", i), Selector: "s1"}
		listed[ref] = keys.KnownKey(ref, keys.RSA, 2048, "x")
		p.Listed = append(p.Listed, Listed{Ref: ref})
		known[ref] = &Fact{Domain: ref.Domain, Selector: "s1", Algorithm: keys.RSA, Fingerprint: "x", DNS: keys.Found, FirstSeen: noon}
	}
	b.ReportAllocs()
	for b.Loop() {
		p.assignAll(known, noon, nil)
	}
}

func BenchmarkDuty(b *testing.B) {
	var r ActiveKeys
	r.sets.Store(&signingSets{map[string]int32{"example.com": 0}, []*SigningSet{{}}})
	b.ReportAllocs()
	for b.Loop() {
		if r.of("example.com") == nil {
			b.Fatal("no key signs")
		}
	}
}
