package dns

import (
	"context"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const exampleFile = `; a comment
$TTL 1h
example.com      TXT "v=spf1 mx -all"  ; "example.com." is the same name
                 MX  10 mail.example.com
	IN MX 5 first.example.com.
EXAMPLE.com. 300 IN TXT "a;b" "c\"d\\e\195\169"
mail.example.com 300 IN A 192.0.2.1
mail.example.com AAAA 2001:db8::1
1.2.0.192.in-addr.arpa PTR Mail.example.com
*.wild.example.com TXT "any"
s1._domainkey.example.com IN 1d TXT ( "v=DKIM1; k=rsa; " ; in the middle
                 "p=abc" )
one.example.com  txt v=spf1
www.example.com  CNAME example.com
slow.example.com TIMEOUT
slow.example.com A 192.0.2.9
slow.example.net TXT TIMEOUT
slow.example.net A 192.0.2.9
sick.example.com servfail
gone.example.com NXDOMAIN
below.gone.example.com TXT "here"
soa.example.com SOA ns.example.com. hostmaster.example.com. 1 2 3 4 5
odd\032name.example.com TXT "odd"
$ORIGIN sub.example.com
a TXT "relative"
@ TXT "origin"
b CNAME a
c MX 1 mail.example.com.
$ORIGIN .
top TXT "absolute again"`

func TestZoneFile(t *testing.T) {
	z, err := ParseZone(strings.NewReader(exampleFile), "zone.txt")
	if err != nil {
		t.Fatal(err)
	}
	txt := func(name string) ([]string, error) { return z.LookupTXT(context.Background(), name) }
	mx := func(name string) ([]string, error) { return z.LookupMX(context.Background(), name) }
	for _, c := range []struct {
		name   string
		lookup func(string) ([]string, error)
		ask    string
		want   string
	}{
		{"two records of one name, escapes undone", txt, "example.com", `["v=spf1 mx -all" "a;bc\"d\\eé"]`},
		{"a blank at the beginning means the name before", mx, "example.com", `["first.example.com" "mail.example.com"]`},
		{"a wildcard", txt, "x.wild.example.com", `["any"]`},
		{"a record between parentheses", txt, "s1._domainkey.example.com", `["v=DKIM1; k=rsa; p=abc"]`},
		{"a single word needs no quotes", txt, "one.example.com", `["v=spf1"]`},
		{"an alias", mx, "www.example.com", `["first.example.com" "mail.example.com"]`},
		{"a name that times out", txt, "slow.example.com", `error`},
		{"a type that times out", txt, "slow.example.net", `error`},
		{"another type of that name does not", mx, "slow.example.net", `[]`},
		{"a name whose server fails", mx, "sick.example.com", `error`},
		{"a name that is said not to exist", txt, "gone.example.com", `[]`},
		{"a name below one that does not exist", txt, "below.gone.example.com", `["here"]`},
		{"an escaped name", txt, "odd name.example.com", `["odd"]`},
		{"a relative name", txt, "a.sub.example.com", `["relative"]`},
		{"the origin", txt, "sub.example.com", `["origin"]`},
		{"a relative name as target", txt, "b.sub.example.com", `["relative"]`},
		{"an absolute name as target", mx, "c.sub.example.com", `["mail.example.com"]`},
		{"the root as origin again", txt, "top", `["absolute again"]`},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got, err := c.lookup(c.ask); show(got, err) != c.want {
				t.Errorf("%q: %q, %v; want %s", c.ask, got, err, c.want)
			}
		})
	}
	if got, err := z.LookupA(context.Background(), "slow.example.com"); err != nil || len(got) != 1 {
		t.Errorf("the listed type of a name that times out: %v, %v", got, err)
	}
	if got, err := z.LookupPTR(context.Background(), netip.MustParseAddr("192.0.2.1")); show(got, err) != `["mail.example.com"]` {
		t.Errorf("PTR = %q, %v", got, err)
	}
	for name, want := range map[string]bool{"soa.example.com": true, "gone.example.com": false, "wild.example.com": true} {
		if got, err := z.Exists(context.Background(), name); got != want || err != nil {
			t.Errorf("Exists(%q) = %v, %v", name, got, err)
		}
	}
	for name, want := range map[string]uint32{"example.com": 300, "s1._domainkey.example.com": 86400, "one.example.com": 3600} {
		if got := z.find(name, 16).set.ttl; got != want {
			t.Errorf("TTL of %s = %d, want %d", name, got, want)
		}
	}
}

func TestMistakesInAZoneFile(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"a bad address", "a.example A 192.0.2", `zone.txt:1: bad A A: "192.0.2"`},
		{"an address of the other family", "a.example A 2001:db8::1", `zone.txt:1: bad A A`},
		{"no data", "a.example MX", `the MX record of "a.example." has no data`},
		{"no preference", "\n\na.example MX mail.example", `zone.txt:3: `},
		{"too much data", "a.example A 192.0.2.1 192.0.2.2", `zone.txt:1: `},
		{"an unknown type", "a.example AA 192.0.2.1", `zone.txt:1: not a TTL: "AA"`},
		{"no type", "a.example 300 IN", `zone.txt:1: expecting RR type or class`},
		{"another class", "a.example CH TXT x", `has a record of class CH`},
		{"text without quotes", "a.example TXT v=spf1 -all", `outside quotation marks`},
		{"text without quotes before a semicolon", "a.example TXT v=DKIM1; p=x", `outside quotation marks`},
		{"no text", "a.example TXT", `the TXT record of "a.example." has no data`},
		{"a quotation mark that is not closed", "a.example TXT \"x\nb.example A 1", `zone.txt:1: bad TXT Txt`},
		{"a parenthesis that is not closed", "a.example TXT ( \"x\"\n", `unbalanced brace`},
		{"a parenthesis that was not opened", "a.example TXT \"x\" )", `zone.txt:1: bad TXT Txt: "extra closing brace"`},
		{"a name that is not ASCII", "bücher.example TXT x", `write internationalized names as A-labels`},
		{"a target that is not ASCII", "a.example MX 1 bücher.example", `cannot be a host's name`},
		{"a name with an empty label", "a..example TXT x", `zone.txt:1: bad owner name`},
		{"a name with a long label", strings.Repeat("a", 64) + ".example TXT x", `zone.txt:1: bad owner name`},
		{"a dot inside a label", `a\.b.example TXT x`, `cannot be a domain name`},
		{"an include", "$INCLUDE /etc/passwd", `zone.txt:1: $INCLUDE directive not allowed`},
		{"another directive", "$FOO x", `zone.txt:1: not a TTL`},
		{"a directive without a value", "$TTL", `zone.txt:1: not a TTL`},
		{"a TTL that is none", "$TTL 5x", `zone.txt:1: expecting $TTL value`},
		{"an alias with other records", "a.example CNAME b.example\na.example TXT x", `zone.txt: "a.example" has a CNAME and other records`},
		{"two aliases", "a.example CNAME b.example\nA.example CNAME c.example", `exclude each other`},
		{"a failure of no type", "a.example FOO TIMEOUT", `zone.txt:1: "FOO" cannot fail with TIMEOUT`},
		{"a type that does not exist", "a.example A NXDOMAIN", `zone.txt:1: "A" cannot fail with NXDOMAIN`},
	} {
		t.Run(c.name, func(t *testing.T) {
			z, err := ParseZone(strings.NewReader(c.text+"\n"), "zone.txt")
			if err == nil || z != nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v does not have %q", err, c.want)
			}
		})
	}
}

func TestLoadZone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "zone.txt")
	if _, err := LoadZone(path); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("a file that is not there: %v", err)
	}
	if err := os.WriteFile(path, []byte("a TXT x\r\nb A x\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := LoadZone(path); err == nil || !strings.HasPrefix(err.Error(), path+":2: ") {
		t.Errorf("a file with a mistake: %v", err)
	}
}

// For every zone file, reading ends without a panic, and each name that was read can be
// looked up.
func FuzzParseZone(f *testing.F) {
	f.Add(exampleFile)
	for _, s := range []string{"a ( TXT \"\\", "$ORIGIN \\.", "a TYPE65280 \\# 1 00", "a LOC 1 N 1 E 1", "@ A 1.2.3.4", "a NSEC b A\\", "\x00"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		z, err := ParseZone(strings.NewReader(text), "z")
		if err != nil {
			return
		}
		for name, n := range z.nodes {
			for rrtype, set := range n.sets {
				if _, fails := n.failures[rrtype]; name != "" && !fails && z.find(name, rrtype).set != set {
					t.Errorf("%q has records that are not found", name)
				}
			}
		}
	})
}
