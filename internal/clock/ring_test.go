package clock

import (
	"sync"
	"testing"
)

type page struct {
	Mark
	name string
}

func ring(names ...string) (*Ring[*page], map[string]*page) {
	r, pages := &Ring[*page]{}, map[string]*page{}
	for _, name := range names {
		pages[name] = &page{name: name}
		r.Add(pages[name])
	}
	return r, pages
}

func TestTheFirstUnusedEntryLeaves(t *testing.T) {
	r, pages := ring("a", "b", "c", "d")
	pages["b"].Use()
	pages["c"].Use()
	for i, want := range []string{"d", "a"} { // the hand begins behind a
		if got := r.Evict(nil).name; got != want {
			t.Errorf("%d: %s leaves, want %s", i, got, want)
		}
	}
	if r.Len() != 2 {
		t.Errorf("%d entries stay", r.Len())
	}
}

func TestAnEntryInRegularUseStays(t *testing.T) {
	r, pages := ring("busy", "b", "c")
	for range 100 {
		pages["busy"].Use()
		if e := r.Evict(nil); e.name == "busy" {
			t.Fatal("it left")
		}
		r.Add(&page{name: "once"})
	}
}

func TestWhereAllAreUsedOneLeavesAllTheSame(t *testing.T) {
	r, pages := ring("a", "b", "c")
	for _, p := range pages {
		p.Use()
	}
	r.Evict(nil)
	if r.Len() != 2 {
		t.Errorf("%d entries stay", r.Len())
	}
	used := 0
	for _, e := range r.entries {
		if e.used.Load() {
			used++
		}
	}
	if used != 0 {
		t.Errorf("the hand has passed, and %d entries are still marked as used", used)
	}
}

// The search ends even if each entry is used again as soon as the hand has passed.
func TestEvictEndsHoweverMuchIsUsed(t *testing.T) {
	r, _ := ring("a", "b", "c")
	steps := 0
	r.Evict(func(*page, bool) bool { steps++; return false })
	if steps != 6 || r.Len() != 2 {
		t.Errorf("%d steps, %d entries stay", steps, r.Len())
	}
}

func TestTheCallerMaySpareAndCondemnEntries(t *testing.T) {
	r, pages := ring("spared", "stale", "c")
	pages["stale"].Use()
	if e := r.Evict(func(e *page, used bool) bool { return e.name != "spared" && (!used || e.name == "stale") }); e.name != "stale" {
		t.Errorf("%s left", e.name)
	}
}

func TestRemoveLeavesTheOthersInTheirPlaces(t *testing.T) {
	r, pages := ring("a", "b", "c", "d")
	for i, name := range []string{"b", "d", "a", "c"} { // in the middle, the last, the first, the only one
		if !r.Remove(pages[name]) || r.Remove(pages[name]) {
			t.Errorf("%s is removed twice or not at all", name)
		}
		if r.Len() != 3-i {
			t.Errorf("%d entries after %d left", r.Len(), i+1)
		}
		for at, e := range r.entries {
			if e.place != at+1 {
				t.Errorf("%s is at %d and thinks %d", e.name, at+1, e.place)
			}
		}
	}
	r.Add(pages["b"]) // it may come again
	if e := r.Evict(nil); e != pages["b"] {
		t.Errorf("%s left", e.name)
	}
}

// Use takes no lock, other than the rest.
func TestUseMayRunBesideEvict(t *testing.T) {
	r, pages := ring("a", "b", "c")
	var using sync.WaitGroup
	for _, p := range pages {
		using.Go(func() {
			for range 1000 {
				p.Use()
			}
		})
	}
	for range 100 {
		r.Add(r.Evict(nil))
	}
	using.Wait()
	if r.Len() != 3 {
		t.Errorf("%d entries", r.Len())
	}
}
