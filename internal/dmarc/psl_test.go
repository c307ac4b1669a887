package dmarc

import (
	"strings"
	"testing"
)

func TestRegistrableDomains(t *testing.T) {
	for _, c := range []struct{ name, domain, want string }{
		{"a suffix has no registrable domain", "co.uk", ""},
		{"one label below a suffix is registrable", "a.b.example.co.uk", "example.co.uk"},
		{"case and a final dot make no difference", "Mail.EXAMPLE.CO.UK.", "example.co.uk"},
		{"the longest rule wins", "a.co.uk.com", "co.uk.com"},
		{"a wildcard takes one label", "x.y.ck", "x.y.ck"},
		{"what a wildcard takes is a suffix", "y.ck", ""},
		{"a wildcard's parent is a suffix by the default rule", "ck", ""},
		{"an exception beats the wildcard", "a.www.ck", "www.ck"},
		{"an exception below a longer wildcard", "a.city.kobe.jp", "city.kobe.jp"},
		{"rules in Unicode are compared as A-labels", "a.b.xn--55qx5d.cn", "b.xn--55qx5d.cn"},
		{"names in Unicode are compared as A-labels", "a.食狮.公司.cn", "xn--85x722f.xn--55qx5d.cn"},
		{"a top-level domain that is not listed is a suffix", "a.b.unknown", "b.unknown"},
		{"private suffixes count", "me.github.io", "me.github.io"},
		{"an empty label makes it no name", "a..com", ""},
		{"a leading dot makes it no name", ".com", ""},
		{"an address literal is no name", "[192.0.2.1]", ""},
		{"125 labels", strings.Repeat("a.", 123) + "kobe.jp", "a.a.kobe.jp"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, ok := registrable(c.domain)
			if got != c.want || ok != (c.want != "") {
				t.Errorf("%s: %q %v, want %q", c.domain, got, ok, c.want)
			}
		})
	}
}
