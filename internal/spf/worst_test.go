package spf

import (
	"net/netip"
	"strings"
	"testing"
)

// BenchmarkWorst measures the most expensive records that a domain can publish. The
// ordinary record for each is of the same size, and read as often: addresses other than
// the client's.
func BenchmarkWorst(b *testing.B) {
	fill := func(term string, size int) string { return "v=spf1" + strings.Repeat(term, (size-50)/len(term)) }
	const ordinaryTerm = " ip4:198.51.100.0/24"
	addresses := zoneOf("v=spf1 a -all")
	for i := range 1000 {
		addresses.AddA("example.com", netip.AddrFrom4([4]byte{198, 18, byte(i >> 8), byte(i)}))
	}
	for _, attack := range []struct {
		name, record, local string
		want                Result
	}{
		{"100 KB", fill(ordinaryTerm, 100_000) + " -all", "user", PermError},
		{"short terms", fill(" x=", maxRecord) + " -all", "user", Fail},
		{"macros of a long sender", "v=spf1 exists:" + strings.Repeat("%{sr+-}", (maxRecord-50)/7) + " -all", strings.Repeat("a-", 500), Fail},
		{"macros that come out empty", "v=spf1 exists:" + strings.Repeat("%{L1-}", (maxRecord-50)/6) + " -all", strings.Repeat("a", 1000) + "-", Fail},
	} {
		b.Run(attack.name, func(b *testing.B) {
			benchmarkCheck(b, "ordinary", zoneOf(fill(ordinaryTerm, min(len(attack.record), maxRecord))+" -all"), "user", Fail)
			benchmarkCheck(b, "hostile", zoneOf(attack.record), attack.local, attack.want)
		})
	}
	b.Run("ten includes", func(b *testing.B) {
		benchmarkCheck(b, "ordinary", zoneOf(fill(ordinaryTerm, maxRecord)+" include:example.com"), "user", PermError)
		benchmarkCheck(b, "hostile", zoneOf(fill(" a.b-c=%{d1}", maxRecord)+" include:example.com"), "user", PermError)
	})
	b.Run("1,000 addresses", func(b *testing.B) {
		benchmarkCheck(b, "ordinary", typicalZone(), "user", Pass)
		benchmarkCheck(b, "hostile", addresses, "user", Fail)
	})
}
