package setup

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"signpost/internal/control"
	"signpost/internal/daemon"
	"signpost/internal/dns"
	"signpost/internal/status"
	"signpost/keys"
	"signpost/keys/lifecycle"
)

// Step is one condition for signed mail.
type Step struct {
	// Name is "config", "dns", "daemon", "mta" or "signed".
	Name string `json:"step"`
	// Title says what is true when it is done.
	Title string `json:"title"`
	Done  bool   `json:"done"`
	// Waiting says why it is not done, and Hint what to do.
	Waiting string `json:"waiting,omitempty"`
	Hint    string `json:"hint,omitempty"`
}

// askTime limits each question of a step.
const askTime = 10 * time.Second

// Check looks at each step once.
func (p *Plan) Check(ctx context.Context) []Step {
	steps := []Step{
		{Name: "config", Title: "keys and configuration are there"},
		{Name: "dns", Title: "DNS has the records"},
		{Name: "daemon", Title: "the daemon answers"},
		{Name: "mta", Title: "the MTA is connected"},
		{Name: "signed", Title: "a message was signed"},
	}
	for i, check := range []func(context.Context, *Step){p.checkConfig, p.checkDNS, p.checkDaemon, p.checkMTA, p.checkSigned} {
		asking, cancel := context.WithTimeout(ctx, askTime)
		check(asking, &steps[i])
		cancel()
		if steps[i].Done = steps[i].Waiting == ""; steps[i].Done {
			steps[i].Hint = ""
		}
	}
	// A message proves that an MTA is connected, wherever it is.
	if mta, signed := &steps[3], steps[4]; signed.Done {
		mta.Done, mta.Waiting, mta.Hint = true, "", ""
	}
	return steps
}

func (p *Plan) checkConfig(_ context.Context, s *Step) {
	c, _, err := daemon.ReadWhole(p.Config)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		s.Waiting, s.Hint = "there is no file "+p.Config, "run signpost init as root"
		return
	case err != nil:
		s.Waiting, s.Hint = err.Error(), "signpost check-config "+p.Config
		return
	}
	p.running = c
	for _, k := range p.Keys {
		if _, err := p.running.Keys.Key(k.Domain, k.Selector); err != nil {
			s.Waiting, s.Hint = err.Error(), Command(p.withConfig("signpost", "keys", "generate", k.Domain, k.Selector))
			return
		}
		if files, err := c.Keys.Files(); err == nil && len(p.listedKeys(k.Domain, files)) == 0 && !p.hasEntry(k.Domain) {
			s.Waiting, s.Hint = k.Domain+" has no entry in signer.domains of "+p.Config, "add to it, under domains:\n"+strings.Join(entryLines(k.Domain, p.Keys), "\n")
			return
		}
	}
}

// dnsEvery is how often DNS servers are asked. A resolver remembers for a while that a
// record was not there, so asking more often would not help.
const dnsEvery = 10 * time.Second

// checkDNS asks every DNS server for each key, or tells what they answered lately.
func (p *Plan) checkDNS(ctx context.Context, s *Step) {
	if p.running.DNS.ZoneFile == "" && time.Since(p.asked) < dnsEvery {
		*s = p.answers
		return
	}
	p.askDNS(ctx, s)
	p.asked, p.answers = time.Now(), *s
}

func (p *Plan) askDNS(ctx context.Context, s *Step) {
	source, err := dns.Open(p.running.DNS)
	if err != nil {
		s.Waiting, s.Hint = err.Error(), "section dns of "+p.Config
		return
	}
	defer source.Close()
	servers := daemon.Servers(source)
	for _, k := range p.Keys {
		loaded, err := p.running.Keys.Key(k.Domain, k.Selector)
		if err != nil {
			s.Waiting, s.Hint = err.Error(), "see the first step"
			return
		}
		for _, found := range lifecycle.Check(ctx, servers, loaded) {
			if found.Answer != keys.Found {
				s.Waiting = fmt.Sprintf("%s: %s", loaded.RecordName(), answerText(found))
				s.Hint = Command(p.withConfig("signpost", "keys", "record", k.Domain, k.Selector))
				return
			}
		}
	}
}

// withConfig is a command for the configuration of the plan.
func (p *Plan) withConfig(words ...string) []string {
	if p.Config != daemon.DefaultPath {
		words = append(words, "--config", p.Config)
	}
	return words
}

// problem is an error without its remedy.
func problem(err error) string {
	var e *control.Error
	if errors.As(err, &e) {
		return e.Problem
	}
	return err.Error()
}

func answerText(f lifecycle.ServerFinding) string {
	switch f.Answer {
	case keys.NoAnswer:
		return fmt.Sprintf("%s does not answer: %v", f.Server, f.Err)
	case keys.Absent:
		if f.Server == "the zone file" {
			return f.Server + " has no such record"
		}
		return f.Server + " has no such record (for some minutes it may remember that there was none)"
	}
	return f.Server + " has another record: " + f.Detail
}

// checkDaemon asks the daemon at its control socket, or connects to its milter.
func (p *Plan) checkDaemon(ctx context.Context, s *Step) {
	if p.running.Control.Path() != "" {
		client, err := control.Dial(ctx, p.running.Control)
		var r status.Report
		if err == nil {
			defer client.Close()
			err = client.Get(ctx, "/status?domains=1", &r)
		}
		if err == nil {
			s.Waiting, s.Hint = p.stale(r.Configuration)
			return
		}
		s.Waiting = problem(err)
	} else {
		var d net.Dialer
		conn, err := d.DialContext(ctx, p.listen.Network, p.listen.Addr)
		if err == nil {
			conn.Close()
			return
		}
		s.Waiting = err.Error()
	}
	s.Hint = p.StartCommand()
}

// DaemonAnswers reports whether the daemon runs with our configuration.
func (p *Plan) DaemonAnswers(ctx context.Context) bool {
	asking, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	var s Step
	p.checkDaemon(asking, &s)
	return s.Waiting == ""
}

// stale says that the daemon does not run our configuration, and what to do; "" if it does.
func (p *Plan) stale(c status.Configuration) (waiting, hint string) {
	ours, err := filepath.Abs(p.Config)
	theirs, theirErr := filepath.Abs(c.File)
	switch {
	case err == nil && theirErr == nil && ours != theirs:
		return fmt.Sprintf("the daemon runs with %q and not with %s", c.File, p.Config), p.StartCommand()
	case c.OnDisk == status.Mistaken:
		return "the file has changed since the daemon read it, and has mistakes", Command(p.withConfig("signpost", "check-config"))
	case c.OnDisk == status.Changed:
		return "the file has changed since the daemon read it", "systemctl reload signpost      (or send the daemon SIGHUP)"
	}
	return "", ""
}

// StartCommand starts the daemon.
func (p *Plan) StartCommand() string {
	if _, err := os.Stat("/run/systemd/system"); err == nil && p.Config == daemon.DefaultPath {
		return "systemctl enable --now signpost"
	}
	words := []string{"signpost", "serve", "--config", p.Config}
	if os.Geteuid() != 0 || !hasUser("signpost") || p.options.Root != "" {
		return Command(words) + " &"
	}
	folder := Command([]string{"install", "-d", "-o", "signpost", "-g", "signpost", filepath.Dir(p.running.Control.Path())})
	return folder + " && " + Command(append([]string{"runuser", "-u", "signpost", "--"}, words...)) + " &"
}

func (p *Plan) checkMTA(ctx context.Context, s *Step) {
	if s.Waiting = p.notConnected(ctx); s.Waiting == "" {
		return
	}
	s.Hint = strings.Join(p.MTA.Notes, "\n")
	if lines := p.MTALines(); len(lines) > 0 {
		s.Hint = strings.Join(lines, "\n")
	}
}

// MTALines are the commands, or the lines, for the MTA.
func (p *Plan) MTALines() []string {
	lines := append([]string{}, p.MTA.Lines...)
	for _, c := range append(append([][]string{}, p.MTA.Commands...), p.MTA.Then...) {
		lines = append(lines, Command(c))
	}
	return lines
}

// checkSigned asks the daemon for a message of ours that it signed.
func (p *Plan) checkSigned(ctx context.Context, s *Step) {
	domain := p.domains[0]
	s.Hint = fmt.Sprintf("printf 'From: postmaster@%[1]s\\nSubject: test\\n\\ntest\\n' |\n    sendmail -f postmaster@%[1]s postmaster@%[1]s", domain)
	if p.running.Control.Path() == "" || p.running.Control.Recent == 0 {
		s.Waiting, s.Hint = "control.listen is empty or control.recent is 0, so the daemon does not tell of messages", "look into its log: msg=message … signed="+domain
		return
	}
	client, err := control.Dial(ctx, p.running.Control)
	if err != nil {
		s.Waiting = "the daemon does not answer"
		return
	}
	defer client.Close()
	var kept daemon.Messages
	if err := client.Get(ctx, "/messages?last=1000", &kept); err != nil {
		s.Waiting = problem(err)
		return
	}
	s.Waiting = p.unsigned(kept)
}

// unsigned says what the last messages were, unless one of ours was signed.
func (p *Plan) unsigned(kept daemon.Messages) string {
	waiting := "no message of " + strings.Join(p.domains, ", ") + " has passed yet"
	for _, m := range kept.Messages {
		for _, domain := range p.domains {
			for _, one := range m.Signatures {
				if one.Domain == domain {
					return ""
				}
			}
			for _, from := range m.FromDomains {
				if from == domain {
					waiting = fmt.Sprintf("message %s of %s was not signed: %s (signpost explain --queue-id %s)", m.QueueID, domain, m.Why, m.QueueID)
				}
			}
		}
	}
	return waiting
}
