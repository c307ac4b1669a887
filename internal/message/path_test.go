package message

import (
	"strings"
	"testing"
)

func TestSplitPath(t *testing.T) {
	tests := []struct{ name, path, local, domain string }{
		{"an address", "a@x.example", "a", "x.example"},
		{"angle brackets", "<a@x.example>", "a", "x.example"},
		{"the null sender", "", "", ""},
		{"the null sender in angle brackets", "<>", "", ""},
		{"no domain", "postmaster", "postmaster", ""},
		{"no local part", "@example.net", "", "example.net"},
		{"an @ inside quotes", `"a@b"@x.example`, `"a@b"`, "x.example"},
		{"an escaped quote inside quotes", `"a\"@b"@x.example`, `"a\"@b"`, "x.example"},
		{"two @ without quotes", "a@b@x.example", "a@b", "x.example"},
		{"an escaped @", `a\@b@x.example`, `a\@b`, "x.example"},
		{"a blank in the local part", "Macro Error@x.example", "Macro Error", "x.example"},
		{"marks in the local part", "~jack&jill=up-a_b3.c@x.example", "~jack&jill=up-a_b3.c", "x.example"},
		{"an IPv4 literal", "a@[192.0.2.1]", "a", "[192.0.2.1]"},
		{"an IPv6 literal", "a@[IPv6:2001:db8::1]", "a", "[IPv6:2001:db8::1]"},
		{"a source route", "@good.example,@x.example:u@evil.example", "u", "evil.example"},
		{"a source route with a literal", "<@[IPv6:2001:db8::1],@x.example:u@evil.example>", "u", "evil.example"},
		{"a source route without end", "@good.example,@evil.example", "@good.example,@evil.example", ""},
		{"a colon inside quotes ends no route", `@good.example"x:y"@evil.example`, `@good.example"x:y"`, "evil.example"},
		{"a parenthesis", "(any@good.example", "(any@good.example", ""},
		{"a parenthesis inside quotes", `"x) dmarc=pass (y"@z.example`, `"x) dmarc=pass (y"`, "z.example"},
		{"a quote in the domain", `a@x.example"y`, `a@x.example"y`, ""},
		{"an unclosed quote", `"a@x.example`, `"a@x.example`, ""},
		{"a second address", "a@good.example,b@evil.example", "a@good.example,b@evil.example", ""},
		{"angle brackets inside", "a@good.example><b@evil.example", "a@good.example><b@evil.example", ""},
		{"a NUL", "a@good.example\x00@evil.example", "a@good.example\x00@evil.example", ""},
		{"a line end inside quotes", "\"a\r\nb\"@evil.example", "\"a\r\nb\"@evil.example", ""},
		{"a backslash at the end", `a@x.example\`, `a@x.example\`, ""},
		{"a colon behind the @", "a@x.example:25", "a@x.example:25", ""},
		{"a route and a colon", "@:@:", "@:", ""},
		{"an empty domain", "a@", "a", ""},
		{"a U-label stays", "jürgen@bücher.example", "jürgen", "bücher.example"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			local, domain := SplitPath(tt.path)
			if local != tt.local || domain != tt.domain {
				t.Errorf("SplitPath(%q) = %q, %q, want %q, %q", tt.path, local, domain, tt.local, tt.domain)
			}
		})
	}
}

func FuzzSplitPath(f *testing.F) {
	for _, s := range []string{"", "<a@b>", `"a@b"@c`, "@a,@b:c@d", "@[IPv6::1]:a@[::1]", "@[Pv6::1]:@[6::1]:", `a\`, "(a@b", "\"a"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, path string) {
		local, domain := SplitPath(path)
		if !strings.Contains(path, local) || !strings.HasSuffix(strings.TrimSuffix(path, ">"), domain) && !strings.HasSuffix(path, domain) {
			t.Fatalf("%q has neither %q nor %q", path, local, domain)
		}
		if strings.ContainsAny(domain, "@\"\\ \r\n\x00") {
			t.Fatalf("%q gives the domain %q", path, domain)
		}
		if domain != "" {
			if l, d := SplitPath(local + "@" + domain); !strings.HasPrefix(local, "@") && (d != domain || l != local) {
				t.Fatalf("%q gives %q, %q, which gives %q, %q", path, local, domain, l, d)
			}
		}
	})
}
