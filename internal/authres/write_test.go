package authres

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestValue(t *testing.T) {
	prop := func(value string) Field {
		return Field{AuthservID: "mx.example", Results: []Result{{Method: "spf", Value: "pass", Properties: []Property{{"smtp", "mailfrom", value}}}}}
	}
	propUTF8 := func(value string) Field {
		f := prop(value)
		f.UTF8 = true
		return f
	}
	comment := func(text string) Field {
		return Field{AuthservID: "mx.example", Results: []Result{{Method: "dkim", Value: "pass", Comment: text}}}
	}
	reason := func(text string) Field {
		return Field{AuthservID: "mx.example", Results: []Result{{Method: "dkim", Value: "pass", Reason: text}}}
	}
	const spf = "mx.example;\r\n spf=pass smtp.mailfrom="
	tests := []struct {
		name string
		f    Field
		want string
	}{
		{"no results are none", Field{AuthservID: "mx.example"}, "mx.example; none"},
		{"one field with all methods", Field{AuthservID: "mx.example", Results: []Result{{Method: "spf", Value: "none"}, {Method: "dkim", Value: "none"}}}, "mx.example;\r\n spf=none;\r\n dkim=none"},
		{"a version is written where there is one", Field{AuthservID: "mx.example", Version: 1}, "mx.example 1; none"},
		{"a method's version too", Field{AuthservID: "mx.example", Results: []Result{{Method: "dkim", Version: 1, Value: "none"}}}, "mx.example;\r\n dkim/1=none"},
		{"an id that is no token is quoted", Field{AuthservID: "mx gateway"}, `"mx gateway"; none`},
		{"the properties of a signature", Field{AuthservID: "mx.example", Results: []Result{{Method: "dkim", Value: "pass", Comment: "2048-bit rsa", Properties: []Property{{"header", "d", "a.example"}, {"header", "i", "@a.example"}, {"header", "s", "s1"}, {"header", "a", "rsa-sha256"}, {"header", "b", "AbCd+/=g"}}}}},
			"mx.example;\r\n dkim=pass (2048-bit rsa) header.d=a.example header.i=@a.example header.s=s1\r\n  header.a=rsa-sha256 header.b=\"AbCd+/=g\""},
		{"an unsigned message", Field{AuthservID: "mx.example", Results: []Result{{Method: "dkim", Value: "none"}}}, "mx.example;\r\n dkim=none"},
		{"a domain is a token", prop("example.net"), spf + "example.net"},
		{"an IPv4 address is a token", Field{AuthservID: "m", Results: []Result{{Method: "iprev", Value: "pass", Properties: []Property{{"policy", "iprev", "192.0.2.1"}}}}}, "m;\r\n iprev=pass policy.iprev=192.0.2.1"},
		{"an IPv6 address is quoted", Field{AuthservID: "m", Results: []Result{{Method: "iprev", Value: "pass", Properties: []Property{{"policy", "iprev", "2001:db8::1"}}}}}, "m;\r\n iprev=pass policy.iprev=\"2001:db8::1\""},
		{"dmarc", Field{AuthservID: "m", Results: []Result{{Method: "dmarc", Value: "fail", Comment: "p=reject dis=none", Properties: []Property{{"header", "from", "a.example"}, {"policy", "dmarc", "quarantine"}}}}}, "m;\r\n dmarc=fail (p=reject dis=none) header.from=a.example policy.dmarc=quarantine"},

		{"arc", Field{AuthservID: "m", Results: []Result{{Method: MethodARC, Value: "pass", Properties: []Property{{TypeSMTP, "remote-ip", "192.0.2.1"}, {TypeHeader, "oldest-pass", "0"}}}}}, "m;\r\n arc=pass smtp.remote-ip=192.0.2.1 header.oldest-pass=0"},

		{"an address is written without quotes", prop("user+tag@x.example"), spf + "user+tag@x.example"},
		{"a quoted local part keeps its quotes", prop(`"a b"@x.example`), spf + `"a b"@x.example`},
		{"blanks are quoted", prop("a b"), spf + `"a b"`},
		{"an empty value is quoted", prop(""), spf + `""`},
		{"CR, LF, NUL and controls", prop("a\r\nb\x00c\x7fd\te"), spf + `"a??b?c?d?e"`},
		{"a line end cannot begin a field", prop("x\r\nBcc: y"), spf + `"x??Bcc: y"`},
		{"no 8-bit in ordinary mail", prop("a\xffb"), spf + `"a?b"`},
		{"quotes and backslashes", prop(`a"b\c`), spf + `"a?b?c"`},
		{"an unwanted octet does not vanish", prop("ba\x00nk.example"), spf + `"ba?nk.example"`},
		{"a parenthesis in a domain", prop("a.com(.b.com"), spf + `"a.com?.b.com"`},
		{"text that would be a result", prop(`"x) dmarc=pass (y"@z`), spf + `"?x? dmarc=pass ?y?@z"`},
		{"a semicolon in a quoted local part", prop(`"x; dmarc=pass"@z.example`), spf + `"?x? dmarc=pass?@z.example"`},
		{"an encoded word", prop("=?utf-8?q?x=3B_dmarc=3Dpass?=@z.example"), spf + `"-?utf-8?q?x=3B_dmarc=3Dpass?=@z.example"`},
		{"a long value is cut", prop(strings.Repeat("a", 2000)), "mx.example;\r\n spf=pass\r\n  smtp.mailfrom=" + strings.Repeat("a", 509) + "..."},
		{"keywords keep only what a keyword has", Field{AuthservID: "m", Results: []Result{{Method: "d k;im=(", Value: "Pass\r\n", Properties: []Property{{"he ader", "d\"", "x"}}}}}, "m;\r\n dkim=pass header.d=x"},
		{"a result without a method is not written", Field{AuthservID: "m", Results: []Result{{Method: ";", Value: "pass"}}}, "m; none"},
		{"a property without a type is not written", Field{AuthservID: "m", Results: []Result{{Method: "dkim", Value: "pass", Properties: []Property{{"", "d", "x"}}}}}, "m;\r\n dkim=pass"},

		{"a comment cannot end early", comment("a) dmarc=pass (b"), "mx.example;\r\n dkim=pass (a] dmarc=pass [b)"},
		{"nor by an escape", comment(`a\) b\`), "mx.example;\r\n dkim=pass (a/] b/)"},
		{"nor hide a result behind a semicolon", comment("x; dmarc=pass"), "mx.example;\r\n dkim=pass (x, dmarc=pass)"},
		{"nor begin a line", comment("x\r\ny"), "mx.example;\r\n dkim=pass (x??y)"},
		{"an empty comment is left out", comment(" "), "mx.example;\r\n dkim=pass"},
		{"a reason is quoted", reason("bad signature"), "mx.example;\r\n dkim=pass reason=\"bad signature\""},
		{"a quote and UTF-8 in a reason", reason(`the "kéy"`), "mx.example;\r\n dkim=pass reason=\"the 'k?y'\""},

		{"A-labels in ordinary mail", prop("bücher.example"), spf + "xn--bcher-kva.example"},
		{"A-labels in an address", prop("@bücher.example"), spf + "@xn--bcher-kva.example"},
		{"an 8-bit local part is masked", prop("jürgen@bücher.example"), spf + `"j?rgen@xn--bcher-kva.example"`},
		{"U-labels in SMTPUTF8 mail", propUTF8("jürgen@bücher.example"), spf + "jürgen@bücher.example"},
		{"no direction override even there", propUTF8("a\u202eb"), spf + "\"a?b\""},
		{"no invalid UTF-8 even there", propUTF8("a\xffb@x.example"), spf + `"a?b@x.example"`},
		{"the id", Field{AuthservID: "mx.bücher.example"}, "mx.xn--bcher-kva.example; none"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := tt.f.Value()
			if got != tt.want {
				t.Errorf("\n got %q\nwant %q", got, tt.want)
			}
			if _, err := Parse(" " + got); err != nil {
				t.Errorf("our own field %q: %v", got, err)
			}
		})
	}
}

func TestOnlyRegisteredMethodsHaveConstants(t *testing.T) {
	// https://www.iana.org/assignments/email-auth, without those deprecated.
	registered := []string{"arc", "auth", "dkim", "dkim-adsp", "dkim-atps", "dmarc", "dnswl", "iprev", "rrvs", "smime", "spf", "vbr"}
	for _, m := range []string{MethodARC, MethodAuth, MethodDKIM, MethodDMARC, MethodIPRev, MethodSPF} {
		if !slices.Contains(registered, m) || keyword(m) != m {
			t.Errorf("%q is not a registered method in normal form", m)
		}
	}
	for _, p := range []string{TypeBody, TypeHeader, TypePolicy, TypeSMTP} {
		if !slices.Contains([]string{"body", "dns", "header", "policy", "smtp"}, p) {
			t.Errorf("%q is not a registered property type", p)
		}
	}
}

func TestLinesAreFoldedBetweenTokensOnly(t *testing.T) {
	f := Field{AuthservID: "mx.example.net"}
	for i := range 20 {
		d := fmt.Sprintf("signer-%d.a-rather-long-domain-name.example", i)
		f.Results = append(f.Results, Result{Method: MethodDKIM, Value: "pass", Comment: "2048-bit rsa", Reason: "because", Properties: []Property{
			{TypeHeader, "d", d}, {TypeHeader, "i", "@" + d}, {TypeHeader, "s", "selector"}, {TypeHeader, "b", "AbCdEfGh"}}})
	}
	value := f.Value()
	lines := strings.Split(Name+": "+value, "\r\n")
	for _, line := range lines {
		if len(line) > 78 {
			t.Errorf("a line of %d octets: %q", len(line), line)
		}
		if strings.TrimSpace(line) == "" {
			t.Error("a line of white space only")
		}
	}
	if strings.ContainsAny(strings.ReplaceAll(value, "\r\n ", ""), "\r\n") {
		t.Error("a line end that does not fold")
	}
	back, err := Parse(" " + value)
	if err != nil {
		t.Fatal(err)
	}
	for i, r := range back.Results {
		if len(r.Properties) != 4 || r.Properties[0] != f.Results[i].Properties[0] || r.Reason != "because" {
			t.Errorf("result %d came back as %+v", i, r)
		}
	}
}

func TestNoLineIsLongerThan998(t *testing.T) {
	long := strings.Repeat("é ", 10000)
	f := Field{AuthservID: long, UTF8: true, Results: []Result{{Method: long + "m", Value: "pass", Reason: long, Comment: long, Properties: []Property{{"header", "d", long}}}}}
	for _, line := range strings.Split(f.Value(), "\r\n") {
		if len(line) > 998 || !utf8.ValidString(line) {
			t.Errorf("a line of %d octets", len(line))
		}
	}
}

// wild is a Field of arbitrary foreign strings.
func wild(a, b, c, d, e string, utf8 bool) Field {
	return Field{AuthservID: "mx.example " + a, UTF8: utf8, Results: []Result{
		{Method: "dkim", Value: "fail", Reason: a, Comment: b, Properties: []Property{{"header", "i", c}, {"header", "d", d}, {"header", "b", e}}},
		{Method: "spf", Value: "softfail", Comment: c, Properties: []Property{{"smtp", "mailfrom", e}, {"smtp", "helo", a}}},
		{Method: "dmarc", Value: "fail", Reason: d, Properties: []Property{{"header", "from", b}}},
	}}
}

// Most texts are written as they are, without a look at each character.
func TestAShortcutWritesWhatTheLongWayWrites(t *testing.T) {
	letters := []string{"a", "Z", "7", "-", "_", ".", "@", "=", "?", "=?", " ", "\"", "\\", "(", ")", ";", ",", "/", "+", "\x00", "\r\n", "\x7f", "\x80", "\xff", "ü", "\u202e"}
	try := func(s string) {
		for _, utf8 := range []bool{false, true} {
			w := &writer{utf8: utf8}
			for _, replace := range []func(rune) rune{markUnsafe, proseUnsafe} {
				if got, want := w.clean(s, replace), w.replaced(s, replace); got != want {
					t.Errorf("%q is written %q, want %q", s, got, want)
				}
			}
			want := w.replaced(s, markUnsafe)
			if !isAll(want, isToken) {
				want = `"` + want + `"`
			}
			if got := w.value(s); got != want {
				t.Errorf("the value %q is written %q, want %q", s, got, want)
			}
		}
		if got, want := keyword(s), keywordIn(s); got != want {
			t.Errorf("the name %q is written %q, want %q", s, got, want)
		}
	}
	for c := range 256 {
		try(string([]byte{byte(c)}))
		try("a" + string([]byte{byte(c)}) + "b")
	}
	for _, a := range letters {
		for _, b := range letters {
			for _, c := range letters {
				try(a + b + c)
			}
		}
		for _, n := range []int{maxKeyword, maxText} {
			try(strings.Repeat(a, n-1))
			try(strings.Repeat(a, n))
			try(strings.Repeat(a, n+1))
		}
	}
	try("")
}

// FuzzInjection writes hostile strings into every place and checks that the field has
// the three results that were written and no others, for our own reader and for one
// that knows neither quotes nor comments.
func FuzzInjection(f *testing.F) {
	f.Add("a", "b", "@c.example", "d.example", "e+/=", false)
	f.Add("x\r\nBcc: y", "a) dmarc=pass (b", `"x; dmarc=pass"@z.example`, `\`, `"`, false)
	f.Add("=?utf-8?q?=0D=0A?=", "\u202e\u2028", `"a b"@ü.example`, "\xff\xfe", "\x00", true)
	f.Add("(((", ")))", `"\"@x.example`, ";;;", `@@`, true)
	f.Fuzz(func(t *testing.T, a, b, c, d, e string, utf bool) {
		in := wild(a, b, c, d, e, utf)
		value := in.Value()
		for i := range len(value) {
			switch ch := value[i]; {
			case ch == '\r' && value[i+1:i+3] == "\n ", ch == '\n' && value[i-1] == '\r':
			case ch < ' ' || ch == 0x7f || ch >= utf8.RuneSelf && !utf:
				t.Fatalf("octet 0x%02x in %q", ch, value)
			}
		}
		if !utf8.ValidString(value) {
			t.Fatalf("not UTF-8: %q", value)
		}
		// The reader that splits at semicolons.
		parts := strings.Split(value, ";")
		if len(parts) != 4 || !strings.HasPrefix(parts[1], "\r\n dkim=fail") || !strings.HasPrefix(parts[2], "\r\n spf=softfail") || !strings.HasPrefix(parts[3], "\r\n dmarc=fail") {
			t.Fatalf("a reader without quotes sees %q", parts)
		}
		// It is readable without escapes, and parentheses are balanced.
		if strings.Contains(value, `\`) || strings.Count(value, "(") != strings.Count(value, ")") || strings.Count(value, `"`)%2 != 0 {
			t.Fatalf("specials out of place: %q", value)
		}
		back, err := Parse(" " + value)
		if err != nil {
			t.Fatalf("our own field %q: %v", value, err)
		}
		sameShape(t, in, back)
		back.UTF8 = utf
		again, err := Parse(back.Value())
		if err != nil || again.AuthservID != back.AuthservID {
			t.Fatalf("written twice: %q, %v", back.Value(), err)
		}
		for i := range again.Results {
			for j := range again.Results[i].Properties {
				if again.Results[i].Properties[j] != back.Results[i].Properties[j] {
					t.Fatalf("property changes when written again: %q, %q", back.Results[i].Properties[j], again.Results[i].Properties[j])
				}
			}
		}
	})
}

func sameShape(t *testing.T, in, back Field) {
	t.Helper()
	if len(back.Results) != len(in.Results) {
		t.Fatalf("%d results, want %d", len(back.Results), len(in.Results))
	}
	for i, r := range back.Results {
		want := in.Results[i]
		if r.Method != want.Method || r.Value != want.Value || len(r.Properties) != len(want.Properties) {
			t.Fatalf("result %d came back as %+v", i, r)
		}
		for j, p := range r.Properties {
			if p.Type != want.Properties[j].Type || p.Name != want.Properties[j].Name {
				t.Fatalf("property %d came back as %+v", j, p)
			}
		}
	}
}

func BenchmarkValue(b *testing.B) {
	f := Field{AuthservID: "mx.example.net", Results: []Result{
		{Method: "dkim", Value: "pass", Comment: "2048-bit rsa", Properties: []Property{{"header", "d", "a.example"}, {"header", "i", "@a.example"}, {"header", "s", "s1"}, {"header", "a", "rsa-sha256"}, {"header", "b", "AbCdEfGh"}}},
		{Method: "spf", Value: "pass", Properties: []Property{{"smtp", "mailfrom", "a.example"}, {"smtp", "helo", "out.a.example"}}},
		{Method: "dmarc", Value: "pass", Comment: "p=reject dis=none", Properties: []Property{{"header", "from", "a.example"}, {"policy", "dmarc", "none"}}},
	}}
	for name, f := range map[string]Field{"ordinary": f, "hostile": wild(strings.Repeat("\x00", 64<<10), strings.Repeat("(", 64<<10), strings.Repeat("=?", 32<<10), strings.Repeat("ü", 32<<10), strings.Repeat("\xff", 64<<10), false)} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				f.Value()
			}
		})
	}
}
