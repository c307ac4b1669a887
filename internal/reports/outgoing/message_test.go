package outgoing

import (
	"bytes"
	"compress/gzip"
	"io"
	"mime"
	"mime/multipart"
	"net/mail"
	"regexp"
	"strings"
	"testing"
	"time"
)

var theDay = time.Date(2026, 11, 29, 0, 0, 0, 0, time.UTC).Unix() / 86400

func someLetter(t testing.TB, domain string) letter {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, _ = io.WriteString(z, "<feedback/>")
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	i := identity{submitter: "receiver.example", domain: domain, day: theDay, policy: []byte{1}}
	return letter{
		orgName: `Empfänger "GmbH", <x>`, from: "dmarc@receiver.example", to: "rua@blue.example", submitter: i.submitter, domain: domain,
		reportID: i.reportID(), fileName: i.fileName(i.reportID()), messageID: messageID(i.reportID(), "rua@blue.example", i.submitter),
		day: theDay, date: time.Unix(1764500000, 0), report: b.Bytes(), messages: "3 messages",
	}
}

// The ABNF of RFC 9990 §3.5.1 and §3.5.2.
var (
	subjectForm = regexp.MustCompile(`^Report[ \t\r\n]+Domain:[ \t\r\n]+([A-Za-z0-9._-]+)[ \t\r\n]+Submitter:[ \t\r\n]+([A-Za-z0-9.-]+)[ \t\r\n]+Report-ID:[ \t\r\n]+<([A-Za-z0-9]+)>$`)
	fileForm    = regexp.MustCompile(`^([A-Za-z0-9.-]+)!([A-Za-z0-9._-]+)!(\d+)!(\d+)!([A-Za-z0-9]+)\.xml\.gz$`)
)

func TestTheMailHasTheFormOfRFC9990(t *testing.T) {
	for _, domain := range []string{"blue.example", "_x.xn--bcher-kva.example", strings.Repeat("l234567890.", 22) + "example"} {
		l := someLetter(t, domain)
		text := string(l.text())
		header, _, _ := strings.Cut(text, "\r\n\r\n")
		_, subject, _ := strings.Cut(header, "\r\nSubject: ")
		subject, _, _ = strings.Cut(subject, "\r\nMessage-ID:")
		s := subjectForm.FindStringSubmatch(subject)
		if s == nil || s[1] != domain || s[2] != "receiver.example" || s[3] != l.reportID {
			t.Errorf("subject %q", subject)
		}
		f := fileForm.FindStringSubmatch(l.fileName)
		if f == nil || f[2] != domain || f[3] != "1795910400" || f[4] != "1795996799" || f[5] != l.reportID {
			t.Errorf("file name %q", l.fileName)
		}
		if strings.ReplaceAll(strings.ReplaceAll(text, "\r\n", ""), "\n", "\r") != strings.ReplaceAll(text, "\r\n", "") {
			t.Error("a bare line feed")
		}
		for line := range strings.SplitSeq(text, "\r\n") {
			if len(line) > 900 || !ascii(line) {
				t.Errorf("line %q", line)
			}
		}
		readBack(t, l, text)
	}
}

// readBack reads the mail as a receiver does.
func readBack(t *testing.T, l letter, text string) {
	t.Helper()
	m, err := mail.ReadMessage(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	from, err := m.Header.AddressList("From")
	if err != nil || from[0].Name != l.orgName || from[0].Address != l.from {
		t.Errorf("From %v, %v", from, err)
	}
	if date, err := m.Header.Date(); err != nil || !date.Equal(l.date) {
		t.Errorf("date %v, %v", date, err)
	}
	_, params, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	if err != nil {
		t.Fatal(err)
	}
	parts := multipart.NewReader(m.Body, params["boundary"])
	words, err := parts.NextPart()
	if err != nil {
		t.Fatal(err)
	}
	if text, _ := io.ReadAll(words); !strings.Contains(string(text), l.orgName) || !strings.Contains(string(text), "2026-11-29 (UTC): 3 messages") {
		t.Errorf("%s", text)
	}
	part, err := parts.NextPart()
	if err != nil {
		t.Fatal(err)
	}
	kind, params, err := mime.ParseMediaType(part.Header.Get("Content-Type"))
	if err != nil || kind != "application/gzip" || params["name"] != l.fileName || part.FileName() != l.fileName {
		t.Errorf("%s %v %q %v", kind, params, part.FileName(), err)
	}
	if cte := part.Header.Get("Content-Transfer-Encoding"); cte != "base64" {
		t.Error(cte)
	}
}

func TestTheNamesOfAReportNeverChangeAndNeverCollide(t *testing.T) {
	a := identity{"receiver.example", "blue.example", theDay, []byte{1}}
	if got := a.reportID(); got != "20261129dfmduhkezziduqtsgramxfqf" {
		t.Error(got)
	}
	seen := map[string]identity{}
	for _, i := range []identity{
		a, {"other.example", "blue.example", theDay, []byte{1}}, {"receiver.example", "red.example", theDay, []byte{1}},
		{"receiver.example", "blue.example", theDay + 1, []byte{1}}, {"receiver.example", "blue.example", theDay, []byte{2}},
		{"receiver.example", "blue.example", theDay, nil},
	} {
		id := i.reportID()
		if other, ok := seen[id]; ok || strings.Trim(id, "abcdefghijklmnopqrstuvwxyz0123456789") != "" || len(id) != 32 {
			t.Errorf("%q of %+v and %+v", id, i, other)
		}
		seen[id] = i
	}
	if messageID("r", "a@b.example", "s") != messageID("r", "A@B.example", "s") || messageID("r", "a@b.example", "s") == messageID("r", "b@b.example", "s") {
		t.Error("message ids")
	}
}
