package authres

import (
	"strings"
	"testing"
	"unicode"

	"signpost/internal/message"
)

const fuzzedID = "mx.bücher.example"

// spellings are changes to our id, each applied at most once, in this order.
var spellings = []func(id string) string{
	func(string) string { return "mx.xn--bcher-kva.example" },
	strings.ToUpper,
	func(id string) string { return strings.Replace(id, "e", "E", 1) },
	func(id string) string { return strings.Replace(id, "mx", "\uff4d\uff58", 1) },
	func(id string) string { return strings.Replace(id, "ü", "u\u0308", 1) },
	func(id string) string { return strings.Replace(id, ".", "\u3002", 1) },
	func(id string) string { return strings.Replace(id, "exam", "exam\u00ad", 1) },
	func(id string) string { return strings.Replace(id, "mx", "mx\u200b", 1) },
	func(id string) string { return id + "." },
	func(id string) string { return `"` + strings.Replace(id, "x", `\x`, 1) + `"` },
}

// around may precede and follow an id, any number of times (CFWS).
var around = []string{"\r\n ", "\n\t", " ", `(a \) "; (b))`, "(mx.other.example; x)", "(;)"}

// writing builds a spelling of our id that RFC 8601 §2.2 and §2.5 allow, or that a
// reader would accept.
func writing(how uint16, before, after []byte) string {
	id := fuzzedID
	for i, spell := range spellings {
		if how&(1<<i) != 0 {
			id = spell(id)
		}
	}
	var b strings.Builder
	for _, c := range before {
		b.WriteString(around[int(c)%len(around)])
	}
	b.WriteString(id)
	for _, c := range after {
		b.WriteString(around[int(c)%len(around)])
	}
	return b.String()
}

// readers are programs behind us that find the authserv-id in different ways.
var readers = map[string]func(value string) string{
	"up to the semicolon": func(value string) string {
		id, _, _ := strings.Cut(value, ";")
		return strings.Trim(strings.TrimSpace(id), `"`)
	},
	"the first word": func(value string) string {
		id, _, _ := strings.Cut(value, ";")
		if words := strings.Fields(id); len(words) > 0 {
			return strings.Trim(words[0], `"`)
		}
		return ""
	},
	"without comments": func(value string) string {
		id, _, _ := strings.Cut(uncommented(value), ";")
		return strings.Trim(strings.TrimSpace(id), `"`)
	},
	"without anything that does not show": func(value string) string {
		id, _, _ := strings.Cut(uncommented(value), ";")
		return strings.Map(func(r rune) rune {
			if unicode.IsSpace(r) || !unicode.IsPrint(r) || r == '"' || r == '\\' {
				return -1
			}
			return r
		}, id)
	},
}

// uncommented removes comments, nested ones and escaped ones too; an unclosed comment
// extends to the end.
func uncommented(value string) string {
	var b strings.Builder
	depth, quoted := 0, false
	for i := 0; i < len(value); i++ {
		switch c := value[i]; {
		case c == '\\' && depth > 0:
			i++
		case c == '"' && depth == 0:
			quoted = !quoted
			b.WriteByte(c)
		case c == '(' && !quoted:
			depth++
		case c == ')' && depth > 0:
			depth--
		case depth == 0:
			b.WriteByte(c)
		}
	}
	return b.String()
}

// FuzzClaims: for every spelling of our id, the field is removed, and so is a field in
// which any reader finds our id.
func FuzzClaims(f *testing.F) {
	for i := range spellings {
		f.Add(uint16(1<<i), []byte{}, []byte{}, " dmarc=pass header.from=bank.example")
		f.Add(^uint16(1<<i), []byte{byte(i)}, []byte{byte(i), 2}, " none")
	}
	for _, rest := range []string{"", " none", "mx.bücher.example; none", "(", `"`, " 2; none", "\x00", `mx.bücher.example" ; none`, "i=1; mx.bücher.example; none"} {
		f.Add(uint16(0), []byte{0, 3}, []byte{4, 5}, rest)
	}
	f.Fuzz(func(t *testing.T, how uint16, before, after []byte, rest string) {
		ids := []string{fuzzedID}
		if value := writing(how, before, after) + ";" + rest; !Claims(value, ids) {
			t.Fatalf("%q is kept", value)
		}
		if Claims(rest, ids) {
			return
		}
		for name, read := range readers {
			got, ok := message.DomainToASCII(read(rest))
			if ok && got == "mx.xn--bcher-kva.example" {
				t.Fatalf("%q is kept, and a reader that takes %s finds our id", rest, name)
			}
		}
		if field, err := Parse(rest); err != nil || field.Version > 1 {
			t.Fatalf("%q is kept: %+v, %v", rest, field, err)
		}
	})
}

// FuzzIsFieldName: a name is ours if it equals ours without white space, control
// characters and octets beyond ASCII; a name without our words is not.
func FuzzIsFieldName(f *testing.F) {
	for _, s := range []string{Name, "AUTHENTICATION-RESULTS \t", "\u00a0Authentication-Results", "Authen\x00tication-\r\n Results", ">Authentication-Results", "ARC-Authentication-Results", "Authentication-Results-X", "\u212aauthentication-results", "authentication-re\u017fults", strings.Repeat(" ", 100) + Name, Name + strings.Repeat(" ", 100)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, name string) {
		const odd = 16 // how many such octets a reader may overlook
		var kept []byte
		for _, c := range []byte(strings.TrimRight(name, " \t\r\n")) {
			if c > ' ' && c < 0x7f {
				kept = append(kept, c)
			}
		}
		plain := strings.ToLower(string(kept))
		got := IsFieldName(name)
		if plain == strings.ToLower(Name) && len(strings.TrimRight(name, " \t\r\n")) <= len(Name)+odd && !got {
			t.Fatalf("%q is not taken for ours", name)
		}
		if got && !strings.Contains(plain, strings.ToLower(Name)) {
			t.Fatalf("%q is taken for ours", name)
		}
	})
}

func BenchmarkClaims(b *testing.B) {
	ids := []string{"mx.example.org", fuzzedID, "gateway 7"}
	for name, value := range map[string]string{
		"ordinary":          "mx.google.com; dkim=pass header.i=@fastmail.com; spf=pass smtp.mailfrom=a@fastmail.com",
		"64KiB quoted id":   `"` + strings.Repeat("mx.example.or", 5000) + `"; none`,
		"64KiB labels":      strings.Repeat("a.", 32<<10) + "; none",
		"64KiB invisible":   `"` + strings.Repeat("\u200b", 21<<10) + `"; none`,
		"64KiB beyond":      strings.Repeat("ü", 32<<10) + "; none",
		"64KiB pairs":       `"` + strings.Repeat(`\m`, 32<<10) + `"; none`,
		"64KiB in comments": strings.Repeat("(mx.example.org)", 4<<10) + "x; none",
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(value)))
			for b.Loop() {
				Claims(value, ids)
			}
		})
	}
}
