package tablesource

import (
	"bytes"
	"database/sql"
	"strings"
	"testing"

	"signpost/signer"
)

// A row becomes one line, and its entry has the domain of the row or is reported as wrong:
// no value of a row can add an option or another entry.
func FuzzRowOfADatabase(f *testing.F) {
	f.Add("a.example", "s1, s2", "true", "", "")
	f.Add("a.example s1\nb.example", "keys_of=c.example", "0", "x subdomains", "")
	f.Add("a.example", "s1 subdomains", "false", "", "")
	f.Add("#a.example", "{s1,s2}", "yes", "", "d.example")
	columns := []string{"domain", "selectors", "subdomains", "keys_of", "sdid"}
	f.Fuzz(func(t *testing.T, domain, selectors, subdomains, keysOf, sdid string) {
		var values []sql.NullString
		for _, v := range []string{domain, selectors, subdomains, keysOf, sdid} {
			values = append(values, sql.NullString{String: v, Valid: true})
		}
		var b bytes.Buffer
		writeRow(&b, columns, values)
		line, rest, ended := strings.Cut(b.String(), "\n")
		if !ended || rest != "" {
			t.Fatalf("the row is written as %q", b.String())
		}
		words := strings.Fields(line)
		if len(words) == 0 {
			t.Fatalf("the row is written as %q", line)
		}
		d, err := signer.ParseEntry(words)
		if err != nil {
			return
		}
		if d.Domain != strings.TrimSpace(domain) || d.KeysOf != strings.TrimSpace(keysOf) || d.SDID != strings.TrimSpace(sdid) {
			t.Fatalf("%q is read as %+v", line, d)
		}
		if wanted := isTrue(subdomains); d.Subdomains != wanted {
			t.Fatalf("%q has subdomains: %t, want %t", line, d.Subdomains, wanted)
		}
	})
}
