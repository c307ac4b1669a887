package keys

import (
	"fmt"
	"strings"

	"signpost/internal/dkim"
)

// RecordName is the name of the key's TXT record, without a final dot (RFC 6376
// §3.6.2.1).
func (k *Key) RecordName() string { return k.Ref().RecordName() }

// Record is the text of the key's TXT record in one piece, for the web forms of DNS providers.
func (k *Key) Record() string {
	record, err := dkim.KeyRecord(k.Signer.Public())
	if err != nil {
		return "" // not for a key from newKey
	}
	return record
}

// RevokedRecord is the text of a record that revokes a key (RFC 6376 §3.6.1).
const RevokedRecord = "v=DKIM1; p="

// RecordOptions are the optional tags of a key record (RFC 6376 §3.6.1).
type RecordOptions struct {
	Testing bool   // t=y: verifiers may treat the mail as unsigned
	Email   bool   // s=email: the key is for mail only
	Note    string // n=, a note for administrators
}

// RecordWith is Record with these options.
func (k *Key) RecordWith(o RecordOptions) string {
	var tags strings.Builder
	if o.Email {
		tags.WriteString("s=email; ")
	}
	if o.Testing {
		tags.WriteString("t=y; ")
	}
	if o.Note != "" {
		tags.WriteString("n=" + quotedPrintable(o.Note) + "; ")
	}
	head, p, _ := strings.Cut(k.Record(), "p=")
	return head + tags.String() + "p=" + p
}

// quotedPrintable encodes text for n=: RFC 2045 §6.7, without line breaks, and with the octets
// that end a tag or need quoting in a zone file encoded.
func quotedPrintable(text string) string {
	var b strings.Builder
	for i, c := range []byte(text) {
		plain := c > ' ' && c < 0x7f && !strings.ContainsRune(`=;"\`, rune(c))
		if plain || c == ' ' && i > 0 && i < len(text)-1 {
			b.WriteByte(c)
			continue
		}
		fmt.Fprintf(&b, "=%02X", c)
	}
	return b.String()
}

// maxString bounds one character-string of a TXT record (RFC 1035 §3.3).
const maxString = 255

// Strings splits a record into character-strings, which a verifier joins again (RFC 6376
// §3.6.2.2): before the key, and at the maximum length.
func Strings(record string) []string {
	if len(record) <= maxString {
		return []string{record}
	}
	var parts []string
	tags, p, _ := strings.Cut(record, "p=")
	for _, rest := range []string{tags, "p=" + p} {
		for rest != "" {
			n := min(len(rest), maxString)
			parts = append(parts, rest[:n])
			rest = rest[n:]
		}
	}
	return parts
}

// Quoted is a record for providers that want each character-string in quotation marks.
func Quoted(record string) string {
	return `"` + strings.Join(Strings(record), `" "`) + `"`
}

// ZoneLine is the record as a line of a zone file (RFC 1035 §5.1).
func (k *Key) ZoneLine() string { return ZoneLine(k.RecordName(), k.Record()) }

// ZoneLine is a TXT record as a line of a zone file. name has no final dot.
func ZoneLine(name, record string) string {
	head := name + ". 3600 IN TXT "
	parts := Strings(record)
	if len(parts) == 1 {
		return head + `"` + record + `"`
	}
	return head + `( "` + strings.Join(parts, "\"\n\t\"") + `" )`
}
