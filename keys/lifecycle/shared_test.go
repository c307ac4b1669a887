package lifecycle

import (
	"strings"
	"testing"
	"time"

	"signpost/keys"
)

// A key that left its domain's list, and that entries for an address or a pattern still
// list, stands in for its successor like any other.
func TestAKeyThatOtherEntriesListStandsIn(t *testing.T) {
	cfg := keys.Defaults()
	cfg.Dir = t.TempDir()
	for _, selector := range []string{"s1", "s2", "s3", "desk"} {
		_, err := keys.Generate(cfg.Dir, "example.com", selector, keys.Ed25519, 0)
		check(t, err)
	}
	now := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	known := facts{}
	signs := func(published string, own string, elsewhere ...string) string {
		t.Helper()
		now = now.Add(time.Hour)
		p := &Spec{Config: cfg, Require: true, Listed: []Listed{{Ref: keys.Ref{Domain: "example.com", Selector: own}}}}
		wanted := []keys.Ref{{Domain: "example.com", Selector: own}}
		for _, s := range elsewhere {
			ref := keys.Ref{Domain: "example.com", Selector: s}
			p.Listed, wanted = append(p.Listed, Listed{Ref: ref, SignsFor: "desk@example.com"}), append(wanted, ref)
		}
		var spares []keys.Ref
		for ref := range known {
			spares = append(spares, ref)
		}
		var err error
		p.Store, err = keys.Open(cfg, wanted, spares...)
		check(t, err)
		known = p.assignAll(known, now, nil).facts
		for ref, f := range known {
			f.DNS = keys.Absent
			if strings.Contains(published, ref.Selector) {
				f.DNS, f.FirstSeen = keys.Found, now
			}
			known[ref] = f
		}
		known = p.assignAll(known, now, nil).facts
		var names []string
		for _, k := range p.Active.of("example.com").Keys {
			names = append(names, k.Selector)
		}
		return strings.Join(names, " ")
	}
	for _, c := range []struct {
		published, own string
		elsewhere      []string
		want           string
	}{
		{"s1 desk", "s1", []string{"s1", "desk"}, "s1"},
		{"s1 desk", "s2", []string{"s1", "desk"}, "s1"}, // and not desk, which was never the domain's
		{"s1 s2 desk", "s2", []string{"s1", "desk"}, "s2"},
		{"s1 s2 desk", "s3", []string{"s1", "desk"}, "s2"}, // the one that left last
		{"s1 desk", "s3", []string{"s1", "desk"}, "s1"},
		{"desk", "s3", []string{"s1", "desk"}, ""},
	} {
		if got := signs(c.published, c.own, c.elsewhere...); got != c.want {
			t.Errorf("%s listed, %v elsewhere, %s published: %q signs, want %q", c.own, c.elsewhere, c.published, got, c.want)
		}
	}
	if state := known[keys.Ref{Domain: "example.com", Selector: "s1"}].State; state == Retiring || state == Retired {
		t.Errorf("a key that an entry lists is %s", state)
	}
}

func TestAKeyIsNotRetiredWhileAnotherDomainSignsWithIt(t *testing.T) {
	cfg := keys.Defaults()
	cfg.Dir, cfg.State = t.TempDir(), t.TempDir()+"/keys.json"
	for _, selector := range []string{"s1", "s2"} {
		_, err := keys.Generate(cfg.Dir, "provider.example", selector, keys.Ed25519, 0)
		check(t, err)
	}
	cfg.Shared = ownersIn(map[string]string{"a.example": "provider.example"})
	s1, s2, lent, lent2 := keys.Ref{Domain: "provider.example", Selector: "s1"}, keys.Ref{Domain: "provider.example", Selector: "s2"}, keys.Ref{Domain: "a.example", Selector: "s1"}, keys.Ref{Domain: "a.example", Selector: "s2"}
	plan := func(listed ...keys.Ref) *Spec {
		store, err := keys.Open(cfg, listed)
		check(t, err)
		p := &Spec{Config: cfg, Store: store}
		for _, ref := range listed {
			p.Listed = append(p.Listed, Listed{Ref: ref})
		}
		return p
	}
	begin := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	at := func(days int) time.Time { return begin.Add(time.Duration(days) * 24 * time.Hour) }
	known := plan(s1, lent).assignAll(facts{}, at(0), nil).facts
	for ref, f := range known {
		f.FirstSeen, f.DNS = at(0), keys.Found
		known[ref] = f
	}
	p := plan(s2, lent)
	step := func(day int, want State) {
		t.Helper()
		before := known
		known = p.assignAll(known, at(day), nil).facts
		if got := known[s1].State; got != want {
			t.Errorf("day %d: s1 of provider.example is %s, want %s", day, got, want)
		}
		_, some := p.reassign(before, at(day), nil, []string{"provider.example"})
		if got := some[s1].State; got != want {
			t.Errorf("day %d: decided for one domain, s1 of provider.example is %s, want %s", day, got, want)
		}
	}
	step(1, Retiring)
	step(9, Retiring)
	step(40, Retiring)
	files, err := cfg.Files()
	check(t, err)
	check(t, writeState(cfg.State, known))
	entries, err := Inventory(cfg, p.Listed, files)
	check(t, err)
	for _, e := range entries {
		if state, note := e.State(); e.Ref == s1 && (state != Retiring || !strings.Contains(note, "a.example signs with this key: leave its file")) {
			t.Errorf("keys list says %s, %s", state, note)
		}
	}
	p = plan(s2, lent2) // the customer goes over to s2
	step(41, Retiring)
	step(47, Retiring)
	step(48, Retired)

	// A key that only others list is not "unused".
	p = plan(lent)
	entries, err = Inventory(keys.Config{Dir: cfg.Dir, State: cfg.State + ".none", Shared: cfg.Shared, InsecureMode: cfg.InsecureMode}, p.Listed, files)
	check(t, err)
	for _, e := range entries {
		if state, note := e.State(); e.Ref == s1 && (state != Shared || note == "") || e.Ref == s2 && state != Unused {
			t.Errorf("keys list says of %s: %s, %s", e.Ref, state, note)
		}
	}
}

func ownersIn(owners map[string]string) func(string) string {
	return func(domain string) string { return owners[domain] }
}
