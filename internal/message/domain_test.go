package message

import (
	"strings"
	"testing"
)

func TestDomainToASCII(t *testing.T) {
	label63 := strings.Repeat("a", 63)
	name253 := strings.Repeat(label63+".", 3) + strings.Repeat("a", 61)
	tests := []struct{ name, in, want string }{
		{"a plain name", "example.com", "example.com"},
		{"capitals are lowered", "EXAMPLE.Com", "example.com"},
		{"one final dot is dropped", "example.com.", "example.com"},
		{"two final dots are too many", "example.com..", ""},
		{"underscore and hyphens", "_dmarc.r3---sn-.example", "_dmarc.r3---sn-.example"},
		{"a single label", "localhost", "localhost"},
		{"a U-label", "BÜCHER.example", "xn--bcher-kva.example"},
		{"an A-label in capitals", "XN--BCHER-KVA.example", "xn--bcher-kva.example"},
		{"sharp s is a letter of its own", "faß.de", "xn--fa-hia.de"},
		{"a name beyond Latin", "例え.テスト", "xn--r8jz45g.xn--zckzah"},
		{"other full stops only through the mapping", "a。b．c｡d", "a.b.c.d"},
		{"a one dot leader is no full stop", "bank․example", ""},
		{"nor is a digit with a full stop", "a⒈b.example", ""},
		{"a full-width @ is no separator", "a＠b.example", ""},
		{"an encoding of plain ASCII", "xn--bank-.example", ""},
		{"bad Punycode", "xn--a.example", ""},
		{"an empty encoding", "xn--.example", ""},
		{"mixed directions", "אa.example", ""},
		{"a direction override", "a\u202eb.example", ""},
		{"a sign that maps to a slash", "℅.example", ""},
		{"a label of ignored characters only", "\u00ad.example", ""},
		{"invalid UTF-8", "a\xff.example", ""},
		{"an emoji domain, registered as such", "i❤.ws", "xn--i-7iq.ws"},
		{"63 octets in a label", label63 + ".example", label63 + ".example"},
		{"64 octets in a label", label63 + "a.example", ""},
		{"253 octets in a name", name253, name253},
		{"253 octets and a final dot", name253 + ".", name253},
		{"254 octets in a name", name253 + "a", ""},
		{"a U-label too long as A-label", strings.Repeat("ü", 62) + ".example", ""},
		{"no end of octets", strings.Repeat("ü.", 1<<20), ""},
		{"nothing", "", ""},
		{"only a dot", ".", ""},
		{"an empty label", "a..b", ""},
		{"an empty label in front", ".a.b", ""},
		{"an address literal", "[192.0.2.1]", ""},
		{"a blank", "a b.example", ""},
		{"a NUL", "example.com\x00.evil.example", ""},
		{"a parenthesis", "a.com(.b.com", ""},
		{"a line end", "a.example\r\n", ""},
		{"a slash", "a/b.example", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, ok := DomainToASCII(tt.in)
			if got != tt.want || ok != (tt.want != "") {
				t.Errorf("DomainToASCII(%.80q) = %q, %v, want %q", tt.in, got, ok, tt.want)
			}
		})
	}
}

func FuzzDomainToASCII(f *testing.F) {
	for _, s := range []string{"example.com.", "BÜCHER.example", "xn--bank-.example", "a。b", "\u00ad.c", "a\xff", "xn--bcher-kva.", "xn--a.xn--b"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		ascii, ok := DomainToASCII(s)
		if !ok {
			if ascii != "" {
				t.Fatalf("%q is refused and yet %q", s, ascii)
			}
			return
		}
		if again, ok := DomainToASCII(ascii); !ok || again != ascii {
			t.Fatalf("%q became %q became %q, %v", s, ascii, again, ok)
		}
		if len(ascii) > 253 || strings.ContainsAny(ascii, " \r\n\x00()@;\"\\/ABC") || strings.Contains(ascii, "..") {
			t.Fatalf("%q became %q", s, ascii)
		}
	})
}

func BenchmarkDomainToASCII(b *testing.B) {
	for name, s := range map[string]string{
		"ordinary":   "mail.example.com",
		"capitals":   "Mail.Example.Com",
		"U-label":    "bücher.example",
		"A-label":    "xn--bcher-kva.example",
		"worst 1KiB": strings.Repeat("ü\u0327\u0301.", 146),
		"64KiB":      strings.Repeat("ü", 32<<10),
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				DomainToASCII(s)
			}
		})
	}
}
