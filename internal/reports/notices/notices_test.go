package notices

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"signpost/internal/reports/aggregate"
	"signpost/internal/reports/incoming"
	"signpost/internal/reports/store"
	"signpost/internal/reports/store/storetest"
)

func TestMain(m *testing.M) { storetest.Main(m) }

var now = time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)

type row struct {
	source    string
	count     int64
	dkim, spf string
}

func keep(t *testing.T, db *store.DB, data string) {
	t.Helper()
	k := incoming.Keeper{DB: db, Domains: func(string) bool { return true }, Now: func() time.Time { return now }}
	for _, r := range k.Read(t.Context(), []byte(data), nil) {
		if r.Refused != nil {
			t.Fatal(r.Refused)
		}
	}
}

// report stores a report about sender.example, of a day so many days ago.
func report(t *testing.T, db *store.DB, org string, daysAgo int, rows ...row) {
	t.Helper()
	var b bytes.Buffer
	begin := now.Truncate(24*time.Hour).AddDate(0, 0, -daysAgo)
	w := aggregate.NewWriter(&b, aggregate.Report{
		Metadata: aggregate.Metadata{OrgName: org, Email: "dmarc@" + org, ReportID: fmt.Sprint(daysAgo), Begin: begin, End: begin.Add(24*time.Hour - time.Second)},
		Policy:   aggregate.Policy{Domain: "sender.example", P: "none"},
	})
	for _, r := range rows {
		if err := w.Record(&aggregate.Record{SourceIP: netip.MustParseAddr(r.source), Count: r.count, Disposition: "none", DKIM: r.dkim, SPF: r.spf, HeaderFrom: "sender.example"}); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	keep(t, db, b.String())
}

func found(t *testing.T, db *store.DB) (kinds []string, list []Notice) {
	t.Helper()
	list, err := Find(t.Context(), db, incoming.Known{}, 5, now)
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range list {
		kinds = append(kinds, string(n.Kind)+" "+n.Subject)
	}
	return kinds, list
}

var well = row{"192.0.2.1", 100, "pass", "pass"}

func TestWhatIsTold(t *testing.T) {
	for _, c := range []struct {
		name string
		days func(t *testing.T, db *store.DB, ago int)
		want []string
	}{
		{"nothing", func(t *testing.T, db *store.DB, ago int) { report(t, db, "a.example", ago, well) }, nil},
		{"a new source that fails", func(t *testing.T, db *store.DB, ago int) {
			rows := []row{well}
			if ago == 2 {
				rows = append(rows, row{"203.0.113.66", 10, "fail", "fail"}, row{"203.0.113.67", 9, "fail", "fail"}, row{"203.0.113.68", 50, "pass", "fail"})
			}
			report(t, db, "a.example", ago, rows...)
		}, []string{"new_source 203.0.113.66"}},
		{"a source that has failed before", func(t *testing.T, db *store.DB, ago int) {
			report(t, db, "a.example", ago, well, row{"203.0.113.66", 10, "fail", "fail"})
		}, nil},
		{"too much fails", func(t *testing.T, db *store.DB, ago int) {
			report(t, db, "a.example", ago, row{"192.0.2.1", 94, "pass", "pass"}, row{"192.0.2.1", 6, "fail", "fail"})
		}, []string{"failing_share "}},
		{"as much as may", func(t *testing.T, db *store.DB, ago int) {
			report(t, db, "a.example", ago, row{"192.0.2.1", 95, "pass", "pass"}, row{"192.0.2.1", 5, "fail", "fail"})
		}, nil},
		{"a reporter that stopped", func(t *testing.T, db *store.DB, ago int) {
			report(t, db, "a.example", ago, well)
			if ago > 4 {
				report(t, db, "b.example", ago, well)
			}
		}, []string{"reporter_stopped b.example"}},
		{"TLS failures", func(t *testing.T, db *store.DB, ago int) {
			report(t, db, "a.example", ago, well)
			if ago == 1 {
				keep(t, db, `{"organization-name":"a.example","report-id":"t","date-range":{"start-datetime":"2026-11-29T00:00:00Z","end-datetime":"2026-11-29T23:59:59Z"},
				"policies":[{"policy":{"policy-type":"sts","policy-domain":"sender.example"},"summary":{"total-successful-session-count":9,"total-failure-session-count":2},
				"failure-details":[{"result-type":"certificate-expired","receiving-mx-hostname":"mx.sender.example","failed-session-count":2}]}]}`)
			}
		}, []string{"tls_failures certificate-expired mx.sender.example"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			db := storetest.Open(t, storetest.SQLite(t))
			for ago := 20; ago >= 1; ago-- {
				c.days(t, db, ago)
			}
			if kinds, _ := found(t, db); !slices.Equal(kinds, c.want) {
				t.Errorf("%q, want %q", kinds, c.want)
			}
		})
	}
}

func TestEachNoticeIsToldOnceAndMailedOnce(t *testing.T) {
	storetest.Each(t, func(t *testing.T, a store.Address) {
		db := storetest.Open(t, a)
		one := Notice{NewSource, "sender.example", "x", "one"}
		two := Notice{TLSFailures, "sender.example", "y", "two"}
		var mails []string
		var broken error
		step := func(at time.Time, list ...Notice) (fresh int) {
			t.Helper()
			new, err := Note(t.Context(), db, list, at)
			if err != nil {
				t.Fatal(err)
			}
			err = Mail(t.Context(), db, at, func(lines []string) error {
				if broken == nil {
					mails = append(mails, strings.Join(lines, "+"))
				}
				return broken
			})
			if !errors.Is(err, broken) {
				t.Fatal(err)
			}
			return len(new)
		}
		hour := func(n int) time.Time { return now.Add(time.Duration(n) * time.Hour) }
		broken = errors.New("the MTA is down")
		fresh := []int{step(hour(0), one)}
		broken = nil
		fresh = append(fresh, step(hour(1), one), step(hour(2), one, two), step(hour(3)), step(hour(4), two), step(hour(30), two), step(hour(60), two), step(hour(61), one, two))
		if fmt.Sprint(fresh) != "[1 0 1 0 1 0 0 1]" || fmt.Sprint(mails) != "[one two one]" {
			t.Errorf("new %v, mails %v", fresh, mails)
		}
	})
}

func TestTwoDaemonsSendOneMail(t *testing.T) {
	storetest.Each(t, func(t *testing.T, a store.Address) {
		sent := make(chan bool, 10)
		done := make(chan error)
		one := []Notice{{NewSource, "sender.example", "x", "one"}}
		dbs := []*store.DB{storetest.Open(t, a), storetest.Open(t, a)}
		if _, err := Note(t.Context(), dbs[0], one, now); err != nil {
			t.Fatal(err)
		}
		for _, db := range dbs {
			go func() {
				done <- Mail(t.Context(), db, now, func([]string) error { sent <- true; return nil })
			}()
		}
		if err := errors.Join(<-done, <-done); err != nil || len(sent) != 1 {
			t.Errorf("%d mails, %v", len(sent), err)
		}
	})
}

// A daemon that stops while it sends the mail gives its turn back, and a mail that has gone out is not sent again.
func TestAStopWhileTheMailIsSent(t *testing.T) {
	storetest.Each(t, func(t *testing.T, a store.Address) {
		db := storetest.Open(t, a)
		if _, err := Note(t.Context(), db, []Notice{{NewSource, "sender.example", "x", "one"}}, now); err != nil {
			t.Fatal(err)
		}
		var mails []string
		mail := func(what string, at time.Time, sent error) {
			ctx, stop := context.WithCancel(t.Context())
			defer stop()
			err := Mail(ctx, db, at, func([]string) error { mails = append(mails, what); stop(); return sent })
			if (err != nil) != (sent != nil) {
				t.Fatalf("%s: %v, want %v", what, err, sent)
			}
		}
		mail("interrupted", now, context.Canceled)
		mail("again", now.Add(time.Minute), nil)
		mail("two days later", now.Add(48*time.Hour), nil)
		if fmt.Sprint(mails) != "[interrupted again]" {
			t.Errorf("mails: %q", mails)
		}
	})
}

func TestTheMail(t *testing.T) {
	text := string(Text("a@b.example", "c@d.example", "mx", []string{"one\r\nBcc: x", "zwölf"}, now))
	header, body, _ := strings.Cut(text, "\r\n\r\n")
	for _, want := range []string{"From: <a@b.example>", "To: <c@d.example>", "Date: Mon, 30 Nov 2026 12:00:00 +0000", "Auto-Submitted: auto-generated"} {
		if !strings.Contains(header, want) {
			t.Errorf("no %q in %s", want, header)
		}
	}
	if !strings.HasPrefix(body, "* one  Bcc: x\r\n* zwölf\r\n") || strings.Contains(header, "Bcc") {
		t.Errorf("%s", text)
	}
}

// A stranger who reports about names that he invents makes no flood of notices, and hides none.
func TestNoticesAreBounded(t *testing.T) {
	db := storetest.Open(t, storetest.SQLite(t))
	err := db.Write(t.Context(), func(tx store.Tx) error {
		for i := range 2 * maxNotices {
			domain := fmt.Sprintf("a%d.sender.example", i)
			if i == 0 {
				domain = "sender.example"
			}
			if _, err := tx.Exec(t.Context(), `INSERT INTO incoming_reports (identity, kind, domain, org, email, report_id, begins, ends, received,
				p, sp, np, adkim, aspf, testing, error, generator, messages, aligned, records, skipped)
				VALUES (?, 'tls', ?, '', '', '', ?, ?, 0, '', '', '', '', '', '', '', '', 1, 0, 1, 0)`, fmt.Append(nil, i), domain, now.Unix(), now.Unix()); err != nil {
				return err
			}
			if _, err := tx.Exec(t.Context(), `INSERT INTO incoming_tls (report, domain, policy, succeeded, failed, failures)
				SELECT id, domain, 'sts', 0, 1, '' FROM incoming_reports WHERE identity = ?`, fmt.Append(nil, i)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	list, err := Find(t.Context(), db, incoming.Known{}, 5, now)
	if err != nil || len(list) != maxNotices+1 {
		t.Fatalf("%d notices, %v", len(list), err)
	}
	if !slices.ContainsFunc(list, func(n Notice) bool { return n.Domain == "sender.example" }) {
		t.Error("that of the domain itself is left out")
	}
	if text := list[maxNotices].Text; !strings.Contains(text, "200 more notices") {
		t.Errorf("the last is %q", text)
	}
}
