package daemon

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// examples are the indented blocks of a document that begin with a section of the
// configuration.
func examples(t *testing.T, path string) []string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var blocks []string
	block := ""
	for line := range strings.Lines(string(text) + "\n") {
		if code, ok := strings.CutPrefix(line, "    "); ok {
			block += code
			continue
		}
		if first, _, _ := strings.Cut(block, ":\n"); first == "milter" || first == "signer" || first == "verifier" {
			blocks = append(blocks, block)
		}
		block = ""
	}
	return blocks
}

func TestTheExamplesOfTheChapterOnForwardingAreValid(t *testing.T) {
	blocks := examples(t, "../../docs/forwarding.md")
	if len(blocks) < 6 {
		t.Fatalf("%d examples", len(blocks))
	}
	for _, text := range blocks {
		path := filepath.Join(t.TempDir(), "signpost.yaml")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, _, err := Read(path); err != nil {
			t.Errorf("%v\n%s", err, text)
		}
	}
}
