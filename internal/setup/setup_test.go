package setup

import (
	"context"
	"crypto/sha256"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"signpost/internal/daemon"
	"signpost/internal/mta"
	"signpost/internal/status"
	"signpost/internal/tail"
	"signpost/milter"
)

var moment = time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)

// host is a host in a folder.
type host struct {
	t   *testing.T
	dir string
}

// newHost has a short path: a socket's must be.
func newHost(t *testing.T) *host {
	t.Helper()
	dir, err := os.MkdirTemp("", "sp")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return &host{t, dir}
}

func (h *host) path(name string) string { return filepath.Join(h.dir, name) }

func (h *host) write(name, text string) {
	h.t.Helper()
	if err := os.MkdirAll(filepath.Dir(h.path(name)), 0o755); err != nil {
		h.t.Fatal(err)
	}
	if err := os.WriteFile(h.path(name), []byte(text), 0o644); err != nil {
		h.t.Fatal(err)
	}
	old := time.Now().Add(-time.Minute) // Postfix waits for a file of the last two seconds
	if err := os.Chtimes(h.path(name), old, old); err != nil {
		h.t.Fatal(err)
	}
}

func (h *host) read(name string) string {
	h.t.Helper()
	text, err := os.ReadFile(h.path(name))
	if err != nil {
		h.t.Fatal(err)
	}
	return string(text)
}

// hashes are all files of the host with their contents and modes.
func (h *host) hashes() map[string]string {
	h.t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(h.dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		text, err := os.ReadFile(path)
		info, _ := d.Info()
		sum := sha256.Sum256(text)
		all[path] = string(sum[:]) + info.Mode().String() + info.ModTime().String()
		return err
	})
	if err != nil {
		h.t.Fatal(err)
	}
	return all
}

func (h *host) options(domains ...string) Options {
	return Options{Domains: domains, Root: h.path("root"), Zone: h.path("zone"), Sendmail: h.path("none"), Now: moment}
}

func (h *host) look(o Options) *Plan {
	h.t.Helper()
	p, err := Look(h.t.Context(), o)
	if err != nil {
		h.t.Fatal(err)
	}
	return p
}

const master = `smtp inet n - y - - smtpd
submission inet n - y - - smtpd
cleanup unix n - y - 0 cleanup
`

func (h *host) postfix(main string) Options {
	h.write("pf/main.cf", "compatibility_level = 3.6\nmyhostname = mail.example.com\nqueue_directory = "+h.path("queue")+"\n"+main)
	if _, err := os.Stat(h.path("pf/master.cf")); err != nil {
		h.write("pf/master.cf", master)
	}
	o := h.options("example.com")
	o.Sendmail, o.Postfix = "", h.path("pf")
	return o
}

func TestAFirstRunMakesKeysAndConfiguration(t *testing.T) {
	h := newHost(t)
	h.write("zone", "")
	before := h.hashes()
	p := h.look(h.options("Example.COM", "münchen.example", "example.com."))
	if after := h.hashes(); len(after) != len(before) {
		t.Errorf("looking has made files: %v", after)
	}
	if !p.New || len(p.Keys) != 4 || p.Keys[0].There || !p.Makes() {
		t.Fatalf("the plan is %+v", p)
	}
	if err := p.Make(); err != nil {
		t.Fatal(err)
	}
	c, _, err := daemon.ReadWhole(p.Config)
	if err != nil {
		t.Fatal(err)
	}
	var listed []string
	for _, l := range c.Signer.Listed(nil) {
		listed = append(listed, l.Domain+"/"+l.Selector)
	}
	if got, want := strings.Join(listed, " "), "example.com/s2026a example.com/e2026a xn--mnchen-3ya.example/s2026a xn--mnchen-3ya.example/e2026a"; got != want {
		t.Errorf("signing are %s, want %s", got, want)
	}
	if _, err := daemon.Load(p.Config, time.Now, nil); err != nil {
		t.Errorf("the daemon would not start: %v", err)
	}
	info, err := os.Stat(p.Keys[0].Path)
	if err != nil || info.Mode().Perm()&0o037 != 0 || !strings.HasPrefix(p.Keys[0].Value, "v=DKIM1; k=rsa; p=") {
		t.Errorf("the key: %v, %v", info, err)
	}
	for line := range strings.Lines(p.Text) {
		if len(line) > 81 && !strings.Contains(line, h.dir) {
			t.Errorf("a line of %d octets: %s", len(line), line)
		}
	}
}

func TestARunThatWasInterruptedGoesOn(t *testing.T) {
	for name, stop := range map[string]func(*host, *Plan){
		"after all":                func(*host, *Plan) {},
		"before the configuration": func(h *host, p *Plan) { os.Remove(p.Config) },
		"after the first key":      func(h *host, p *Plan) { os.Remove(p.Config); os.Remove(p.Keys[1].Path) },
		"with another host's selectors": func(h *host, p *Plan) {
			h.write("root/etc/signpost/signpost.yaml", strings.ReplaceAll(p.Text, "[s2026a, e2026a]", "[e2026a]"))
		},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHost(t)
			h.write("zone", "")
			first := h.look(h.options("example.com"))
			if err := first.Make(); err != nil {
				t.Fatal(err)
			}
			stop(h, first)
			before := h.hashes()
			next := h.look(h.options("example.com"))
			if err := next.Make(); err != nil {
				t.Fatal(err)
			}
			for path, was := range before {
				if h.hashes()[path] != was {
					t.Errorf("%s was overwritten", path)
				}
			}
			if step := next.Check(t.Context())[0]; !step.Done {
				t.Errorf("then: %+v", step)
			}
			last := h.look(h.options("example.com"))
			if last.Makes() {
				t.Errorf("the last run would make %+v", last)
			}
		})
	}
}

// A configuration that is there is never written: its lines are shown.
func TestAConfigurationThatLacksADomainIsNotChanged(t *testing.T) {
	h := newHost(t)
	h.write("zone", "")
	if err := h.look(h.options("example.com")).Make(); err != nil {
		t.Fatal(err)
	}
	before := h.read("root/etc/signpost/signpost.yaml")
	p := h.look(h.options("example.com", "example.org"))
	if err := p.Make(); err != nil {
		t.Fatal(err)
	}
	if h.read("root/etc/signpost/signpost.yaml") != before {
		t.Error("the configuration was changed")
	}
	if got := strings.Join(p.Unlisted, "\n"); got != "    - domain: example.org\n      selectors: [s2026a, e2026a]" {
		t.Errorf("to be added: %s", got)
	}
	step := p.Check(t.Context())[0]
	if step.Done || !strings.Contains(step.Waiting, "example.org has no entry") || !strings.Contains(step.Hint, "- domain: example.org") {
		t.Errorf("%+v", step)
	}
	h.write("root/etc/signpost/signpost.yaml", strings.Replace(before, "  domains:\n", "  domains:\n"+strings.Join(p.Unlisted, "\n")+"\n", 1))
	if step := p.Check(t.Context())[0]; !step.Done {
		t.Errorf("with the lines: %+v", step)
	}
}

func TestDNSIsDoneWhenItHasEveryKey(t *testing.T) {
	h := newHost(t)
	h.write("zone", "")
	p := h.look(h.options("example.com"))
	if err := p.Make(); err != nil {
		t.Fatal(err)
	}
	for i, zone := range []string{"", p.Keys[0].Zone + "\n", p.Keys[0].Zone + "\n" + strings.Replace(p.Keys[1].Zone, "p=", "p=AAAA", 1) + "\n", p.Keys[0].Zone + "\n" + p.Keys[1].Zone + "\n"} {
		h.write("zone", zone)
		step := p.Check(t.Context())[1]
		if step.Done != (i == 3) || step.Done == strings.Contains(step.Hint, "signpost keys record example.com") {
			t.Errorf("zone %d: %+v", i, step)
		}
	}
}

func TestTheLinesForPostfix(t *testing.T) {
	const ours = "inet:127.0.0.1:8891"
	for name, c := range map[string]struct {
		main, master string
		listen       string
		commands     []string // without postconf -c DIR
		notes        []string // parts
	}{
		"nothing there": {"", "", "", []string{
			"-e smtpd_milters=" + ours, "-e non_smtpd_milters=" + ours, "-e internal_mail_filter_classes=bounce"}, nil},
		"others stay, before us": {"smtpd_milters = inet:localhost:11332\nnon_smtpd_milters = $smtpd_milters\ninternal_mail_filter_classes = notify\n", "", "", []string{
			"-e smtpd_milters=inet:localhost:11332, " + ours, "-e internal_mail_filter_classes=notify, bounce"}, nil},
		"all is there":    {"smtpd_milters = " + ours + "\nnon_smtpd_milters = ${smtpd_milters}\ninternal_mail_filter_classes = bounce\n", "", "", nil, nil},
		"in another form": {"smtpd_milters = { inet:localhost:8891, default_action=tempfail }\nnon_smtpd_milters = inet:[127.0.0.1]:8891\ninternal_mail_filter_classes = bounce\n", "", "", nil, nil},
		"a service with its own list": {"smtpd_milters = " + ours + "\nnon_smtpd_milters = " + ours + "\ninternal_mail_filter_classes = bounce\n",
			master + "465 inet n - y - - smtpd\n  -o smtpd_milters=inet:localhost:11332\n", "", []string{"-P 465/inet/smtpd_milters=inet:localhost:11332, " + ours}, nil},
		"a submission without a milter": {"smtpd_milters = " + ours + "\nnon_smtpd_milters = " + ours + "\ninternal_mail_filter_classes = bounce\n",
			"smtp inet n - y - - smtpd\nsubmission inet n - y - - smtpd\n  -o smtpd_milters=\ncleanup unix n - y - 0 cleanup\n", "", nil, []string{"submission/inet has -o smtpd_milters= and asks no milter"}},
		"a filter's way back without a milter": {"smtpd_milters = " + ours + "\nnon_smtpd_milters = " + ours + "\ninternal_mail_filter_classes = bounce\n",
			master + "127.0.0.1:10025 inet n - y - - smtpd\n  -o smtpd_milters=\n", "", nil, nil},
		"mail goes on without us": {"smtpd_milters = " + ours + "\nnon_smtpd_milters = " + ours + "\ninternal_mail_filter_classes = bounce\nmilter_default_action = accept\n", "", "", nil,
			[]string{"milter_default_action is accept"}},
		"a socket in the chroot": {"", "", "unix:QUEUE/signpost/milter.sock", []string{
			"-e smtpd_milters=unix:signpost/milter.sock", "-e non_smtpd_milters=unix:signpost/milter.sock", "-e internal_mail_filter_classes=bounce"}, []string{"install -d -o signpost -g postfix -m 2750 QUEUE/signpost"}},
		"a socket outside of the chroot": {"", "", "unix:/run/signpost/milter.sock", []string{
			"-e smtpd_milters=unix:/run/signpost/milter.sock", "-e non_smtpd_milters=unix:/run/signpost/milter.sock", "-e internal_mail_filter_classes=bounce"}, []string{"runs in the chroot QUEUE and sees no socket outside of it", "install -d"}},
		"opendkim by its name": {"smtpd_milters = unix:opendkim/opendkim.sock, " + ours + "\nnon_smtpd_milters = $smtpd_milters\ninternal_mail_filter_classes = bounce\n", "", "", nil,
			[]string{"opendkim is connected (unix:opendkim/opendkim.sock in smtpd_milters)"}},
		"opendkim by its port": {"smtpd_milters = inet:localhost:12301, " + ours + "\nnon_smtpd_milters = $smtpd_milters\ninternal_mail_filter_classes = bounce\n", "", "", nil,
			[]string{"opendkim is connected (inet:localhost:12301"}},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHost(t)
			h.write("root/etc/opendkim.conf", "Socket\tinet:12301@localhost\n")
			if c.master != "" {
				h.write("pf/master.cf", c.master)
			}
			queue := strings.NewReplacer("QUEUE", h.path("queue"))
			o := h.postfix(c.main)
			if o.Listen = queue.Replace(c.listen); o.Listen == "" {
				o.Listen = ours
			}
			p := h.look(o)
			var commands []string
			for _, words := range p.MTA.Commands {
				commands = append(commands, strings.Join(words[len(words)-2:], " "))
				if got := strings.Join(words[:len(words)-2], " "); got != "postconf -c "+h.path("pf") {
					t.Errorf("the command is %s", got)
				}
			}
			want := slices.Clone(c.commands)
			for i := range want {
				want[i] = queue.Replace(want[i])
			}
			if !slices.Equal(commands, want) {
				t.Errorf("the commands are\n%s\nwant\n%s", strings.Join(commands, "\n"), strings.Join(want, "\n"))
			}
			if len(p.MTA.Notes) != len(c.notes) {
				t.Errorf("the notes are %q", p.MTA.Notes)
			}
			for i := range min(len(c.notes), len(p.MTA.Notes)) {
				if !strings.Contains(p.MTA.Notes[i], queue.Replace(c.notes[i])) {
					t.Errorf("note %d is %q, want %q", i, p.MTA.Notes[i], c.notes[i])
				}
			}
			if step := p.Check(t.Context())[3]; step.Done != (len(c.commands) == 0) {
				t.Errorf("the step: %+v", step)
			}
		})
	}
}

func TestApplyShowsTheChangeAndKeepsACopy(t *testing.T) {
	if mta.Program("postconf") == "" {
		t.Skip("there is no postconf: install postfix")
	}
	h := newHost(t)
	p := h.look(h.postfix("smtpd_milters = inet:localhost:11332\n"))
	before := h.read("pf/main.cf")
	change, err := p.Preview(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if h.read("pf/main.cf") != before || !strings.Contains(change.Diff, "-smtpd_milters = inet:localhost:11332\n+smtpd_milters = inet:localhost:11332, inet:127.0.0.1:") ||
		!strings.Contains(change.Diff, "--- "+h.path("pf/main.cf")) || strings.Contains(change.Diff, "master.cf") {
		t.Errorf("the change is\n%s", change.Diff)
	}
	copies, err := change.Do(t.Context())
	if err != nil || len(copies) != 1 {
		t.Fatalf("copies %v, %v", copies, err)
	}
	if kept, err := os.ReadFile(copies[0]); err != nil || string(kept) != before {
		t.Errorf("the copy is %q, %v", kept, err)
	}
	if step := p.Check(t.Context())[3]; !step.Done {
		t.Errorf("%+v", step)
	}
	o := p.options
	o.Listen = p.listen.String()
	again := h.look(o)
	if change, err := again.Preview(t.Context()); err != nil || change != nil {
		t.Errorf("again: %+v, %v", change, err)
	}
}

func TestOtherHosts(t *testing.T) {
	h := newHost(t)
	h.write("mail/sendmail.cf", "O DaemonPortOptions=Name=MTA\n")
	o := h.options("example.com")
	o.Sendmail, o.Listen = h.path("mail"), "inet:8891@127.0.0.1"
	p := h.look(o)
	if got := strings.Join(p.MTALines(), "\n"); p.MTA.Name != "sendmail" || !strings.HasPrefix(got, "INPUT_MAIL_FILTER(`signpost', `S=inet:8891@127.0.0.1, F=T,") {
		t.Errorf("Sendmail's lines: %s", got)
	}
	if change, err := p.Preview(t.Context()); err != nil || change != nil {
		t.Errorf("%+v, %v", change, err)
	}
	h.write("mail/sendmail.cf", "Xsignpost, S=inet:8891@127.0.0.1, F=T\n")
	if p = h.look(o); len(p.MTALines()) != 0 || !p.Check(t.Context())[3].Done {
		t.Errorf("connected: %+v", p.MTA)
	}
	p = h.look(h.options("example.com"))
	if p.MTA.Name != "" || !strings.Contains(p.MTA.Notes[0], "apt-get install postfix") {
		t.Errorf("without an MTA: %+v", p.MTA)
	}
	if err := p.MayMake(1000); err != nil {
		t.Errorf("below a folder of its own, another user: %v", err)
	}
	p.options.Root = ""
	if err := p.MayMake(1000); err == nil || !strings.Contains(err.Error(), "sudo signpost init example.com") {
		t.Errorf("another user: %v", err)
	}
	if err := p.unreadable(1000, fs.ErrPermission); !strings.Contains(err.Error(), "sudo signpost init example.com") || strings.Contains(err.Error(), "permission") {
		t.Errorf("another user, once keys are there: %v", err)
	}
}

func TestWhatCannotBeSetUpIsSaid(t *testing.T) {
	for name, change := range map[string]func(*host, *Options){
		"is not a domain":         func(_ *host, o *Options) { o.Domains = []string{"a b"} },
		"write one such as":       func(_ *host, o *Options) { o.Domains = []string{"localhost"} },
		"mend the configuration":  func(h *host, _ *Options) { h.write("root/etc/signpost/signpost.yaml", "nonsense: 1\n") },
		"is not an address":       func(_ *host, o *Options) { o.Listen = "nonsense" },
		"mend the key":            func(h *host, _ *Options) { h.write("root/var/lib/signpost/keys/example.com/s2026a.pem", "no key") },
		"the configuration first": func(h *host, _ *Options) { h.write("root/etc/signpost/signpost.yaml", "signer: [\n") },
	} {
		h := newHost(t)
		o := h.options("example.com")
		change(h, &o)
		before := h.hashes()
		if _, err := Look(context.Background(), o); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("want %s, got %v", name, err)
		}
		if len(h.hashes()) != len(before) {
			t.Errorf("%s: files were made", name)
		}
	}
}

func TestTheFirstSignedMessageIsSeen(t *testing.T) {
	p := &Plan{domains: []string{"example.com", "example.org"}}
	for want, messages := range map[string][]tail.Event{
		"no message of example.com, example.org has passed yet": {{FromDomains: []string{"other.example"}}},
		"message Q1 of example.org was not signed: no key":      {{FromDomains: []string{"example.org"}, QueueID: "Q1", Why: "no key"}},
		"": {{FromDomains: []string{"example.org"}, QueueID: "Q1", Why: "no key"}, {Signatures: []tail.Signature{{Domain: "example.org"}}}},
	} {
		if got := p.unsigned(daemon.Messages{Messages: messages}); !strings.HasPrefix(got, want) || (want == "") != (got == "") {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// opendkim often listens at 8891.
func TestAPortInUseIsNotTaken(t *testing.T) {
	if l, err := net.Listen("tcp", "127.0.0.1:8891"); err == nil { // else another process has it
		defer l.Close()
	}
	h := newHost(t)
	p := h.look(h.options("example.com"))
	if strings.HasSuffix(p.listen.Addr, ":8891") || len(p.Notes) != 1 || !strings.Contains(p.Notes[0], "port 8891 is in use by another program") || !strings.Contains(p.Text, p.listen.Addr) {
		t.Errorf("%v, %q", p.listen, p.Notes)
	}
}

func TestADaemonWithAnotherConfigurationIsNotOurs(t *testing.T) {
	p := &Plan{Config: "/etc/signpost/signpost.yaml"}
	for want, c := range map[string]status.Configuration{
		"": {File: "/etc/signpost/signpost.yaml", OnDisk: status.Same},
		`the daemon runs with "/x/other.yaml" and not with /etc/signpost/signpost.yaml`: {File: "/x/other.yaml", OnDisk: status.Same},
		"the file has changed since the daemon read it":                                 {File: "/etc/signpost/signpost.yaml", OnDisk: status.Changed},
		"the file has changed since the daemon read it, and has mistakes":               {File: "/etc/signpost/signpost.yaml", OnDisk: status.Mistaken},
	} {
		if waiting, hint := p.stale(c); waiting != want || (hint == "") != (want == "") {
			t.Errorf("%+v: %q, %q", c, waiting, hint)
		}
	}
}

func TestTheAddressForTheMTA(t *testing.T) {
	for listen, want := range map[string][2]string{
		"inet:127.0.0.1:8891": {"inet:127.0.0.1:8891", "inet:8891@127.0.0.1"},
		"inet:0.0.0.0:8891":   {"inet:127.0.0.1:8891", "inet:8891@127.0.0.1"},
		"inet:[::1]:8891":     {"inet:[::1]:8891", "inet:8891@::1"},
		"unix:/run/x.sock":    {"unix:/run/x.sock", "unix:/run/x.sock"},
	} {
		a, err := milter.ParseAddress(listen)
		if err != nil {
			t.Fatal(err)
		}
		p := &Plan{listen: a}
		if got := [2]string{p.postfixAddress(nil), p.sendmailAddress()}; got != want {
			t.Errorf("%s: %v, want %v", listen, got, want)
		}
	}
}
