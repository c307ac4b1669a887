package message

import (
	"slices"
	"strings"
	"testing"
)

// from builds a header with one From field of this value.
func from(value string) Header {
	return Header{{Name: "Received", Value: " by mx.example"}, {Name: "From", Value: " " + value}}
}

var authorTests = []struct {
	name    string
	header  Header
	domains []string
	problem string // part of it; "" means none
}{
	// Well-formed.
	{"a bare address", from("a@x.example"), []string{"x.example"}, ""},
	{"a display name and an angle address", from("Joe Q. Public <john.q.public@example.com>"), []string{"example.com"}, ""},
	{"the domain is lowered", from("user@EXAMPLE.Com"), []string{"example.com"}, ""},
	{"a U-label becomes an A-label", from("user@BÜCHER.example"), []string{"xn--bcher-kva.example"}, ""},
	{"a final dot is no part of the name", from("user@example.com."), []string{"example.com"}, "malformed"},
	{"an ideographic full stop separates labels by the mapping only", from("a@bank。example"), []string{"bank.example"}, ""},
	{"a full-width full stop too", from("a@bank．example"), []string{"bank.example"}, ""},
	{"two addresses at one domain are one author domain", from("a@x.example, b@X.example"), []string{"x.example"}, ""},
	{"two domains are both listed", from("a@x.example, B <b@y.example>"), []string{"x.example", "y.example"}, ""},
	{"an @ in a quoted display name is text", from(`"a@b.example" <c@d.example>`), []string{"d.example"}, ""},
	{"a comment before the address", from("(x@y.example) c@d.example"), []string{"d.example"}, ""},
	{"a folded field", from("Name\r\n <c@\r\n\td.example>"), []string{"d.example"}, ""},
	{"folds outside the address are harmless", from("Na\r\n me (c\r\n d)\r\n <c@d.example>\r\n (e)"), []string{"d.example"}, ""},
	{"a quoted local part", from(`"john smith"@d.example`), []string{"d.example"}, ""},
	{"comments around the angle address", from(`Pete(A nice \) chap) <pete(his account)@silly.test(his host)>`), []string{"silly.test"}, ""},
	{"the obsolete list of RFC 5322 A.6.1", from("Joe Q. Public <john.q.public@example.com>, , jdoe@test   . example"), []string{"example.com", "test.example"}, ""},
	{"white space around the @", from("a @ x.example"), []string{"x.example"}, ""},
	{"RFC 6854 a group with members", from("Managing Partners:ben@example.com,carol@example.com;"), []string{"example.com"}, ""},
	{"a group and an address", from("A: a@x.example;, b@y.example"), []string{"x.example", "y.example"}, ""},
	{"empty members of a list, §4.4", from(", a@x.example,, b@x.example,"), []string{"x.example"}, ""},
	{"an 8-bit display name, RFC 6532", from("Jürgen <j@x.example>"), []string{"x.example"}, ""},
	{"an 8-bit local part, RFC 6532", from("jürgen@x.example"), []string{"x.example"}, ""},
	{"an encoded word is an ordinary display name", from("=?utf-8?B?YUBiLmV4YW1wbGU=?= <a@x.example>"), []string{"x.example"}, ""},
	{"a local part of 65 octets is an address", from(strings.Repeat("a", 65) + "@x.example"), []string{"x.example"}, ""},
	{"blanks inside the angle brackets", from("< a@x.example >"), []string{"x.example"}, ""},
	{"a quote with folding inside", from("\"a\r\n b\" <a@x.example>"), []string{"x.example"}, ""},

	// Number and names of the fields.
	{"no From field", Header{{"To", " a@x.example"}}, nil, "no From field"},
	{"Sender and Resent-From do not stand in for From", Header{{"Sender", " a@x.example"}, {"Resent-From", " a@x.example"}, {"Reply-To", " a@x.example"}}, nil, "no From field"},
	{"two From fields", Header{{"From", " a@x.example"}, {"from", " b@y.example"}}, []string{"x.example", "y.example"}, "2 From fields"},
	{"white space before the colon", Header{{"From ", " a@x.example"}, {"From", " b@y.example"}}, []string{"x.example", "y.example"}, "2 From fields"},
	{"a fold before the colon", Header{{"From\r\n ", " a@x.example"}}, []string{"x.example"}, "white space before its colon"},
	{"a no-break space in the name", Header{{"From\u00a0", " a@x.example"}, {"From", " b@y.example"}}, []string{"x.example", "y.example"}, "looks like From"},
	{"a hyphen before the name", Header{{"-From", " a@x.example"}, {"From", " b@y.example"}}, []string{"x.example", "y.example"}, "looks like From"},
	{"an 8-bit octet in the name", Header{{"From\xff", " a@x.example"}, {"From", " b@y.example"}}, []string{"x.example", "y.example"}, "looks like From"},
	{"only a name with 8 bits", Header{{"From\xff", " a@x.example"}}, []string{"x.example"}, "no From field"},
	{"8 bits in another name", Header{{"Subj\xfcct", " x"}, {"From", " b@y.example"}}, []string{"y.example"}, "malformed"},
	{"X-From is another field", Header{{"X-From", " a@x.example"}, {"From", " b@y.example"}}, []string{"y.example"}, ""},
	{"white space behind another name is allowed, §4.5.8", Header{{"Subject ", " x"}, {"From", " b@y.example"}}, []string{"y.example"}, ""},
	{"a field without a name", Header{{"", " x"}, {"From", " b@y.example"}}, []string{"y.example"}, "malformed"},

	// Malformed values.
	{"an empty From", from(""), nil, "no address"},
	{"a group without members", from("undisclosed:;"), nil, "no address"},
	{"an unquoted comma in the display name", from("Foo, Inc. <a@x.example>"), []string{"x.example"}, "malformed"},
	{"an unquoted @ in the display name", from("a@y.example <a@x.example>"), []string{"y.example", "x.example"}, "malformed"},
	{"the domain of a source route counts too, since some programs take it", from("<@good.example:u@evil.example>"), []string{"evil.example", "good.example"}, "source route"},
	{"a long source route", from("<@good.example,,@b.example :u@evil.example>"), []string{"evil.example", "good.example", "b.example"}, "source route"},
	{"an encoded word as the whole field", from("=?utf-8?B?YUBiLmV4YW1wbGU=?="), []string{"b.example"}, "malformed"},
	{"an encoded word around the address", from("=?utf-8?Q?=61@bank.example?="), []string{"bank.example"}, "no domain name"},
	{"an encoded word as local part", from("=?utf-8?Q?a=40bank.example=3E?=@evil.example"), []string{"evil.example", "bank.example"}, "encoded word"},
	{"a quoted pair between addresses", from(`<a@good.example>\,<b@evil.example>`), []string{"good.example", "evil.example"}, "malformed"},
	{"bare specials between addresses", from(`<a@good.example>:<b@evil.example>`), []string{"good.example", "evil.example"}, "malformed"},
	{"text behind the angle address", from("<a@x.example>b@y.example"), []string{"x.example", "y.example"}, "malformed"},
	{"a final odd character", from("a@x.example !"), []string{"x.example"}, "malformed"},
	{"final white space is harmless", from("a@x.example \t "), []string{"x.example"}, ""},
	{"an address in a comment is not an author", from("a@x.example (b@y.example)"), []string{"x.example"}, ""},
	{"a comment inside the domain makes both readings count", from("a@bank.example (c) .evil.example"), []string{"bank.example.evil.example", "bank.example"}, "comment inside"},
	{"white space inside the domain does too", from("a@bank.example\t.evil.example"), []string{"bank.example.evil.example", "bank.example"}, "look like another"},
	{"a comment in the place of the domain", from("a@(bank.example)evil.example"), []string{"evil.example"}, "comment inside"},
	{"an address in a comment before the @", from("a(@bank.example)@evil.example"), []string{"evil.example", "bank.example"}, "look like another"},
	{"a comment that is not closed", from("a@x.example (b@y.example"), []string{"x.example", "y.example"}, "comment without"},
	{"a NUL", from("a@x.example\x00.evil.example"), []string{"x.example.evil.example", "x.example"}, "NUL"},
	{"a bare CR", from("a@x.example\r, b@y.example"), []string{"x.example", "y.example"}, "line end"},
	{"a bare LF", from("a@x.example\n b@y.example"), []string{"x.example", "y.example"}, "line end"},
	{"a line end that begins another field", from("a@x.example\r\nFrom: b@y.example"), []string{"x.example", "y.example"}, "line end"},
	{"a control character", from("a@x.example\x01"), []string{"x.example"}, "0x01"},
	{"a terminal's control sequence is no part of a name", from("a@ex\x1b[2Jample.example"), []string{"example.example"}, "0x1b"},
	{"a control string is no part of a name", from("a@ex\x1b]0;t\aample.example"), []string{"example.example"}, "0x1b"},
	{"invalid UTF-8", from("a\xff <a@x.example>"), []string{"x.example"}, "UTF-8"},
	{"invalid UTF-8 behind the domain", from("a@x.example\xff"), []string{"x.example"}, "UTF-8"},
	{"bad Punycode", from("a@xn--bank-.example"), nil, "no domain name"},
	{"a direction override in the domain", from("a@\u202eelpmaxe.x"), nil, "no domain name"},
	{"an invisible character in the local part", from("a\u202eb@x.example"), []string{"x.example"}, "invisible"},
	{"an address inside a quoted local part", from(`"admin@bank.example> "@evil.example`), []string{"evil.example", "bank.example"}, "inside the local part"},
	{"an address literal", from("a@[192.0.2.1]"), nil, "literal"},
	{"an address literal beside an address", from("a@[IPv6:2001:db8::1], b@x.example"), []string{"x.example"}, "literal"},
	{"a single label has no policy and is no mistake", from("root@localhost"), nil, ""},
	{"an address without brackets", from("a@192.0.2.1"), nil, "without brackets"},
	{"deep comments", from(strings.Repeat("(", 11) + strings.Repeat(")", 11) + "a@x.example"), []string{"x.example"}, "nested"},
	{"ten deep is allowed", from(strings.Repeat("(", 10) + strings.Repeat(")", 10) + "a@x.example"), []string{"x.example"}, ""},
	{"a group in a group", from("a:b:c@x.example;;"), []string{"x.example"}, "malformed"},
	{"a group that does not end", from("a:c@x.example"), []string{"x.example"}, "semicolon"},
	{"no local part", from("@x.example"), []string{"x.example"}, "malformed"},
	{"no domain", from("a@"), nil, "unexpected end"},
	{"two dots", from("a..b@x.example"), []string{"x.example"}, "malformed"},
	{"an angle bracket that does not close", from("<a@x.example"), []string{"x.example"}, "malformed"},
	{"an empty angle address", from("Bank <>"), nil, "malformed"},
	{"no address at all", from("Bank"), nil, "without an address"},
}

func TestAuthor(t *testing.T) {
	for _, tt := range authorTests {
		t.Run(tt.name, func(t *testing.T) {
			a := tt.header.Author()
			if !slices.Equal(a.Domains, tt.domains) {
				t.Errorf("domains %q, want %q", a.Domains, tt.domains)
			}
			if (a.Problem == "") != (tt.problem == "") || !strings.Contains(a.Problem, tt.problem) {
				t.Errorf("problem %q, want %q", a.Problem, tt.problem)
			}
		})
	}
}

// A malformed field is lax only if no reader can find another domain.
func TestLaxAuthor(t *testing.T) {
	for value, want := range map[string]bool{
		"Foo, Inc. <a@x.example>":                         true,
		"a@x.example <a@x.example>":                       true,
		"a@X.example <b@x.example>":                       true,
		"<a@x.example":                                    true,
		"a..b@x.example":                                  true,
		"Jürgen, Inc. <a@x.example>":                      true,
		"a@x.example":                                     false, // well-formed
		"a@y.example <a@x.example>":                       false,
		"<a@good.example>b@evil.example":                  false,
		"<@good.example:u@evil.example>":                  false,
		"Foo, Inc. (a@bank.example) <a@x.example>":        false,
		"Foo, =?utf-8?Q?a=40bank.example?= <a@x.example>": false,
		`Foo\, Inc. <a@x.example>`:                        true,
		`a@x.example""y, Foo <a@x.example>`:               false,
		"Foo, a@x.example .evil.example":                  false,
		"Foo, a@x.example.\r\n evil.example":              false,
		"a@ <a@x.example>":                                true,
		"a@x.exampleü <a@x.example>":                      false,
		"a@localhost, Foo, Inc. <a@x.example>":            true,
		"a@x.example, , Foo: Inc. <a@x.example>":          true,
		"a@x.example\x00 <a@x.example>":                   false,
	} {
		if got := from(value).Author(); got.Lax != want {
			t.Errorf("%q: lax is %v, want %v: %+v", value, got.Lax, want, got)
		}
	}
	odd := Header{{"From", " Foo, Inc. <a@x.example>"}, {"From\xff", " b@x.example"}}
	if odd.Author().Lax {
		t.Error("a field beside a look-alike is lax")
	}
}
