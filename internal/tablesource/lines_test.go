package tablesource

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestAByteOrderMarkInFrontOfATableIsSkipped(t *testing.T) {
	path := filepath.Join(t.TempDir(), "table")
	if err := os.WriteFile(path, []byte("\ufeffcustomer.example s1\r\nother.example s2\r\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var got []string
	text, err := readFile("signer.tables[0]", path)
	if err != nil {
		t.Fatal(err)
	}
	err = eachLine(path, text, func(_ int, words []string) error {
		got = append(got, strings.Join(words, " "))
		return nil
	})
	if want := "customer.example s1|other.example s2"; err != nil || strings.Join(got, "|") != want {
		t.Errorf("got %q (%v), want %s", got, err, want)
	}
}
