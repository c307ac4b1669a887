package message

import (
	"slices"
	"strings"
	"testing"
)

// certainTests are From fields with the one domain that every reader finds, or "" if
// readers differ.
var certainTests = []struct{ name, value, domain string }{
	// Forged: a second domain far behind, or in text that only some readers take for
	// the address.
	{"the last of 101 addresses", strings.Repeat("x@attack.example, ", 100) + "ceo@legit.example", ""},
	{"the last of 100 addresses", strings.Repeat("x@attack.example, ", 99) + "ceo@legit.example", ""},
	{"the first of 150 addresses", "ceo@legit.example" + strings.Repeat(", x@attack.example", 149), ""},
	{"101 nested angle brackets", strings.Repeat("x@attack.example<", 101) + "ceo@legit.example", ""},
	{"more names than are listed", strings.Repeat(`"x@attack.example" <x@attack.example>, `, 60) + "ceo@legit.example", ""},
	{"a gap behind a comment with 100 @", "(" + strings.Repeat("@legit.example.attack.example", 100) + ") ceo@legit.example .attack.example", ""},
	{"a gap behind a name with 100 @", `"` + strings.Repeat("@legit.example.attack.example", 100) + `" <ceo@legit.example .attack.example>`, ""},
	{"101 addresses of one domain", strings.Repeat("a@x.example, ", 101), ""},
	{"101 malformed addresses of one domain", strings.Repeat("<a@x.example<", 101), ""},
	{"longer than 16 KiB", "a@x.example" + strings.Repeat(" ", maxFrom), ""},
	{"comments too deep", strings.Repeat("(", 11) + strings.Repeat(")", 11) + "a@x.example", ""},
	{"two domains in a well-formed list", "a@x.example, b@y.example", ""},
	{"8-bit octets and two domains", "J\xfcrgen <x@attack.example>, <ceo@legit.example>", ""},
	{"8-bit octets and a second domain in quotes", "\"ceo@legit.example\" J\xfcrgen <x@attack.example>", ""},
	{"8-bit octets and a second domain in a comment", "J\xfcrgen <x@attack.example> (ceo@legit.example)", ""},
	{"8-bit octets inside the domain", "J <x@b\xfccher.example>", ""},
	{"8-bit octets behind the domain", "x@attack.example\xfc", ""},
	{"a domain in an encoded word of a malformed field", "Foo, =?utf-8?Q?ceo=40legit.example?= <x@attack.example>", ""},
	{"a domain in base64 in a malformed field", "Foo, =?utf-8?B?Y2VvQGxlZ2l0LmV4YW1wbGU=?= <x@attack.example>", ""},
	{"a domain in two encoded words", "Foo, =?utf-8?Q?ceo=40leg?= =?utf-8?Q?it.example?= <x@attack.example>", ""},
	{"a domain that begins before the encoded word", "Foo, ceo@=?utf-8?Q?legit.example?= <x@attack.example>", ""},
	{"an encoded word of UTF-7 in a malformed field", "Foo, =?utf-7?Q?ceo+AEA-legit.example?= <x@attack.example>", ""},
	{"an encoded word within what only looks like one", "Foo, =?utf-8?Q?=?utf-8?B?Y2VvQGxlZ2l0LmV4YW1wbGU=?= <x@attack.example>", ""},
	{"an encoded word behind the begin of one with a blank", "Foo, =?utf-8?Q?a =?utf-8?B?Y2VvQGxlZ2l0LmV4YW1wbGU=?= <x@attack.example>", ""},
	{"a domain that was encoded twice", "Foo, =?utf-8?Q?=3D=3Futf-8=3FQ=3Fceo=3D40legit.example=3F=3D?= <x@attack.example>", ""},
	{"base64 behind padding", "Foo, =?utf-8?B?Y2VvQA==bGVnaXQuZXhhbXBsZQ==?= <x@attack.example>", ""},
	{"base64 at which a decoder may stop", "Foo, =?utf-8?B?Y2VvQA==YQ==?=legit.example <x@alegit.example>", ""},
	{"base64 with a foreign character", "Foo, =?utf-8?B?Y2VvQA*YQ==?=legit.example <x@attack.example>", ""},
	{"base64 with a last character that may be an @", "Foo, =?utf-8?B?Y2VvQ?=legit.example <x@attack.example>", ""},
	{"a name that goes on behind the encoded word that has the @", "Foo, =?utf-8?Q?ceo=40legit.example?=.attack.example", ""},
	{"a direction override in a malformed field", "\u202e<elpmaxe.tigel@oec> <x@attack.example>", ""},
	{"a direction override in an encoded word of one", "Foo, =?utf-8?Q?=E2=80=AEmoc.tigel=40oec?= <x@attack.example>", ""},
	{"a domain behind the second of two comments", "Foo (a)x, ceo@ (b) (c) legit.example <x@attack.example>", ""},
	{"a domain behind an escape of ISO-2022", "Foo, ceo@legit\x1b(B.example <x@attack.example>", ""},
	{"the same in an encoded word", "Foo, =?iso-2022-jp?Q?ceo=40legit=1B(B.example?= <x@attack.example>", ""},
	{"an encoded word as local part that hides a domain", "=?utf-8?Q?ceo=40legit.example=3E?=@attack.example", ""},
	{"a domain in quotes", `CEO, <ceo@"legit.example"> <x@attack.example>`, ""},
	{"quotes inside a domain", `Foo, x@attack.example""x <x@attack.example>`, ""},
	{"a backslash inside a domain", `Foo, ceo@legit\.example <x@attack.example>`, ""},
	{"a control character inside a domain", "ceo@legit\x01.example <x@attack.example>", ""},
	{"a backspace inside a domain", "ceo@legitx\b.example", ""},
	{"a control character inside a label", "ceo@le\x01git.example", ""},
	{"a terminal's control sequence inside a domain", "ceo@le\x1b[2Jgit.example", ""},
	{"a control sequence with parameters inside a domain", "ceo@le\x1b[38;5;1mgit.example", ""},
	{"a control sequence at the end of a domain", "ceo@legit.example\x1b[K", ""},
	{"a control sequence at the beginning of a domain", "ceo@\x1b[2Jlegit.example", ""},
	{"a control string inside a domain", "ceo@le\x1b]0;title\agit.example", ""},
	{"a control string with an ST inside a domain", "ceo@le\x1bPq\x1b\\git.example", ""},
	{"a reset of the terminal inside a domain", "ceo@le\x1bcgit.example", ""},
	{"a control sequence of one octet inside a domain", "ceo@le\x9b2Jgit.example", ""},
	{"a control sequence of U+009B inside a domain", "ceo@le\u009b2Jgit.example", ""},
	{"a control sequence in an encoded word", "=?utf-8?Q?ceo=40le=1B[2Jgit.example?=, <x@attack.example>", ""},
	{"a control sequence inside another domain", "ceo@le\x1b[2Jgit.example <x@attack.example>", ""},
	{"white space around a dot of a malformed field", "Foo, ceo@legit . example <x@attack.example>", ""},
	{"a comment inside a domain", "Foo, x@attack.example (a) .legit.example", ""},
	{"a comment that joins two names when it is cut out", "x@attack.example(a)s.legit.example", ""},
	{"a comment in the place of the domain", "x@(legit.example)attack.example", ""},
	{"a route", "<@legit.example:x@attack.example>", ""},
	{"a name behind an exclamation mark", "ceo@attack.example!legit.example", ""},
	{"a name behind a percent sign, malformed", "ceo@attack.example%legit.example;", ""},
	{"a name behind an apostrophe and 8-bit octets", "ceo@attack.example'legit.example (J\xfcrgen)", ""},
	{"a name that goes on behind an encoded word", "=?utf-8?Q?u@home_example=?utf-8?Q?ceo=40legit.example?=.attack.example", ""},
	{"white space inside a label, in angle brackets", "CEO <ceo@legit.exam ple>", ""},
	{"white space inside a label, without brackets", "ceo@legit.exam ple", ""},
	{"white space inside a label, in a group", "g: ceo@legit.exam\tple;", ""},
	{"a fold inside a label", "CEO <ceo@legit.exam\r\n ple>", ""},
	{"a no-break space inside a label", "CEO <ceo@legit.exam\u00a0ple>", ""},
	{"white space in several places of a label", "ceo@legit.ex am p le, x@legit.ex", ""},
	{"empty angle brackets inside a label", "CEO, ceo@legit.exam<>ple", ""},
	{"a bracket inside a label", "CEO <ceo@legit.exam<ple>", ""},
	{"empty angle brackets inside angle brackets", "CEO <ceo@legit.exam<>ple>", ""},
	{"an angle bracket at the beginning of a domain", "ceo@>legit.example (x@attack.example)", ""},
	{"a comma at the beginning of a domain", "x@attack.example, <ceo@,legit.example>", ""},
	{"two at signs", "ceo@legit.example@attack.example", ""},
	{"two dots in the domain", "ceo@legit..example", ""},
	{"two dots in another domain", "ceo@legit..example <x@attack.example>", ""},
	{"an address in the local part", `"CEO <ceo@legit.example>"@attack.example`, ""},
	{"a full-width at sign in a malformed field", "ceo＠legit.example, Foo <x@attack.example>", ""},
	{"a direction override in the local part", "Foo, \u202eelpmaxe.tigel@attack.example", ""},
	{"a NUL", "x@attack.example\x00 <x@attack.example>", ""},
	{"a line end that folds nothing", "x@attack.example\r\nFrom: x@attack.example", ""},
	{"a comment before what is not all a name", "x@(a)^legit.example", ""},
	{"a literal beside a domain", "a@[192.0.2.1], b@x.example", ""},
	{"an address without brackets beside a domain", "a@192.0.2.1, b@x.example", ""},
	{"a literal that is a name", "ceo@[legit.example], Foo <x@attack.example>", ""},

	// Malformed, with the same domain for every reader.
	{"Latin-1 in the display name", "J\xfcrgen M\xfcller <a@x.example>", "x.example"},
	{"Latin-1 in quotes", "\"J\xfcrgen\" <a@x.example>", "x.example"},
	{"GBK in the display name", "\xbf\xcd\xbb\xa7\xb7\xfe\xce\xf1 <a@x.example>", "x.example"},
	{"a second octet of GBK that is an @", "\x81\x40\x82\x40\xb0\xa1 <a@x.example>", "x.example"},
	{"a second octet of GBK that is a backslash before the quote", "\"\xb7\xfe\x81\x5c\" <a@x.example>", "x.example"},
	{"Shift_JIS with a backslash, not quoted", "\x83\x5c\x83\x6a\x81\x5b <a@x.example>", "x.example"},
	{"ISO-2022-JP without an encoded word", "\x1b$B;3ED$@\x1b(B <a@x.example>", "x.example"},
	{"ISO-2022-JP with an @ among its octets", "\x1b$B@A;3\x1b(B <a@x.example>", "x.example"},
	{"ISO-2022-JP with an @ and a letter at its end", "\x1b$B;3@A\x1b(B <a@x.example>", "x.example"},
	{"ISO-2022-JP with a parenthesis, and an @ at its end before a comment", "\x1b$B$)$b\x1b(B \x1b$B%:%@\x1b(B (Shop) <a@x.example>", "x.example"},
	{"a control sequence in the display name", "\x1b[31mBob\x1b[0m <a@x.example>", "x.example"},
	{"a control character in the display name", "Bob\x01 <a@x.example>", "x.example"},
	{"8-bit octets in a comment", "a@x.example (J\xfcrgen)", "x.example"},
	{"a semicolon behind the name", "Bob;<a@x.example>", "x.example"},
	{"a semicolon at the end", `"Bob" <a@x.example>;`, "x.example"},
	{"an @ and a word", "Jane @ Strict <a@x.example>", "x.example"},
	{"an @ and nothing", "Jane @ <a@x.example>", "x.example"},
	{"an @ before a word", "@Jane <a@x.example>", "x.example"},
	{"the address as display name", "a@x.example <a@x.example>", "x.example"},
	{"apostrophes around the address", "'a@x.example'", "x.example"},
	{"the address in apostrophes", "'a@x.example' <a@x.example>", "x.example"},
	{"the address as display name, with more", "a@x.example via Bob's list <a@x.example>", "x.example"},
	{"a raw @ in an encoded word", "=?UTF-8?Q?info@x.example_Team?= <a@x.example>", "x.example"},
	{"a final dot", "a@x.example.", "x.example"},
	{"a final dot in angle brackets", "Bob <a@x.example.>", "x.example"},
	{"an open quote", `"Bob\" <a@x.example>`, "x.example"},
	{"a comma", "Foo, Inc. <a@x.example>", "x.example"},
	{"thirty addresses and encoded words", strings.Repeat("=?utf-8?Q?M=C3=BCller?=, GmbH <a@x.example>, ", 30), "x.example"},
	{"a mark of direction in a Hebrew name with a comma", "\u05d3\u05df\u200f, \u05db\u05d4\u05df <a@x.example>", "x.example"},
	{"a character set of DOS and a comma", "=?IBM850?Q?B=94b?=, Inc. <a@x.example>", "x.example"},
	{"a blank in an encoded word and a comma", "=?utf-8?Q?Bob Smith?=, Inc. <a@x.example>", "x.example"},
	{"base64 in two lines and a comma", "=?utf-8?B?Qm9i\r\n IFNtaXRo?=, Inc. <a@x.example>", "x.example"},
	{"base64 without padding and a comma", "=?utf-8?B?Qm8?=, Inc. <a@x.example>", "x.example"},
	{"a comma and an encoded word", "=?utf-8?Q?M=C3=BCller?=, GmbH <a@x.example>", "x.example"},
	{"an encoded word of ISO-2022-JP and a comma", "=?ISO-2022-JP?B?GyRCOzNFRBsoQg==?=, Inc. <a@x.example>", "x.example"},
	{"an encoded word as local part", "=?utf-8?Q?J=C3=BCrgen?=@x.example", "x.example"},
	{"the whole field in an encoded word", "=?utf-8?Q?Bob_=3Ca=40x.example=3E?=", "x.example"},
	{"the whole field in quotes", `"Bob <a@x.example>"`, "x.example"},
	{"a comment and a comma", "Foo (Bar), Inc. <a@x.example>", "x.example"},
	{"a route of the same domain", "<@x.example:a@x.example>", "x.example"},
	{"a U-label and its A-label", "<a@bücher.example> <a@xn--bcher-kva.example>", "xn--bcher-kva.example"},
	{"a U-label below another name", "Foo, Inc. <a@mail.bücher.example>", "mail.xn--bcher-kva.example"},
	{"different case", "a@X.example <a@x.EXAMPLE>", "x.example"},
	{"a group without its end", "Foo: Bar <a@x.example>", "x.example"},
	{"a link", "<mailto:a@x.example>", "x.example"},
	{"no comma between", "<a@x.example> <b@x.example>", "x.example"},
	{"words behind the angle brackets", "<a@x.example> Bob", "x.example"},
	{"a blank before the end of the bracket", "Bob <a@x.example >", "x.example"},
	{"empty angle brackets behind the address", "a@x.example <>", "x.example"},
	{"words between two addresses", "a@x.example on behalf of <b@x.example>", "x.example"},
	{"a no-break space before the bracket", "Bob, a@x.example\u00a0<a@x.example>", "x.example"},
	{"folds", "Foo,\r\n Inc.\r\n\t<a@x.example>", "x.example"},
	{"an address of one label beside", "root@localhost <a@x.example>", "x.example"},
	// Well-formed.
	{"another address in a quoted display name", `"someone@other.example via List" <a@x.example>`, "x.example"},
	{"another address in a comment", `"Bob" <a@x.example> (on behalf of someone@other.example)`, "x.example"},
	{"another address in an encoded word", "=?utf-8?Q?ceo=40other.example?= <a@x.example>", "x.example"},
	{"several addresses of a domain", "a@x.example, b@X.example", "x.example"},
}

func TestTheAuthorIsCertainWhereEveryReadingMeetsOneDomain(t *testing.T) {
	for _, tt := range certainTests {
		t.Run(tt.name, func(t *testing.T) {
			a := from(tt.value).Author()
			if certain := a.Certain() && len(a.Domains) == 1; certain != (tt.domain != "") || certain && a.Domains[0] != tt.domain {
				t.Errorf("certain is %v, want %q: %+v", certain, tt.domain, a)
			}
		})
	}
}

// A repeated From field is no certain author, even if all name one domain (RFC 9989 §4.4).
func TestCertaintyOverSeveralFields(t *testing.T) {
	for _, tt := range []struct {
		name   string
		header Header
		want   bool
	}{
		{"two fields that say the same", Header{{"From", " a@x.example"}, {"From", " a@x.example"}}, false},
		{"two fields of a domain", Header{{"From", " Foo, Inc. <a@x.example>"}, {"From", " b@x.example"}}, false},
		{"two fields of a domain, one with a blank before the colon", Header{{"From ", " a@x.example"}, {"FROM", " a@x.example"}}, false},
		{"two fields, one without a domain", Header{{"From", " a@x.example"}, {"From", " undisclosed:;"}}, false},
		{"two fields of two domains", Header{{"From", " a@x.example"}, {"From", " b@y.example"}}, false},
		{"a blank before the colon", Header{{"From ", " a@x.example"}}, true},
		{"a blank before the colon of another domain's", Header{{"From ", " a@x.example"}, {"From", " a@y.example"}}, false},
		{"a look-alike", Header{{"From\xff", " b@x.example"}, {"From", " a@x.example"}}, false},
		{"only a look-alike", Header{{"From\xff", " b@x.example"}}, false},
		{"8-bit octets in another field's name", Header{{"Subj\xfcct", " x"}, {"From", " a@x.example"}}, true},
		{"an address in a malformed field name", Header{{"From", " a@x.example"}, {"\xff,b@y.example", " x"}}, false},
		{"101 addresses in many fields", slices.Repeat(Header{{"From", " a@x.example, b@x.example"}}, 51), false},
		{"none", Header{{"To", " a@x.example"}}, false},
		{"one behind a CR alone in another field", Header{{"Subject", " x\rFrom: b@y.example"}, {"From", " a@x.example"}}, false},
		{"one of the same domain there", Header{{"Subject", " x\rfrom : b@x.example"}, {"From", " a@x.example"}}, false},
		{"one behind an LF alone", Header{{"X-A", " x\n y\nFROM:b@y.example"}, {"From", " a@x.example"}}, false},
		{"one behind a line end that folds nothing", Header{{"X-A", " x\r\nFrom: b@y.example"}, {"From", " a@x.example"}}, false},
		{"one behind two CR", Header{{"X-A", "\r\rX: y\rFrom: b@y.example"}, {"From", " a@x.example"}}, false},
		{"a look-alike behind a CR alone", Header{{"X-A", " x\rFrom\xa0: b@y.example"}, {"From", " a@x.example"}}, false},
		{"a continuation behind a CR alone", Header{{"X-A", " x\r From: b@y.example"}, {"From", " a@x.example"}}, true},
		{"another field behind a CR alone", Header{{"X-A", " x\rTo: b@y.example\r"}, {"From", " a@x.example"}}, true},
		{"one behind a CR alone in a field with a malformed name", Header{{"X Y", " x\rFrom: b@y.example"}, {"From", " a@x.example"}}, false},
		{"one behind a CR alone in a name", Header{{"X\rFrom", " b@y.example"}, {"From", " a@x.example"}}, false},
		{"another field there", Header{{"X Y", " x\rTo: b@y.example"}, {"From", " a@x.example"}}, true},
		{"text behind a CR alone", Header{{"X-A", " x\rFrom b@y.example"}, {"From", " a@x.example"}}, true},
	} {
		a := tt.header.Author()
		if got := a.Certain() && len(a.Domains) == 1; got != tt.want {
			t.Errorf("%s: %v, want %v: %+v", tt.name, got, tt.want, a)
		}
	}
}

// A header has no author if no reading of it finds a domain.
func TestNoAuthorInAnyReading(t *testing.T) {
	for value, want := range map[string]bool{
		"MAILER-DAEMON (Mail Delivery System)":  true,
		`"Mail Delivery System"`:                true,
		"Mail Delivery System <MAILER-DAEMON>":  true,
		"Mail Delivery System <>":               true,
		"":                                      true,
		"undisclosed:;":                         true,
		"MAILER-DAEMON@":                        true,
		"=?utf-8?Q?Zustellung_fehlgeschlagen?=": true,
		"Zustellung f\xfcr Sie":                 true,
		"MAILER-DAEMON@192.0.2.1":               true,
		"MAILER-DAEMON@1.2":                     false,
		"MAILER-DAEMON@[192.0.2.1]":             true,
		"MAILER-DAEMON@[IPv6:2001:db8::1]":      true,
		"a@x.example":                           false,
		`CEO <ceo@"legit.example">`:             false,
		`"ceo@legit.example"`:                   false,
		"(ceo@legit.example)":                   false,
		"=?utf-8?B?Y2VvQGxlZ2l0LmV4YW1wbGU=?=":  false,
		"=?utf-7?Q?ceo+AEA-legit.example?=":     false,
		"ceo@legit..example":                    false,
		"ceo@(legit.example)example":            false,
		"ceo@[legit.example]":                   false,
		"ceo@xn--0.example":                     false,
		"MAILER-DAEMON\x00":                     false,
		"MAILER-DAEMON\r\nFrom: ceo":            false,
		strings.Repeat("x", maxFrom+1):          false,
		"ceo＠legit.example":                     false,
		"ceo@\x1b(Blegit.example":               false,
	} {
		if a := from(value).Author(); a.Empty != want {
			t.Errorf("%.60q: empty is %v, want %v: %+v", value, a.Empty, want, a)
		}
	}
	if a := (Header{{"To", " a@x.example"}}).Author(); !a.Empty {
		t.Errorf("no From field: %+v", a)
	}
}

// Another program can use the list only if all domains are on it.
func TestAnIncompleteListOfDomainsIsSaidToBe(t *testing.T) {
	var many []string
	for _, c := range "abcdef" {
		many = append(many, "a@"+string(c)+".example")
	}
	for value, want := range map[string]bool{
		strings.Join(many, ", "):                           true,
		strings.Join(many, " "):                            true,
		strings.Join(many[:5], " "):                        false,
		"a@x.example " + strings.Repeat(" ", maxFrom):      true,
		"a@b\xfccher.example":                              true,
		"a@x.example <b@xn--0.example>":                    true,
		"a@x.example, b@y.example":                         false,
		strings.Repeat("a@x.example, ", 101):               false,
		strings.Repeat("ü@ü.example ", 99) + "a@x.example": false,
		"Bank": false,
	} {
		if a := from(value).Author(); a.Incomplete != want {
			t.Errorf("%.60q: incomplete is %v, want %v: %+v", value, a.Incomplete, want, a)
		}
	}
}

// The addresses of a malformed field are returned only if every reader finds them.
func TestAddressesOfAMalformedField(t *testing.T) {
	for value, want := range map[string][]Address{
		"J\xfcrgen <a.b+c@x.example>":                  {{"a.b+c", "x.example"}},
		"Foo, Inc. <a@X.example.>":                     {{"a", "x.example"}},
		"a@x.example.":                                 {{"a", "x.example"}},
		"a@x.example <b@x.example>":                    {{"a", "x.example"}, {"b", "x.example"}},
		"a@x.example;":                                 {{"a", "x.example"}},
		"Foo, b a@x.example":                           nil,
		`Foo, <"a"@x.example>`:                         nil,
		"Foo, <a\x01b@x.example>":                      nil,
		"=?utf-8?Q?Bob_=3Ca=40x.example=3E?=":          nil,
		"=?utf-8?Q?J=C3=BCrgen?=@x.example":            nil,
		"=?utf-8?Q?b=40x.example?=, Foo <a@x.example>": nil,
		"J\xfcrgen <j\xfcrgen@x.example>":              nil,
		"Jane @ Strict <a@x.example>":                  nil,
	} {
		a := from(value).Author()
		if !a.Lax || !slices.Equal(a.Addresses, want) {
			t.Errorf("%q: lax %v, addresses %q, want %q", value, a.Lax, a.Addresses, want)
		}
	}
}
