package doctor

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"signpost/internal/mta"
)

// replies are those of receivers, as they stand in Postfix' log, and what they are.
var replies = []struct {
	what, relay, reply string
	want               verdict
	is                 bool
}{
	{"Outlook", "outlook-com.olc.protection.outlook.com", "550 5.7.515 Access denied, sending domain SHOP.EXAMPLE doesn't meet the required authentication level. The sender's domain in the 5322.From address doesn't meet the authentication requirements defined for the sender. To learn how to fix this see: https://go.microsoft.com/fwlink/p/?linkid=2319303 Spf= Fail , Dkim= Pass , DMARC= Fail [AM.eop.outlook.com 2026]",
		verdict{spf: fail, dkim: pass, dmarc: fail, domain: "shop.example"}, true},
	{"Outlook, DMARC", "x.mail.protection.outlook.com", "550 5.7.509 Access denied, sending domain shop.example does not pass DMARC verification and has a DMARC policy of reject.",
		verdict{dmarc: fail, domain: "shop.example"}, true},
	{"Yahoo", "mta7.am0.yahoodns.net", "550 5.7.9 This mail has been blocked because the sender is unauthenticated. Yahoo requires all senders to authenticate with either SPF or DKIM. Authentication results: DKIM = FAILURE - SPF [shop.example] with ip 192.0.2.1 = FAILURE. See https://senders.yahooinc.com/smtp-error-codes/#authentication-failures for more information.",
		verdict{spf: fail, dkim: fail}, true},
	{"Gmail", "gmail-smtp-in.l.google.com", "550-5.7.26 This mail has been blocked because the sender is unauthenticated. 550-5.7.26 Gmail requires all senders to authenticate with either SPF or DKIM. 550-5.7.26  550-5.7.26  Authentication results: 550-5.7.26  DKIM = did not pass 550-5.7.26  SPF [shop.example] with ip: [192.0.2.1] = did not pass 550-5.7.26  550-5.7.26  For instructions on setting up authentication, go to 550 5.7.26  https://support.google.com/mail/answer/81126#authentication x - gsmtp",
		verdict{spf: fail, dkim: fail}, true},
	{"Gmail, of 2023", "gmail-smtp-in.l.google.com", "550-5.7.26 This mail is unauthenticated, which poses a security risk to the 550-5.7.26 sender and Gmail users, and has been blocked. The sender must 550-5.7.26 authenticate with at least one of SPF or DKIM. For this message, 550-5.7.26 DKIM checks did not pass and SPF check for [shop.example] did not pass 550-5.7.26 with ip: [192.0.2.1]. The sender should visit 550 5.7.26 instructions on setting up authentication. x - gsmtp",
		verdict{spf: fail, dkim: fail}, true},
	{"Gmail, DMARC", "gmail-smtp-in.l.google.com", "550-5.7.26 Unauthenticated email from shop.example is not accepted due to 550-5.7.26 domain's DMARC policy. Please contact the administrator of 550 5.7.26 shop.example domain. x - gsmtp",
		verdict{dmarc: fail, domain: "shop.example"}, true},
	{"Gmail, the oldest", "gmail-smtp-in.l.google.com", "550-5.7.1 This message does not have authentication information or fails to pass 550-5.7.1 authentication checks. To best protect our users from spam, the 550-5.7.1 message has been blocked. x - gsmtp",
		verdict{dmarc: fail}, true},
	{"Gmail, SPF", "gmail-smtp-in.l.google.com", "421-4.7.27 Your email has been rate limited because SPF authentication didn't 421-4.7.27 pass for this message. x - gsmtp", verdict{spf: fail}, true},
	{"Gmail, DKIM", "gmail-smtp-in.l.google.com", "421-4.7.30 Your email has been rate limited because DKIM authentication didn't 421 4.7.30 pass for this message. x - gsmtp", verdict{dkim: fail}, true},
	{"Gmail, no DMARC", "gmail-smtp-in.l.google.com", "421-4.7.40 Your email has been rate limited because the sending domain doesn't 421 4.7.40 have a DMARC record. x - gsmtp", verdict{noRecord: true}, true},
	{"alignment, at a relay of another name", "relay.provider.example", "421-4.7.32 Your email has been rate limited because the From: header (RFC5322) 421 4.7.32 isn't aligned with either the authenticated SPF or DKIM organizational domain. x - gsmtp", verdict{dmarc: fail}, true},
	{"Gmail, alignment", "gmail-smtp-in.l.google.com", "421-4.7.32 Your email has been rate limited because the From: header (RFC5322) 421 4.7.32 isn't aligned with either the authenticated SPF or DKIM organizational domain. x - gsmtp", verdict{dmarc: fail}, true},
	{"Gmail, PTR", "gmail-smtp-in.l.google.com", "550-5.7.25 The IP address sending this message does not have a PTR record 550-5.7.25 setup, or the corresponding forward DNS entry does not match 550 5.7.25 the sending IP. x - gsmtp", verdict{ptr: true}, true},
	{"Gmail, content", "gmail-smtp-in.l.google.com", "550-5.7.1 [192.0.2.1 12] Gmail has detected that this message is 550-5.7.1 likely unsolicited mail. To reduce the amount of spam sent to Gmail, 550 5.7.1 this message has been blocked. x - gsmtp", verdict{}, false},
	{"Gmail, rate", "gmail-smtp-in.l.google.com", "421-4.7.28 Gmail has detected an unusual rate of unsolicited mail originating 421 4.7.28 from your SPF domain. x - gsmtp", verdict{}, false},
	{"Gmail, TLS", "gmail-smtp-in.l.google.com", "421-4.7.29 Your email has been rate limited because this message wasn't sent over TLS. 421 4.7.29 x - gsmtp", verdict{}, false},
	{"RFC 7372, SPF", "mx.other.example", "550 5.7.23 The message was rejected because of Sender Policy Framework violation", verdict{spf: fail}, true},
	{"RFC 7372, DKIM", "mx.other.example", "550 5.7.20 no passing DKIM signature found", verdict{dkim: fail}, true},
	{"RFC 7372, PTR", "mx.other.example", "450 4.7.25 Client host rejected: cannot find your hostname, [192.0.2.1]", verdict{ptr: true}, true},
	{"a policy in words", "mx.other.example", "550 5.7.1 Email rejected per DMARC policy for shop.example", verdict{dmarc: fail, domain: "shop.example"}, true},
	{"SPF in words", "mx.other.example", "550 5.1.0 192.0.2.1 is not allowed to send from <shop.example> per it's SPF Record.", verdict{spf: fail}, true},
	{"Signpost", "mx.other.example", "550 5.7.1 DMARC: mail from shop.example must pass SPF or DKIM for that domain, its policy is reject", verdict{dmarc: fail, domain: "shop.example"}, true},
	{"a reverse name in words", "mx.other.example", "554 5.7.1 Client host rejected: no reverse DNS", verdict{ptr: true}, true},
	{"rules of a spam filter", "mx.other.example", "554 5.7.1 Spam message rejected, score 15.2 (SPF_FAIL, DKIM_INVALID)", verdict{}, false},
	{"a block list", "mx.other.example", "554 5.7.1 Service unavailable; Client host [192.0.2.1] blocked using zen.spamhaus.org", verdict{}, false},
	{"a password", "smtp.relay.example", "535 5.7.8 Error: authentication failed", verdict{}, false},
	{"a relay without a login", "smtp.relay.example", "530 5.7.0 Authentication required", verdict{}, false},
	{"an unknown user", "mx.other.example", "550 5.1.1 <x@other.example>: Recipient address rejected: User unknown", verdict{}, false},
	{"greylisting", "mx.other.example", "450 4.2.0 Greylisted, see http://postgrey.schweikert.ch/", verdict{}, false},
}

func postfixLine(id, to, relay, reply string) string {
	status := "bounced"
	if reply[0] == '4' {
		status = "deferred"
	}
	return fmt.Sprintf("%s: to=<%s>, relay=%s[192.0.2.7]:25, delay=1, dsn=5.0.0, status=%s (host %s[192.0.2.7] said: %s (in reply to end of DATA command))", id, to, relay, status, relay, reply)
}

func TestVerdictsInReplies(t *testing.T) {
	for _, c := range replies {
		r, ok := mta.LogLine{Message: postfixLine("A1", "x@y.example", c.relay, c.reply)}.Refusal()
		if !ok {
			t.Errorf("%s: no refusal", c.what)
			continue
		}
		if got, is := authVerdict(r); is != c.is || got != c.want {
			t.Errorf("%s: %+v %t, want %+v %t\n%s", c.what, got, is, c.want, c.is, r.Text)
		}
	}
}

// forms are the three ways in which the same lines stand in a log.
var forms = map[string]func(at time.Time, program, message string) string{
	"syslog":   func(at time.Time, p, m string) string { return at.Format(time.Stamp) + " mx " + p + "[1]: " + m },
	"RFC 3339": func(at time.Time, p, m string) string { return at.Format(time.RFC3339Nano) + " mx " + p + "[1]: " + m },
	"journal": func(at time.Time, p, m string) string {
		line, _ := json.Marshal(map[string]string{"__REALTIME_TIMESTAMP": fmt.Sprint(at.UnixMicro()), "SYSLOG_IDENTIFIER": p, "MESSAGE": m})
		return string(line)
	},
}

const refusalYAML = `
signer:
  domains:
    - {domain: hoster.example, selectors: [s1]}
    - {domain: "*", sdid: hoster.example}
`

func refusalsOf(t *testing.T, yaml, log string) Report {
	t.Helper()
	dir := t.TempDir()
	file(t, filepath.Join(dir, "signpost.yaml"), yaml)
	must(t, os.WriteFile(filepath.Join(dir, "mail.log"), []byte(log), 0o600))
	o := patient()
	o.Config, o.MTALog = filepath.Join(dir, "signpost.yaml"), filepath.Join(dir, "mail.log")
	return findingsOf(t, o, lookAtDeliveries)
}

func TestRefusalsAreJoinedWithWhatWeSigned(t *testing.T) {
	for name, form := range forms {
		t.Run(name, func(t *testing.T) {
			var log strings.Builder
			at := time.Now().Add(-48 * time.Hour)
			add := func(program, message string) {
				at = at.Add(time.Second)
				log.WriteString(form(at, program, message) + "\n")
			}
			outlook, yahoo := replies[0], replies[2]
			for i := range 14 {
				id := fmt.Sprintf("4dKx%d", i)
				add("signpost", "time=2026-01-02T10:00:00.000Z level=INFO msg=message queue="+id+" client=127.0.0.1 from=news@shop.example rcpts=1 ours=true rule=\"client 127.0.0.1\" signed=hoster.example selectors=s1 entry=\"signer.domains \\\"*\\\"\" disposition=accept ms=1")
				// A content filter hands it back under another id; the first attempt is put off.
				add("postfix/smtp", id+": to=<x@outlook.com>, relay=127.0.0.1[127.0.0.1]:10024, dsn=2.0.0, status=sent (250 2.0.0 from MTA(smtp:[127.0.0.1]:10025): 250 2.0.0 Ok: queued as F"+id+")")
				add("postfix/smtp", postfixLine("F"+id, "x@outlook.com", outlook.relay, outlook.reply))
				add("postfix/smtp", postfixLine("F"+id, "y@outlook.com", outlook.relay, outlook.reply))
			}
			add("postfix/qmgr", "B1: from=<alice@hoster.example>, size=1, nrcpt=1 (queue active)")
			add("postfix/smtp", postfixLine("B1", "x@yahoo.com", yahoo.relay, yahoo.reply))
			// Forwarded mail of strangers, and spam, are no findings.
			add("signpost", "time=2026-01-02T10:00:00.000Z level=INFO msg=message queue=C1 from=a@stranger.example ours=false disposition=accept ms=1")
			add("postfix/smtp", postfixLine("C1", "x@yahoo.com", yahoo.relay, yahoo.reply))
			add("postfix/qmgr", "C2: from=<alice@stranger.example>, size=1, nrcpt=1 (queue active)")
			add("postfix/smtp", postfixLine("C2", "x@yahoo.com", yahoo.relay, yahoo.reply))
			add("postfix/qmgr", "D1: from=<alice@hoster.example>, size=1, nrcpt=1 (queue active)")
			add("postfix/smtp", postfixLine("D1", "x@gmail.com", "gmail-smtp-in.l.google.com", "550 5.7.1 likely unsolicited mail, SPF"))
			r := refusalsOf(t, refusalYAML, log.String())
			if len(r.Findings) != 2 || len(r.Unseen) != 0 {
				t.Fatalf("%d findings: %+v; %v", len(r.Findings), r.Findings, r.Unseen)
			}
			first := r.Findings[1]
			if want := "Outlook refused 14 messages of shop.example: DKIM passed but is not aligned: entry `*` signs as d=hoster.example (last on"; !strings.HasPrefix(first.Finding, want) {
				t.Errorf("finding: %s", first.Finding)
			}
			if !strings.Contains(first.Remedy.String(), "signpost keys generate shop.example") {
				t.Errorf("remedy: %s", first.Remedy)
			}
			if second := r.Findings[0]; !strings.HasPrefix(second.Finding, "Yahoo refused 1 message of hoster.example: its verdict is SPF fail, DKIM fail") {
				t.Errorf("finding: %s", second.Finding)
			}
		})
	}
}

func TestCausesOfRefusals(t *testing.T) {
	const signed = " from=a@example.com ours=true signed=example.com selectors=s1 entry=\"signer.domains example.com\" disposition=accept ms=1"
	for _, c := range []struct{ what, own, relay, reply, finding, remedy string }{
		{"a broken signature", signed, "mx.other.example", "550 5.7.20 no passing DKIM signature found", "our signature (d=example.com) did not verify there", "signpost keys check example.com"},
		{"one that we warned of", " fragile=\"lines over 998 octets\"" + signed, "mx.other.example", "550 5.7.20 no passing DKIM signature found", "had warned that it would break: lines over 998 octets", "fragile="},
		{"not signed", " from=a@example.com ours=true unsigned=\"no key\" ms=1", "mx.other.example", "550 5.7.20 no passing DKIM signature found", "it was not signed: no key", "signpost explain"},
		{"SPF alone", signed, "mx.other.example", "550 5.7.23 SPF", "SPF failed", "spf.not-covering"},
		{"no DMARC record", signed, "gmail-smtp-in.l.google.com", "421 4.7.40 no DMARC record", "Gmail put off 1 message of example.com: the domain has no DMARC record", `_dmarc.example.com. IN TXT "v=DMARC1;`},
		{"PTR", signed, "mx.other.example", "450 4.7.25 Client host rejected: cannot find your reverse hostname", "no name in DNS", "PTR"},
	} {
		log := fmt.Sprintf("%s mx signpost[1]: level=INFO msg=message queue=A1%s\n%[1]s mx postfix/smtp[1]: %[3]s\n",
			time.Now().Add(-time.Hour).Format(time.RFC3339), c.own, postfixLine("A1", "x@y.example", c.relay, c.reply))
		r := refusalsOf(t, "signer: {domains: [{domain: example.com, selectors: [s1]}]}\n", log)
		if len(r.Findings) != 1 || !strings.Contains(r.Findings[0].Finding, c.finding) || !strings.Contains(r.Findings[0].Remedy.String(), c.remedy) {
			t.Errorf("%s: %+v", c.what, r.Findings)
		}
	}
}

func FuzzVerdict(f *testing.F) {
	for _, c := range replies {
		f.Add(postfixLine("A1", "x@y.example", c.relay, c.reply))
	}
	f.Fuzz(func(t *testing.T, message string) {
		if r, ok := (mta.LogLine{Message: message}).Refusal(); ok {
			authVerdict(r)
		}
	})
}
