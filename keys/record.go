package keys

import (
	"fmt"
	"strings"

	"signpost/internal/dkim"
)

// RecordName is the name of the key's TXT record, without a final dot (RFC 6376
// §3.6.2.1).
func (k *Key) RecordName() string { return k.Ref().RecordName() }

// Record is the text of the key's TXT record, in one piece: what the web forms of
// DNS providers want.
func (k *Key) Record() string {
	record, err := dkim.KeyRecord(k.Signer.Public())
	if err != nil {
		return "" // not of a key that was loaded: newKey lets no other kind pass
	}
	return record
}

// RevokedRecord is the text of the record that takes a key back (RFC 6376 §3.6.1).
const RevokedRecord = "v=DKIM1; p="

// RecordOptions are what a key record may say beside the key (RFC 6376 §3.6.1).
type RecordOptions struct {
	Testing bool   // t=y: verifiers may treat the mail as unsigned
	Email   bool   // s=email: the key is for nothing but mail
	Note    string // n=, for people
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

// quotedPrintable writes text as n= has it: RFC 2045 §6.7, without line breaks, and
// with the octets that end a tag or trouble a zone file encoded.
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

// maxString is the most that one character-string of a TXT record holds
// (RFC 1035 §3.3).
const maxString = 255

// Strings cuts a record into the character-strings of DNS, which a verifier joins
// again (RFC 6376 §3.6.2.2): in front of the key, and where one is full.
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

// Quoted is a record as those providers want it that take the strings of a TXT
// record each in quotation marks.
func Quoted(record string) string {
	return `"` + strings.Join(Strings(record), `" "`) + `"`
}

// ZoneLine is the record as a zone file has it (RFC 1035 §5.1).
func (k *Key) ZoneLine() string { return ZoneLine(k.RecordName(), k.Record()) }

// ZoneLine is a TXT record as a zone file has it, for a name without a final dot.
func ZoneLine(name, record string) string {
	head := name + ". 3600 IN TXT "
	parts := Strings(record)
	if len(parts) == 1 {
		return head + `"` + record + `"`
	}
	return head + `( "` + strings.Join(parts, "\"\n\t\"") + `" )`
}
