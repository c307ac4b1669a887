package opendkim

import "strings"

// KeyFile returns the text of a PEM file for a key that a table of opendkim's holds itself,
// as the base64 of its DER (Key.Inline).
func KeyFile(base64 string) []byte {
	const line = 64
	var b strings.Builder
	b.WriteString("-----BEGIN RSA PRIVATE KEY-----\n")
	for base64 != "" {
		n := min(line, len(base64))
		b.WriteString(base64[:n] + "\n")
		base64 = base64[n:]
	}
	b.WriteString("-----END RSA PRIVATE KEY-----\n")
	return []byte(b.String())
}
