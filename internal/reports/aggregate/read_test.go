package aggregate

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"signpost/internal/reports/refusal"
)

var update = flag.Bool("update", false, "write the golden files anew")

// readAll reads a report with its records.
func readAll(in io.Reader) (*Report, []Record, error) {
	var records []Record
	report, err := Read(in, func(r *Record) error {
		c := *r
		c.Reasons, c.Signatures, c.Senders = slices.Clone(r.Reasons), slices.Clone(r.Signatures), slices.Clone(r.Senders)
		records = append(records, c)
		return nil
	})
	return report, records, err
}

// rendering is what the golden files have: one line for the report, and one for each record.
func rendering(in io.Reader) string {
	report, records, err := readAll(in)
	if err != nil {
		return "refused: " + err.Error() + "\n"
	}
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.Encode(report)
	for _, r := range records {
		e.Encode(r)
	}
	return b.String()
}

// The files are reports as real reporters wrote them, in our words: the number in a name is that of
// the list in docs/reports.md.
func TestOddReportsAreRead(t *testing.T) {
	files, err := filepath.Glob("testdata/oddities/*.xml")
	if err != nil || len(files) < 40 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, f := range files {
		t.Run(filepath.Base(f), func(t *testing.T) {
			data, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			got := rendering(bytes.NewReader(data))
			golden := strings.TrimSuffix(f, ".xml") + ".golden"
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil || got != string(want) {
				t.Errorf("got\n%swant\n%s%v", got, want, err)
			}
			refused := strings.HasPrefix(got, "refused: ")
			if bad := strings.HasPrefix(filepath.Base(f), "bad-"); bad != refused {
				t.Errorf("refused: %v", refused)
			}
		})
	}
}

func TestTheSampleOfTheRFCIsRead(t *testing.T) {
	const path = "../../../../shared/standards/texts/dmarc-xml-0.2-sample.xml"
	data, err := os.ReadFile(path)
	if err != nil {
		t.Skip("the RFC's sample is not here")
	}
	report, records, err := readAll(bytes.NewReader(data))
	if err != nil || report.Policy.Domain != "example.com" || len(records) != 1 || records[0].Count != 123 {
		t.Errorf("%+v %+v %v", report, records, err)
	}
}

func TestAnErrorOfTheCallerEndsTheReading(t *testing.T) {
	data, err := os.ReadFile("testdata/oddities/00-rfc9990.xml")
	if err != nil {
		t.Fatal(err)
	}
	full := errors.New("disk full")
	if _, err := Read(bytes.NewReader(data), func(*Record) error { return full }); !errors.Is(err, full) {
		t.Errorf("error %v", err)
	}
	if _, err := Read(io.MultiReader(bytes.NewReader(data[:700]), broken{full}), func(*Record) error { return nil }); !errors.Is(err, full) {
		t.Errorf("error %v", err)
	}
	if _, err := Read(io.MultiReader(bytes.NewReader(data), broken{full}), func(*Record) error { return nil }); err != nil {
		t.Errorf("read beyond the end: %v", err)
	}
}

type broken struct{ err error }

func (b broken) Read([]byte) (int, error) { return 0, b.err }

// Made-up reports of any size, written as they are read.
type rows struct {
	head, row, tail string
	left            int
	rest            []byte
}

func (r *rows) Read(p []byte) (int, error) {
	if len(r.rest) == 0 {
		switch {
		case r.head != "":
			r.rest, r.head = []byte(r.head), ""
		case r.left > 0:
			r.rest = []byte(strings.Replace(r.row, "192.0.2.10", fmt.Sprintf("10.%d.%d.%d", r.left>>16, r.left>>8&255, r.left&255), 1))
			r.left--
		case r.tail != "":
			r.rest, r.tail = []byte(r.tail), ""
		default:
			return 0, io.EOF
		}
	}
	n := copy(p, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}

func manyRows(t *testing.T, n int) *rows {
	data, err := os.ReadFile("testdata/oddities/00-rfc9990.xml")
	if err != nil {
		t.Fatal(err)
	}
	head, rest, _ := strings.Cut(string(data), "  <record>")
	return &rows{head: head, row: "  <record>" + strings.TrimSuffix(rest, "</feedback>\n"), tail: "</feedback>", left: n}
}

func TestMemoryDoesNotDependOnTheNumberOfRecords(t *testing.T) {
	var peak, n uint64
	_, err := Read(manyRows(t, 50_000), func(*Record) error {
		if n++; n%1000 == 0 {
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			peak = max(peak, m.HeapInuse+m.StackInuse)
		}
		return nil
	})
	if err != nil || n != 50_000 {
		t.Fatalf("%d records, %v", n, err)
	}
	if peak > 50<<20 {
		t.Errorf("%d MB", peak>>20)
	}
	t.Logf("%d records in %.1f MB", n, float64(peak)/(1<<20))
}

func TestTooManyRecordsAreRefused(t *testing.T) {
	m := manyRows(t, MaxRecords+1)
	m.row = "<record/>"
	_, err := Read(m, func(*Record) error { return nil })
	if e := refusal.Of(err); e == nil || e.Reason != refusal.TooManyRecords {
		t.Errorf("error %v", err)
	}
}

func TestHugeTokensAreRefused(t *testing.T) {
	long := strings.Repeat("x", 1<<20)
	for _, s := range []string{
		"<feedback><report_metadata><org_name>" + long, "<feedback " + long, "<!-- " + long, "<feedback><" + long + ">", "<feedback><![CDATA[" + long,
		"<?xml " + long, "<feedback><report_metadata><org_name>" + strings.Repeat("<![CDATA["+long[:60000]+"]]>", 3), long,
		"<feedback><report_metadata><org_name>" + strings.Repeat("<"+long[:200]+"> ", 3000),
	} {
		_, _, err := readAll(strings.NewReader(s))
		if e := refusal.Of(err); e == nil || e.Reason != refusal.Token {
			t.Errorf("%.30s: %v", s, err)
		}
	}
}

func TestALongValueIsCutAtACharacter(t *testing.T) {
	in := strings.Replace(rendered(t), "Receiver of Mail", strings.Repeat("é", 2000), 1)
	report, _, err := readAll(strings.NewReader(in))
	if err != nil || report.Metadata.OrgName != strings.Repeat("é", maxComment/2) {
		t.Errorf("%d octets, %v", len(report.Metadata.OrgName), err)
	}
}

func rendered(t testing.TB) string {
	data, err := os.ReadFile("testdata/oddities/00-rfc9990.xml")
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// FuzzRead holds that nothing makes the reader panic, that what it passes is clean, and that
// it reads what a strict reader of XML reads.
func FuzzRead(f *testing.F) {
	files, _ := filepath.Glob("testdata/oddities/*.xml")
	for _, name := range files {
		data, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		report, records, err := readAll(bytes.NewReader(data))
		if err != nil {
			if refusal.Of(err).Reason == refusal.NotStored {
				t.Fatalf("an error that is no refusal: %v", err)
			}
			return
		}
		text, _ := json.Marshal(report)
		rest, _ := json.Marshal(records)
		for _, c := range string(text) + string(rest) {
			if c < ' ' {
				t.Fatalf("control character %q in %s", c, text)
			}
		}
		if report.Policy.Domain == "" || report.Metadata.OrgName == "" || report.Metadata.End.Before(report.Metadata.Begin) {
			t.Fatalf("incomplete: %s", text)
		}
		for _, r := range records {
			if !r.SourceIP.IsValid() || r.Count < 1 {
				t.Fatalf("incomplete: %+v", r)
			}
		}
	})
}

// FuzzScan holds the scanner to encoding/xml: what that reads as characters within elements, we do.
func FuzzScan(f *testing.F) {
	f.Add("<a><b>x &amp; y</b><c d='e>'/></a>")
	f.Add(rendered(f))
	f.Fuzz(func(t *testing.T, in string) {
		want, ok := strictTokens(in)
		if !ok {
			return
		}
		s := scanner{in: utf8Text(strings.NewReader(in))}
		var got []string
		for {
			tok, err := s.next()
			if err != nil {
				break
			}
			got = appendToken(got, tok.kind, tok.name, string(tok.text))
			if tok.empty {
				got = appendToken(got, tokenEnd, tok.name, "")
			}
		}
		if !slices.Equal(got, want) {
			t.Fatalf("got  %q\nwant %q", got, want)
		}
	})
}

// strictTokens reads plain XML: ASCII, without declarations, and with short names.
func strictTokens(in string) (tokens []string, ok bool) {
	for _, c := range in {
		if c > '~' || c < ' ' && c != '\n' {
			return nil, false
		}
	}
	if strings.Contains(in, "<!") || strings.Contains(in, "<?") || strings.Contains(in, "&#") || strings.Contains(in, ":") || len(in) > 10_000 {
		return nil, false
	}
	d := xml.NewDecoder(strings.NewReader(in))
	for {
		tok, err := d.RawToken()
		if err == io.EOF {
			return tokens, true
		}
		if err != nil {
			return nil, false
		}
		switch tok := tok.(type) {
		case xml.StartElement:
			if len(tok.Name.Local) >= maxName {
				return nil, false
			}
			tokens = appendToken(tokens, tokenStart, strings.ToLower(tok.Name.Local), "")
		case xml.EndElement:
			if len(tok.Name.Local) >= maxName {
				return nil, false
			}
			tokens = appendToken(tokens, tokenEnd, strings.ToLower(tok.Name.Local), "")
		case xml.CharData:
			tokens = appendToken(tokens, tokenText, "", string(tok))
		}
	}
}

func appendToken(tokens []string, kind tokenKind, name, text string) []string {
	switch kind {
	case tokenStart:
		return append(tokens, "<"+name)
	case tokenEnd:
		return append(tokens, "/"+name)
	}
	if text == "" {
		return tokens
	}
	if n := len(tokens); n > 0 && tokens[n-1][0] == ' ' {
		tokens[n-1] += text
		return tokens
	}
	return append(tokens, " "+text)
}

func TestNumbersAndAddressesAsReportersWriteThem(t *testing.T) {
	for in, want := range map[string]string{
		"192.0.2.1": "192.0.2.1", "[192.0.2.1]": "192.0.2.1", "192.000.002.010": "192.0.2.10", "192.0.2.1/32": "192.0.2.1", "192.0.2.1:25": "192.0.2.1",
		"::ffff:192.0.2.1": "192.0.2.1", "2001:0DB8:0:0::0001": "2001:db8::1", "IPv6:2001:db8::1": "2001:db8::1", "[IPv6:2001:db8::1]": "2001:db8::1",
		"[2001:db8::1]:25": "2001:db8::1", "2001:db8::1/128": "2001:db8::1", "2001:db8::1%eth0": "2001:db8::1", "2001:db8::192.0.2.33": "2001:db8::c000:221",
		"192.0.2.0/24": "invalid IP", "192.000.002.0109": "invalid IP", "2001:db8::g": "invalid IP", "": "invalid IP", "mail.example.com": "invalid IP",
	} {
		if got := address(in).String(); got != want {
			t.Errorf("address %q: %s, want %s", in, got, want)
		}
	}
	for in, want := range map[string]int64{
		"3": 3, "3.0": 3, "3,0": 3, "1,234": 1234, "1,234,567": 1234567, "-5": 0, "0": 0, "1,2,3": 0, ",5": 0, "99999999999999999999": 0, "1000000000": 1e9, "1000000001": 0, "NaN": 0, "": 0,
	} {
		if got, _ := count(in); got != want {
			t.Errorf("count %q: %d, want %d", in, got, want)
		}
	}
	for _, in := range []string{"1793491200", "1793491200.0", "1793491200,0", "1793491200000", "1.7934912E9", "2026-11-01T00:00:00Z",
		"2026-11-01T01:00:00+01:00", "2026-11-01T01:00:00+0100", "2026-11-01T00:00:00", "2026-11-01 00:00:00", "2026-11-01"} {
		if got, ok := instant(in); !ok || got.Unix() != 1793491200 {
			t.Errorf("time %q: %s", in, got)
		}
	}
}

// A database does not take NUL as text, and a terminal obeys ESC.
func TestReferencesToCharactersThatXMLHasNot(t *testing.T) {
	for in, want := range map[string]string{"a&#0;b": "a&#0;b", "a&#x1b;b": "a&#x1b;b", "a&#10;b": "a\nb", "&#xfffe;": "&#xfffe;", "&#228;": "ä"} {
		if got := string(unescape([]byte(in))); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}
