package dmarc

import (
	"strings"
	"testing"
)

// rua= and ruf= are foreign text. A report sender uses the address alone, but the URI
// that is kept must not contain octets that could begin a header field (RFC 6068 §2,
// §7; RFC 3986 §2).
func TestATK058NoURIBreaksOutOfAHeaderField(t *testing.T) {
	const good = "mailto:reports@example.com"
	for _, tt := range []struct {
		name, rua string
		want      string // the URI that is kept, in addition to good
	}{
		{"a line end behind the address", "mailto:a@example.com\r\nBcc: x@example.net", ""},
		{"a bare LF", "mailto:a@example.com\nBcc: x@example.net", ""},
		{"a bare CR", "mailto:a@example.com\rBcc: x@example.net", ""},
		{"a NUL", "mailto:a@example.com\x00", ""},
		{"a blank and a second address", "mailto:a@example.com x@example.net", ""},
		{"angle brackets", "mailto:<a@example.com>", ""},
		{"a quote", `mailto:"a@example.net> "@example.com`, ""},
		{"a backslash", `mailto:a\@example.com`, ""},
		{"an octet beyond ASCII", "mailto:\xe4@example.com", ""},
		{"a percent sign that encodes nothing", "mailto:a%0@example.com", ""},
		{"an address in fields alone", "mailto:?to=a@example.com", ""},
		{"a line end in a domain", "mailto:a@example.com%0d%0a", ""},
		{"a NUL in a domain", "mailto:a@exa%00mple.com", ""},
		{"fields stay encoded and no part of the address", "mailto:a@example.com?bcc=x@example.net&subject=a%0d%0aBcc:y", "mailto:a@example.com?bcc=x@example.net&subject=a%0d%0aBcc:y"},
		{"an encoded at sign does not move the domain", "mailto:a%40example.net@example.com", "mailto:a%40example.net@example.com"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			rec, err := ParseRecord("v=DMARC1; p=none; rua=" + tt.rua + "," + good)
			if err != nil {
				t.Fatal(err)
			}
			var kept []string
			for _, u := range rec.RUA {
				kept = append(kept, u.Text)
				if strings.ContainsAny(u.Text, " \t\r\n\x00<>\"\\") {
					t.Errorf("%q has octets that end an address or a field", u.Text)
				}
			}
			if got, want := strings.Join(kept, ","), strings.TrimPrefix(tt.want+","+good, ","); got != want {
				t.Errorf("kept %q, want %q", got, want)
			}
		})
	}
}

// The grammar of an address allows no control character, encoded or not.
func TestATK058AnEncodedLineEndInAnAddress(t *testing.T) {
	rec, err := ParseRecord("v=DMARC1; p=none; rua=mailto:a%0d%0aBcc:x@example.com")
	if err != nil {
		t.Fatal(err)
	}
	if len(rec.RUA) != 0 {
		t.Errorf("kept %+v", rec.RUA)
	}
}
