package aggregate

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

var day = time.Date(2026, 11, 29, 0, 0, 0, 0, time.UTC)

func sampleReport() Report {
	return Report{
		Metadata: Metadata{
			OrgName: "Receiver", Email: "dmarc@receiver.example", ReportID: "20261129abc",
			Begin: day, End: day.Add(24*time.Hour - time.Second), Generator: "Signpost",
		},
		Policy: Policy{Domain: "example.com", P: "reject", ADKIM: "r", ASPF: "r", FO: "0", Testing: "n", DiscoveryMethod: "treewalk"},
	}
}

func sampleRecord() Record {
	return Record{
		SourceIP: netip.MustParseAddr("192.0.2.1"), Count: 3, Disposition: "pass", DKIM: "pass", SPF: "fail",
		HeaderFrom: "example.com", EnvelopeFrom: "bounces.example.net",
		Signatures: []Signature{{Domain: "example.com", Selector: "s1", Result: "pass"}},
		Senders:    []Sender{{Domain: "bounces.example.net", Scope: "mfrom", Result: "softfail"}},
	}
}

func written(t testing.TB, r Report, records ...Record) string {
	t.Helper()
	var b bytes.Buffer
	w := NewWriter(&b, r)
	for i := range records {
		if err := w.Record(&records[i]); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// hostile are texts that a sender may choose.
var hostile = []string{
	"", " ", "\x00", "a\x00b\x1f\x7f", "\xff\xfe", "]]>", "<!DOCTYPE x [<!ENTITY y \"z\">]>", "&amp;&lt;&y;",
	"</domain></dkim><injected/>", "\"'><", "\u0085\u2028\ufffe\uffff", "\xed\xa0\x80", "é.example", "a\r\nb\tc",
	strings.Repeat("x", 70000), strings.Repeat("é", 40000), strings.Repeat("\xff", 3000), "Pass", "REJECT",
}

// shapes are reports of every kind, by name.
func shapes() map[string]func() (Report, []Record) {
	all := map[string]func() (Report, []Record){
		"as usual": func() (Report, []Record) { return sampleReport(), []Record{sampleRecord()} },
		"an empty report and record": func() (Report, []Record) {
			return Report{Metadata: Metadata{Begin: day, End: day}}, []Record{{SourceIP: netip.IPv4Unspecified(), Count: 1}}
		},
		"every element": func() (Report, []Record) {
			r, rec := sampleReport(), sampleRecord()
			r.Metadata.Error, r.Metadata.ExtraContact = "two records", "https://receiver.example/"
			r.Policy.SP, r.Policy.NP, r.Policy.Testing, r.Policy.FO = "none", "quarantine", "y", "0:1:d:s"
			rec.EnvelopeTo = "receiver.example"
			rec.Reasons = []Reason{{"local_policy", "arc=pass"}, {"trusted_forwarder", ""}, {"unknown", "kind"}}
			rec.Signatures[0].HumanResult, rec.Senders[0].HumanResult = "good", "so so"
			return r, []Record{rec, rec}
		},
		"IPv6": func() (Report, []Record) {
			a, b := sampleRecord(), sampleRecord()
			a.SourceIP, b.SourceIP = netip.MustParseAddr("fe80::1%eth0"), netip.MustParseAddr("::ffff:192.0.2.9")
			return sampleReport(), []Record{a, b}
		},
		"the null sender, and neither SPF nor DKIM": func() (Report, []Record) {
			rec := sampleRecord()
			rec.EnvelopeFrom, rec.Signatures, rec.Senders = "", nil, nil
			return sampleReport(), []Record{rec}
		},
		"several results of SPF": func() (Report, []Record) {
			rec := sampleRecord()
			rec.Senders = []Sender{{"", "mfrom", "none", ""}, {"mail.example", "helo", "pass", ""}, {"example.com", "mfrom", "hardfail", ""}, {"example.net", "mfrom", "pass", ""}}
			return sampleReport(), []Record{rec}
		},
		"150 signatures": func() (Report, []Record) {
			rec := sampleRecord()
			rec.Signatures = nil
			for i := range 150 {
				rec.Signatures = append(rec.Signatures, Signature{fmt.Sprintf("d%d.example", i), "s", []string{"fail", "pass"}[i%2], ""})
			}
			return sampleReport(), []Record{rec}
		},
	}
	for _, words := range [][]string{policies, dispositions, overrides, dkimResults, spfResults, hostile} {
		for i, word := range words {
			all[fmt.Sprintf("%s %d %.20q everywhere", words[0], i, word)] = func() (Report, []Record) { return everywhere(word) }
		}
	}
	return all
}

// everywhere has one text in each place.
func everywhere(s string) (Report, []Record) {
	r := Report{
		Namespace: s, Version: s,
		Metadata: Metadata{OrgName: s, Email: s, ExtraContact: s, ReportID: s, Begin: day, End: day.Add(time.Hour), Error: s, Generator: s},
		Policy:   Policy{Domain: s, P: s, SP: s, NP: s, ADKIM: s, ASPF: s, FO: s, Testing: s, DiscoveryMethod: s, Pct: s},
	}
	rec := Record{
		SourceIP: netip.MustParseAddr("2001:db8::1"), Count: 1, Disposition: s, DKIM: s, SPF: s, Reasons: []Reason{{s, s}},
		HeaderFrom: s, EnvelopeFrom: s, EnvelopeTo: s, Signatures: []Signature{{s, s, s, s}}, Senders: []Sender{{s, s, s, s}, {s, "mfrom", s, s}},
	}
	return r, []Record{rec}
}

func TestEveryReportIsValidByTheSchema(t *testing.T) {
	schema := schemaFile(t)
	dir := t.TempDir()
	args := []string{"--noout", "--nonet", "--schema", schema}
	names := map[string]string{}
	for name, shape := range shapes() {
		r, records := shape()
		file := filepath.Join(dir, fmt.Sprintf("%d.xml", len(names)))
		if err := os.WriteFile(file, []byte(written(t, r, records...)), 0o600); err != nil {
			t.Fatal(err)
		}
		names[file] = name
		args = append(args, file)
	}
	said, err := exec.Command("xmllint", args...).CombinedOutput()
	if err == nil {
		return
	}
	for line := range strings.Lines(string(said)) {
		file, _, _ := strings.Cut(line, ":")
		file, _, _ = strings.Cut(file, " ")
		if !strings.HasSuffix(line, " validates\n") {
			t.Errorf("%s: %s", names[file], line)
		}
	}
	t.Fatal(err)
}

// schemaFile is the schema of RFC 9990, which is kept beside the project, or in the folder
// that SIGNPOST_STANDARDS names.
func schemaFile(t *testing.T) string {
	t.Helper()
	dir := os.Getenv("SIGNPOST_STANDARDS")
	if dir == "" {
		dir = "../../../../shared/standards/texts"
	}
	file := filepath.Join(dir, "dmarc-xml-0.2.xsd")
	if _, err := os.Stat(file); errors.Is(err, os.ErrNotExist) {
		t.Skipf("no schema: %v", err)
	}
	if _, err := exec.LookPath("xmllint"); err != nil {
		t.Fatalf("%v: apt-get install libxml2-utils (e2e/install-packages.sh has it)", err)
	}
	return file
}

func TestTheSignaturesComeInTheOrderOfRFC9990(t *testing.T) {
	rec := sampleRecord()
	rec.HeaderFrom = "mail.example.com"
	rec.Signatures = []Signature{
		{"fails.example", "a", "fail", ""}, {"other.example", "b", "pass", ""}, {"", "no", "permerror", ""}, {"no.example", "", "permerror", ""},
		{"example.com", "c", "pass", ""}, {"news.example.com", "d", "pass", ""}, {"mail.example.com", "e", "pass", ""}, {"mail.example.com", "f", "fail", ""},
	}
	var order []string
	for line := range strings.Lines(written(t, sampleReport(), rec)) {
		if s, ok := strings.CutPrefix(strings.TrimSpace(line), "<selector>"); ok {
			order = append(order, strings.TrimSuffix(s, "</selector>"))
		}
	}
	if got := strings.Join(order, ""); got != "ecdbaf" {
		t.Errorf("selectors %q, want the strictly aligned one first, then those aligned relaxed, other passes, the rest", got)
	}
}

func TestNoMoreThan100SignaturesAreWritten(t *testing.T) {
	r, records := shapes()["150 signatures"]()
	x := written(t, r, records...)
	if n := strings.Count(x, "<dkim>\n"); n != 100 {
		t.Errorf("%d signatures", n)
	}
	if n := strings.Count(x, "<result>pass</result>"); n != 75 {
		t.Errorf("%d of the 75 that pass", n)
	}
}

func TestAWrittenRecordSaysNothingElse(t *testing.T) {
	const want = ` <record>
  <row>
   <source_ip>192.0.2.1</source_ip>
   <count>3</count>
   <policy_evaluated>
    <disposition>pass</disposition>
    <dkim>pass</dkim>
    <spf>fail</spf>
   </policy_evaluated>
  </row>
  <identifiers>
   <header_from>example.com</header_from>
   <envelope_from>bounces.example.net</envelope_from>
  </identifiers>
  <auth_results>
   <dkim>
    <domain>example.com</domain>
    <selector>s1</selector>
    <result>pass</result>
   </dkim>
   <spf>
    <domain>bounces.example.net</domain>
    <scope>mfrom</scope>
    <result>softfail</result>
   </spf>
  </auth_results>
 </record>
</feedback>
`
	x := written(t, sampleReport(), sampleRecord())
	if _, got, _ := strings.Cut(x, "</policy_published>\n"); got != want {
		t.Errorf("got\n%s", got)
	}
}

func TestWhatCannotBeWritten(t *testing.T) {
	w := NewWriter(&bytes.Buffer{}, sampleReport())
	if err := w.Record(&Record{Count: 1}); err == nil {
		t.Error("a record without a source address was written")
	}
	if err := w.Record(&Record{SourceIP: netip.IPv4Unspecified()}); err == nil {
		t.Error("a record of no messages was written")
	}
	if err := w.Close(); err == nil {
		t.Error("a report without records was written")
	}
}

type fullDisk struct{}

func (fullDisk) Write([]byte) (int, error) { return 0, errors.New("disk full") }

func TestAnErrorOfWritingIsReported(t *testing.T) {
	w := NewWriter(fullDisk{}, sampleReport())
	rec := sampleRecord()
	for range 1000 {
		if err := w.Record(&rec); err != nil {
			return
		}
	}
	t.Error("1000 records were written to a full disk")
}

// What is written is read again as it was: by this reader, and so by another Signpost.
func TestTheReaderReadsWhatTheWriterWrites(t *testing.T) {
	for _, name := range []string{"as usual", "every element", "IPv6", "the null sender, and neither SPF nor DKIM"} {
		r, records := shapes()[name]()
		var read []Record
		got, err := Read(strings.NewReader(written(t, r, records...)), func(rec *Record) error {
			read = append(read, *rec)
			return nil
		})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		r.Namespace, r.Version = Namespace, Version
		if !reflect.DeepEqual(got.Metadata, r.Metadata) || !reflect.DeepEqual(got.Policy, r.Policy) {
			t.Errorf("%s: read\n%+v, written\n%+v", name, got, r)
		}
		if name == "every element" {
			records[0].Reasons[2].Type = "other" // RFC 9990 has no other word for it
			records[1].Reasons[2].Type = "other"
		}
		for i := range records {
			records[i].SourceIP = records[i].SourceIP.Unmap().WithZone("")
			if fmt.Sprintf("%+v", read[i]) != fmt.Sprintf("%+v", records[i]) {
				t.Errorf("%s: read\n%+v, written\n%+v", name, read[i], records[i])
			}
		}
	}
}
