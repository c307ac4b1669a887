package status

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"signpost/internal/message"
)

var noon = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

func TestTheCountsOfTheLastHour(t *testing.T) {
	var c Counts
	signed := message.Outcome{Disposition: message.Accept, Signatures: []message.Signature{{}}}
	rejected := message.Outcome{Disposition: message.Reject, Remove: []int{1, 2}}
	c.Count(noon, true, FromHost, &signed)
	c.Count(noon.Add(30*time.Minute), false, FromClient, &rejected)
	for _, step := range []struct {
		after     time.Duration
		out, in   int
		forged    int
		localMail int
	}{{30 * time.Minute, 1, 1, 2, 1}, {59*time.Minute + 59*time.Second, 1, 1, 2, 1}, {time.Hour, 0, 1, 2, 0}, {2 * time.Hour, 0, 0, 0, 0}} {
		h := c.LastHour(noon.Add(step.after))
		if h.Outbound.Signed != step.out || h.Inbound.Rejected != step.in || h.Inbound.Forged != step.forged || h.Outbound.Local != step.localMail {
			t.Errorf("after %s: %+v", step.after, h)
		}
	}
	c.Count(noon.Add(25*time.Hour), true, UnknownOrigin, &message.Outcome{Disposition: message.Accept, Unsigned: "x"})
	if h := c.LastHour(noon.Add(25 * time.Hour)); h.Outbound != (outcomeCounts{Messages: 1, Accepted: 1, Unsigned: 1}) || h.Inbound.Messages != 0 {
		t.Errorf("the next day: %+v", h)
	}
	if h := c.SinceStart(); h.Outbound.Messages != 2 || h.Inbound.Messages != 1 {
		t.Errorf("since the start: %+v", h)
	}
	if n := testing.AllocsPerRun(100, func() { c.Count(noon, true, FromClient, &signed) }); n != 0 {
		t.Errorf("%v allocations for a message", n)
	}
}

func TestTheHealthOfServers(t *testing.T) {
	var s Servers
	a, b := netip.MustParseAddrPort("192.0.2.1:53"), netip.MustParseAddrPort("192.0.2.2:53")
	s.Count(noon, a, 10*time.Millisecond, true, nil)
	s.Count(noon, a, 20*time.Millisecond, true, errors.New("SERVFAIL"))
	s.Count(noon, a, time.Second, false, errors.New("no answer"))
	got := s.LastHour(noon, []netip.AddrPort{a, b})
	if want := (Server{Address: "192.0.2.1:53", Queries: 3, Unanswered: 1, Failed: 1, MeanMS: 15, LastError: "no answer"}); got[0] != want {
		t.Errorf("%+v", got[0])
	}
	if got[1] != (Server{Address: "192.0.2.2:53"}) {
		t.Errorf("a server that was not asked: %+v", got[1])
	}
	if got := s.LastHour(noon.Add(time.Hour), []netip.AddrPort{a}); got[0] != (Server{Address: "192.0.2.1:53"}) {
		t.Errorf("an hour later: %+v", got[0])
	}
	for i := range 3 * maxServers {
		s.Count(noon.Add(time.Duration(i)*time.Minute), netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), 53), 0, true, nil)
	}
	if len(s.servers) > maxServers {
		t.Errorf("%d servers are remembered", len(s.servers))
	}
}

func TestWarningsAndErrorsOfTheLogAreKept(t *testing.T) {
	var out bytes.Buffer
	l := NewLog(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelError}))
	log := slog.New(l)
	log.Info("started")
	log.Warn("message", "problem", "about one message", "from", "alice@example.com")
	log.With("domain", "example.com").Warn("a key's record is gone", "selector", "s1")
	log.Error("broken\nline", "stack", "long")
	log.With("domain", "example.com").Warn("a key's record is gone", "selector", "s1")
	lines := l.Lines()
	if len(lines) != 2 || lines[0].Text != "a key's record is gone; domain: example.com; selector: s1" || lines[0].Count != 2 || lines[0].Level != "warn" ||
		lines[1].Text != "broken line" || lines[1].Level != "error" {
		t.Errorf("%+v", lines)
	}
	if strings.Contains(out.String(), "gone") || !strings.Contains(out.String(), "broken") {
		t.Errorf("written: %s", out.String())
	}
	for i := range 100 {
		log.Error(fmt.Sprint(i, strings.Repeat("ä", 1000)))
	}
	lines = l.Lines()
	if len(lines) != keptLines || len(lines[0].Text) > maxLine+3 || !utf8.ValidString(lines[0].Text) {
		t.Errorf("%d lines of %d octets", len(lines), len(lines[0].Text))
	}
}

func TestTheWorstDomainsOfMany(t *testing.T) {
	c := NewCollector(3)
	filled := 0
	for i := range 100_000 {
		state := Signing
		switch {
		case i%10_000 == 9_999:
			state = Unsigned
		case i == 50_000:
			state = Lost
		}
		c.Add(fmt.Sprintf("%06d.example", i), state, func(d *Domain) { filled++; d.Why = "why" })
	}
	d := c.Domains()
	if d.Total != 100_000 || d.More != 99_997 || d.States[Signing] != 99_989 || d.States[Unsigned] != 10 || d.States[Lost] != 1 || len(d.List) != 3 ||
		d.List[0].Name != "050000.example" || d.List[1].Name != "009999.example" || d.List[2].Name != "019999.example" || d.List[0].Why != "why" {
		t.Errorf("%+v", d)
	}
	if filled > 1000 {
		t.Errorf("%d domains were filled", filled)
	}
	if d := NewCollector(0); d.Domains().List == nil {
		t.Error("the list is null in JSON")
	}
}

// well is a report of a daemon with nothing wrong.
func well() Report {
	return Report{
		Version: "1.0", PID: 7, Started: noon, Now: noon.Add(time.Hour),
		Configuration: Configuration{Generation: 1, Since: noon, File: "/etc/signpost/signpost.yaml", OnDisk: Same, Domains: 1, Keys: 1, Mode: "monitor", Backend: "go"},
		Listeners:     []Listener{{Address: "inet:127.0.0.1:8891", Role: "auto", Connections: 1, Accepted: 10}},
		Limits:        Limits{Connections: 1, MaxConnections: 4096, MaxHeaderMemory: 256 << 20},
		Domains:       Domains{Total: 1, States: map[string]int{Signing: 1}, List: []Domain{{Name: "example.com", State: Signing, Selectors: []string{"s1"}}}},
		Resolver:      Resolver{Source: "network", Servers: []Server{{Address: "127.0.0.1:53", Queries: 100, Unanswered: 2, MeanMS: 1.5}}},
	}
}

func TestWhatNeedsAPerson(t *testing.T) {
	domain := func(state, why string) func(*Report) {
		return func(r *Report) {
			r.Domains.States = map[string]int{state: 1, Signing: 1}
			r.Domains.Total = 2
			r.Domains.List = []Domain{{Name: "example.org", State: state, Why: why}}
		}
	}
	for _, c := range []struct {
		name     string
		change   func(*Report)
		severity Severity // "" : nothing is found
		says     string
		remedy   string
		notReady bool
	}{
		{"all well", func(*Report) {}, "", "", "", false},
		{"a listener is down", func(r *Report) { r.Listeners[0].Problem = "its socket file is gone" }, Problem, "no MTA can connect there", "systemctl restart signpost", true},
		{"no domains, none to sign", func(r *Report) { r.Domains = Domains{} }, "", "", "", false},
		{"one of two domains unsigned", domain(Unsigned, "s1 does not sign yet: DNS has no key at x; publish what signpost keys record example.org s1 prints"),
			Problem, "mail leaves unsigned: s1 does not sign yet: DNS has no key at x", "publish what signpost keys record example.org s1 prints", false},
		{"one lost", domain(Lost, "s1 does not sign: no file"), Problem, "cannot be signed", "signpost keys check example.org", false},
		{"a key stands in", domain(Partial, "s2 does not sign yet: x; publish y; until then s1 goes on signing"), Warning, "x; until then s1 goes on signing", "publish y", false},
		{"a planned change", domain(Planned, "s2 signs from 2027 on (active_from)"), "", "", "", false},
		{"DNS not asked yet", domain(Awaited, "x"), "", "", "", false},
		{"none can sign", func(r *Report) {
			r.Domains.States = map[string]int{Unsigned: 1}
			r.Domains.List = []Domain{{Name: "example.com", State: Unsigned, Why: "w"}}
		}, Problem, "mail leaves unsigned", "signpost keys check", true},
		{"the only server is down", func(r *Report) { r.Resolver.Servers[0].Problem = "no answer" }, Problem, "no server is left", "dig @127.0.0.1 ", false},
		{"one of two servers is down", func(r *Report) {
			r.Resolver.Servers = append(r.Resolver.Servers, Server{Address: "[2001:db8::1]:5353", Problem: "no answer"})
		}, Warning, "no answer", "dig @2001:db8::1 -p 5353 ", false},
		{"a slow server", func(r *Report) { r.Resolver.Servers[0].Unanswered = 60 }, Warning, "60 of 100 queries", "dns.servers", false},
		{"the file has changed", func(r *Report) { r.Configuration.OnDisk = Changed }, Warning, "not in force", "systemctl reload signpost", false},
		{"the file has mistakes", func(r *Report) {
			r.Configuration.OnDisk, r.Configuration.Mistakes = Mistaken, []string{"x:1: bad"}
			r.Reload = Reload{At: noon, Problems: []string{"x:1: bad"}}
		}, Warning, "a reload would refuse it: x:1: bad", "signpost check-config /etc/signpost/signpost.yaml", false},
		{"the file is gone", func(r *Report) { r.Configuration.OnDisk = Gone }, Warning, "could not start again", "put the file back", false},
		{"the file is unreadable", func(r *Report) { r.Configuration.OnDisk = Unreadable }, Warning, "cannot be read by the daemon", "chgrp signpost", false},
		{"a reload was refused", func(r *Report) { r.Reload = Reload{At: noon, Problems: []string{"key s1 is missing"}} }, Warning, "key s1 is missing", "systemctl reload signpost", false},
		{"a restart is needed", func(r *Report) { r.Configuration.Restart = []string{"milter", "log"} }, Warning, "section milter, log", "systemctl restart signpost", false},
		{"all connections in use", func(r *Report) { r.Limits.Connections = 4096 }, Warning, "all 4096 are in use", "milter.max_connections", false},
		{"failures", func(r *Report) { r.Hour.Outbound.Failures = 1 }, Warning, "1 message of the last hour", "journalctl", false},
		{"unsigned mail", func(r *Report) { r.Hour.Outbound.Unsigned = 2 }, Note, "2 messages of ours left unsigned", "signpost tail --unsigned", false},
		{"no MTA has connected", func(r *Report) {
			r.Listeners = []Listener{{Address: "unix:/x", Role: "auto", File: "0660 signpost signpost"}}
		}, Note, "unix:/x has (mode, owner and group: 0660 signpost signpost)", "signpost doctor", false},
		{"no MTA yet, just after the start", func(r *Report) { r.Listeners[0].Accepted, r.Started = 0, r.Now.Add(-time.Minute) }, "", "", "", false},
		{"none at one of two", func(r *Report) { r.Listeners = append(r.Listeners, Listener{Address: "unix:/x"}) }, Note, "no MTA has connected there", "signpost doctor", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := well()
			c.change(&r)
			r.Judge(Hour{})
			if r.Ready == c.notReady {
				t.Errorf("ready is %v: %v", r.Ready, r.NotReady)
			}
			if c.severity == "" {
				if len(r.Findings) > 0 {
					t.Errorf("%+v", r.Findings)
				}
				return
			}
			if len(r.Findings) != 1 {
				t.Fatalf("%+v", r.Findings)
			}
			f := r.Findings[0]
			if f.Severity != c.severity || !strings.Contains(f.Finding, c.says) || !strings.Contains(f.Remedy, c.remedy) || f.Subject == "" {
				t.Errorf("%+v", f)
			}
			if r.NeedsAPerson() != (c.severity != Note) {
				t.Errorf("a person is needed: %v", r.NeedsAPerson())
			}
		})
	}
}

func TestLocalMailThatNeverCame(t *testing.T) {
	for _, c := range []struct {
		days, smtp, local, localIn int
		note                       bool
	}{{7, 999, 0, 0, false}, {7, 1000, 0, 0, true}, {6, 1000, 0, 0, false}, {7, 1000, 1, 0, false}, {7, 1000, 0, 1, false}, {365, 0, 0, 0, false}} {
		r := well()
		r.Started = r.Now.Add(-time.Duration(c.days) * 24 * time.Hour)
		r.Judge(Hour{Outbound: outcomeCounts{Messages: 10_000, SMTP: c.smtp, Local: c.local}, Inbound: outcomeCounts{Local: c.localIn}})
		if got := len(r.Findings) == 1 && strings.Contains(r.Findings[0].Remedy, "non_smtpd_milters"); got != c.note || r.NeedsAPerson() {
			t.Errorf("%+v: %+v", c, r.Findings)
		}
	}
}

func TestAnUpgradeWithoutARestartIsNoted(t *testing.T) {
	r := well()
	r.Compare(r.Version)
	if len(r.Findings) != 0 {
		t.Errorf("%+v", r.Findings)
	}
	if r.Compare("1.1"); len(r.Findings) != 1 || r.Findings[0].Remedy != restart || r.NeedsAPerson() {
		t.Errorf("%+v", r.Findings)
	}
}

// A command that is shown works as it stands, whichever file the daemon reads.
func TestTheScreenNamesTheFileOfItsRemarks(t *testing.T) {
	r := well()
	r.Configuration.File, r.Configuration.Warnings = "/srv/signpost.yaml", 1
	var out bytes.Buffer
	r.Print(&out, false)
	if want := "1 remark: signpost check-config /srv/signpost.yaml\n"; !strings.Contains(out.String(), want) {
		t.Errorf("%q is missing in\n%s", want, out.String())
	}
}

func TestManyBadDomainsAreFolded(t *testing.T) {
	c := NewCollector(20)
	for i := range 1000 {
		c.Add(fmt.Sprintf("d%03d.example", i), Unsigned, func(d *Domain) { d.Why = "no key" })
	}
	r := well()
	r.Domains = c.Domains()
	r.Judge(Hour{})
	if len(r.Findings) != shownDomains+1 || !strings.Contains(r.Findings[shownDomains].Finding, "and 995 more") {
		t.Errorf("%d findings: %+v", len(r.Findings), r.Findings[len(r.Findings)-1])
	}
}

// No line is wider than a terminal, whatever the report says, and no colour is in a pipe.
func TestAScreenFits80Columns(t *testing.T) {
	r := well()
	c := NewCollector(20)
	for i := range 100_000 {
		state := []string{Lost, Unsigned, Partial, Awaited, Planned, Signing}[i%6]
		c.Add(fmt.Sprintf("customer-with-a-long-name-%05d.shop.example", i), state, func(d *Domain) {
			d.Selectors = []string{"selector2026", "selector2027"}
			d.Why = strings.Repeat("s1 does not sign yet: ", 20) + "; publish what signpost keys record x y prints"
		})
	}
	r.Domains = c.Domains()
	r.Listeners = append(r.Listeners, Listener{Address: "unix:/var/spool/postfix/signpost/milter.sock", Role: "verify", Problem: "another process has replaced its socket file"})
	r.Resolver.Servers = append(r.Resolver.Servers, Server{Address: "[2001:db8:1234:5678:9abc:def0:1234:5678]:5353", Queries: 1e9, Unanswered: 1e8, Failed: 1e8, MeanMS: 1999.5, Problem: strings.Repeat("no answer ", 30)})
	r.Hour = Hour{Inbound: outcomeCounts{1e6, 1e6, 1e6, 1e6, 1e6, 1e6, 1e6, 1e6, 1e6, 1e6, 1e6, 1e6}, Outbound: outcomeCounts{1e6, 1e6, 1e6, 1e6, 1e6, 1e6, 1e6, 1e6, 1e6, 1e6, 1e6, 1e6}}
	r.Errors = []LogLine{{noon, "error", strings.Repeat("words of a long line ", 50), 12}}
	r.Version = strings.Repeat("v", 100)
	r.Judge(Hour{})
	var out bytes.Buffer
	r.Print(&out, false)
	for _, line := range strings.Split(out.String(), "\n") {
		if utf8.RuneCountInString(line) > width {
			t.Errorf("%d columns: %s", utf8.RuneCountInString(line), line)
		}
		if strings.HasSuffix(line, " ") {
			t.Errorf("blanks at the end: %q", line)
		}
	}
	if strings.Contains(out.String(), "\x1b") {
		t.Error("there is colour")
	}
	if n := strings.Count(out.String(), "\n"); n > 110 {
		t.Errorf("%d lines", n)
	}
	out.Reset()
	r.Print(&out, true)
	if !strings.Contains(out.String(), "\x1b[31m") {
		t.Error("there is no colour")
	}
}

func TestAScreenOfADaemonThatIsWell(t *testing.T) {
	r := well()
	r.Judge(Hour{})
	var out bytes.Buffer
	r.Print(&out, false)
	if n := strings.Count(out.String(), "\n"); n > 24 || !strings.Contains(out.String(), "all well") {
		t.Errorf("%d lines:\n%s", n, out.String())
	}
}
