package spf

import (
	"context"
	"testing"

	"signpost/internal/dns"
)

// BenchmarkCheckHost measures the usual records.
func BenchmarkCheckHost(b *testing.B) {
	for _, bench := range []struct {
		name string
		zone *dns.Zone
		want Result
	}{
		{"pass of two mechanisms", zoneOf("v=spf1 ip4:192.0.2.0/24 -all"), Pass},
		{"pass by include", typicalZone(), Pass},
		{"macro", zoneOf("v=spf1 exists:%{ir}.%{l1r+-}._spf.%{d} -all"), Fail},
	} {
		benchmarkCheck(b, bench.name, bench.zone, "user", bench.want)
	}
}

func typicalZone() *dns.Zone {
	z := zoneOf("v=spf1 include:_spf.example.net -all")
	z.AddTXT("_spf.example.net", "v=spf1 ip4:198.51.100.0/24 ip4:203.0.113.0/24 ip4:192.0.2.0/24 ip6:2001:db8::/32 ~all")
	return z
}

func benchmarkCheck(b *testing.B, name string, zone *dns.Zone, local string, want Result) {
	b.Run(name, func(b *testing.B) {
		b.ReportAllocs()
		q := Query{Addr: client, Helo: "client.example.net", Sender: local + "@example.com"}
		for b.Loop() {
			if out := CheckHost(context.Background(), zone, q); out.Result != want {
				b.Fatalf("%+v", out)
			}
		}
	})
}

func BenchmarkParseRecord(b *testing.B) {
	record := "v=spf1 ip4:192.0.2.0/24 ip4:198.51.100.0/24 ip6:2001:db8::/32 include:_spf.example.net a:mail.example.com/28 mx -all"
	b.ReportAllocs()
	b.SetBytes(int64(len(record)))
	for b.Loop() {
		if _, err := ParseRecord(record); err != nil {
			b.Fatal(err)
		}
	}
}
