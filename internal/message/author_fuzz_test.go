package message

import (
	"net/mail"
	"slices"
	"strings"
	"testing"
)

func TestTheListsOfAnAuthorAreBounded(t *testing.T) {
	var many []string
	for i := range 500 {
		many = append(many, "a@x"+strings.Repeat("y", i%60)+".example")
	}
	a := from(strings.Join(many[:200], ", ")).Author()
	if len(a.Domains) != MaxAuthorDomains || len(a.Addresses) != MaxAuthors || !strings.Contains(a.Problem, "more than 5 author domains") {
		t.Errorf("%d domains, %d addresses, %q", len(a.Domains), len(a.Addresses), a.Problem)
	}
	long := from(strings.Repeat("a", maxFrom) + "@x.example").Author()
	if !strings.Contains(long.Problem, "longer than 16 KiB") || long.Lax {
		t.Errorf("a field that is too long: %+v", long)
	}
	same := from(strings.Repeat("a@x.example, ", 101)).Author()
	if len(same.Addresses) != MaxAuthors || len(same.Domains) != 1 || !strings.Contains(same.Problem, "100 addresses") {
		t.Errorf("101 addresses at one domain: %d, %q", len(same.Addresses), same.Problem)
	}
	var fields Header
	for range 300 {
		fields = append(fields, Field{"From", " " + many[len(fields)]})
	}
	if a := fields.Author(); a.Fields != 300 || len(a.Domains) != MaxAuthorDomains || !strings.Contains(a.Problem, "300 From fields") {
		t.Errorf("300 From fields: %d, %d domains, %q", a.Fields, len(a.Domains), a.Problem)
	}
}

func TestAddressesAreGivenWithoutQuotes(t *testing.T) {
	a := from("\"a\\\\ \\\"b\r\n c\"@X.example, Joe <joe.q@bücher.example>").Author()
	want := []Address{{`a\ "b c`, "x.example"}, {"joe.q", "xn--bcher-kva.example"}}
	if !slices.Equal(a.Addresses, want) || a.Problem != "" {
		t.Errorf("addresses %q, problem %q", a.Addresses, a.Problem)
	}
}

func TestAProblemQuotesTheMessageInASCIIAndShort(t *testing.T) {
	for _, h := range []Header{
		{{"From\r\nBcc: x\u202e", " a@x.example"}},
		from("a@\u202e" + strings.Repeat("x", 5000)),
		from("\u202e a@x.example"),
		from("a@x.example \u202e"),
		{{strings.Repeat("\xff", 5000), ""}},
	} {
		p := h.Author().Problem
		if p == "" || len(p) > 700 {
			t.Errorf("a problem of %d octets", len(p))
		}
		for i := range len(p) {
			if p[i] < ' ' || p[i] > '~' {
				t.Errorf("octet 0x%02x in %q", p[i], p)
			}
		}
	}
}

// FuzzAuthor compares the author with the slow reader, which has no limits, and with an
// independent parser: a certain author has no other domain in either.
func FuzzAuthor(f *testing.F) {
	for _, s := range []string{
		`"a@b" <c@d.example>`, "(x@y.z) c@d.example, E: f@g.example;", "<@a.b,@c.d:u@evil.example>", "a@b.example (c) .evil.example",
		"=?utf-8?Q?=61@bank.example?=", `<a@g.x>\,<b@e.x>`, "ü <ü@bücher.example>\r\n (x)", "a@[1.2.3.4], @, \"\\\"@x.y\"@z.example", "a . b@c . d.e", "x:;,y:a@b.c;",
		"Foo, Inc. <a@x.example>", "a@x.y <a@x.y>", "<a@x.y", "a..b@x.y", "root@localhost", "a@x.y !",
	} {
		f.Add("From", s)
	}
	for _, tt := range certainTests {
		f.Add("From", tt.value)
	}
	f.Add("From ", "a@b.c")
	f.Add("-From\xa0", "a@b.c\x00")
	f.Fuzz(func(t *testing.T, name, value string) {
		a := Header{{name, value}}.Author()
		if len(a.Domains) > MaxAuthorDomains || len(a.Addresses) > MaxAuthors || a.Fields > 1 {
			t.Fatalf("%+v", a)
		}
		for i, d := range a.Domains {
			if again, ok := DomainToASCII(d); !ok || again != d || !isFQDN(d) || slices.Contains(a.Domains[:i], d) {
				t.Fatalf("domain %q in %q", d, a.Domains)
			}
		}
		if a.Fields == 1 {
			checkAuthor(t, value, a)
		}
	})
}

// checkAuthor compares one From field with two other readings of it.
func checkAuthor(t *testing.T, value string, a Author) {
	t.Helper()
	all := slices.DeleteFunc(slowDomains(value), func(d string) bool {
		return isAddress(d) || slices.ContainsFunc(a.Domains, func(whole string) bool { return slowBlank.ReplaceAllString(whole, "") == d })
	})
	if !a.Incomplete {
		for _, d := range all {
			if strict, ok := DomainToASCII(d); ok && isFQDN(strict) && !slices.Contains(a.Domains, strict) {
				t.Fatalf("%q: %q is not among the author domains %+v", value, d, a)
			}
		}
	}
	switch {
	case a.Lax && (a.Problem == "" || len(a.Domains) != 1), a.Empty && len(a.Domains)+len(all) > 0:
		t.Fatalf("%q: %q, %+v", value, all, a)
	case !a.Certain():
		return
	case len(a.Addresses) == 0 && !a.Lax:
		t.Fatalf("%q: no problem and no author: %+v", value, a)
	}
	for _, d := range all {
		if !slices.Contains(a.Domains, d) {
			t.Fatalf("%q is certain, and there is %q: %+v", value, d, a)
		}
	}
	known := func(domain string) bool { // a single label has no policy and is no author domain
		return slices.Contains(a.Domains, domain) || !strings.Contains(domain, ".")
	}
	for _, addr := range a.Addresses {
		if !known(addr.Domain) {
			t.Fatalf("%q: address %q is at none of %q", value, addr, a.Domains)
		}
	}
	others, err := mail.ParseAddressList(value)
	if err != nil {
		return
	}
	for _, o := range others {
		for _, d := range slowNames(o.Address[strings.LastIndexByte(o.Address, '@'):], false) {
			// No top-level domain has an underscore, which is a blank in an encoded word.
			if !known(d) && !strings.Contains(d[strings.LastIndexByte(d, '.'):], "_") {
				t.Fatalf("%q: another parser reads %q, the author domains are %q", value, o.Address, a.Domains)
			}
		}
	}
}

func BenchmarkAuthor(b *testing.B) {
	const size = 64 << 10
	repeat := func(s string) string { return strings.Repeat(s, size/len(s)) }
	for name, value := range map[string]string{
		"ordinary":              "Joe Q. Public <john.q.public@example.com>",
		"ordinary U-label":      "Jörg <joerg@bücher.example>",
		"64KiB nested comments": strings.Repeat("(", size/2) + strings.Repeat(")", size/2) + "a@x.example",
		"64KiB comments":        repeat("((()))") + "a@x.example",
		"64KiB open quote":      `"` + repeat(`\a`),
		"64KiB quoted":          `"` + repeat(`\a`) + `"@x.example`,
		"64KiB addresses":       repeat("a@x.example,"),
		"64KiB domains":         repeat("a@ü.b,"),
		"64KiB malformed":       "<" + repeat("@ü.ü "),
		"64KiB long domains":    "<" + repeat("@"+strings.Repeat("ü", 500)+" "),
		"64KiB words":           repeat("a "),
		"64KiB dots":            "a@" + repeat("a. "),
		"64KiB groups":          repeat("a:;,"),
		"64KiB route":           "<" + repeat("@a,") + ":a@x.example>",
		"64KiB folds":           repeat("\r\n ") + "a@x.example",
	} {
		b.Run(name, func(b *testing.B) {
			h := from(value)
			b.ReportAllocs()
			b.SetBytes(int64(len(value)))
			for b.Loop() {
				h.Author()
			}
		})
	}
}
