package daemon

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// An override for a listener that does not exist would never apply.
func TestAnOverrideNamesAListenerOfMilterListen(t *testing.T) {
	read := func(listener string) (Config, error) {
		path := filepath.Join(t.TempDir(), "signpost.yaml")
		text := "milter: {listen: [\"inet:8891@127.0.0.1\", \"unix:/run/signpost/milter.sock\"]}\n" +
			"verifier:\n  overrides:\n    - {listener: \"" + listener + "\", require: dkim}\n"
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		c, _, err := Read(path)
		return c, err
	}
	for _, listener := range []string{"inet:8891@127.0.0.1", "127.0.0.1:8891", "unix:/run/signpost/milter.sock"} {
		c, err := read(listener)
		if err != nil {
			t.Errorf("%s: %v", listener, err)
			continue
		}
		if got := c.Verifier.Overrides[0].Listener; got != c.Milter.Listen[0].Address.String() && got != c.Milter.Listen[1].Address.String() {
			t.Errorf("%s is %s, no address of a listener", listener, got)
		}
	}
	_, err := read("inet:8892@127.0.0.1")
	if err == nil || !strings.Contains(err.Error(), `:4:8: verifier.overrides[0].listener: "inet:8892@127.0.0.1" is no address of milter.listen: write one of`) {
		t.Errorf("an unknown listener: %v", err)
	}
}

// Two entries for one listener would hide each other.
func TestAListenerHasOneOverride(t *testing.T) {
	for _, pair := range [][2]string{{"inet:127.0.0.1:8891", "inet:8891@127.0.0.1"}, {"inet:8891@127.0.0.1", "127.0.0.1:8891"}, {"127.0.0.1:8891", "127.0.0.1:8891"}} {
		path := filepath.Join(t.TempDir(), "signpost.yaml")
		text := "milter: {listen: [\"inet:127.0.0.1:8891\"]}\nverifier:\n  overrides:\n" +
			"    - {listener: \"" + pair[0] + "\", require: dkim, mode: monitor}\n    - {listener: \"" + pair[1] + "\", require: dkim}\n"
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		_, _, err := Read(path)
		if err == nil || strings.Count(err.Error(), "keep one of the two") != 1 {
			t.Errorf("%s and %s: %v", pair[0], pair[1], err)
		}
	}
}
