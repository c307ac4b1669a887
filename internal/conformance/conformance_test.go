package conformance

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

func load(t testing.TB, cases string) *Suite {
	t.Helper()
	dir := t.TempDir()
	t.Setenv("SIGNPOST_CASES", dir)
	if err := os.MkdirAll(filepath.Join(dir, "mine", "msg"), 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "mine", "cases.json"), cases)
	write(t, filepath.Join(dir, "mine", "msg", "one.eml"), "A: b\r\n\r\nc\xff\r\n")
	return Load(t, "mine")
}

func write(t testing.TB, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

const mine = `{"suite":"mine","count":2,
 "zones":{"z":{
  "shared.example":[{"TXT":["a","b"]},{"TXT":[{"b64":"/w=="}," x"]},{"SPF":["no"]},{"MX":[10,"mx.shared.example"]}],
  "over.example":[{"TXT":["of the zone"]}],
  "alias.example":[{"CNAME":"shared.example"}],
  "mixed.example":[{"TXT":["here"]},"TIMEOUT"],
  "typed.example":[{"TXT":"SERVFAIL"},{"A":"192.0.2.1"}],
  "1.2.0.192.in-addr.arpa":[{"PTR":"typed.example"}]}},
 "cases":[
  {"id":"one","kind":"k","description":"d","message":"msg/one.eml","zone":"z","mailfrom":"","now":7,
   "dns":{"over.example":[{"TXT":["of the case"]}]},"legacy_options":{"min_rsa_bits":512},"expect":{"x":1},"extra":"e"},
  {"id":"two","kind":"other","description":"d"}]}`

func TestLoadReadsTheFieldsOfACase(t *testing.T) {
	s := load(t, mine)
	c := s.Cases[0]
	if c.ID != "one" || c.MailFrom == nil || *c.MailFrom != "" || c.Now == nil || *c.Now != 7 || c.LegacyOptions.MinRSABits != 512 {
		t.Errorf("case = %+v", c)
	}
	var own struct{ Extra string }
	if c.Decode(t, &own); own.Extra != "e" {
		t.Errorf("extra = %q", own.Extra)
	}
	if s.Cases[1].MailFrom != nil || s.Cases[1].Now != nil {
		t.Error("what a case does not have is not nil")
	}
	if got := string(s.MessageBytes(t, c)); got != "A: b\r\n\r\nc\xff\r\n" {
		t.Errorf("message = %q", got)
	}
	if k := s.OfKind("other"); len(k) != 1 || k[0].ID != "two" {
		t.Errorf("OfKind = %v", k)
	}
}

func TestZoneLaysTheCasesRecordsOverTheSharedOnes(t *testing.T) {
	s := load(t, mine)
	z, ctx := s.Zone(t, s.Cases[0]), context.Background()
	for name, want := range map[string]string{
		"shared.example": `["ab" "\xff x"]`,
		"alias.example":  `["ab" "\xff x"]`,
		"over.example":   `["of the case"]`,
		"mixed.example":  `["here"]`,
		"typed.example":  `error`,
		"absent.example": `[]`,
	} {
		got, err := z.LookupTXT(ctx, name)
		text := fmt.Sprintf("%q", got)
		if err != nil {
			text = "error"
		}
		if text != want {
			t.Errorf("TXT of %s = %s, want %s", name, text, want)
		}
	}
	if _, err := z.LookupMX(ctx, "mixed.example"); err == nil {
		t.Error("a type beside a bare TIMEOUT answers")
	}
	if got, err := z.LookupA(ctx, "typed.example"); err != nil || len(got) != 1 {
		t.Errorf("A of typed.example = %v, %v", got, err)
	}
}

func TestRecordsThatCannotBeReadAreErrors(t *testing.T) {
	s := load(t, mine)
	z := s.Zone(t, s.Cases[0])
	for _, raw := range []string{`"NEVER"`, `{"A":"x"}`, `{"MX":["a","b"]}`, `{"WKS":"x"}`, `{"TXT":[{"b65":""}]}`, `{"PTR":[1]}`, `7`} {
		if err := addRecord(z, "x.example", json.RawMessage(raw)); err == nil {
			t.Errorf("%s: no error", raw)
		}
	}
}

// recorder replaces the test that a case runs in, and records its errors.
type recorder struct {
	testing.TB
	errors []string
}

func (r *recorder) Helper()                   {}
func (r *recorder) Errorf(f string, a ...any) { r.errors = append(r.errors, fmt.Sprintf(f, a...)) }
func (r *recorder) Failed() bool              { return len(r.errors) > 0 }

func TestVerdicts(t *testing.T) {
	for _, c := range []struct {
		name   string
		err    error
		listed bool
		passed bool
		fails  bool
	}{
		{"a case that passes", nil, false, true, false},
		{"a case that fails", errors.New("x"), false, false, true},
		{"an exception that fails", errors.New("x"), true, false, false},
		{"an exception that passes is to be struck", nil, true, true, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := &recorder{TB: t}
			if got := verdict(r, Case{ID: "one"}, c.err, c.listed); got != c.passed || r.Failed() != c.fails {
				t.Errorf("passed = %v, failed the test = %v; want %v, %v", got, r.Failed(), c.passed, c.fails)
			}
		})
	}
}

func TestAPanicIsTheFailureOfOneCase(t *testing.T) {
	err := guarded(t, Case{}, func(testing.TB, Case) error { panic("ouch") })
	if err == nil || !strings.Contains(err.Error(), "ouch") {
		t.Errorf("err = %v", err)
	}
}

func TestExceptions(t *testing.T) {
	s := load(t, mine)
	t.Chdir(t.TempDir())
	if err := os.Mkdir("testdata", 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, "testdata/exceptions-mine.txt", "# why\n\none\tRFC 1 §2 says otherwise\n")
	write(t, "testdata/exceptions-mine-bad.txt", "one\n\nthree\tx\ntwo\ta\ntwo\tb\n")
	if got := readExceptions(t, s); len(got) != 1 || got["one"] != "RFC 1 §2 says otherwise" {
		t.Errorf("exceptions = %v", got)
	}
	if got := readExceptions(t, s.As("legacy")); len(got) != 0 {
		t.Errorf("exceptions of another run = %v", got)
	}
	r := &recorder{TB: t}
	readExceptions(r, s.As("bad"))
	if len(r.errors) != 3 {
		t.Errorf("errors = %q; want one for the lines 1, 3 and 5", r.errors)
	}
}

func TestTheSummaryFindsTestsByTheirNames(t *testing.T) {
	for name, want := range map[string]bool{"TestConformance": true, "TestPublishedSuites/x": true, "TestSPF/suite": false} {
		if summarized(name) != want {
			t.Errorf("%s: %v", name, !want)
		}
	}
}

func TestRunPassesOverAnException(t *testing.T) {
	s := load(t, mine)
	t.Chdir(t.TempDir())
	if err := os.Mkdir("testdata", 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, "testdata/exceptions-mine.txt", "two\tRFC 1 §2\n")
	ran := 0
	run(t, s, s.Cases, func(_ testing.TB, c Case) error {
		if ran++; c.ID == "two" {
			return errors.New("on purpose")
		}
		return nil
	})
	if ran != 2 {
		t.Errorf("ran %d cases", ran)
	}
}

// leaver replaces the test that a suite is loaded in; a skip ends it.
type leaver struct {
	testing.TB
	skipped string
}

func (l *leaver) Helper() {}
func (l *leaver) Skipf(f string, a ...any) {
	l.skipped = fmt.Sprintf(f, a...)
	runtime.Goexit()
}

func TestWhereTheSuitesAreAbsentTheTestsSkipAndNameTheFolder(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "nothing here")
	t.Setenv("SIGNPOST_CASES", dir)
	l := &leaver{TB: t}
	done := make(chan bool)
	go func() {
		defer close(done)
		Load(l, "spf-rfc7208")
	}()
	<-done
	if !strings.HasPrefix(l.skipped, markSkipped+"\t") || !strings.Contains(l.skipped, dir) {
		t.Errorf("skipped with %q, which does not name %s", l.skipped, dir)
	}
}

// Every suite present can be read: its cases, zones and messages. A folder without
// cases.json is not a suite.
func TestThePublicSuitesLoad(t *testing.T) {
	entries, err := os.ReadDir(casesDir(t))
	if err != nil {
		t.Fatal(err)
	}
	loaded := 0
	for _, e := range entries {
		if _, err := os.Stat(filepath.Join(casesDir(t), e.Name(), "cases.json")); err != nil {
			continue // a file, or cases of another form
		}
		loaded++
		s := Load(t, e.Name())
		ids := map[string]bool{}
		for _, c := range s.Cases {
			if ids[c.ID] {
				t.Errorf("%s: id %s occurs twice", s.Name, c.ID)
			}
			ids[c.ID] = true
			s.Zone(t, c)
			if c.Message != "" {
				s.MessageBytes(t, c)
			}
		}
	}
	if loaded == 0 {
		t.Errorf("%s has no suite", casesDir(t))
	}
}
