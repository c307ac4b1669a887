package keys

import (
	"strings"
	"testing"
)

// A former key whose file is gone is not to be made anew under its name: DNS has the record
// of the one that was.
func TestAFormerKeyWithoutAFileIsNotToBeMade(t *testing.T) {
	cfg := Defaults()
	cfg.Dir = t.TempDir()
	_, err := Generate(cfg.Dir, "example.com", "s2", Ed25519, 0)
	check(t, err)
	store, err := Open(cfg, []Ref{{"example.com", "s2"}}, Ref{"example.com", "s1"})
	check(t, err)
	said := strings.Join(store.Warnings(), "\n")
	if !strings.Contains(said, "cannot stand in") || !strings.Contains(said, "there is no file "+cfg.Dir+"/example.com/s1.pem") || strings.Contains(said, "generate") {
		t.Errorf("the warning is %q", said)
	}
}
