package authres

import (
	"strings"
	"testing"
)

// BenchmarkWorst reads fields that are expensive by design, and ordinary ones of the
// same total size.
func BenchmarkWorst(b *testing.B) {
	ordinary := "mx.example.com;\r\n dkim=pass header.i=@example.net header.s=s1 header.b=2j32dcmg;\r\n" +
		" spf=pass (example.com: domain of a@example.net designates 192.0.2.1) smtp.mailfrom=a@example.net;\r\n" +
		" dmarc=pass (p=NONE sp=NONE dis=NONE) header.from=example.net"
	for _, attack := range []struct{ name, value string }{
		{"64 KiB of results", "a.example" + strings.Repeat("; dkim=pass header.d="+strings.Repeat("x", 46), 960)},
		{"64 KiB of nested comments", "a.example; spf=pass " + strings.Repeat(strings.Repeat("(", 256)+strings.Repeat(")", 256), 128)},
		{"64 KiB of open comments", "a.example; spf=pass " + strings.Repeat("(", 64<<10)},
		{"64 KiB of quoted pairs", `a.example; spf=pass reason="` + strings.Repeat(`\a`, 32<<10) + `"`},
		{"64 KiB of quotes", `a.example; spf=pass a.b=` + strings.Repeat(`""`, 32<<10)},
		{"64 KiB of semicolons", "a.example" + strings.Repeat(";", 64<<10)},
	} {
		b.Run(attack.name, func(b *testing.B) {
			benchmarkReading(b, "ordinary", ordinary, len(attack.value)/len(ordinary))
			benchmarkReading(b, "hostile", attack.value, 1)
		})
	}
}

func benchmarkReading(b *testing.B, name, value string, times int) {
	b.Run(name, func(b *testing.B) {
		b.ReportAllocs()
		b.SetBytes(int64(times * len(value)))
		for b.Loop() {
			for range times {
				Parse(value)
			}
		}
	})
}
