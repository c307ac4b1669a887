package dmarc

import (
	"fmt"
	"strings"
	"testing"
)

// BenchmarkWorst reads records that are expensive by design, and usual ones of the same
// total size.
func BenchmarkWorst(b *testing.B) {
	const head = "v=DMARC1; p=reject;"
	fill := func(piece string) string { return head + strings.Repeat(piece, (maxRecord-len(head))/len(piece)) }
	var unknown strings.Builder
	unknown.WriteString(head)
	for i := 0; unknown.Len() < maxRecord-16; i++ {
		fmt.Fprintf(&unknown, "%x=;", i)
	}
	for _, attack := range []struct{ name, record string }{
		{"64 KB of semicolons", fill(";")},
		{"64 KB of different tags", unknown.String()},
		{"64 KB of one list", head + " rua=" + strings.Repeat("!,", 32000)},
		{"64 KB of destinations", head + " rua=" + strings.Repeat("a:b,", 16000)},
		{"64 KB of one value", head + " fo=" + strings.Repeat("d:", 32000)},
	} {
		b.Run(attack.name, func(b *testing.B) {
			benchmarkReading(b, "ordinary", usualRecord, len(attack.record)/len(usualRecord))
			benchmarkReading(b, "hostile", attack.record, 1)
		})
	}
}

func benchmarkReading(b *testing.B, name, record string, times int) {
	b.Run(name, func(b *testing.B) {
		b.ReportAllocs()
		b.SetBytes(int64(times * len(record)))
		for b.Loop() {
			for range times {
				ParseRecord(record)
			}
		}
	})
}
