package doctor

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"signpost/internal/reports/store/storetest"
)

func TestMain(m *testing.M) {
	patience.daemon, patience.milter, patience.relay, patience.clock, patience.greeting = time.Minute, time.Minute, time.Minute, time.Minute, time.Minute
	storetest.Main(m)
}

// patient are the usual options, with time for a busy machine.
func patient() Options {
	o := Defaults()
	o.Limit, o.SlowDNS = 5*time.Minute, time.Minute
	return o
}

// reports switches the reports to others on, to an MTA that answers as usual but for the
// replies by command; that of the greeting is under "".
func (h *house) reports(replies map[string]string) {
	h.t.Helper()
	h.config += "reports: {out: {org_name: Example, from: dmarc@example.com, smtp: " + h.smtp(replies) + "}}\n"
}

func (h *house) smtp(replies map[string]string) string {
	h.t.Helper()
	return h.accept("127.0.0.1:0", func(conn net.Conn) { serveSMTP(conn, replies) })
}

func serveSMTP(conn net.Conn, replies map[string]string) {
	defer conn.Close()
	reply := func(command, usual string) {
		if special, ok := replies[command]; ok {
			usual = special
		}
		fmt.Fprintf(conn, "%s\r\n", usual)
	}
	reply("", "220 mail.example.com ESMTP")
	for lines := bufio.NewScanner(conn); lines.Scan(); {
		command, _, _ := strings.Cut(lines.Text(), " ")
		reply(command, "250 ok")
		if command == "QUIT" {
			return
		}
	}
}

// Faults of the reports: want is the only id above low.
func TestOneFaultOfTheReports(t *testing.T) {
	for name, c := range map[string]struct {
		fault func(*house)
		want  string
		says  string
	}{
		"no MTA": {func(h *house) {
			h.config += "reports: {out: {org_name: Example, from: dmarc@example.com, smtp: " + freePort(h.t) + "}}\n"
		}, "reports.no-mta", "nothing listens at 127.0.0.1:"},
		"a milter in the place of the MTA": {func(h *house) {
			h.config += "reports: {out: {org_name: Example, from: dmarc@example.com, smtp: \"@LISTEN@\"}}\n"
		}, "reports.no-mta", "is the milter's own listener"},
		"something that talks HTTP": {func(h *house) { h.reports(map[string]string{"": "HTTP/1.1 400 Bad Request"}) }, "reports.no-mta", "is no MTA"},
		"an MTA that wants TLS": {func(h *house) { h.reports(map[string]string{"MAIL": "530 5.7.0 Must issue a STARTTLS command first"}) },
			"reports.no-mta", "does not take mail from dmarc@example.com: 530 5.7.0 Must issue"},
		"an MTA that takes no mail": {func(h *house) { h.reports(map[string]string{"": "554 no mail here"}) }, "reports.no-mta", "554 no mail here"},
		"no entry for the domain": {func(h *house) {
			h.reports(nil)
			h.replace("from: dmarc@example.com", "from: dmarc@example.net")
			h.record("example.net", txt("v=spf1 ip4:"+theIPv4+" ip6:"+theIPv6+" -all"), "MX 10 "+theName)
		}, "reports.unsigned", "- {domain: example.net, selectors: [SELECTOR]}"},
		"an entry that signs as a domain below": {func(h *house) {
			h.reports(nil)
			h.replace("{domain: example.com, selectors: [s1, e1]}", "{domain: example.com, sdid: mail.example.com}\n    - {domain: mail.example.com, selectors: [s1, e1]}")
			h.signedBelow()
			h.record(theName, append(h.zone[theName], h.zone["example.com"][0])...)
		}, "reports.unsigned", "is signed with d=mail.example.com"},
		"a domain that takes no mail": {func(h *house) {
			h.reports(nil)
			h.record("example.com", append(h.zone["example.com"][:1:1], "MX 0 .")...)
		}, "reports.no-return", "RFC 7505"},
		"a domain that leads nowhere": {func(h *house) {
			h.reports(nil)
			h.record("example.com", h.zone["example.com"][:1]...)
		}, "reports.no-return", "neither an MX record nor an address"},
		"a subdomain without SPF": {func(h *house) {
			h.reports(nil)
			h.replace("from: dmarc@example.com", "from: dmarc@reports.example.com")
			h.replace("selectors: [s1, e1]}", "selectors: [s1, e1], subdomains: true}")
			h.record("reports.example.com", "MX 10 "+theName)
		}, "spf.missing", "reports.example.com"},
		"PostgreSQL is down": {func(h *house) {
			h.config += "reports: {database: \"postgres://signpost:secret@" + freePort(h.t) + "/signpost\"}\n"
		}, "reports.database", "no PostgreSQL listens at 127.0.0.1:"},
		"PostgreSQL's socket is gone": {func(h *house) {
			h.config += "reports: {database: \"postgres:///signpost?host=@DIR@&user=signpost\"}\n"
		}, "reports.database", "no PostgreSQL listens at @DIR@/.s.PGSQL.5432"},
		"a folder in the place of the database": {func(h *house) {
			h.config += "reports: {database: \"sqlite:@DIR@/keys\"}\n"
		}, "reports.database", "@DIR@/keys is not a regular file"},
		"another file in its place": {func(h *house) {
			h.config += "reports: {database: \"sqlite:@DIR@/other\"}\n"
			h.write("other", "something else")
		}, "reports.database", "@DIR@/other is no SQLite database"},
		"a file in the place of its folder": {func(h *house) {
			h.config += "reports: {database: \"sqlite:@DIR@/other/reports.db\"}\n"
			h.write("other", "something else")
		}, "reports.database", "@DIR@/other is no folder"},
		"the disk is nearly full": {func(h *house) { h.options.leastFree = 1 << 62 }, "reports.space", "MiB left"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t)
			c.fault(h)
			r := h.run()
			if got := ids(r); got != c.want {
				t.Errorf("got %s, want %s\n%s", got, c.want, text(r))
			}
			if want := strings.ReplaceAll(c.says, "@DIR@", h.dir); !strings.Contains(remedies(r), want) || strings.Contains(text(r), "secret") {
				t.Errorf("%q is missing, or a password is not, in:\n%s", want, text(r))
			}
			h.mended(r)
		})
	}
}

// Each connection without a message is a line in the MTA's log.
func TestTheMTAIsAskedOnce(t *testing.T) {
	h := newHouse(t)
	var connections atomic.Int32
	at := h.accept("127.0.0.1:0", func(conn net.Conn) {
		connections.Add(1)
		serveSMTP(conn, nil)
	})
	h.config += "reports: {out: {org_name: Example, from: dmarc@example.com, smtp: " + at + "}}\n"
	if r := h.run(); connections.Load() != 1 {
		t.Errorf("%d connections\n%s", connections.Load(), text(r))
	}
}

func TestHealthyReports(t *testing.T) {
	noFinding(t, map[string]func(*house){
		"to an MTA of this host": func(h *house) { h.reports(nil) },
		"from a subdomain": func(h *house) {
			h.reports(nil)
			h.replace("from: dmarc@example.com", "from: dmarc@reports.example.com")
			h.replace("selectors: [s1, e1]}", "selectors: [s1, e1], subdomains: true}")
			h.record("reports.example.com", txt("v=spf1 redirect=example.com"), "A "+theIPv4)
		},
		"an entry for the address alone": func(h *house) {
			h.reports(nil)
			h.replace("- {domain: example.com, selectors: [s1, e1]}", "- {domain: dmarc@example.com, selectors: [s1, e1]}")
		},
		"nothing is kept": func(h *house) { h.config += "reports: {database: \"\"}\n" },
		"PostgreSQL": func(h *house) {
			h.config += fmt.Sprintf("reports: {database: %q}\n", string(storetest.Postgres(h.t)))
		},
		"the second of two servers answers": func(h *house) {
			h.config += "reports: {database: \"postgres://signpost@" + freePort(h.t) + "," + h.smtp(nil) + "/signpost?sslmode=disable&connect_timeout=1\"}\n"
		},
	})
}

// An MTA that cannot take mail now is no fault of the configuration.
func TestAnMTAThatIsBusyIsNotSeen(t *testing.T) {
	h := newHouse(t)
	h.reports(map[string]string{"": "421 too many connections"})
	if r := h.run(); len(r.Findings) > 0 || r.ExitCode() != 2 || !strings.Contains(text(r), "421 too many connections") {
		t.Errorf("exit %d\n%s", r.ExitCode(), text(r))
	}
}

func TestWhatTheDaemonTellsOfReports(t *testing.T) {
	type object = map[string]any
	old := in(-time.Hour)
	for name, c := range map[string]struct {
		started string
		out     object
		want    string
		says    string
	}{
		"it has just begun": {in(-time.Second), object{"problem": "the database is not open"}, "", ""},
		"all is well":       {old, object{"waiting": 3, "sent": 100, "failed": 12}, "", ""},
		"some failed":       {old, object{"waiting": 0, "sent": 0, "failed": 3}, "", ""},
		"none was sent":     {old, object{"waiting": 0, "sent": 0, "failed": 12}, "reports.waiting", "12 failed and none was sent"},
		"they wait":         {old, object{"waiting": 7, "problem": "the MTA does not take them: 554", "remedy": "see mynetworks"}, "reports.waiting", "reports to others wait (7): the MTA does not take them: 554"},
		"no database":       {old, object{"problem": "the database is not open", "remedy": "see the log"}, "reports.waiting", "See the log."},
		"an older version":  {old, nil, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t)
			h.reports(nil)
			status := object{"pid": os.Getpid(), "started": c.started, "configuration": object{"on_disk": "same"}}
			if c.out != nil {
				status["reports_out"] = c.out
			}
			h.pretend(status)
			r := h.run()
			if ids(r) != c.want || !strings.Contains(remedies(r), c.says) {
				t.Errorf("got %s, want %s with %q\n%s", ids(r), c.want, c.says, text(r))
			}
		})
	}
}

// The daemon is a user without privileges, for whom the folder or the file is closed.
func TestTheDaemonMayWriteItsDatabase(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("a process of another user needs root")
	}
	const nobody = 65534
	daemon := exec.Command("sleep", "600")
	daemon.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	if err := daemon.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = daemon.Process.Kill()
		_ = daemon.Wait()
	})
	for name, c := range map[string]struct {
		folder, file os.FileMode // 0: there is none
		owned        bool        // the folder, by the daemon
		want         string
	}{
		"its own folder, no file yet":        {0o755, 0, true, ""},
		"its own folder, root's file":        {0o755, 0o640, true, "reports.database"},
		"its own folder, a file for all":     {0o755, 0o666, true, ""},
		"root's folder, no file yet":         {0o755, 0, false, "reports.database"},
		"root's folder, a file for all":      {0o755, 0o666, false, "reports.database"},
		"a folder for all, a file for all":   {0o777, 0o666, false, ""},
		"a folder for all, not its own file": {0o777, 0o600, false, "reports.database"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t)
			h.pretend(map[string]any{"pid": daemon.Process.Pid})
			h.write("data/x", "")
			h.remove("data/x")
			if c.file != 0 {
				h.write("data/reports.db", "")
				h.chmod("data/reports.db", c.file)
			}
			h.chmod("data", c.folder)
			if c.owned {
				if err := os.Chown(h.path("data"), nobody, nobody); err != nil {
					t.Fatal(err)
				}
			}
			h.config += "reports: {database: \"sqlite:@DIR@/data/reports.db\"}\n"
			if r := h.run(); ids(r) != c.want {
				t.Errorf("got %s, want %s\n%s", ids(r), c.want, text(r))
			}
		})
	}
}

// signedBelow publishes the keys and the records of mail.example.com.
func (h *house) signedBelow() {
	for _, selector := range []string{"s1", "e1"} {
		h.record(selector+"._domainkey.mail.example.com", h.zone[selector+"._domainkey.example.com"]...)
		h.key("mail.example.com", selector, madeKeys()[selector])
	}
}
