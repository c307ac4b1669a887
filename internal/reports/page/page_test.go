package page

import (
	"bytes"
	"context"
	"encoding/csv"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"signpost/internal/reports/aggregate"
	"signpost/internal/reports/incoming"
	"signpost/internal/reports/sample"
	"signpost/internal/reports/store"
	"signpost/internal/reports/store/storetest"
	"signpost/internal/reports/traffic"
)

func TestMain(m *testing.M) { storetest.Main(m) }

var now = time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)

// hostile is text that would be markup, script or a formula if it were not escaped.
const hostile = `"><script>alert(1)</script><img src=x onerror=alert(2)>{{.}}` + "\u202e" + `=1+1`

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// filled returns the page of a database with a month of reports, one with hostile text in each field, and a
// report to others.
func filled(t testing.TB, a store.Address) *Page {
	t.Helper()
	ctx := context.Background()
	db := storetest.Open(t, a)
	check(t, sample.Fill(ctx, db, now, 30))
	var out bytes.Buffer
	begin := now.Truncate(24*time.Hour).AddDate(0, 0, -1)
	w := aggregate.NewWriter(&out, aggregate.Report{
		Metadata: aggregate.Metadata{OrgName: hostile, Email: hostile, ReportID: hostile, Begin: begin, End: begin.Add(24*time.Hour - time.Second), Error: hostile, Generator: hostile},
		Policy:   aggregate.Policy{Domain: sample.Domain, P: "none"},
	})
	check(t, w.Record(&aggregate.Record{SourceIP: netip.MustParseAddr("203.0.113.66"), Count: 3, Disposition: "none", DKIM: "fail", SPF: "fail", HeaderFrom: sample.Domain,
		EnvelopeFrom: hostile, EnvelopeTo: hostile, Reasons: []aggregate.Reason{{Type: "other", Comment: hostile}},
		Signatures: []aggregate.Signature{{Domain: hostile, Selector: hostile, Result: "fail", HumanResult: hostile}}}))
	check(t, w.Close())
	k := &incoming.Keeper{DB: db, Domains: func(string) bool { return true }, Now: func() time.Time { return now }}
	if r := k.Read(ctx, out.Bytes(), nil); r[0].Refused != nil {
		t.Fatal(r[0].Refused)
	}
	_, err := db.Exec(ctx, `INSERT INTO incoming_hosts (address, name, looked_up) VALUES (?, ?, ?)`, "203.0.113.66", hostile, now.Unix())
	check(t, err)
	_, err = db.Exec(ctx, `INSERT INTO outgoing_reports (day, domain, policy, report_id, file_name, note, state, why, messages, records, created, due, attempts, finished, claimed_by, claimed_until)
		VALUES (?, ?, ?, ?, '', '', 'failed', ?, 5, 1, 0, 0, 1, 1, '', 0)`, begin.Unix()/86400, hostile, []byte{1}, hostile, hostile)
	check(t, err)
	return &Page{DB: db, Now: func() time.Time { return now }, Refused: func(context.Context, traffic.Day, traffic.Day) (traffic.Refusals, error) {
		return traffic.Refusals{Recorded: 1, Judged: 10, Affected: 4, Domains: []traffic.RefusedDomain{{Domain: hostile, Policy: hostile, Messages: 10, Ways: traffic.Ways{List: 4}}},
			Hosts: []traffic.RefusedHost{{Address: "192.0.2.1", Name: hostile, Ways: traffic.Ways{List: 4}, Largest: hostile}}, Excuses: []traffic.Excuse{{Kind: hostile, Entries: []string{hostile}, Messages: 4}}}, nil
	}}
}

func server(p *Page, hosts ...string) *Server {
	return &Server{config: Config{Hosts: hosts}, open: func(context.Context) (*Page, func(), error) { return p, func() {}, nil }, making: make(chan struct{}, maxPages), log: slog.New(slog.DiscardHandler)}
}

func get(h http.Handler, path string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodGet, "http://localhost"+path, nil)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// paths are one of each kind of page.
var paths = []string{"/", "/?days=7&problems=1", "/domain/example.com", "/domain/example.com?days=90&problems=1", "/domain/nothing.example", "/source/192.0.2.25?domain=example.com",
	"/source/203.0.113.66", "/reports", "/report/1", "/report/91", "/sent", "/would-refuse"}

func TestEachPageOfEachDatabase(t *testing.T) {
	storetest.Each(t, func(t *testing.T, a store.Address) {
		h := server(filled(t, a)).Handler()
		for _, path := range paths {
			w := get(h, path)
			body := w.Body.String()
			if w.Code != http.StatusOK || !strings.HasPrefix(w.Header().Get("Content-Type"), "text/html") {
				t.Errorf("%s: %d %s", path, w.Code, body)
				continue
			}
			wellFormed(t, path, body)
			for _, bad := range []string{"<script", "<img", " style=", " on", "javascript:", "{{", "<nil>", "%!"} {
				if bad == " on" {
					if regexp.MustCompile(`<[^>]* on[a-z]+=`).MatchString(body) {
						t.Errorf("%s has an event attribute", path)
					}
				} else if strings.Contains(strings.ReplaceAll(body, "{{.}}", ""), bad) {
					t.Errorf("%s has %q", path, bad)
				}
			}
		}
		for path, words := range map[string][]string{
			"/":                          {"example.com", "/domain/example.com"},
			"/domain/example.com":        {"192.0.2.25", "our own host", "looks like forgery", "big-mail.example", "p=quarantine", "<svg"},
			"/source/192.0.2.25":         {"mx.example.com", "rsa1 pass"},
			"/report/1":                  {"Report-ID", "&lt;feedback"},
			"/report/91":                 {"&lt;script&gt;alert(1)"},
			"/sent":                      {"failed", "&lt;script&gt;"},
			"/would-refuse":              {"Of 10 messages", "192.0.2.1"},
			"/domain/example.com?days=1": {"days=1"},
			"/?problems=1":               {`name="problems" value="1" checked`},
		} {
			body := get(h, path).Body.String()
			for _, word := range words {
				if !strings.Contains(body, word) {
					t.Errorf("%s lacks %q", path, word)
				}
			}
		}
	})
}

// wellFormed reads the page strictly and looks at what assistive technology needs.
func wellFormed(t *testing.T, path, body string) {
	t.Helper()
	d := xml.NewDecoder(strings.NewReader(body))
	d.Strict, d.AutoClose, d.Entity = false, xml.HTMLAutoClose, xml.HTMLEntity
	ids, h1 := map[string]bool{}, 0
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Errorf("%s: %v", path, err)
			return
		}
		e, ok := token.(xml.StartElement)
		if !ok {
			continue
		}
		attributes := map[string]string{}
		for _, a := range e.Attr {
			attributes[a.Name.Local] = a.Value
		}
		if id := attributes["id"]; id != "" && ids[id] {
			t.Errorf("%s has the id %s twice", path, id)
		} else {
			ids[id] = true
		}
		switch e.Name.Local {
		case "h1":
			h1++
		case "svg":
			if attributes["aria-label"] == "" || attributes["role"] != "img" {
				t.Errorf("%s has a chart without a label", path)
			}
		case "a":
			if attributes["href"] == "" {
				t.Errorf("%s has a link to nothing", path)
			}
		case "th":
			if attributes["scope"] == "" {
				t.Errorf("%s has a heading cell without a scope", path)
			}
		}
	}
	if h1 != 1 {
		t.Errorf("%s has %d headings of the page", path, h1)
	}
}

func TestAnswersThatAreNoPage(t *testing.T) {
	h := server(filled(t, storetest.SQLite(t)), "reports.example.com").Handler()
	for _, c := range []struct {
		method, host, path string
		code               int
	}{
		{"GET", "localhost:8080", "/", 200}, {"GET", "127.0.0.1", "/", 200}, {"GET", "[::1]:80", "/", 200}, {"GET", "Reports.Example.COM.", "/", 200}, {"HEAD", "localhost", "/", 200},
		{"GET", "evil.example", "/", 421}, {"GET", "192.0.2.1", "/", 421}, {"GET", "", "/", 421}, {"GET", "localhost.evil.example", "/style.css", 421},
		{"POST", "localhost", "/", 405}, {"DELETE", "localhost", "/report/1", 405},
		{"GET", "localhost", "/report/999999", 404}, {"GET", "localhost", "/report/x", 404}, {"GET", "localhost", "/source/none", 404}, {"GET", "localhost", "/nothing", 404},
		{"GET", "localhost", "/domain/example.com/../../etc/passwd", 301}, {"GET", "localhost", "/style.css", 200}, {"GET", "localhost", "/?days=abc", 200}, {"GET", "localhost", "/?days=-4", 200},
	} {
		r := httptest.NewRequest(c.method, "http://x"+c.path, nil)
		r.Host = c.host
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != c.code && !(c.code == 301 && w.Code == 307) {
			t.Errorf("%s %s at %q: %d, want %d", c.method, c.path, c.host, w.Code, c.code)
		}
		if p := w.Header().Get("Content-Security-Policy"); !strings.Contains(p, "default-src 'none'") || !strings.Contains(p, "form-action") || !strings.Contains(p, "frame-ancestors 'none'") {
			t.Errorf("%s %s: policy %q", c.method, c.path, p)
		}
	}
}

func TestADatabaseThatDoesNotAnswer(t *testing.T) {
	s := server(nil)
	s.open = func(context.Context) (*Page, func(), error) { return nil, nil, errors.New("down: secret") }
	if w := get(s.Handler(), "/"); w.Code != 503 || strings.Contains(w.Body.String(), "secret") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

func TestCSV(t *testing.T) {
	h := server(filled(t, storetest.SQLite(t))).Handler()
	for _, path := range []string{"/?format=csv", "/domain/example.com?format=csv", "/source/203.0.113.66?format=csv", "/reports?format=csv", "/sent?format=csv", "/would-refuse?format=csv"} {
		w := get(h, path)
		rows, err := csv.NewReader(w.Body).ReadAll()
		if err != nil || len(rows) < 2 || w.Header().Get("Content-Type") != "text/csv; charset=utf-8" {
			t.Errorf("%s: %d rows, %v, %s", path, len(rows), err, w.Header())
			continue
		}
		for _, r := range rows {
			for _, c := range r {
				if c != "" && strings.ContainsRune("=+-@", rune(c[0])) {
					t.Errorf("%s: a spreadsheet takes %q for a formula", path, c)
				}
			}
		}
	}
	if got := plain(cell{Text: "=1+1"}) + plain(number(-12345)) + plain(share(1, 3)) + plain(text("@x")); got != "'=1+1-1234533.3'@x" {
		t.Error(got)
	}
}

func TestFiles(t *testing.T) {
	p := filled(t, storetest.SQLite(t))
	folder := filepath.Join(t.TempDir(), "pages")
	said := 0
	n, err := p.WriteFiles(context.Background(), folder, Query{Days: 30}, func(pages int) { said = pages })
	check(t, err)
	files, err := os.ReadDir(folder)
	check(t, err)
	if len(files) != n+1 || said != n || n < 90 {
		t.Errorf("%d pages, %d files, %d told", n, len(files), said)
	}
	hrefs := regexp.MustCompile(`href="([^"]*)"`)
	for _, f := range files {
		if !strings.HasSuffix(f.Name(), ".html") {
			continue
		}
		body, err := os.ReadFile(filepath.Join(folder, f.Name()))
		check(t, err)
		wellFormed(t, f.Name(), string(body))
		for _, m := range hrefs.FindAllStringSubmatch(string(body), -1) {
			if m[1] == "#main" {
				continue
			}
			if _, err := os.Stat(filepath.Join(folder, m[1])); err != nil || strings.Contains(m[1], "/") {
				t.Errorf("%s links %s: %v", f.Name(), m[1], err)
			}
		}
		if strings.Contains(string(body), "<form") {
			t.Errorf("%s has a form that no server answers", f.Name())
		}
	}
	if _, err := p.WriteFiles(context.Background(), folder, Query{Days: 30}, nil); err != nil {
		t.Error("once more:", err)
	}
}

// Another user of the folder does not lead what is written elsewhere.
func TestFilesFollowNoLinks(t *testing.T) {
	p, folder, elsewhere := filled(t, storetest.SQLite(t)), t.TempDir(), filepath.Join(t.TempDir(), "elsewhere")
	check(t, os.WriteFile(elsewhere, []byte("mine"), 0o600))
	for _, name := range []string{"style.css", "index.html"} {
		check(t, os.Symlink(elsewhere, filepath.Join(folder, name)))
	}
	_, err := p.WriteFiles(context.Background(), folder, Query{Days: 30}, nil)
	check(t, err)
	if text, err := os.ReadFile(elsewhere); string(text) != "mine" {
		t.Errorf("%.20q, %v", text, err)
	}
}

func TestFileNames(t *testing.T) {
	seen := map[string]string{}
	for _, s := range []string{"example.com", "EXAMPLE.com", "../../etc/passwd", "a_2f", "a/", "a\x00", "ü.example", "2001:db8::1", "", strings.Repeat("x", 300), strings.Repeat("x", 299) + "y"} {
		name := fileName(s)
		if other, twice := seen[name]; twice {
			t.Errorf("%q and %q are both %q", s, other, name)
		}
		seen[name] = s
		if !regexp.MustCompile(`^[a-z0-9._-]*$`).MatchString(name) || len(name) > 210 {
			t.Errorf("%q becomes %q", s, name)
		}
	}
}

func TestChart(t *testing.T) {
	if newChart(nil) != nil {
		t.Error("a chart of nothing")
	}
	c := newChart([]day{{"a", 0, 0}, {"b", 1, 0}, {"c", 1e9, 1e9}})
	if b := c.Bars[1]; b.PassHeight != "1.5" || b.FailHeight != "0.0" {
		t.Errorf("a small value is drawn as %+v", b)
	}
	if b := c.Bars[0]; b.PassHeight != "0.0" {
		t.Errorf("nothing is drawn as %+v", b)
	}
	if b := c.Bars[2]; strings.HasPrefix(b.FailY, "-") {
		t.Errorf("it is drawn beyond the top: %+v", b)
	}
}

func TestConfig(t *testing.T) {
	for _, c := range []struct {
		config Config
		bad    string
	}{
		{Config{}, ""}, {Config{Listen: "unix:/run/signpost/page.sock"}, ""}, {Config{Listen: "inet:127.0.0.1:8080"}, ""}, {Config{Listen: "inet:[::1]:80", Hosts: []string{"a.example"}}, ""},
		{Config{Listen: "inet:0.0.0.0:8080"}, "listen"}, {Config{Listen: "inet:192.0.2.1:8080"}, "listen"}, {Config{Listen: "unix:page.sock"}, "listen"}, {Config{Listen: "8080"}, "listen"},
		{Config{Hosts: []string{"https://a.example"}}, "hosts"}, {Config{Hosts: []string{""}}, "hosts"},
	} {
		var got []string
		c.config.Validate(func(path, _ string) { got = append(got, path) })
		if strings.Join(got, " ") != c.bad {
			t.Errorf("%+v: %q, want %q", c.config, got, c.bad)
		}
	}
}

// A report may have half a million records. A page shows a few of them.
func TestCellsAreMadeForTheRowsThatAreShownAlone(t *testing.T) {
	for _, c := range []struct {
		name                       string
		problems                   bool
		most                       int
		shown, left, hidden, calls int
	}{
		{"all", false, 0, 10, 0, 0, 10},
		{"the first rows", false, 3, 3, 7, 0, 3},
		{"rows with a problem", true, 0, 5, 0, 5, 5},
		{"the first rows with a problem", true, 3, 3, 2, 5, 3},
	} {
		t.Run(c.name, func(t *testing.T) {
			var got table
			calls := 0
			for i := range 10 {
				got.add(c.problems, c.most, i%2 == 0, func() []cell { calls++; return nil })
			}
			if len(got.Rows) != c.shown || got.Left != c.left || got.Hidden != c.hidden || calls != c.calls {
				t.Errorf("%d rows, %d left, %d hidden, %d calls", len(got.Rows), got.Left, got.Hidden, calls)
			}
		})
	}
}

// Strangers choose the words of policies, the names of reporters and names below a domain of ours: they make no page long.
func TestForeignWordsMakeNoPageLong(t *testing.T) {
	db := storetest.Open(t, storetest.SQLite(t))
	begin := now.Truncate(24 * time.Hour).Unix()
	check(t, db.Write(t.Context(), func(tx store.Tx) error {
		for i := range 3 * maxRows {
			domain := "example.com"
			if i > maxRows+100 {
				domain = fmt.Sprintf("a%d.example.com", i)
			}
			if _, err := tx.Exec(t.Context(), `INSERT INTO incoming_reports (identity, kind, domain, org, email, report_id, begins, ends, received,
				p, sp, np, adkim, aspf, testing, error, generator, messages, aligned, records, skipped)
				VALUES (?, 'aggregate', ?, ?, '', '', ?, ?, 0, ?, '', '', '', '', '', '', '', 1, 1, 1, 0)`,
				fmt.Append(nil, i), domain, fmt.Sprint("reporter", i), begin, begin, fmt.Sprint("p", i)); err != nil {
				return err
			}
		}
		return nil
	}))
	p := &Page{DB: db, Now: func() time.Time { return now }}
	h := server(p).Handler()
	for path, told := range map[string]string{"/domain/example.com": "101 more are not shown.", "/": "more are not shown here; CSV has up to 100,000.", "/reports": "1000 more are not shown here"} {
		body := get(h, path).Body.String()
		if n := strings.Count(body, "<tr"); n > 2*maxRows+10 || !strings.Contains(body, told) {
			t.Errorf("%s has %d rows, and lacks %q", path, n, told)
		}
	}
	if body := get(h, "/").Body.String(); !strings.Contains(body, ">example.com<") {
		t.Error("names below a domain hide it")
	}
}

func TestCSVTellsWhatItLeavesOut(t *testing.T) {
	var out bytes.Buffer
	check(t, writeCSV(&out, &table{Columns: []column{{Name: "A"}, {Name: "B"}}, Rows: []row{{Cells: []cell{text("a"), text("b")}}}, Left: 7}))
	if got := out.String(); got != "A,B\na,b\n7 more rows are left out,\n" {
		t.Errorf("%q", got)
	}
}

// A name in an address that is no text, which PostgreSQL refuses, is the name of no page.
func TestNamesThatAreNoTextLeadNowhere(t *testing.T) {
	storetest.Each(t, func(t *testing.T, a store.Address) {
		h := server(&Page{DB: storetest.Open(t, a), Now: func() time.Time { return now }}).Handler()
		for _, path := range []string{"/domain/%00", "/domain/a%ff.example", "/source/192.0.2.1?domain=%00", "/source/192.0.2.1?domain=%ff", "/report/99999999999999999999", "/source/x%00"} {
			if w := get(h, path); w.Code != http.StatusNotFound {
				t.Errorf("%s: %d", path, w.Code)
			}
		}
		for _, path := range []string{"/report/-1", "/report/9223372036854775807", "/source/fe80::1%25a"} {
			if w := get(h, path); w.Code != http.StatusNotFound && w.Code != http.StatusOK {
				t.Errorf("%s: %d", path, w.Code)
			}
		}
	})
}
