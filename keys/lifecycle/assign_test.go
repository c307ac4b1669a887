package lifecycle

import (
	"strings"
	"testing"
	"time"

	"signpost/keys"
)

// A key that is listed for two signing sets signs for both, and its state is that of the
// one where it signs.
func TestAKeyOfSeveralDuties(t *testing.T) {
	cfg := keys.Defaults()
	cfg.Dir = t.TempDir()
	for _, selector := range []string{"s1", "s2"} {
		_, err := keys.Generate(cfg.Dir, "example.com", selector, keys.Ed25519, 0)
		check(t, err)
	}
	s1, s2 := keys.Ref{Domain: "example.com", Selector: "s1"}, keys.Ref{Domain: "example.com", Selector: "s2"}
	store, err := keys.Open(cfg, []keys.Ref{s1, s2})
	check(t, err)
	now := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	p := &Spec{Config: cfg, Store: store, Listed: []Listed{
		{Ref: s1}, {Ref: s1, SignsFor: "x"}, {Ref: s2, SignsFor: "x"}, {Ref: s2, SignsFor: "x"}, {Ref: s1, SignsFor: "late", ActiveFrom: now.Add(time.Hour)},
	}}
	known := p.assignAll(facts{}, now, nil).facts
	for set, want := range map[string]string{"example.com": "s1", "x": "s1 s2", "late": ""} {
		var got []string
		for _, k := range p.Active.of(set).Keys {
			got = append(got, k.Selector)
		}
		if strings.Join(got, " ") != want {
			t.Errorf("for %s %q sign, want %q", set, got, want)
		}
	}
	if len(known) != 2 || known[s1].State != Active || known[s2].State != Active {
		t.Errorf("known is %+v", known)
	}
}
