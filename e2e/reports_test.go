package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"signpost/internal/reports/store"
)

const (
	toyDomain = "toy.example" // asks for reports, and its mail is counted
	toySender = "news@" + toyDomain
)

// reportsZone has what senders publish, and our own keys.
func reportsZone() string {
	var b strings.Builder
	line := func(name, text string) { fmt.Fprintf(&b, "%s. 60 IN TXT %s\n", name, quotedTXT(text)) }
	line(toyDomain, "v=spf1 ip4:192.0.2.10 -all")
	line("_dmarc."+toyDomain, "v=DMARC1; p=reject; rua=mailto:rua@"+toyDomain+"!10m,mailto:rua@elsewhere.example")
	line(refusedDomain, "v=spf1 ip4:192.0.2.10 -all")
	line("_dmarc."+refusedDomain, "v=DMARC1; p=none; rua=mailto:rua@"+refusedDomain)
	for _, k := range ourKeys() {
		line(k.at(ourDomain), k.record)
	}
	return b.String()
}

// quotedTXT is a text in strings of a zone file.
func quotedTXT(text string) string {
	var parts []string
	for text != "" {
		n := min(200, len(text))
		parts = append(parts, `"`+text[:n]+`"`)
		text = text[n:]
	}
	return strings.Join(parts, " ")
}

// reporter is a daemon that sends reports through a Postfix whose mail it counts.
type reporter struct {
	*daemon
	p  *postfix
	db *store.DB
}

func startReporter(t *testing.T) reporter {
	t.Helper()
	want(t)
	c := config{Listen: []string{"inet:" + freeAddr(t)}, Zone: reportsZone(), Selectors: []string{"rsa", "ed"}}
	d := startDaemon(t, c)
	p := startPostfix(t, d.milter())
	c.Reports = "  out: {org_name: Example Mail, from: dmarc@" + ourDomain + ", smtp: \"" + p.mx + "\"}\n"
	d.configure(t, c)
	d.reload(t)
	// Opened by the daemon first, so that the files are its own.
	until(t, "the daemon has made its database", func() bool {
		db, err := store.OpenExisting(t.Context(), store.Address("sqlite:"+d.path("state/reports.db")))
		if err == nil {
			db.Close()
		}
		return err == nil
	})
	db, err := store.OpenExisting(t.Context(), store.Address("sqlite:"+d.path("state/reports.db")))
	check(t, err)
	t.Cleanup(func() { db.Close() })
	return reporter{d, p, db}
}

// counted waits until so many messages are in the counters.
func (r reporter) counted(t *testing.T, messages int64) {
	t.Helper()
	until(t, fmt.Sprintf("%d messages are counted", messages), func() bool {
		var n int64
		check(t, r.db.QueryRow(t.Context(), `SELECT coalesce(sum(count), 0) FROM traffic`).Scan(&n))
		return n == messages
	})
}

// endDay makes all that was counted mail of the day before yesterday, whose reports are due, and returns that day.
func (r reporter) endDay(t *testing.T) time.Time {
	t.Helper()
	day := time.Now().Unix()/86400 - 2
	_, err := r.db.Exec(t.Context(), `UPDATE traffic SET day = ?`, day)
	check(t, err)
	_, err = r.db.Exec(t.Context(), `INSERT INTO outgoing_days (day, planned) VALUES (?, 0) ON CONFLICT (day) DO NOTHING`, day-1)
	check(t, err)
	return time.Unix(day*86400, 0).UTC()
}

// mailFrom sends a message of a domain from an address, by SMTP.
func (r reporter) mailFrom(t *testing.T, addr, sender string) {
	t.Helper()
	rcpt := "user@" + destDomain
	msg := fmt.Sprintf("From: <%s>\r\nTo: <%s>\r\nSubject: hello\r\nDate: Mon, 30 Nov 2026 10:00:00 +0000\r\nMessage-ID: <%d@x.example>\r\n\r\nhello\r\n", sender, rcpt, time.Now().UnixNano())
	accepted(t, dial(t, r.p.mx, &party{addr: addr, name: "mail.x.example", helo: "mail.x.example"}).send(sender, []string{rcpt}, msg))
}

// A report goes through Postfix and our own milter to the domain that asks for it, is signed
// once, and another Signpost reads it.
func TestReportsToOthersGoThroughPostfix(t *testing.T) {
	r := startReporter(t)
	for range 3 {
		r.mailFrom(t, "192.0.2.10", toySender)
	}
	r.mailFrom(t, "198.51.100.66", "forger@sub."+toyDomain)
	r.mailFrom(t, "192.0.2.10", "a@"+refusedDomain)
	r.counted(t, 5)
	day := r.endDay(t)
	const rua = "rua@" + toyDomain
	until(t, "the report is delivered and the other one came back", func() bool {
		r.reload(t)
		return r.p.sink.has(rua) && len(r.log.find(func(s string) bool { return strings.Contains(s, "a report came back") })) > 0
	})
	got := r.p.sink.wait(t, rua)
	t.Run("signed once, and valid elsewhere", func(t *testing.T) {
		if n := signatures(got.Data); n != 2 {
			t.Fatalf("%d signatures, want one for each of two keys\n%s", n, head(got.Data))
		}
		signedFor(t, got.Data, 2)
		r.logged(t, "handed_in=")
	})
	t.Run("from an address for bounces, and to nobody else", func(t *testing.T) {
		if !strings.HasPrefix(got.From, "dmarc+") || !strings.HasSuffix(got.From, "@"+ourDomain) || r.p.sink.has("rua@elsewhere.example") {
			t.Errorf("from %q; a destination that did not confirm got it: %v", got.From, r.p.sink.has("rua@elsewhere.example"))
		}
		if n := len(r.p.sink.got.find(func(d delivered) bool { return d.To[0] == rua })); n != 1 {
			t.Errorf("%d reports to %s", n, rua)
		}
	})
	t.Run("another Signpost reads it", func(t *testing.T) { readElsewhere(t, got.Data) })
	t.Run("the preview says what was sent", func(t *testing.T) {
		out, err := signpost(t, "report", "preview", toyDomain, "--day", day.Format(time.DateOnly), "--config", r.path("signpost.yaml")).CombinedOutput()
		if err != nil || !strings.Contains(string(out), "4 messages in 2 records") || !strings.Contains(string(out), "sent        "+rua) {
			t.Errorf("%v: %s", err, out)
		}
	})
	t.Run("the address that refused pauses, and a forged bounce pauses none", func(t *testing.T) { r.pauses(t, got) })
}

// readElsewhere imports the mail into an empty database of another installation.
func readElsewhere(t *testing.T, mail []byte) {
	t.Helper()
	dir := folder(t)
	uid, gid := ids(t, "nobody", "postfix")
	check(t, os.Chown(dir, uid, gid))
	zone := filepath.Join(dir, "zone")
	write(t, zone, "")
	yaml := filepath.Join(dir, "other.yaml")
	write(t, yaml, "dns: {zone_file: "+zone+"}\nkeys: {state: "+dir+"/keys.json}\nreports: {in: {domains: ["+toyDomain+"]}}\n")
	reading := signpost(t, "report", "import", "-", "--config", yaml, "--names=false")
	reading.Stdin = bytes.NewReader(mail)
	if out, err := reading.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	out, err := signpost(t, "report", "show", toyDomain, "--config", yaml, "--json").CombinedOutput()
	var shown struct {
		Domain            string
		Messages, Aligned int
	}
	if err != nil || json.Unmarshal(out, &shown) != nil || shown.Domain != toyDomain || shown.Messages != 4 || shown.Aligned != 3 {
		t.Errorf("%v: %s", err, out)
	}
}

// pauses sends a forged bounce for the report that was delivered, and compares the list.
func (r reporter) pauses(t *testing.T, report delivered) {
	t.Helper()
	token, domain, _ := strings.Cut(report.From, "@")
	forged := token[:len(token)-1] + string(rune('a'+(token[len(token)-1]-'a'+1)%26)) + "@" + domain
	for _, to := range []string{forged, "dmarc@" + ourDomain} {
		msg := strings.ReplaceAll("From: MAILER-DAEMON@toy.example\nTo: <"+to+">\nSubject: failed\nMessage-ID: <f@toy.example>\nDate: Mon, 30 Nov 2026 10:00:00 +0000\n"+
			"MIME-Version: 1.0\nContent-Type: multipart/report; report-type=delivery-status; boundary=B\n\n--B\nContent-Type: message/delivery-status\n\n"+
			"Reporting-MTA: dns; mx.toy.example\n\nFinal-Recipient: rfc822; rua@toy.example\nAction: failed\nStatus: 5.1.1\n\n--B--\n", "\n", "\r\n")
		accepted(t, dial(t, r.p.mx, nil).send("", []string{to}, msg))
		r.p.sink.wait(t, to)
	}
	out, err := signpost(t, "report", "suppressed", "--config", r.path("signpost.yaml"), "--json").CombinedOutput()
	var list struct {
		Suppressed []struct {
			Address string
			Why     string
		}
	}
	if err != nil || json.Unmarshal(out, &list) != nil || len(list.Suppressed) != 1 || list.Suppressed[0].Address != "rua@"+refusedDomain || !strings.Contains(list.Suppressed[0].Why, "5.1.1") {
		t.Errorf("%v: %s", err, out)
	}
}
