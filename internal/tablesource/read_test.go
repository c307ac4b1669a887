package tablesource

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"signpost/keys"
	"signpost/keys/lifecycle"
	"signpost/signer"
)

func tableFile(t testing.TB, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "domains")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestEntriesInATable(t *testing.T) {
	path := tableFile(t, "# customers\nexample.org  s1,s2 subdomains\n\ncustomer.example s1 keys_of=provider.example # lent\nshop@example.org sdid=example.com\n*.x.example s3 s4\n")
	c := signer.Defaults()
	c.Domains = []signer.Domain{{Domain: "example.com", Selectors: []signer.Selector{{Selector: "s1"}}}}
	c.Tables = []signer.Table{{File: path}}
	calls := 0
	whole, _, err := Read(t.Context(), c, Tables{}, "", func() { calls++ })
	if err != nil {
		t.Fatal(err)
	}
	if calls != 4 {
		t.Errorf("it gave way %d times, want once for each entry", calls)
	}
	if len(c.Domains) != 1 {
		t.Error("the configuration itself is changed")
	}
	var lines []string
	for _, d := range whole.Domains[1:] {
		line := fmt.Sprintf("%d: %s", d.Place().Line, d.Domain)
		for _, s := range d.Selectors {
			line += " " + s.Selector
		}
		lines = append(lines, fmt.Sprintf("%s subdomains=%t keys_of=%s sdid=%s", line, d.Subdomains, d.KeysOf, d.SDID))
		if d.Place().Source != path || d.Place().Database {
			t.Errorf("%s is at %+v", d.Domain, d.Place())
		}
	}
	got := strings.Join(lines, "\n")
	want := "2: example.org s1 s2 subdomains=true keys_of= sdid=\n" +
		"4: customer.example s1 subdomains=false keys_of=provider.example sdid=\n" +
		"5: shop@example.org subdomains=false keys_of= sdid=example.com\n" +
		"6: *.x.example s3 s4 subdomains=false keys_of= sdid="
	if got != want {
		t.Errorf("the entries are\n%s\nwant\n%s", got, want)
	}

	path = tableFile(t, "example.com s1\na.example\nb.example s1 colour=red\nc.example s1\nC.example s2\nd.example sdid=e.example\n")
	c.Tables = []signer.Table{{File: path}}
	_, _, err = Read(t.Context(), c, Tables{}, "", nil)
	wantErr := strings.Join([]string{
		path + ":1: example.com stands already in signer.domains[0]: put all its selectors there",
		path + `:2: "a.example" has no selectors: write selectors: [NAME], NAME as given to signpost keys generate`,
		path + `:3: unknown key "colour": a line takes a domain, its selectors, subdomains, keys_of=DOMAIN, sdid=DOMAIN`,
		path + ":5: C.example stands already in " + path + ":4: put all its selectors there",
		path + ":6: sdid: e.example has no entry in signer.domains: add one with its selectors",
	}, "\n")
	if err == nil || err.Error() != wantErr {
		t.Errorf("the error is\n%v\nwant\n%s", err, wantErr)
	}
	c.Tables = []signer.Table{{File: tableFile(t, strings.Repeat("nonsense\n", 50))}}
	if _, _, err := Read(t.Context(), c, Tables{}, "", nil); err == nil || strings.Count(err.Error(), "\n") != maxReported || !strings.Contains(err.Error(), "and 30 mistakes more") {
		t.Errorf("the error of many mistakes is %v", err)
	}
}

func TestSendersInAFileOfTheirOwn(t *testing.T) {
	path := filepath.Join(t.TempDir(), "senders")
	text := "# who may send as whom\n\nalice\talice@example.com, *@example.org # two\n192.0.2.7/32 example.net\nuser#1 a@example.com\r\n"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	c := signer.Defaults()
	c.Senders = signer.Senders{Mode: signer.SendersReject, File: path, Allow: []signer.Sender{{Login: "bob"}}}
	c, _, err := Read(t.Context(), c, Tables{}, "", nil)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, a := range c.Senders.Allow {
		got = append(got, fmt.Sprint(a.Login, " ", a.Authors))
	}
	want := "bob []|alice [alice@example.com *@example.org]| [*@example.net]|user#1 [a@example.com]"
	if strings.Join(got, "|") != want {
		t.Errorf("the entries are %q, want %q", strings.Join(got, "|"), want)
	}

	if err := os.WriteFile(path, []byte("alice\n192.0.2.0/24 {{login}}\nbob a@b@\nx y.example\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, _, err = Read(t.Context(), c, Tables{}, "", nil)
	wantErr := path + ":1: alice: an entry needs authors: what may stand in From, as [alice@example.com]\n" +
		path + ":2: 192.0.2.0/24: {{login}} has no meaning for a network alone: add login: \"*\"\n" +
		path + ":3: \"a@b@\" is neither an address nor a pattern of addresses: write alice@example.com, *@example.com, *@*.example.com, {{login}} or \"*\""
	if err == nil || err.Error() != wantErr {
		t.Errorf("the error is\n%v\nwant\n%s", err, wantErr)
	}
	c.Senders.File = path + ".missing"
	if _, _, err := Read(t.Context(), c, Tables{}, "", nil); err == nil || !strings.Contains(err.Error(), "signer.senders.file: open ") {
		t.Errorf("the error of a missing file is %v", err)
	}
	if err := os.WriteFile(path, []byte(strings.Repeat("x", maxTableLine+1)), 0o600); err != nil {
		t.Fatal(err)
	}
	c.Senders.File = path
	if _, _, err := Read(t.Context(), c, Tables{}, "", nil); err == nil || !strings.Contains(err.Error(), ":1: the line is longer than 65536 bytes") {
		t.Errorf("the error of a long line is %v", err)
	}
}

// BenchmarkLoad100000Domains is a whole reload of a table of a provider: customers with
// one key.
func BenchmarkLoad100000Domains(b *testing.B) {
	var text strings.Builder
	for i := range 100_000 {
		fmt.Fprintf(&text, "customer%d.example s1 keys_of=provider.example\n", i)
	}
	c := signer.Defaults()
	c.Tables = []signer.Table{{File: tableFile(b, text.String())}}
	kc := keys.Defaults()
	kc.Dir = b.TempDir()
	if _, err := keys.Generate(kc.Dir, "provider.example", "s1", keys.RSA, 2048); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		whole, tables, err := Read(b.Context(), c, Tables{}, "", nil)
		if err != nil {
			b.Fatal(err)
		}
		kc.Shared = tables.Index().SharedKeys()
		store, err := keys.Open(kc, whole.Refs())
		if err != nil {
			b.Fatal(err)
		}
		plan := &lifecycle.Spec{Config: kc, Store: store, Listed: whole.Listed(store.Refs())}
		lifecycle.NewTracker(filepath.Join(kc.Dir, "none"), time.Now).Preview(plan)
		signer.New(whole, tables.Index(), &plan.Active, time.Now)
	}
}
