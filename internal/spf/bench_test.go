package spf

import (
	"context"
	"net/netip"
	"strings"
	"testing"

	"signpost/internal/dns"
)

// BenchmarkCheckHost has what mail is checked for all day, and next to it the
// worst that a domain can publish.
func BenchmarkCheckHost(b *testing.B) {
	typical := zoneOf("v=spf1 include:_spf.example.net -all")
	typical.AddTXT("_spf.example.net", "v=spf1 ip4:198.51.100.0/24 ip4:203.0.113.0/24 ip4:192.0.2.0/24 ip6:2001:db8::/32 ~all")
	simple := zoneOf("v=spf1 ip4:192.0.2.0/24 -all")
	addresses := zoneOf("v=spf1 a -all")
	for i := range 1000 {
		addresses.AddA("example.com", netip.AddrFrom4([4]byte{198, 18, byte(i >> 8), byte(i)}))
	}
	macros := zoneOf("v=spf1 exists:%{ir}.%{l1r+-}._spf.%{d} -all")
	fill := func(term string) string { return strings.Repeat(term, (maxRecord-50)/len(term)) }
	for _, bench := range []struct {
		name  string
		zone  *dns.Zone
		local string
		want  Result
	}{
		{"pass of two mechanisms", simple, "user", Pass},
		{"pass by include", typical, "user", Pass},
		{"macro", macros, "user", Fail},
		{"worst: all terms", zoneOf("v=spf1" + fill(" ip4:1.2.3.4") + " -all"), "user", Fail},
		{"worst: short terms", zoneOf("v=spf1" + fill(" x=") + " -all"), "user", Fail},
		{"worst: macros of a long sender", zoneOf("v=spf1 exists:" + fill("%{sr+-}") + " -all"), strings.Repeat("a-", 500), Fail},
		{"worst: macros that come out empty", zoneOf("v=spf1 exists:" + fill("%{L1-}") + " -all"), strings.Repeat("a", 1000) + "-", Fail},
		{"worst: 1000 addresses", addresses, "user", Fail},
		{"worst: ten includes", zoneOf("v=spf1 include:example.com -all"), "user", PermError},
		{"worst: ten includes of a full record", zoneOf("v=spf1 " + fill(" a.b-c=%{d1}") + " include:example.com"), "user", PermError},
	} {
		b.Run(bench.name, func(b *testing.B) {
			b.ReportAllocs()
			q := Query{Addr: client, Helo: "client.example.net", Sender: bench.local + "@example.com"}
			for b.Loop() {
				if out := CheckHost(context.Background(), bench.zone, q); out.Result != bench.want {
					b.Fatalf("%+v", out)
				}
			}
		})
	}
}

func BenchmarkParseRecord(b *testing.B) {
	record := "v=spf1 ip4:192.0.2.0/24 ip4:198.51.100.0/24 ip6:2001:db8::/32 include:_spf.example.net a:mail.example.com/28 mx -all"
	b.ReportAllocs()
	b.SetBytes(int64(len(record)))
	for b.Loop() {
		if _, err := parseRecord(record); err != nil {
			b.Fatal(err)
		}
	}
}
