package outgoing

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"mime/quotedprintable"
	"net/mail"
	"strconv"
	"time"

	"signpost/internal/message"
)

// identity is the identity of one report: about a policy domain, a day, and one policy that
// the domain had on it. Its names are always the same.
type identity struct {
	submitter, domain string
	day               int64  // since 1970
	policy            []byte // identifies the policy
}

func (i identity) begin() time.Time { return time.Unix(i.day*86400, 0).UTC() }

// end is the last second of the day.
func (i identity) end() time.Time { return time.Unix((i.day+1)*86400-1, 0).UTC() }

// reportID is the Report-ID, made of letters and digits: so it can be the unique-id of the
// file name too, which RFC 9990 §3.1.4 wants to be identical.
func (i identity) reportID() string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s\x00%s\x00%d\x00%x", i.submitter, i.domain, i.day, i.policy))
	return i.begin().Format("20060102") + letters.EncodeToString(sum[:15])
}

// fileName is the name of the attachment (RFC 9990 §3.5.2).
func (i identity) fileName(reportID string) string {
	return i.submitter + "!" + i.domain + "!" + strconv.FormatInt(i.begin().Unix(), 10) + "!" +
		strconv.FormatInt(i.end().Unix(), 10) + "!" + reportID + ".xml.gz"
}

// A letter is the mail with one report for one address.
type letter struct {
	orgName, from, to  string
	submitter, domain  string
	reportID, fileName string
	messageID          string // without angle brackets
	day                int64
	date               time.Time // of the report, the same at each attempt
	report             []byte    // gzip
	messages           string    // how many messages it is about, in words
}

// messageID is the Message-ID of the mail to one address.
func messageID(reportID, address, submitter string) string {
	key := deliveryKey(reportID, address)
	return reportID + "." + letters.EncodeToString(key[:]) + "@" + submitter
}

// text writes the mail: a short explanation and the report (RFC 9990 §3.5.2). Nothing in it
// changes from one attempt to the next.
func (l letter) text() []byte {
	boundary := "report-" + l.reportID
	var b bytes.Buffer
	field := func(name, value string) { b.WriteString(name + ": " + value + "\r\n") }
	field("Date", l.date.UTC().Format("Mon, 02 Jan 2006 15:04:05 +0000"))
	field("From", (&mail.Address{Name: l.orgName, Address: l.from}).String())
	field("To", "<"+l.to+">")
	// The folds are FWS of the subject's ABNF, and keep lines short for domains of any length.
	field("Subject", "Report Domain: "+l.domain+"\r\n Submitter: "+l.submitter+"\r\n Report-ID: <"+l.reportID+">")
	field("Message-ID", "<"+l.messageID+">")
	field("Auto-Submitted", "auto-generated") // RFC 3834 §5
	field("MIME-Version", "1.0")
	field("Content-Type", "multipart/mixed;\r\n boundary=\""+boundary+"\"")
	b.WriteString("\r\n--" + boundary + "\r\n")
	l.explanation(&b)
	b.WriteString("\r\n--" + boundary + "\r\n")
	field("Content-Type", "application/gzip;\r\n name=\""+l.fileName+"\"")
	field("Content-Disposition", "attachment;\r\n filename=\""+l.fileName+"\"")
	field("Content-Transfer-Encoding", "base64")
	b.WriteString("\r\n")
	base64Lines(&b, l.report)
	b.WriteString("--" + boundary + "--\r\n")
	return b.Bytes()
}

// explanation is the part for people.
func (l letter) explanation(b *bytes.Buffer) {
	b.WriteString("Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n")
	w := quotedprintable.NewWriter(b)
	// Buffer returns no errors.
	fmt.Fprintf(w, `This is an aggregate report of DMARC (RFC 9990) from %s.
It is about mail with the author domain %s, or a domain below,
that arrived here on %s (UTC): %s.

The DMARC record of %[2]s asks for it (rua=).
Remove the address from the record to get no more reports.
`, l.orgName, l.domain, time.Unix(l.day*86400, 0).UTC().Format("2006-01-02"), l.messages)
	_ = w.Close()
}

// base64Lines writes lines of 76 characters (RFC 2045 §6.8).
func base64Lines(b *bytes.Buffer, data []byte) {
	const octets = 57
	for len(data) > 0 {
		n := min(octets, len(data))
		b.WriteString(base64.StdEncoding.EncodeToString(data[:n]) + "\r\n")
		data = data[n:]
	}
}

// split divides a message of this package.
func split(text []byte) (message.Header, []byte, error) {
	h, _, err := message.Split(bytes.NewReader(text), message.Limits{})
	_, body, _ := bytes.Cut(text, []byte("\r\n\r\n"))
	return h, body, err
}
