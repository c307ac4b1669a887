package dns

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
)

func exampleZone() *Zone {
	z := NewZone()
	z.AddTXT("example.com", "v=spf1 ip4:", "192.0.2.5 -all")
	z.AddTXT("Example.COM.", "second")
	z.AddA("example.com", netip.MustParseAddr("192.0.2.1"))
	z.AddA("example.com", netip.MustParseAddr("2001:db8::1"))
	z.AddMX("example.com", 20, "B.example.com.")
	z.AddMX("example.com", 10, "a.example.com")
	z.AddMX("example.com", 20, "c.example.com")
	z.AddMX("null.example.com", 0, ".")
	z.AddPTR("1.2.0.192.in-addr.arpa", "Mail.Example.com.")
	z.AddPTR("2001:db8::1", "six.example.com")
	z.AddTXT("a.deep.example.com", "x")
	z.AddCNAME("alias.example.com", "EXAMPLE.com.")
	z.AddCNAME("dangling.example.com", "nowhere.example.org")
	z.AddCNAME("loop.example.com", "pool.example.com")
	z.AddCNAME("pool.example.com", "loop.example.com")
	z.AddTXT("*.wild.example.com", "star")
	z.AddTXT("here.wild.example.com", "here")
	z.AddTXT("raw.example.com", "\xff\x00\\\"é")
	z.AddTXT("foo:bar/baz  a%b.example.com", "odd")
	z.AddTXT("empty.example.com")
	z.Fail("late.example.com", "", Timeout)
	z.Fail("half.example.com", "A", ServFail)
	z.AddTXT("half.example.com", "here")
	z.Fail("rest.example.com", "", Timeout)
	z.AddTXT("rest.example.com", "here")
	z.Fail("not.there.example.com", "", NXDomain)
	return z
}

func TestZoneTXT(t *testing.T) {
	z := exampleZone()
	long := strings.Repeat("a", 64)
	for _, c := range []struct{ name, ask, want string }{
		{"the strings of a record are joined and records stay apart", "example.com", `["v=spf1 ip4:192.0.2.5 -all" "second"]`},
		{"case and a final dot do not matter", "EXAMPLE.com.", `["v=spf1 ip4:192.0.2.5 -all" "second"]`},
		{"an alias is followed", "alias.example.com", `["v=spf1 ip4:192.0.2.5 -all" "second"]`},
		{"an alias to nothing is no record and no error", "dangling.example.com", `[]`},
		{"a loop of aliases is an error", "loop.example.com", `error`},
		{"an absent name is no error", "absent.example.com", `[]`},
		{"a name between others has no records", "deep.example.com", `[]`},
		{"a wildcard answers for names that are not there", "x.wild.example.com", `["star"]`},
		{"a wildcard answers for several labels", "x.y.wild.example.com", `["star"]`},
		{"a wildcard does not answer beside a name that is there", "here.wild.example.com", `["here"]`},
		{"a wildcard does not answer below a name that is there", "x.here.wild.example.com", `[]`},
		{"a wildcard does not answer for its own parent", "wild.example.com", `[]`},
		{"octets are kept", "raw.example.com", `["\xff\x00\\\"é"]`},
		{"any octet may be in a name", "foo:bar/baz  a%b.example.com", `["odd"]`},
		{"a record without strings is an empty record", "empty.example.com", `[""]`},
		{"a name that times out", "late.example.com", `error`},
		{"the failure of one type leaves the others", "half.example.com", `["here"]`},
		{"a failure of all types leaves those that are listed", "rest.example.com", `["here"]`},
		{"an empty label is no name", "a..example.com", `[]`},
		{"a long label is no name", long + ".example.com", `[]`},
		{"the root is no name", ".", `[]`},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := z.LookupTXT(context.Background(), c.ask)
			if text := show(got, err); text != c.want {
				t.Errorf("LookupTXT(%q) = %s (%v), want %s", c.ask, text, err, c.want)
			}
		})
	}
}

func show(got []string, err error) string {
	if err != nil {
		return "error"
	}
	return fmt.Sprintf("%q", got)
}

func TestZoneAddresses(t *testing.T) {
	z, ctx := exampleZone(), context.Background()
	if got, err := z.LookupA(ctx, "alias.example.com"); err != nil || !slices.Equal(got, []netip.Addr{netip.MustParseAddr("192.0.2.1")}) {
		t.Errorf("LookupA = %v, %v", got, err)
	}
	if got, err := z.LookupAAAA(ctx, "example.com"); err != nil || !slices.Equal(got, []netip.Addr{netip.MustParseAddr("2001:db8::1")}) {
		t.Errorf("LookupAAAA = %v, %v", got, err)
	}
	if _, err := z.LookupA(ctx, "half.example.com"); err == nil {
		t.Error("LookupA of a name whose A fails: no error")
	}
	if _, err := z.LookupA(ctx, "rest.example.com"); err == nil {
		t.Error("LookupA of a name whose unlisted types time out: no error")
	}
}

func TestZoneHosts(t *testing.T) {
	z, ctx := exampleZone(), context.Background()
	if got, err := z.LookupMX(ctx, "example.com"); show(got, err) != `["a.example.com" "b.example.com" "c.example.com"]` {
		t.Errorf("MX by preference, then as listed: %q, %v", got, err)
	}
	if got, err := z.LookupMX(ctx, "null.example.com"); show(got, err) != `["."]` {
		t.Errorf("null MX: %q, %v", got, err)
	}
	for addr, want := range map[string]string{
		"192.0.2.1":        `["mail.example.com"]`,
		"::ffff:192.0.2.1": `["mail.example.com"]`,
		"2001:db8::1":      `["six.example.com"]`,
		"192.0.2.2":        `[]`,
	} {
		if got, err := z.LookupPTR(ctx, netip.MustParseAddr(addr)); show(got, err) != want {
			t.Errorf("PTR of %s = %q, %v; want %s", addr, got, err, want)
		}
	}
	if got, err := z.LookupPTR(ctx, netip.Addr{}); show(got, err) != "[]" {
		t.Errorf("PTR of no address = %q, %v", got, err)
	}
}

func TestZoneExists(t *testing.T) {
	z := exampleZone()
	for name, want := range map[string]string{
		"example.com":                    "true",
		"deep.example.com":               "true", // others exist below it
		"com":                            "true",
		"raw.example.com":                "true", // has other types
		"absent.example.com":             "false",
		"b.deep.example.com":             "false",
		"x.wild.example.com":             "true",
		"dangling.example.com":           "true", // an alias is a record
		"nowhere.example.org":            "false",
		"not.there.example.com":          "false",
		"there.example.com":              "false", // there is only a non-existent name below it
		"late.example.com":               "error",
		"half.example.com":               "error",
		"a..b":                           "false",
		strings.Repeat("a.", 127):        "false", // beyond 253 octets with its parents
		strings.Repeat("a.", 126) + "a.": "false",
	} {
		got, err := z.Exists(context.Background(), name)
		text := fmt.Sprint(got)
		if err != nil {
			text = "error"
		}
		if text != want {
			t.Errorf("Exists(%q) = %s (%v), want %s", name, text, err, want)
		}
	}
}

func TestZoneHonoursACancelledContext(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := exampleZone().LookupTXT(ctx, "example.com"); err == nil {
		t.Error("no error")
	}
}

func TestAnswersDoNotChangeWhenTheZoneDoes(t *testing.T) {
	z, ctx := exampleZone(), context.Background()
	before, _ := z.LookupMX(ctx, "example.com")
	z.AddMX("example.com", 1, "first.example.com")
	if before[0] != "a.example.com" {
		t.Errorf("an earlier answer became %q", before)
	}
}

func TestCanonicalNames(t *testing.T) {
	for in, want := range map[string]string{
		"Example.COM.":                 "example.com true",
		"É.example":                    "É.example true", // only ASCII folds
		"":                             " false",
		".":                            " false",
		"a..b":                         "a..b false",
		".a":                           ".a false",
		"a..":                          "a. false",
		strings.Repeat("a", 63) + ".b": strings.Repeat("a", 63) + ".b true",
	} {
		got, ok := canonical(in)
		if text := fmt.Sprint(got, " ", ok); text != want {
			t.Errorf("canonical(%q) = %s, want %s", in, text, want)
		}
	}
}

// A raw name survives the way to presentation form and back.
func FuzzNamePresentation(f *testing.F) {
	for _, s := range []string{"example.com", "a b.c", "\x00\xff.x", `q"\;$@().y`, "a.b"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		name, ok := canonical(s)
		if !ok {
			return
		}
		back, ok := rawName(present(name))
		if !ok || back != name {
			t.Errorf("%q became %q (%v) by way of %q", name, back, ok, present(name))
		}
	})
}
