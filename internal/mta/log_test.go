package mta

import (
	"compress/gzip"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

var logNow = time.Date(2026, 1, 3, 12, 0, 0, 0, time.UTC)

func TestLogLines(t *testing.T) {
	const message = "4dKx1: to=<a@b.example>, relay=none"
	at := time.Date(2026, 1, 2, 10, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		line, program, message string
		at                     time.Time
	}{
		{"Jan  2 10:00:00 mx postfix/smtp[12]: " + message, "postfix/smtp", message, at},
		{"Dec 31 10:00:00 mx postfix/smtp[12]: " + message, "postfix/smtp", message, time.Date(2025, 12, 31, 10, 0, 0, 0, time.UTC)},
		{"2026-01-02T10:00:00.000000+00:00 mx postfix/smtp[12]: " + message, "postfix/smtp", message, at},
		{"2026-01-02T11:00:00+01:00 mx postfix-out/smtp[12]: " + message + "\n", "postfix-out/smtp", message, at},
		{"<22>Jan  2 10:00:00 mx sm-mta[12]: " + message, "sm-mta", message, at},
		{"<22>1 2026-01-02T10:00:00Z mx postfix/smtp 12 - - " + message, "postfix/smtp", message, at},
		{`{"__REALTIME_TIMESTAMP":"1767348000000000","SYSLOG_IDENTIFIER":"postfix/smtp","MESSAGE":"` + message + `"}`, "postfix/smtp", message, at},
		{`{"__REALTIME_TIMESTAMP":"1767348000000000","SYSLOG_IDENTIFIER":"signpost","MESSAGE":[97,98,255]}`, "signpost", "ab\xff", at},
		{`time=2026-01-02T10:00:00.000Z level=INFO msg=message queue=4dKx1`, "signpost", `time=2026-01-02T10:00:00.000Z level=INFO msg=message queue=4dKx1`, at},
		{`{"time":"2026-01-02T10:00:00Z","level":"INFO","msg":"message","queue":"4dKx1"}`, "signpost", `{"time":"2026-01-02T10:00:00Z","level":"INFO","msg":"message","queue":"4dKx1"}`, at},
	} {
		l, ok := ParseLogLine(c.line, logNow)
		if !ok || l.Program != c.program || l.Message != c.message || !l.Time.Equal(c.at) {
			t.Errorf("%s\n%+v", c.line, l)
		}
	}
	for _, junk := range []string{"", "\n", "{", "{}", "<", "<1>", "<1>1 ", "Jan", "time=", "2026-01-02T10:00:00Z", "Jan  2 10:00:00 mx", "Feb 30 10:00:00 mx a: b"} {
		if l, ok := ParseLogLine(junk, logNow); ok {
			t.Errorf("%q is read as %+v", junk, l)
		}
	}
}

func TestRefusals(t *testing.T) {
	for _, c := range []struct {
		message string
		want    Refusal
	}{
		{"A25DCC4104: to=<x@gmail.com>, relay=gmail-smtp-in.l.google.com[172.217.197.26]:25, delay=30, delays=0.03/0.01/30/0.18, dsn=5.7.26, status=bounced (host gmail-smtp-in.l.google.com[172.217.197.26] said: 550-5.7.26 This mail has been blocked because the sender is unauthenticated. 550-5.7.26 Gmail requires all senders to authenticate with either SPF or DKIM. 550-5.7.26  550-5.7.26  Authentication results: 550-5.7.26  DKIM = did not pass 550-5.7.26  SPF [shop.example] with ip: [192.0.2.1] = did not pass 550 5.7.26  For instructions x - gsmtp (in reply to end of DATA command))",
			Refusal{"A25DCC4104", "x@gmail.com", "gmail-smtp-in.l.google.com", 550, "5.7.26", "This mail has been blocked because the sender is unauthenticated. Gmail requires all senders to authenticate with either SPF or DKIM. Authentication results: DKIM = did not pass SPF [shop.example] with ip: [192.0.2.1] = did not pass For instructions x - gsmtp"}},
		{"4dKx1y2z3: to=<x@outlook.com>, orig_to=<y@z>, relay=outlook-com.olc.protection.outlook.com[52.101.1.1]:25, conn_use=2, delay=1, dsn=5.7.515, status=bounced (host outlook-com.olc.protection.outlook.com[52.101.1.1] said: 550 5.7.515 Access denied, Spf= Pass , Dkim= Fail , DMARC= Fail [X 2026] (in reply to end of DATA command))",
			Refusal{"4dKx1y2z3", "x@outlook.com", "outlook-com.olc.protection.outlook.com", 550, "5.7.515", "Access denied, Spf= Pass , Dkim= Fail , DMARC= Fail [X 2026]"}},
		{"A1: to=<x@y.example>, relay=y.example[192.0.2.2]:25, dsn=4.7.27, status=deferred (host y.example[192.0.2.2] said: 421-4.7.27 a 421 4.7.27 b (in reply to MAIL FROM command))",
			Refusal{"A1", "x@y.example", "y.example", 421, "4.7.27", "a b"}},
		{"A1: to=<x@y.example>, relay=none, dsn=4.4.1, status=deferred (host y.example[192.0.2.2] refused to talk to me: 554-y.example 554 5.7.25 no PTR record)",
			Refusal{"A1", "x@y.example", "y.example", 554, "5.7.25", "y.example no PTR record"}},
		{"A1: to=<x@y.example>, relay=none, dsn=4.4.1, status=deferred (connect to y.example[192.0.2.2]:25: Connection timed out)", Refusal{}},
		{"A1: to=<x@y.example>, relay=y.example[192.0.2.2]:25, dsn=2.0.0, status=sent (250 ok)", Refusal{}},
		{"x0: to=<x@gmail.com>, delay=00:00:01, mailer=esmtp, pri=1, relay=gmail-smtp-in.l.google.com. [142.250.1.1], dsn=5.7.26, reply=550-5.7.26 This mail is unauthenticated, and DKIM checks did not pass, stat=Service unavailable",
			Refusal{"x0", "x@gmail.com", "gmail-smtp-in.l.google.com", 550, "5.7.26", "This mail is unauthenticated, and DKIM checks did not pass"}},
		{"x0: to=<x@gmail.com>,<z@gmail.com>, mailer=esmtp, relay=gmail-smtp-in.l.google.com. [142.250.1.1], dsn=4.7.27, stat=Deferred: 421-4.7.27 SPF did not pass",
			Refusal{"x0", "x@gmail.com", "gmail-smtp-in.l.google.com", 421, "4.7.27", "SPF did not pass"}},
		{"x0: to=<x@gmail.com>, relay=a. [1.2.3.4], dsn=2.0.0, stat=Sent (OK)", Refusal{}},
		{"warning: to=<x>", Refusal{}},
	} {
		got, ok := LogLine{Message: c.message}.Refusal()
		if ok != (c.want != Refusal{}) || ok && got != c.want {
			t.Errorf("%s\n got %+v\nwant %+v", c.message, got, c.want)
		}
	}
}

func TestOwnLines(t *testing.T) {
	text := `time=2026-01-02T10:00:00.000Z level=INFO msg=message queue=4dKx1 client=127.0.0.1 from=a@shop.example rcpts=1 ours=true rule="client 127.0.0.1 in \"x\"" signed=other.example selectors=s1 entry=* disposition=accept ms=1`
	h, ok := LogLine{Program: "signpost", Message: text}.Handled()
	if want := (Handled{QueueID: "4dKx1", Ours: true, Signed: "other.example", Entry: "*", From: "a@shop.example"}); !ok || h != want {
		t.Errorf("%+v", h)
	}
	h, ok = LogLine{Program: "signpost", Message: `{"time":"2026-01-02T10:00:00Z","msg":"message","queue":"4dKx1","ours":false,"unsigned":"x"}`}.Handled()
	if want := (Handled{QueueID: "4dKx1", Unsigned: "x"}); !ok || h != want {
		t.Errorf("%+v", h)
	}
	if _, ok := (LogLine{Program: "other", Message: text}).Handled(); ok {
		t.Error("another program's line counts")
	}
}

func TestRequeuedAndSenders(t *testing.T) {
	before, after, ok := LogLine{Message: "A1: to=<x@y>, relay=127.0.0.1[127.0.0.1]:10024, dsn=2.0.0, status=sent (250 2.0.0 from MTA(smtp:[127.0.0.1]:10025): 250 2.0.0 Ok: queued as B2)"}.Requeued()
	if !ok || before != "A1" || after != "B2" {
		t.Error(before, after, ok)
	}
	id, sender, ok := LogLine{Message: "A1: from=<a@shop.example>, size=1, nrcpt=1 (queue active)"}.Sender()
	if !ok || id != "A1" || sender != "a@shop.example" {
		t.Error(id, sender, ok)
	}
}

func TestALogWithOlderParts(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "mail.log")
	line := func(day, id string) string { return "Jan  " + day + " 10:00:00 mx postfix/smtp[1]: " + id + ": x\n" }
	write := func(name, text string, age time.Duration) {
		t.Helper()
		p := filepath.Join(dir, name)
		f, err := os.Create(p)
		must(t, err)
		if strings.HasSuffix(name, ".gz") {
			z := gzip.NewWriter(f)
			_, err = z.Write([]byte(text))
			must(t, err)
			must(t, z.Close())
		} else {
			_, err = f.WriteString(text)
			must(t, err)
		}
		must(t, f.Close())
		at := logNow.Add(-age)
		must(t, os.Chtimes(p, at, at))
	}
	write("mail.log", line("3", "C"), 0)
	write("mail.log.1", line("2", "B"), 24*time.Hour)
	write("mail.log.2.gz", line("1", "old")+line("2", "A"), 36*time.Hour)
	write("mail.log.3.gz", "not read: too old", 100*time.Hour)
	write("mail.log.bak", line("3", "no part of it"), 0)
	var got []string
	complete, err := Log{Path: path}.Read(context.Background(), logNow.Add(-40*time.Hour), logNow, func(l LogLine) {
		got = append(got, strings.TrimSuffix(l.Message, ": x"))
	})
	if err != nil || !complete || strings.Join(got, " ") != "A B C" {
		t.Errorf("%v %t %q", err, complete, got)
	}
}

// A line without an end is cut, and does not hide the next one.
func TestALineWithoutAnEnd(t *testing.T) {
	path := filepath.Join(t.TempDir(), "mail.log")
	text := "Jan  3 10:00:00 mx postfix/smtp[1]: A: " + strings.Repeat("x", 5<<20) + "\nJan  3 10:00:00 mx postfix/smtp[1]: B: x\n"
	must(t, os.WriteFile(path, []byte(text), 0o600))
	var lengths []int
	_, err := Log{Path: path}.Read(context.Background(), logNow.Add(-24*time.Hour), logNow, func(l LogLine) { lengths = append(lengths, len(l.Message)) })
	if err != nil || len(lengths) != 2 || lengths[0] > maxLogLine || lengths[1] != len("B: x") {
		t.Errorf("%v %v", err, lengths)
	}
}

func TestTheJournal(t *testing.T) {
	dir := t.TempDir()
	script := "#!/bin/sh\necho \"$@\" >" + dir + "/asked\n" +
		`echo '{"__REALTIME_TIMESTAMP":"1767348000000000","SYSLOG_IDENTIFIER":"postfix/smtp","MESSAGE":"A: x"}'` + "\n"
	must(t, os.WriteFile(filepath.Join(dir, "journalctl"), []byte(script), 0o755))
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	var got []LogLine
	since := time.Unix(1767000000, 0)
	complete, err := Journal("SYSLOG_FACILITY=2", "+", "_SYSTEMD_UNIT=signpost.service").Read(context.Background(), since, logNow, func(l LogLine) { got = append(got, l) })
	if err != nil || !complete || len(got) != 1 || got[0].Program != "postfix/smtp" || got[0].Message != "A: x" {
		t.Errorf("%v %t %+v", err, complete, got)
	}
	asked, err := os.ReadFile(filepath.Join(dir, "asked"))
	must(t, err)
	if want := "-q --no-pager -o json --since=@1767000000 SYSLOG_FACILITY=2 + _SYSTEMD_UNIT=signpost.service\n"; string(asked) != want {
		t.Errorf("%s", asked)
	}
}

func FuzzLogLine(f *testing.F) {
	f.Add("Jan  2 10:00:00 mx postfix/smtp[12]: 4dKx1: to=<a@b>, relay=c[d]:25, dsn=5.7.26, status=bounced (host c[d] said: 550-5.7.26 a 550 5.7.26 b (in reply to end of DATA command))")
	f.Add(`{"__REALTIME_TIMESTAMP":"1767348000000000","SYSLOG_IDENTIFIER":"signpost","MESSAGE":"msg=message queue=\"x\\\"\" from=y"}`)
	f.Add("2026-01-02T10:00:00Z mx sm-mta[1]: x0: to=<x@y>, dsn=4.7.27, stat=Deferred: 421-4.7.27 no")
	f.Fuzz(func(t *testing.T, line string) {
		l, ok := ParseLogLine(line, logNow)
		if !ok {
			return
		}
		if r, ok := l.Refusal(); ok && (r.Code < 400 || r.Code > 599) {
			t.Errorf("%+v", r)
		}
		l.Handled()
		l.Sender()
		l.Requeued()
	})
}
