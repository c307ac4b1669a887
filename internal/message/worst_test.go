package message

import (
	"io"
	"strings"
	"testing"
)

// BenchmarkWorst reads a message and its author, as every check does: with a From field
// of 64 KiB that is expensive by design, and an ordinary message of the same size,
// which is a header of two dozen fields and text.
func BenchmarkWorst(b *testing.B) {
	const size = 64 << 10
	repeat := func(s string) string { return strings.Repeat(s, size/len(s)) }
	for _, attack := range []struct{ name, from string }{
		{"64 KiB of nested comments", strings.Repeat("(", size/2) + strings.Repeat(")", size/2) + "a@x.example"},
		{"64 KiB of open comments", repeat("(")},
		{"64 KiB of comments", repeat("((()))") + "a@x.example"},
		{"64 KiB in quotes", `"` + repeat(`\a`) + `"@x.example`},
		{"64 KiB of addresses", repeat("a@x.example,")},
		{"64 KiB of domains", repeat("a@ü.b,")},
		{"64 KiB of long domains", "<" + repeat("@"+strings.Repeat("ü", 500)+" ")},
		{"64 KiB of dots", "a@" + repeat("a. ")},
		{"64 KiB of groups", repeat("a:;,")},
		{"64 KiB of folds", repeat("\r\n ") + "a@x.example"},
	} {
		b.Run(attack.name, func(b *testing.B) {
			hostile := "From: " + attack.from + "\r\n\r\n"
			header := "From: Joe Q. Public <john.q.public@example.com>\r\n" +
				strings.Repeat("Received: from mail.example (mail.example [192.0.2.1])\r\n\tby mx.example with ESMTPS\r\n", 25) + "\r\n"
			line := "The quick brown fox jumps over the lazy dog, and so on. It was a dark night.\r\n"
			b.Run("ordinary", func(b *testing.B) {
				benchmarkReading(b, header+strings.Repeat(line, (len(hostile)-len(header))/len(line)))
			})
			b.Run("hostile", func(b *testing.B) { benchmarkReading(b, hostile) })
		})
	}
}

func benchmarkReading(b *testing.B, text string) {
	b.ReportAllocs()
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		h, body, err := Split(strings.NewReader(text), Limits{})
		if err != nil {
			b.Fatal(err)
		}
		if h.Author().Fields != 1 {
			b.Fatal("the From field is lost")
		}
		if _, err := io.Copy(io.Discard, body); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkWorstNames reads fields that are expensive because the text after each "@"
// is examined.
func BenchmarkWorstNames(b *testing.B) {
	const size = 1 << 20
	repeat := func(s string) string { return strings.Repeat(s, size/len(s)) }
	for _, attack := range []struct{ name, value string }{
		{"full-width signs", repeat("\uff20")},
		{"signs", repeat("@")},
		{"names beyond ASCII", repeat("@ü.ü ")},
		{"names of one domain", repeat("@x.example ")},
		{"open encoded words", repeat("=?a?q?")},
		{"encoded words", repeat("=?a?q?@?= ")},
		{"open encoded words before an end", repeat("=?a?x?") + "?="},
		{"parentheses", repeat("@(") + repeat(").")},
		{"dots", repeat("@a . ")},
		{"escapes", repeat("@\x1b ( ")},
		{"quotes", repeat(`@"`)},
	} {
		b.Run(attack.name, func(b *testing.B) {
			h := Header{{"From", " a@x.example"}, {"-From", attack.value}} // read at any length
			b.SetBytes(int64(len(attack.value)))
			for b.Loop() {
				h.Author()
			}
		})
	}
}
