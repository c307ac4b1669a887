package spf

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"testing"

	"signpost/internal/dns"
)

// client is the client's address in these tests.
var client = netip.MustParseAddr("192.0.2.1")

// zoneOf returns a zone with one SPF record, at example.com.
func zoneOf(record string) *dns.Zone {
	z := dns.NewZone()
	z.AddTXT("example.com", record)
	return z
}

func checkExample(t testing.TB, r Resolver, local string) Outcome {
	t.Helper()
	q := Query{Addr: client, Helo: "client.example.net", Sender: local + "@example.com", Explain: true}
	out := CheckHost(context.Background(), r, q)
	if err := checkInvariants(out, q); err != nil {
		t.Error(err)
	}
	return out
}

// tooLong are records of 100 KB; all must be refused.
func tooLong() map[string]string {
	const size = 100 << 10
	return map[string]string{
		"spaces":       "v=spf1" + strings.Repeat(" ", size),
		"terms":        "v=spf1" + strings.Repeat(" a", size/2),
		"one name":     "v=spf1 a:" + strings.Repeat("a", size) + ".example",
		"macros":       "v=spf1 exists:" + strings.Repeat("%{s}", size/4) + ".example",
		"open macro":   "v=spf1 exists:" + strings.Repeat("%{", size/2),
		"digits":       "v=spf1 a:example.com/" + strings.Repeat("9", size),
		"modifiers":    "v=spf1" + strings.Repeat(" a=b", size/4),
		"percent":      "v=spf1 x=" + strings.Repeat("%%", size/2),
		"one modifier": "v=spf1 " + strings.Repeat("a", size) + "=b",
	}
}

func TestARecordOfHundredKilobytesIsPermerror(t *testing.T) {
	for name, record := range tooLong() {
		out := checkExample(t, zoneOf(record), "user")
		if out.Result != PermError || !strings.Contains(out.Reason, "more than 16384") {
			t.Errorf("%s: %+v", name, out)
		}
	}
}

func TestTheLargestRecordIsRead(t *testing.T) {
	for name, record := range tooLong() {
		if len(record) < maxRecord {
			t.Fatal(name)
		}
	}
	record := "v=spf1" + strings.Repeat(" ip4:198.51.100.1", 900) + " +all"
	if len(record) > maxRecord {
		t.Fatal("the test's record is too long")
	}
	if out := checkExample(t, zoneOf(record), "user"); out.Result != Pass {
		t.Errorf("%+v", out)
	}
}

func TestThousandAddressesAreCompared(t *testing.T) {
	z := zoneOf("v=spf1 a -all")
	for i := range 1000 {
		z.AddA("example.com", netip.AddrFrom4([4]byte{198, 18, byte(i >> 8), byte(i)}))
	}
	if out := checkExample(t, z, "user"); out.Result != Fail {
		t.Errorf("%+v", out)
	}
	z.AddA("example.com", client)
	if out := checkExample(t, z, "user"); out.Result != Pass {
		t.Errorf("%+v", out)
	}
}

func TestControlCharactersOfTheSenderReachNoQuery(t *testing.T) {
	z := zoneOf("v=spf1 exists:%{l}.a.example include:%{h} -all exp=why.example")
	z.AddTXT("why.example", "%{l} %{h}")
	for _, local := range []string{"a\x00b", "a\r\nb", "a\x7fb", "\"a\tb\"", "a\x80b"} {
		r := &recorder{Resolver: z}
		q := Query{Addr: client, Helo: "x\r\ny", Sender: local + "@example.com", Explain: true}
		out := CheckHost(context.Background(), r, q)
		if err := checkInvariants(out, q); err != nil {
			t.Error(err)
		}
		for _, asked := range r.asked {
			if strings.ContainsFunc(asked, func(c rune) bool { return c < ' ' || c > '~' }) {
				t.Errorf("%q: asked for %q", local, asked)
			}
		}
		if out.Result == Pass || out.Explanation != "" {
			t.Errorf("%q: %+v", local, out)
		}
	}
}

func TestHostNamesFromTheDNSThatAreNoneAreSkipped(t *testing.T) {
	odd := []string{"", ".", "a..b", "a\x00b.example", "\xff.example", strings.Repeat("a", 64) + ".example", strings.Repeat("a.", 130)}
	r := &recorder{Resolver: oddHosts{zoneOf("v=spf1 mx ptr -all"), odd}}
	if out := checkExample(t, r, "user"); out.Result != Fail {
		t.Errorf("%+v", out)
	}
	if got := strings.Join(r.asked, "; "); got != "TXT example.com; MX example.com; PTR 192.0.2.1" {
		t.Error(got)
	}
}

// oddHosts answers MX and PTR questions with these names.
type oddHosts struct {
	Resolver
	names []string
}

func (o oddHosts) LookupMX(context.Context, string) ([]string, error)      { return o.names, nil }
func (o oddHosts) LookupPTR(context.Context, netip.Addr) ([]string, error) { return o.names, nil }

func TestTheExplanationIsCutToWhatAReplyHolds(t *testing.T) {
	z := zoneOf("v=spf1 -all exp=why.example")
	z.AddTXT("why.example", "see "+strings.Repeat("%{s}", 4000))
	out := checkExample(t, z, strings.Repeat("x", 60))
	if len(out.Explanation) != maxExplanation || !strings.HasPrefix(out.Explanation, "see xxx") {
		t.Errorf("%d octets: %q", len(out.Explanation), out.Explanation)
	}
}

func TestAnExplanationThatIsNotAskedForIsNotFetched(t *testing.T) {
	r := &recorder{Resolver: zoneOf("v=spf1 -all exp=why.example")}
	out := CheckHost(context.Background(), r, Query{Addr: client, Sender: "user@example.com"})
	if out.Result != Fail || len(r.asked) != 1 {
		t.Errorf("%+v asked %v", out, r.asked)
	}
}

func TestMacrosDoNotMultiply(t *testing.T) {
	// The result is a name of 253 octets for any number of repetitions.
	z := zoneOf("v=spf1 exists:" + strings.Repeat("%{s}.", 3000) + "example -all")
	r := &recorder{Resolver: z}
	local := strings.Repeat("x.", 30_000) + "x"
	if out := checkExample(t, r, local); out.Result != Fail {
		t.Errorf("%+v", out)
	}
	name := strings.TrimPrefix(r.asked[1], "A ")
	if len(name) > maxName || !strings.HasSuffix(name, ".x.x@example.com.example") {
		t.Errorf("%d octets: %s", len(name), name)
	}
}

func TestPartsThatComeOutEmptyCostNothing(t *testing.T) {
	// Each of these macros uses one octet of a long local part.
	var work []string
	for _, macro := range []string{"%{l1-}", "%{l1r-}", "%{L1-}"} {
		work = append(work, "exists:"+strings.Repeat(macro, 800)+".example")
	}
	z := zoneOf("v=spf1 " + strings.Join(work, " ") + " -all")
	if out := checkExample(t, z, "-"+strings.Repeat("x", 100_000)+"-"); out.Result != Fail || out.VoidLookups != 0 {
		t.Errorf("%+v", out)
	}
}

func TestNamesAreComparedAsASCII(t *testing.T) {
	// U+0130 and U+212A become "i" and "k" in Unicode's lower case.
	for _, record := range []string{"v=spf1 \u0130p4:192.0.2.1", "v=spf1 \u0130nclude:example.com", "v=spf1 expre\u212a=x"} {
		if out := checkExample(t, zoneOf(record), "user"); out.Result != PermError {
			t.Errorf("%q: %+v", record, out)
		}
	}
	if isRecord("v=\u017fpf1 +all") {
		t.Error("U+017F is taken for an s")
	}
}

// broken returns errors whose text comes from the network.
type broken struct{ Resolver }

func (broken) LookupTXT(context.Context, string) ([]string, error) {
	return nil, errors.New("server said \x00\r\n" + strings.Repeat("no ", 1000))
}

func TestAResolversErrorIsFitForAReason(t *testing.T) {
	out := checkExample(t, broken{}, "user")
	if out.Result != TempError || !strings.Contains(out.Reason, "server said ???no") {
		t.Errorf("%+v", out)
	}
}
