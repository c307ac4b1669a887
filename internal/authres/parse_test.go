package authres

import (
	"reflect"
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	one := func(r Result) []Result { return []Result{r} }
	tests := []struct {
		name, value string
		id          string
		results     []Result
	}{
		{"§2.2 no result", " example.org 1; none", "example.org", nil},
		{"none in capitals", "example.org; NONE", "example.org", nil},
		{"CFWS everywhere", "a.example (c) 1 (c);\r\n (c) dkim (c) / (c) 1 (c) = (c) pass (c) header (c) . (c) d (c) = (c) x.example (c)", "a.example",
			one(Result{Method: "dkim", Version: 1, Value: "pass", Properties: []Property{{"header", "d", "x.example"}}})},
		{"a quoted value", `a.example; dkim=fail reason="a \"b\"; c" header.d="x.example"`, "a.example",
			one(Result{Method: "dkim", Value: "fail", Reason: `a "b"; c`, Properties: []Property{{"header", "d", "x.example"}}})},
		{"a semicolon in a comment is text", "a.example; spf=fail (x; dmarc=pass header.from=b.example)", "a.example",
			one(Result{Method: "spf", Value: "fail"})},
		{"a quote in a comment is text", `a.example; spf=fail (") smtp.helo=x`, "a.example",
			one(Result{Method: "spf", Value: "fail", Properties: []Property{{"smtp", "helo", "x"}}})},
		{"a parenthesis in quotes is text", `a.example; spf=fail smtp.helo="(" (x)`, "a.example",
			one(Result{Method: "spf", Value: "fail", Properties: []Property{{"smtp", "helo", "("}}})},
		{"a property in a comment does not count", "a.example; dkim=pass header.d=good.example (x header.d=evil.example )", "a.example",
			one(Result{Method: "dkim", Value: "pass", Properties: []Property{{"header", "d", "good.example"}}})},
		{"an unknown method", "a.example; x-new=strange x.y=z", "a.example",
			one(Result{Method: "x-new", Value: "strange", Properties: []Property{{"x", "y", "z"}}})},
		{"folds with LF and tab", "a.example;\n\tspf=pass\n\t\tsmtp.mailfrom=b.example\r\n ", "a.example",
			one(Result{Method: "spf", Value: "pass", Properties: []Property{{"smtp", "mailfrom", "b.example"}}})},
		{"a fold inside a quoted string", "a.example; dkim=fail reason=\"x\r\n y\"", "a.example",
			one(Result{Method: "dkim", Value: "fail", Reason: "x y"})},
		{"an address with a quoted local part", `a.example; auth=pass smtp.auth="a b"@x.example`, "a.example",
			one(Result{Method: "auth", Value: "pass", Properties: []Property{{"smtp", "auth", `"a b"@x.example`}}})},
		{"one semicolon at the end", "a.example; spf=pass ; ", "a.example", one(Result{Method: "spf", Value: "pass"})},
		{"a reason may come late", "a.example; dmarc=fail header.from=x.example reason=late", "a.example",
			one(Result{Method: "dmarc", Value: "fail", Reason: "late", Properties: []Property{{"header", "from", "x.example"}}})},
		{"names in capitals", "a.example; DKIM=Pass HEADER.D=X.example", "a.example",
			one(Result{Method: "dkim", Value: "pass", Properties: []Property{{"header", "d", "X.example"}}})},
		{"a property called reason", "a.example; dkim=pass policy.reason=x", "a.example",
			one(Result{Method: "dkim", Value: "pass", Properties: []Property{{"policy", "reason", "x"}}})},
		{"comments 256 deep", "a.example; spf=pass " + strings.Repeat("(", 256) + strings.Repeat(")", 256), "a.example", one(Result{Method: "spf", Value: "pass"})},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f, err := Parse(tt.value)
			if err != nil {
				t.Fatal(err)
			}
			if f.AuthservID != tt.id || !reflect.DeepEqual(f.Results, tt.results) {
				t.Errorf("got %q %+v", f.AuthservID, f.Results)
			}
		})
	}
}

// unreadable are values that Parse must refuse and Claims must report.
var unreadable = []struct{ name, value string }{
	{"version 2", "a.example 2; spf=pass"},
	{"a version beyond all numbers", "a.example 99999999999999999999999; spf=pass"},
	{"version 0", "a.example 0; spf=pass"},
	{"no authserv-id", "; dmarc=pass"},
	{"a result in place of the id", "spf=pass smtp.mailfrom=x; dkim=pass"},
	{"only one result and no id", "spf=pass"},
	{"two ids", "a.example b.example; spf=pass"},
	{"a slash behind the id", "a.example/1; spf=pass"},
	{"an empty id", `""; spf=pass`},
	{"only an id", "a.example"},
	{"no result", "a.example;"},
	{"nothing", ""},
	{"only comments", "(a) (b)"},
	{"an encoded word", "=?utf-8?q?a.example?=; dmarc=pass"},
	{"an address", "a@a.example; dmarc=pass"},
	{"another id between the results", "a.example; spf=pass; b.example; dkim=pass"},
	{"no white space before the version", `"a.example"1; spf=pass`},
	{"none among results", "a.example; none; spf=pass"},
	{"none behind results", "a.example; spf=pass; none"},
	{"none of a version", "a.example; none/1"},
	{"two semicolons", "a.example;; spf=pass"},
	{"two reasons", "a.example; dkim=pass reason=a reason=b"},
	{"an unclosed comment", "a.example; spf=pass (x"},
	{"an unclosed quote", `a.example; spf=pass reason="x`},
	{"a parenthesis too many", "a.example; spf=pass (x))"},
	{"a backslash outside quotes", `a.example; spf=pass smtp.helo=\x`},
	{"a NUL", "a.example\x00; spf=pass"},
	{"a bare CR", "a.example;\r spf=pass"},
	{"a line end that does not fold", "a.example;\r\nspf=pass"},
	{"octets that are not UTF-8", "a.example; spf=pass smtp.helo=\xff"},
	{"comments 257 deep", "a.example; spf=pass " + strings.Repeat("(", 257) + strings.Repeat(")", 257)},
	{"more results than we keep", "a.example" + strings.Repeat("; a=b", maxResults+1)},
	{"more properties than we keep", "a.example; a=b" + strings.Repeat(" c.d=e", maxProperties+1)},
	{"more octets than we read", "a.example; spf=pass (" + strings.Repeat("x", maxField) + ")"},
}

func TestParseRefuses(t *testing.T) {
	for _, tt := range unreadable {
		t.Run(tt.name, func(t *testing.T) {
			if f, err := Parse(tt.value); err == nil {
				t.Errorf("read as %+v", f)
			} else if !reflect.DeepEqual(f, Field{}) {
				t.Errorf("an error and yet a field: %+v", f)
			}
		})
	}
}

// FuzzParse reads any text: Parse ends, and its result, written again, reads the same.
func FuzzParse(f *testing.F) {
	f.Add("example.org 1; none")
	f.Add("a.example; dkim=pass (x (y)) reason=\"a;b\" header.d=x header.i=\"a b\"@c;\r\n spf=fail smtp.mailfrom=<>")
	f.Add("spf=pass (sender IP is 1.2.3.4)\n smtp.mailfrom=a.example; compauth=pass reason=100")
	f.Add("møx.example; dkim=pass header.d=bücher.example action=none")
	for _, u := range unreadable {
		if len(u.value) < 1000 {
			f.Add(u.value)
		}
	}
	f.Fuzz(func(t *testing.T, value string) {
		field, err := Parse(value)
		if err != nil {
			if !Claims(value, nil) {
				t.Fatal("unreadable, and yet not removed")
			}
			return
		}
		if field.AuthservID == "" || field.Version > 1 || len(field.Results) > maxResults {
			t.Fatalf("read as %+v", field)
		}
		if !Claims(value, []string{"other.example", field.AuthservID}) && plainID(field.AuthservID) != "" {
			t.Fatalf("the id %q is not recognized", field.AuthservID)
		}
		field.UTF8 = true
		back, err := Parse(field.Value())
		if err != nil {
			t.Fatalf("written as %q: %v", field.Value(), err)
		}
		if back.Value() == "" || len(back.Results) > len(field.Results) {
			t.Fatalf("%+v came back as %+v", field, back)
		}
	})
}

func BenchmarkParse(b *testing.B) {
	for name, value := range map[string]string{
		"ordinary":        "mx.google.com;\r\n       dkim=pass header.i=@fastmail.com header.s=fm1 header.b=2j32dcmg;\r\n       spf=pass (google.com: domain of a@fastmail.com designates 66.111.4.26 as permitted sender) smtp.mailfrom=a@fastmail.com;\r\n       dmarc=pass (p=NONE sp=NONE dis=NONE) header.from=fastmail.com",
		"64KiB results":   "a.example" + strings.Repeat("; dkim=pass header.d="+strings.Repeat("x", 46), 960),
		"64KiB comments":  "a.example; spf=pass " + strings.Repeat(strings.Repeat("(", 256)+strings.Repeat(")", 256), 128),
		"64KiB open":      "a.example; spf=pass " + strings.Repeat("(", 64<<10),
		"64KiB backslash": `a.example; spf=pass reason="` + strings.Repeat(`\a`, 32<<10) + `"`,
		"64KiB quotes":    `a.example; spf=pass a.b=` + strings.Repeat(`""`, 32<<10),
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(value)))
			for b.Loop() {
				Parse(value)
			}
		})
	}
}
