package e2e

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"
)

const reportsAddress = "dmarc@" + destDomain

// aboutUs is a report about our domain and yesterday, by good.example.
func aboutUs(id string) string { return aboutDay(id, 1, "203.0.113.66", 7) }

// aboutDay is one about messages from an address that fail, so many days ago.
func aboutDay(id string, daysAgo int, source string, count int) string {
	begin := time.Now().UTC().Truncate(24*time.Hour).AddDate(0, 0, -daysAgo)
	return fmt.Sprintf(`<?xml version="1.0"?><feedback><report_metadata><org_name>good.example</org_name><email>dmarc@good.example</email>
<report_id>%s</report_id><date_range><begin>%d</begin><end>%d</end></date_range></report_metadata>
<policy_published><domain>%s</domain><p>none</p></policy_published><record><row><source_ip>%s</source_ip><count>%d</count>
<policy_evaluated><disposition>none</disposition><dkim>fail</dkim><spf>fail</spf></policy_evaluated></row>
<identifiers><header_from>%[4]s</header_from></identifiers><auth_results/></record></feedback>`, id, begin.Unix(), begin.Unix()+86399, ourDomain, source, count)
}

// reportLetter is mail with a document, signed by good.example.
func reportLetter(t *testing.T, document, id string) string {
	t.Helper()
	var z bytes.Buffer
	w := gzip.NewWriter(&z)
	_, err := w.Write([]byte(document))
	check(t, err)
	check(t, w.Close())
	return sign(t, "From: <dmarc@good.example>\r\nTo: <"+reportsAddress+">\r\nSubject: Report Domain: "+ourDomain+" Submitter: good.example Report-ID: <"+id+">\r\n"+
		"Date: Sat, 03 Jan 2026 10:00:00 +0000\r\nMessage-ID: <"+id+"@good.example>\r\nMIME-Version: 1.0\r\nContent-Type: application/gzip\r\n"+
		"Content-Transfer-Encoding: base64\r\n\r\n"+base64.StdEncoding.EncodeToString(z.Bytes())+"\r\n", "good.example")
}

// shownMessages is how many messages report show counts for our domain; -1 without a report.
func (d *daemon) shownMessages(t *testing.T) int {
	t.Helper()
	out, err := signpost(t, "report", "show", "--config", d.path("signpost.yaml"), "--json", ourDomain).Output()
	var got struct {
		Messages *int
		Sources  []struct{ Address, Kind string }
	}
	check(t, json.Unmarshal(out, &got))
	if err != nil || got.Messages == nil {
		return -1
	}
	if len(got.Sources) != 1 || got.Sources[0].Address != "203.0.113.66" || got.Sources[0].Kind != "forgery" {
		t.Errorf("%s", out)
	}
	return *got.Messages
}

func startReports(t *testing.T, after string) (*daemon, *postfix) {
	d := startDaemon(t, config{Listen: []string{"inet:" + freeAddr(t)}, Zone: strangersZone(),
		Verifier: "reports: {in: {addresses: [" + reportsAddress + "], after: " + after + "}}"})
	return d, startPostfix(t, d.milter())
}

func TestReportsInMailAreReadAndDelivered(t *testing.T) {
	want(t)
	d, p := startReports(t, "deliver")
	c := dial(t, p.mx, stranger)
	accepted(t, c.send("dmarc@good.example", []string{reportsAddress}, reportLetter(t, aboutUs("one"), "one")))
	p.sink.wait(t, reportsAddress)
	d.logged(t, "report stored", "report=one")
	if n := d.shownMessages(t); n != 7 {
		t.Errorf("%d messages", n)
	}
	accepted(t, c.send("dmarc@good.example", []string{reportsAddress}, reportLetter(t, aboutUs("one"), "again")))
	d.logged(t, "report is stored already")
	// A forged report passes as other mail, and is not read.
	forged := strings.Replace(reportLetter(t, aboutUs("forged"), "forged"), "Subject: ", "Subject: x", 1)
	accepted(t, dial(t, p.mx, other).send("dmarc@good.example", []string{reportsAddress}, forged))
	d.logged(t, "report refused", "reason=not-authenticated")
	if n := d.shownMessages(t); n != 7 {
		t.Errorf("%d messages", n)
	}
}

func TestReportsInMailGoNoFurther(t *testing.T) {
	want(t)
	d, p := startReports(t, "discard")
	const both = "both@" + destDomain
	c := dial(t, p.mx, stranger)
	accepted(t, c.send("dmarc@good.example", []string{reportsAddress, both}, reportLetter(t, aboutUs("one"), "one")))
	p.sink.wait(t, both)
	accepted(t, c.send("dmarc@good.example", []string{reportsAddress}, reportLetter(t, aboutUs("two"), "two")))
	if n := d.shownMessages(t); n != 14 { // stored before the answer
		t.Errorf("%d messages", n)
	}
	until(t, "the queue is empty", func() bool {
		return len(p.queued(t, "incoming"))+len(p.queued(t, "active"))+len(p.queued(t, "deferred")) == 0
	})
	if p.sink.has(reportsAddress) {
		t.Error("a stored report was delivered")
	}
	// What is not stored is delivered.
	accepted(t, dial(t, p.mx, other).send("dmarc@good.example", []string{reportsAddress}, strings.Replace(reportLetter(t, aboutUs("forged"), "forged"), "Subject: ", "Subject: x", 1)))
	p.sink.wait(t, reportsAddress)
	d.logged(t, "report refused", "reason=not-authenticated")
	if n := d.shownMessages(t); n != 14 {
		t.Errorf("%d messages", n)
	}
}

func TestANoticeIsMailedOnce(t *testing.T) {
	want(t)
	const postmaster = "postmaster@" + destDomain
	mx := freeAddr(t)
	d := startDaemon(t, config{Listen: []string{"inet:" + freeAddr(t)}, Zone: strangersZone(),
		Verifier: "reports: {notify: {to: " + postmaster + "}, out: {org_name: Us, from: reports@" + ourDomain + ", smtp: \"" + mx + "\"}}"})
	p := startPostfix(t, d.milter(), func(p *postfix) {
		p.master = strings.ReplaceAll(p.master, p.mx, mx)
		p.mx = mx
	})
	for id, document := range map[string]string{"old": aboutDay("old", 12, "203.0.113.1", 50), "new": aboutDay("new", 1, "203.0.113.66", 20)} {
		file := d.path(id + ".xml")
		write(t, file, document)
		if out, err := signpost(t, "report", "import", "--config", d.path("signpost.yaml"), file).CombinedOutput(); err != nil {
			t.Fatalf("%v %s", err, out)
		}
	}
	d.restart(t)
	d.logged(t, "a new source of mail from "+ourDomain+" fails DMARC: 203.0.113.66, 20 of 20 messages", "notice=new_source")
	mail := p.sink.wait(t, postmaster)
	if text := string(mail.Data); !strings.Contains(text, "203.0.113.66, 20 of 20 messages") || !strings.Contains(text, "Auto-Submitted: auto-generated") || mail.From != "" {
		t.Errorf("from %q: %s", mail.From, text)
	}
}
