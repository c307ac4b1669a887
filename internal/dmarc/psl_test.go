package dmarc

import (
	"bufio"
	"os"
	"strings"
	"testing"
)

const smallList = `// a list
// ===BEGIN ICANN DOMAINS===
com
uk
co.uk // and a remark
*.ck
!www.ck
公司.cn

  jp
*.kobe.jp	tab and remark
!city.kobe.jp
// ===BEGIN PRIVATE DOMAINS===
github.example
`

func TestSuffixList(t *testing.T) {
	l, err := ParseSuffixList(strings.NewReader(smallList))
	if err != nil {
		t.Fatal(err)
	}
	if l.Len() != 10 {
		t.Errorf("%d rules, want 10", l.Len())
	}
	for _, c := range []struct{ name, domain, want string }{
		{"a suffix has no registrable domain", "co.uk", ""},
		{"one label below a suffix is registrable", "a.b.example.co.uk", "example.co.uk"},
		{"case and a final dot make no difference", "Mail.EXAMPLE.CO.UK.", "example.co.uk"},
		{"the longest rule wins", "co.uk.com", "uk.com"},
		{"a wildcard takes one label", "x.y.ck", "x.y.ck"},
		{"what a wildcard takes is a suffix", "y.ck", ""},
		{"a wildcard's parent is a suffix by the default rule", "ck", ""},
		{"an exception beats the wildcard", "a.www.ck", "www.ck"},
		{"an exception below a longer wildcard", "a.city.kobe.jp", "city.kobe.jp"},
		{"a wildcard whose parent has no rule of its own", "kobe.jp", "kobe.jp"},
		{"rules in Unicode are compared as A-labels", "a.b.xn--55qx5d.cn", "b.xn--55qx5d.cn"},
		{"names in Unicode are compared as A-labels", "a.食狮.公司.cn", "xn--85x722f.xn--55qx5d.cn"},
		{"a top-level domain that is not listed is a suffix", "a.b.unknown", "b.unknown"},
		{"private suffixes count", "me.github.example", "me.github.example"},
		{"an empty label makes it no name", "a..com", ""},
		{"a leading dot makes it no name", ".com", ""},
		{"an address literal is no name", "[192.0.2.1]", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, ok := l.Registrable(c.domain)
			if got != c.want || ok != (c.want != "") {
				t.Errorf("%s: %q %v, want %q", c.domain, got, ok, c.want)
			}
		})
	}
}

func TestDamagedSuffixLists(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"a list without rules", "// nothing\n", "has no rules"},
		{"a page instead of a list", "<html>\n", `line 1: "<html>" is not a rule`},
		{"a wildcard within", "com\na.*.com\n", `line 2: "a.*.com" is not a rule`},
		{"an exception alone", "!\n", `line 1: "!" is not a rule`},
		{"octets that are not UTF-8", "com\n\xff.com\n", "line 2: not UTF-8"},
		{"a line without end", strings.Repeat("a", maxSuffixLine+1), "after line 0"},
	} {
		t.Run(c.name, func(t *testing.T) {
			l, err := ParseSuffixList(strings.NewReader(c.text))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, %v; want an error with %q", l, err, c.want)
			}
		})
	}
}

// The list in the file and the built-in one differ only by their dates: nearly all
// answers must be equal.
func TestSuffixListAgreesWithTheOneBuiltIn(t *testing.T) {
	l := systemSuffixList(t)
	if l == nil {
		t.Skip("no public suffix list on this machine")
	}
	f, err := os.Open("/usr/share/publicsuffix/public_suffix_list.dat")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	asked, differ := 0, 0
	for lines := bufio.NewScanner(f); lines.Scan(); {
		rule, _, _ := strings.Cut(lines.Text(), " ")
		if rule == "" || strings.HasPrefix(rule, "//") {
			continue
		}
		rule = strings.TrimPrefix(strings.Replace(rule, "*", "x", 1), "!")
		for _, domain := range []string{rule, "a." + rule, "b.a." + rule, "c.b.a." + rule} {
			got, gotOK := l.Registrable(domain)
			want, wantOK := (*SuffixList)(nil).Registrable(domain)
			asked++
			if got != want || gotOK != wantOK {
				differ++
			}
		}
	}
	t.Logf("%d of %d answers differ", differ, asked)
	if asked < 10000 || differ > asked/5 {
		t.Errorf("%d of %d answers differ", differ, asked)
	}
}
