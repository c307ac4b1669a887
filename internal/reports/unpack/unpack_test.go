package unpack

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"

	"signpost/internal/reports/refusal"
)

const (
	xml  = "<?xml version=\"1.0\"?>\n<feedback><report_metadata><org_name>é=1</org_name></report_metadata></feedback>\n"
	json = "{\"organization-name\": \"Receiver of Mail\", \"policies\": []}\n"
)

func zipped(files ...string) string {
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for i := 0; i < len(files); i += 2 {
		w, _ := z.Create(files[i])
		io.WriteString(w, files[i+1])
	}
	z.Close()
	return b.String()
}

func gzipped(s string) string {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	io.WriteString(w, s)
	w.Close()
	return b.String()
}

func b64(s string) string {
	s = base64.StdEncoding.EncodeToString([]byte(s))
	var b strings.Builder
	for len(s) > 76 {
		b.WriteString(s[:76] + "\r\n")
		s = s[76:]
	}
	return b.String() + s + "\r\n"
}

func mail(fields, body string) string {
	return "Received: from a.example by b.example; Sun, 1 Nov 2026 00:00:00 +0000\r\nFrom: dmarc@receiver.example\r\n" + fields + "\r\n" + body
}

func attached(fields, body string) string {
	return mail("Content-Type: multipart/mixed;\r\n\tboundary=\"=_1\"\r\n",
		"This is MIME.\r\n--=_1\r\nContent-Type: text/plain\r\n\r\nThis is a report. <feedback> and {\"policies\"}\r\n--=_1\r\n"+fields+"\r\n"+body+"\r\n--=_1--\r\nrest\r\n")
}

// all returns what is found, each read to its end, and the ids of what is refused.
func all(data string) (documents, refused []string) {
	Find([]byte(data), func(d Document) {
		text, err := io.ReadAll(d.Open())
		if err != nil {
			text = append(text, " error: "+refusal.Of(err).ID...)
		}
		again, _ := io.ReadAll(d.Open())
		if err == nil && !bytes.Equal(text, again) {
			text = []byte("another text the second time")
		}
		documents = append(documents, string(d.Kind)+" "+string(text))
	}, func(where string, err error) { refused = append(refused, refusal.Of(err).ID) })
	return documents, refused
}

// What may have a report and is not read is named, also beside a report that is read.
func TestFormatsThatAreNotReadAreNamed(t *testing.T) {
	octets := "Content-Type: application/octet-stream\r\nContent-Transfer-Encoding: base64\r\n"
	var tape bytes.Buffer
	w := tar.NewWriter(&tape)
	w.WriteHeader(&tar.Header{Name: "a.xml", Mode: 0o600, Size: int64(len(xml))})
	io.WriteString(w, xml)
	w.Close()
	bzip2 := "BZh91AY&SY\x8a\x01\x02\x03" + strings.Repeat("x", 100)
	uuencoded := "begin 644 a.xml.gz\r\n#0V%T\r\n`\r\nend\r\n"
	for _, c := range []struct{ name, in, want string }{
		{"tar", tape.String(), "tar"},
		{"tar in gzip", attached(octets, b64(gzipped(tape.String()))), "tar"},
		{"tar in gzip called gzip", mail("Content-Type: application/gzip\r\nContent-Transfer-Encoding: base64\r\n", b64(gzipped(tape.String()))), "tar"},
		{"bzip2", attached(octets, b64(bzip2)), "bzip2"},
		{"bzip2 in zip", zipped("a.bz2", bzip2), "bzip2"},
		{"xz", attached(octets, b64("\xfd7zXZ\x00"+strings.Repeat("x", 100))), "xz"},
		{"7-Zip", attached(octets, b64("7z\xbc\xaf\x27\x1c"+strings.Repeat("x", 100))), "7-Zip"},
		{"RAR", attached(octets, b64("Rar!\x1a\x07\x01\x00"+strings.Repeat("x", 100))), "RAR"},
		{"Zstandard", attached(octets, b64("\x28\xb5\x2f\xfd"+strings.Repeat("x", 100))), "Zstandard"},
		{"Outlook", attached(octets, b64("\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"+strings.Repeat("x", 100))), "Outlook"},
		{"TNEF", attached(octets, b64("\x78\x9f\x3e\x22"+strings.Repeat("x", 100))), "TNEF"},
		{"uuencode", mail("", "A report:\r\n\r\n"+uuencoded), "uuencode"},
		{"uuencode in a part", attached("Content-Transfer-Encoding: x-uuencode\r\n", uuencoded), "uuencode"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var got []string
			Find([]byte(c.in), func(d Document) { got = append(got, string(d.Kind)) }, func(where string, err error) {
				if e := refusal.Of(err); e.Reason == refusal.UnreadFormat {
					got = append(got, e.Detail)
				} else {
					got = append(got, e.Error())
				}
			})
			if len(got) != 1 || !strings.Contains(got[0], c.want) {
				t.Errorf("told %q, want %q once", got, c.want)
			}
		})
	}
	both := mail("Content-Type: multipart/mixed; boundary=b\r\n", "--b\r\n"+octets+"\r\n"+b64(bzip2)+"--b\r\n"+octets+"\r\n"+b64(gzipped(xml))+"--b--")
	if documents, refused := all(both); len(documents) != 1 || strings.Join(refused, " ") != "unread-format" {
		t.Errorf("found %q, refused %q", documents, refused)
	}
	for name, in := range map[string]string{
		"a text about it":     mail("", "They\r\nbegin 644 of them\r\nand go on for a long time, as texts do.\r\n"),
		"an image":            attached(octets, b64("\x89PNG\r\n\x1a\n"+strings.Repeat("x", 600))),
		"a word at the start": attached("", "BZh is a word"),
	} {
		if documents, refused := all(in); len(documents)+len(refused) > 0 {
			t.Errorf("%s: found %q, refused %q", name, documents, refused)
		}
	}
}

// The numbers are those of the list in docs/reports.md.
func TestReportsAreFoundByTheirContent(t *testing.T) {
	octets := "Content-Type: application/octet-stream\r\nContent-Transfer-Encoding: base64\r\n"
	quoted := strings.NewReplacer("=", "=3D", "é", "=c3=A9", "<report", "=\r\n<report").Replace(xml)
	for name, in := range map[string]string{
		"plain":                              xml,
		"gzip":                               gzipped(xml),
		"zip":                                zipped("a.xml", xml),
		"1 zip as the whole body":            mail("Content-Type: application/zip; name=a\r\nContent-Transfer-Encoding: base64\r\n", b64(zipped("a.xml", xml))),
		"2 gzip called zip":                  attached("Content-Type: application/zip; name=a.zip\r\nContent-Transfer-Encoding: base64\r\n", b64(gzipped(xml))),
		"2 gzip called XML":                  attached("Content-Type: text/xml; name=a.xml\r\nContent-Transfer-Encoding: BASE64\r\n", b64(gzipped(xml))),
		"2 gzip called text":                 attached("Content-Transfer-Encoding: base64\r\n", b64(gzipped(xml))),
		"3 zip called gzip":                  attached("Content-Type: application/gzip\r\nContent-Transfer-Encoding: base64\r\n", b64(zipped("a", xml))),
		"3 gzip and a rest":                  attached(octets, b64(gzipped(xml)+"\x00\x00rest")),
		"3 space in front of gzip":           attached(octets, b64("\r\n"+gzipped(xml))),
		"3 zip without its directory":        zipped("a.xml", xml)[:len(zipped("a.xml", xml))-30],
		"3 a rest in front of zip":           attached(octets, b64("\r\n"+zipped("a.xml", xml))),
		"4 plain XML as 7bit":                attached("Content-Type: text/xml\r\n", strings.ReplaceAll(xml, "\n", "\r\n")),
		"4 plain XML as 8bit":                attached("Content-Type: application/octet-stream\r\nContent-Transfer-Encoding: 8bit\r\n", xml),
		"4 plain XML, quoted":                attached("Content-Type: text/xml\r\nContent-Transfer-Encoding: quoted-printable\r\n", quoted),
		"4 XML that only says base64":        attached(octets, xml),
		"4 base64 that does not":             attached("Content-Type: text/plain\r\n", b64(xml)),
		"4 gzip that does not":               attached("Content-Type: text/plain\r\n", b64(gzipped(xml))),
		"4 XML as the whole body":            mail("Content-Type: text/xml\r\n", xml),
		"5 a name in pieces":                 attached("Content-Type: application/gzip;\r\n name*0*=UTF-8''a%21;\r\n name*1=b.gz\r\nContent-Transfer-Encoding: base64\r\n", b64(gzipped(xml))),
		"5 a type that is none":              attached("Content-Type: gzip\r\nContent-Disposition: inline\r\nContent-Transfer-Encoding: base64\r\n", b64(gzipped(xml))),
		"6 a body that says unused":          mail("Content-Type: multipart/mixed; boundary=b\r\n", "--b\r\n\r\nunused\r\n--b\r\n"+octets+"\r\n"+b64(gzipped(xml))+"--b--"),
		"21 no end of the multipart":         strings.Split(attached(octets, b64(gzipped(xml))), "\r\n--=_1--")[0],
		"22 a forwarded message":             attached("Content-Type: message/rfc822\r\n", attached(octets, b64(gzipped(xml)))),
		"22 forwarded as octets":             attached(octets, b64(attached(octets, b64(gzipped(xml))))),
		"22 forwarded in a zip":              zipped("a.eml", attached(octets, b64(gzipped(xml)))),
		"a boundary that is missing":         mail("Content-Type: multipart/mixed\r\n", "--b\r\n"+octets+"\r\n"+b64(gzipped(xml))+"--b--"),
		"a type that is broken":              mail("Content-Type: multipart/mixed; x=\"; boundary=b; y\r\n", "--b\r\n"+octets+"\r\n"+b64(gzipped(xml))+"--b--"),
		"a multipart in one":                 attached("Content-Type: multipart/related; boundary=c\r\n", "--c\r\n"+octets+"\r\n"+b64(gzipped(xml))+"\r\n--c--\r\n"),
		"a part without fields":              mail("Content-Type: multipart/mixed; boundary=b\r\n", "--b\r\n"+xml+"--b--"),
		"LF alone":                           strings.ReplaceAll(attached(octets, b64(gzipped(xml))), "\r\n", "\n"),
		"base64 with odd characters":         attached(octets, strings.ReplaceAll(b64(gzipped(xml)), "\r\n", " *\r\n!")),
		"base64 without padding, and a rest": attached(octets, strings.ReplaceAll(b64(gzipped(xml)+"x"), "=", "")),
		"base64 in pieces":                   attached(octets, b64(gzipped(xml)[:10])+b64(gzipped(xml)[10:])),
		"gzip in gzip":                       gzipped(gzipped(xml)),
		"zip in gzip":                        gzipped(zipped("a", xml)),
		"a mailbox's first line":             "From a@b Sun Nov  1 00:00:00 2026\n" + attached(octets, b64(gzipped(xml))),
		"other files beside it":              zipped("x/", "", "__MACOSX/a.xml", xml, "readme.txt", "read me", "a.xml", xml),
		"a header that is long":              mail("X-A: "+strings.Repeat("a", 10_000)+"\r\n"+octets, b64(gzipped(xml))),
		"a declaration that is UTF-16":       attached(octets, b64(gzipped(xml))),
	} {
		t.Run(name, func(t *testing.T) {
			got, refused := all(in)
			if len(got) == 1 {
				got[0] = strings.ReplaceAll(got[0], "\r\n", "\n")
			}
			if len(got) != 1 || strings.TrimSpace(got[0]) != "aggregate "+strings.TrimSpace(xml) {
				// Multistream gzip has what follows the end as an error, which a reader of XML does not meet.
				if len(got) == 1 && strings.HasPrefix(got[0], "aggregate "+xml) && strings.Contains(name, "rest") {
					return
				}
				t.Errorf("found %q, refused %v", got, refused)
			}
		})
	}
}

func TestTLSReportsAreFoundByTheirContent(t *testing.T) {
	for name, in := range map[string]string{
		"plain":                 json,
		"a mark":                "\xef\xbb\xbf" + json,
		"RFC 8460":              mail("Content-Type: multipart/report; report-type=tlsrpt; boundary=b\r\n", "--b\r\nContent-Type: application/tlsrpt+gzip\r\nContent-Transfer-Encoding: base64\r\n\r\n"+b64(gzipped(json))+"--b--"),
		"octets":                attached("Content-Type: application/octet-stream\r\nContent-Transfer-Encoding: base64\r\n", b64(gzipped(json))),
		"JSON":                  attached("Content-Type: application/tlsrpt+json\r\n", json),
		"JSON in base64":        attached("Content-Type: application/tlsrpt+json\r\nContent-Transfer-Encoding: base64\r\n", b64(json)),
		"JSON in silent base64": attached("Content-Type: application/tlsrpt+json\r\n", b64(json)),
		"zip":                   attached("Content-Type: application/zip\r\n", b64(zipped("a", json))),
	} {
		got, refused := all(in)
		if len(got) != 1 || strings.TrimSpace(strings.ReplaceAll(got[0], "\xef\xbb\xbf", "")) != "tls "+strings.TrimSpace(json) {
			t.Errorf("%s: found %q, refused %v", name, got, refused)
		}
	}
}

func TestOtherMailIsNoReport(t *testing.T) {
	for name, in := range map[string]string{
		"nothing": "", "text": "Hello", "mail": mail("Subject: Report\r\n", "Hello <feedback>\r\n"), "HTML": mail("Content-Type: text/html\r\n", "<html>your opinion</html>"),
		"an image": attached("Content-Type: image/png\r\nContent-Transfer-Encoding: base64\r\n", b64("\x89PNG\r\n\x1a\n123")), "JSON": `{"a": 1}`,
		"a zip of text": zipped("a", "b"), "spaces": strings.Repeat(" \r\n", 10_000), "no body": mail("", ""), "a header alone": "Subject: a\r\n",
	} {
		if got, refused := all(in); len(got)+len(refused) > 0 {
			t.Errorf("%s: found %q, refused %v", name, got, refused)
		}
	}
}

func TestBombsAreRefused(t *testing.T) {
	bomb := xml[:60] + strings.Repeat("\n", MaxDocument)
	deep := gzipped(xml)
	for range maxDepth + 1 {
		deep = gzipped(deep)
	}
	nested := xml
	for i := range 30 {
		nested = fmt.Sprintf("Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n%s\r\n--b%d--\r\n", i, i, nested, i)
	}
	var files []string
	for i := range maxParts + 50 {
		files = append(files, fmt.Sprint(i), "text")
	}
	encrypted := []byte(zipped("a", xml))
	encrypted[6] |= 1
	encrypted[bytes.Index(encrypted, []byte("PK\x01\x02"))+8] |= 1
	for name, c := range map[string]struct{ in, want string }{
		"gzip": {gzipped(bomb), "too-big"},
		"zip":  {zipped("a", bomb), "too-big"},
		"gzip within which nothing is a digit of base64": {gzipped("H4sI" + strings.Repeat("!", MaxDocument)), "too-big"},
		"gzip within which blocks are empty":             {gzipped("\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff" + strings.Repeat("\x00\x00\x00\xff\xff", MaxDocument/4)), "too-big"},
		"gzip in gzip":                                   {gzipped(gzipped(bomb)), "too-big"},
		"zip in gzip":                                    {gzipped(zipped("a", "b") + strings.Repeat("\x00", MaxMessage)), "too-big"},
		"gzip of gzips":                                  {deep, "too-deep"},
		"multiparts":                                     {nested, "too-deep"},
		"files":                                          {zipped(files...), "too-many-parts"},
		"parts":                                          {mail("Content-Type: multipart/mixed; boundary=b\r\n", strings.Repeat("--b\r\n\r\ntext\r\n", 300)), "too-many-parts"},
		"a zip that ends":                                {zipped("a", xml)[:40], "truncated"},
		"a gzip that ends":                               {gzipped(xml)[:30], "truncated"},
		"broken gzip":                                    {gzipped(xml)[:10] + "\xff\xff\xff", "malformed"},
		"a password":                                     {string(encrypted), "encrypted"},
	} {
		got, refused := all(c.in)
		found := strings.Join(refused, " ")
		for _, g := range got {
			if _, id, ok := strings.Cut(g, " error: "); ok {
				found += " " + id
			}
		}
		if !strings.Contains(found, c.want) {
			t.Errorf("%s: %s, want %s", name, found, c.want)
		}
	}
}

// A hundred files that are each within the limit are together beyond it.
func TestAllTogetherIsBounded(t *testing.T) {
	one := xml[:60] + strings.Repeat("\n", 40<<20)
	var files []string
	for i := range 20 {
		files = append(files, fmt.Sprint(i), one)
	}
	got, _ := all(zipped(files...))
	total := 0
	for _, g := range got {
		total += len(g)
	}
	if total > maxTotal+1<<20 || !strings.HasSuffix(got[len(got)-1], "too-big") {
		t.Errorf("%d octets", total)
	}
}

// Where the structure of a message does not lead to the report, its text does.
func TestReportsInBrokenMail(t *testing.T) {
	zip := "Content-Type: application/zip\r\nContent-Transfer-Encoding: base64\r\n"
	whole := attached(zip, b64(zipped("a", xml)))
	for name, in := range map[string]string{
		"another boundary":            strings.Replace(whole, `boundary="=_1"`, `boundary="=_2"`, 1),
		"an empty boundary":           strings.Replace(whole, `"=_1"`, `""`, 1),
		"no Content-Type":             strings.Replace(whole, "Content-Type: multipart/mixed;\r\n\tboundary=\"=_1\"\r\n", "", 1),
		"text/plain":                  strings.Replace(whole, "multipart/mixed", "text/plain", 1),
		"two Content-Types":           strings.Replace(whole, "From: ", "Content-Type: text/plain\r\nFrom: ", 1),
		"no empty line before a body": strings.Replace(whole, zip+"\r\n", zip, 1),
		"a line that is no field":     strings.Replace(whole, "From: ", "no field\r\nFrom: ", 1),
		"a byte order mark":           "\xef\xbb\xbf" + whole,
		"CR":                          strings.ReplaceAll(whole, "\r\n", "\r"),
		"LF":                          strings.ReplaceAll(strings.Replace(whole, `"=_1"`, `""`, 1), "\r\n", "\n"),
		"XML below text":              mail("", "This is your report:\r\n\r\n"+xml+"\r\nBye"),
		"quoted-printable":            mail("", "This is your report:\r\n\r\n"+strings.ReplaceAll(xml, "=", "=3D")),
		"a comment":                   "<!-- " + strings.Repeat("x", 16000) + " -->" + xml,
	} {
		documents, refused := all(in)
		if len(documents) != 1 || !strings.Contains(documents[0], "<org_name>é=1</org_name>") || refused != nil {
			t.Errorf("%s: %q, %q", name, documents, refused)
		}
	}
}

func TestMailboxWithinAnotherFile(t *testing.T) {
	message := attached("Content-Transfer-Encoding: base64\r\n", b64(zipped("a", xml)))
	documents, refused := all(gzipped("From a Sun Nov  1 00:00:00 2026\n" + message + "\nFrom b Sun Nov  1 00:00:00 2026\n" + message))
	if len(documents) != 2 || refused != nil {
		t.Errorf("%q, %q", documents, refused)
	}
}

func TestLinesBetweenMessages(t *testing.T) {
	for name, c := range map[string]struct {
		in   string
		want int
	}{
		"no empty line":          {"From a Sun Nov  1 00:00:00 2026\nSubject: a\n\na\nFrom b Sun Nov  1 00:00:00 2026\nSubject: b\n\nb\n", 2},
		"no time":                {"From -\nSubject: a\n\na\n\nFrom -\r\nSubject: b\n\nb\n", 2},
		"text, after a line":     {"From a Sun Nov  1 00:00:00 2026\nSubject: a\n\na\nFrom 10:00 on\nwe sleep\n", 1},
		"text, after no line":    {"From a Sun Nov  1 00:00:00 2026\nSubject: a\n\nFrom now\non\n", 1},
		"text, at the very end":  {"From a Sun Nov  1 00:00:00 2026\nSubject: a\n\nFrom", 1},
		"text across the buffer": {"From a Sun Nov  1 00:00:00 2026\nSubject: a\n\n" + strings.Repeat("From a\n", 20000), 1},
	} {
		var all string
		n := 0
		err := Mbox(strings.NewReader(c.in), func(m []byte, err error) error { n++; all += string(m); return err })
		lost := len(c.in) - len(all)
		if err != nil || n != c.want || lost > c.want*40 || strings.Contains(name, "across") && strings.Count(all, "From a\n") != 20000 {
			t.Errorf("%s: %d messages, %d octets lost, %v", name, n, lost, err)
		}
	}
}

// After one bomb, the others beside it are not read.
func TestTheFirstBombIsTheLast(t *testing.T) {
	bomb := xml[:60] + strings.Repeat("\n", MaxDocument)
	got, refused := all(zipped("a", bomb, "b", bomb))
	total := 0
	for _, g := range got {
		total += len(g)
	}
	if total > MaxDocument+1<<20 || len(got) != 1 || !strings.HasSuffix(got[0], "too-big") || strings.Join(refused, " ") != "too-big" {
		t.Errorf("%d octets of %d reports, %s", total, len(got), refused)
	}
}

func TestMessagesOfAMailbox(t *testing.T) {
	a, b := "Subject: a\n\nFrom here\n>From there\n", "Subject: b\r\n\r\nbody\r\n"
	in := "From a Sun Nov  1 00:00:00 2026\n" + a + "\nFrom b Mon Nov  2 00:00:00 2026\n" + b + "\r\nFrom c Tue Nov  3 00:00:00 2026\n" + strings.Repeat("c", MaxMessage+1) + "\n\nFrom d Wed Nov  4 00:00 2026\n" + a
	var got []string
	var failed int
	err := Mbox(strings.NewReader(in), func(m []byte, err error) error {
		if err != nil {
			failed++
		} else {
			got = append(got, strings.TrimSpace(string(m)))
		}
		return nil
	})
	want := []string{strings.TrimSpace(a), strings.TrimSpace(b), strings.TrimSpace(a)}
	if err != nil || failed != 1 || fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%q, %d too big, %v", got, failed, err)
	}
	stop := errors.New("stop")
	if err := Mbox(strings.NewReader(in), func([]byte, error) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("%v", err)
	}
}

func FuzzFind(f *testing.F) {
	f.Add([]byte(xml))
	f.Add([]byte(attached("Content-Transfer-Encoding: base64\r\n", b64(gzipped(xml)))))
	f.Add([]byte(zipped("a", json, "b", gzipped(xml))))
	f.Add([]byte(attached("Content-Transfer-Encoding: quoted-printable\r\nContent-Type: message/rfc822\r\n", attached("", "=3C=\r\nfeedback"))))
	f.Fuzz(func(t *testing.T, data []byte) {
		Find(data, func(d Document) { io.Copy(io.Discard, d.Open()) }, func(_ string, err error) {
			if e := refusal.Of(err); e == nil || e.Reason == refusal.NotStored {
				t.Fatalf("no refusal: %v", err)
			}
		})
		Mbox(bytes.NewReader(data), func([]byte, error) error { return nil })
	})
}

// A directory of a zip archive may have more files than are read. It is not taken into memory.
func TestADirectoryOfManyFilesTakesLittleMemory(t *testing.T) {
	var b bytes.Buffer
	b.WriteString("PK\x03\x04" + strings.Repeat("\x00", 26))
	start := b.Len()
	b.WriteString(strings.Repeat("PK\x01\x02"+strings.Repeat("\x00", 42), 700_000))
	size := b.Len() - start
	b.WriteString("PK\x05\x06\x00\x00\x00\x00")
	for _, n := range []uint16{700_000 & 0xffff, 700_000 & 0xffff} {
		b.Write(binary.LittleEndian.AppendUint16(nil, n))
	}
	for _, n := range []int{size, start} {
		b.Write(binary.LittleEndian.AppendUint32(nil, uint32(n)))
	}
	b.WriteString("\x00\x00")
	in := gzipped(b.String())
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	documents, refused := all(in)
	runtime.ReadMemStats(&after)
	if len(documents) != 0 || strings.Join(refused, " ") != "too-many-parts" {
		t.Errorf("found %q, refused %q", documents, refused)
	}
	// The archive itself is read into a buffer that grows.
	if taken := after.TotalAlloc - before.TotalAlloc; taken > 180<<20 {
		t.Errorf("%d MB were taken", taken>>20)
	}
}
