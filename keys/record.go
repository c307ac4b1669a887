package keys

import (
	"strings"

	"signpost/internal/dkim"
)

// RecordName is the name of the key's TXT record, without a final dot (RFC 6376
// §3.6.2.1).
func (k *Key) RecordName() string { return Ref{k.Domain, k.Selector}.recordName() }

// Record is the text of the key's TXT record, in one piece: what the web forms of
// DNS providers want.
func (k *Key) Record() string {
	record, err := dkim.KeyRecord(k.Signer.Public())
	if err != nil {
		return "" // not of a key that was loaded: newKey lets no other kind pass
	}
	return record
}

// maxString is the most that one character-string of a TXT record holds
// (RFC 1035 §3.3).
const maxString = 255

// ZoneLine is the record as a zone file has it (RFC 1035 §5.1). A long one is cut
// into strings, which a verifier joins again (RFC 6376 §3.6.2.2).
func (k *Key) ZoneLine() string {
	record := k.Record()
	head := k.RecordName() + ". 3600 IN TXT "
	if len(record) <= maxString {
		return head + `"` + record + `"`
	}
	tags, p, _ := strings.Cut(record, "p=")
	var b strings.Builder
	b.WriteString(head + `( "` + tags + `"`)
	for rest := "p=" + p; rest != ""; {
		n := min(len(rest), maxString)
		b.WriteString("\n\t\"" + rest[:n] + `"`)
		rest = rest[n:]
	}
	return b.String() + " )"
}
