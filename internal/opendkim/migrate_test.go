package opendkim

import (
	"fmt"
	"strings"
	"testing"

	"signpost/internal/message"
)

// shown writes a migration in few words.
func (m Migration) shown() string {
	var b strings.Builder
	for _, e := range m.Entries {
		fmt.Fprintf(&b, "%s %v", e.Domain, e.Selectors)
		if e.Subdomains {
			b.WriteString(" and below")
		}
		b.WriteString("\n")
	}
	for _, k := range m.Keys {
		fmt.Fprintf(&b, "%s of %s: %s%s", k.Selector, k.Domain, k.File, k.Inline)
		if k.EachDomain {
			b.WriteString(" for each")
		}
		b.WriteString("\n")
	}
	return b.String()
}

func TestOpenDKIMsTables(t *testing.T) {
	for _, c := range []struct {
		name             string
		keys, signing    string
		multiple         bool
		want, mustBeNote string
	}{
		{name: "the usual pair of lines",
			keys: "mail._domainkey.example.com example.com:mail:/etc/dkimkeys/mail.private\n", signing: "*@example.com mail._domainkey.example.com\n",
			want: "example.com [mail]\nmail of example.com: /etc/dkimkeys/mail.private\n"},
		{name: "comments, blanks and tabs", keys: "# keys\n\n  k\texample.com:s1:/k.pem # old\n", signing: "#\n\texample.com\t  k\n",
			want: "example.com [s1]\ns1 of example.com: /k.pem\n"},
		{name: "a domain without an address pattern", keys: "k Example.COM:S1:/k", signing: "EXAMPLE.com k", want: "example.com [s1]\ns1 of example.com: /k\n"},
		{name: "i= behind the key name", keys: "k example.com:s1:/k", signing: "*@example.com k:@example.com", want: "example.com [s1]\ns1 of example.com: /k\n"},
		{name: "an algorithm behind the key", keys: "k example.com:s1:/k:ed25519-sha256", signing: "*@example.com k", want: "example.com [s1]\ns1 of example.com: /k\n"},
		{name: "the key within the table", keys: "k example.com:s1:MIIEow", signing: "*@example.com k", want: "example.com [s1]\ns1 of example.com: MIIEow\n"},
		{name: "names below", keys: "k example.com:s1:/k", signing: "*@example.com k\n*@*.example.com k", want: "example.com [s1] and below\ns1 of example.com: /k\n"},
		{name: "names below, as a plain file writes them", keys: "k example.com:s1:/k", signing: ".example.com k", want: "example.com [s1] and below\ns1 of example.com: /k\n",
			mustBeNote: "here, example.com itself is as well"},
		{name: "a star without a dot", keys: "k example.com:s1:/k", signing: "*example.com k", want: "example.com [s1] and below\ns1 of example.com: /k\n"},
		{name: "a name below with the parent's key", keys: "k example.com:s1:/k\nn example.com:s2:/n", signing: "*@news.example.com n\n*@example.com k",
			want: "example.com [s1] and below\ns1 of example.com: /k\n", mustBeNote: "news.example.com is signed as example.com"},
		{name: "everybody, each with a key of their own", keys: "k %:s1:/keys/%/s1.pem", signing: "* k", want: "* [s1]\ns1 of *: /keys/%/s1.pem for each\n"},
		{name: "everybody with one key", keys: "k %:s1:/k", signing: "*@* k", want: "* [s1]\ns1 of *: /k\n"},
		{name: "the author's domain in d= and in the path", keys: "k %:s1:/keys/%/s1.pem", signing: "*@example.com k\n*@example.org k",
			want: "example.com [s1]\nexample.org [s1]\ns1 of example.com: /keys/example.com/s1.pem\ns1 of example.org: /keys/example.org/s1.pem\n"},
		{name: "everybody as one domain", keys: "k example.com:s1:/k", signing: "* k", want: "example.com [s1]\ns1 of example.com: /k\n", mustBeNote: "not aligned"},
		{name: "one domain as another", keys: "k example.com:s1:/k", signing: "*@example.org k", want: "", mustBeNote: "make example.org a key of its own"},
		{name: "two keys, of which the first signs", keys: "a example.com:s1:/a\nb example.com:s2:/b", signing: "*@example.com a\n*@example.com b",
			want: "example.com [s1]\ns1 of example.com: /a\n", mustBeNote: "MultipleSignatures is off"},
		{name: "two keys that both sign", keys: "a example.com:s1:/a\nb example.com:s2:/b", signing: "*@example.com a\n*@example.com b", multiple: true,
			want: "example.com [s1 s2]\ns1 of example.com: /a\ns2 of example.com: /b\n"},
		{name: "a line behind one for everybody", keys: "a %:s1:/a\nb example.com:s2:/b", signing: "* a\n*@example.com b",
			want: "* [s1]\ns1 of *: /a\n", mustBeNote: "line 2: opendkim never comes to it"},
		{name: "one address", keys: "k example.com:s1:/k", signing: "boss@example.com k", want: "", mustBeNote: "one address alone"},
		{name: "a key that is not there", keys: "k example.com:s1:/k", signing: "*@example.com other", want: "", mustBeNote: `the key "other" is not in the KeyTable`},
		{name: "a line that is cut off", keys: "k example.com:s1\n", signing: "*@example.com\n", want: "", mustBeNote: "is not domain:selector:key"},
		{name: "a selector that is none", keys: "k example.com:a/b:/k", signing: "*@example.com k", want: "", mustBeNote: "is not a selector"},
		{name: "a pattern that is too clever", keys: "k example.com:s1:/k", signing: "*@ex*mple.com k", want: "", mustBeNote: "write an entry by hand"},
	} {
		t.Run(c.name, func(t *testing.T) {
			m, err := Config{KeyTable: c.keys, SigningTable: c.signing, Multiple: c.multiple}.Migrate()
			if err != nil {
				t.Fatal(err)
			}
			notes := strings.Join(m.Notes, "\n")
			if got := m.shown(); got != c.want || !strings.Contains(notes, c.mustBeNote) || (c.mustBeNote == "" && notes != "") {
				t.Errorf("got\n%snotes:\n%s\nwant\n%snote %q", got, notes, c.want, c.mustBeNote)
			}
		})
	}
}

func TestOpenDKIMWithoutTables(t *testing.T) {
	m, err := Config{Domains: []string{"example.com", "example.org"}, Selector: "mail", KeyFile: "/k", Subdomains: true}.Migrate()
	want := "example.com [mail] and below\nexample.org [mail] and below\nmail of example.com: /k\nmail of example.org: /k\n"
	if err != nil || m.shown() != want || len(m.Notes) > 0 {
		t.Errorf("got\n%s%v %v", m.shown(), m.Notes, err)
	}
}

func FuzzMigrate(f *testing.F) {
	f.Add("k example.com:s1:/k\n", "*@example.com k\n", true)
	f.Add("k %:s1:/%/k\n", "* k\n.example.com k:i@x", false)
	f.Fuzz(func(t *testing.T, keyTable, signingTable string, multiple bool) {
		m, err := Config{KeyTable: keyTable, SigningTable: signingTable, Multiple: multiple}.Migrate()
		if err != nil {
			t.Fatal(err)
		}
		for _, k := range m.Keys {
			domain, ok := domainName(k.Domain)
			selector, okToo := message.DomainToASCII(k.Selector)
			if !ok || !okToo || domain != k.Domain || selector != k.Selector {
				t.Errorf("the key %+v has no name", k)
			}
		}
	})
}
