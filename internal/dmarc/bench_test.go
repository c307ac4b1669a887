package dmarc

import (
	"context"
	"fmt"
	"strings"
	"testing"
)

var usualRecord = "v=DMARC1; p=quarantine; sp=reject; adkim=r; aspf=r; fo=1; rua=mailto:dmarc-a@example.com,mailto:x@reports.example.net!10m; ruf=mailto:dmarc-f@example.com"

func BenchmarkParseRecord(b *testing.B) {
	fill := func(piece string) string {
		const head = "v=DMARC1; p=reject;"
		return head + strings.Repeat(piece, (maxRecord-len(head))/len(piece))
	}
	var unknown strings.Builder
	unknown.WriteString("v=DMARC1; p=reject;")
	for i := 0; unknown.Len() < maxRecord-16; i++ {
		fmt.Fprintf(&unknown, "%x=;", i)
	}
	for _, c := range []struct{ name, text string }{
		{"usual", usualRecord},
		{"no DMARC record", "v=spf1 include:_spf.example.com -all"},
		{"64 KB of semicolons", fill(";")},
		{"64 KB of words", fill("x;")},
		{"64 KB of different tags", unknown.String()},
		{"64 KB of URIs", fill("x") + " "},
		{"64 KB of one list", "v=DMARC1; p=reject; rua=" + strings.Repeat("!,", 32000)},
		{"64 KB of destinations", "v=DMARC1; p=reject; rua=" + strings.Repeat("a:b,", 16000)},
		{"64 KB of one value", "v=DMARC1; p=reject; fo=" + strings.Repeat("d:", 32000)},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(c.text)))
			for b.Loop() {
				ParseRecord(c.text)
			}
		})
	}
}

func BenchmarkEvaluate(b *testing.B) {
	long := strings.Repeat("a.", 123) + "example"
	below := make([]Identifier, 100)
	for i := range below {
		below[i] = Identifier{Domain: fmt.Sprintf("%d.%s", i, long[20:]), Pass: true}
	}
	pass := []Identifier{{Domain: "example.com", Pass: true}}
	for _, c := range []struct {
		name, author string
		zone         records
		dkim         []Identifier
		method       Method
	}{
		{"own record, same domain", "example.com", records{"_dmarc.example.com": {usualRecord}}, pass, TreeWalk},
		{"record above, relaxed", "mail.example.com", records{"_dmarc.example.com": {usualRecord}}, pass, TreeWalk},
		{"by the built-in list", "mail.example.com", records{"_dmarc.example.com": {usualRecord}}, pass, PSL},
		{"no record", "mail.example.com", records{}, pass, TreeWalk},
		{"124 labels", long, records{"_dmarc.example": {usualRecord}}, nil, TreeWalk},
		{"124 labels and 100 such signatures", long, records{"_dmarc.example": {usualRecord}}, below, TreeWalk},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				d := Discover(context.Background(), c.zone, c.author, c.method)
				Evaluate(context.Background(), c.zone, d, nil, c.dkim)
			}
		})
	}
}

func BenchmarkRegistrable(b *testing.B) {
	for _, c := range []struct{ name, domain string }{
		{"usual", "mail.example.co.uk"},
		{"125 labels", strings.Repeat("a.", 123) + "kobe.jp"},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				registrable(c.domain)
			}
		})
	}
}
