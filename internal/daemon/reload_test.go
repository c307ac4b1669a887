package daemon

import (
	"path/filepath"
	"testing"
	"time"
)

// The long parts of a reload give way: reading tables, opening keys, deciding which sign. A generation keeps nothing
// of that.
func TestAReloadGivesWay(t *testing.T) {
	h := newHouse(t)
	h.write(filepath.Join(h.dir, "table"), "example.net s1 keys_of=example.org\n")
	h.replace("signer:\n", "signer:\n  tables: ["+filepath.Join(h.dir, "table")+"]\n")
	s := startReloader(t, h.config)
	c, from, err := Read(h.config)
	if err != nil {
		t.Fatal(err)
	}
	calls := 0
	c.giveWay = func() { calls++ }
	next, err := Build(c, from, time.Now, s.current)
	if err != nil {
		t.Fatal(err)
	}
	const entries, listed = 1, 4
	if want := entries + 2*listed; calls != want { // each key is prepared, then added
		t.Errorf("Build gives way %d times, want %d", calls, want)
	}
	if next.Config.giveWay != nil {
		t.Error("the generation's configuration gives way")
	}
	if next.underLoad != s.current.underLoad {
		t.Error("the next generation does not know the load")
	}
	calls = 0
	s.begin(next)
	const sets = 3
	if want := listed + sets; calls != want {
		t.Errorf("Begin gives way %d times, want %d", calls, want)
	}
}
