package keys

import (
	"strings"
	"testing"
	"time"
)

// A key that is listed for two duties signs for both, and its state is that of the
// one where it signs.
func TestAKeyOfSeveralDuties(t *testing.T) {
	cfg := Defaults()
	cfg.Dir = t.TempDir()
	for _, selector := range []string{"s1", "s2"} {
		_, err := Generate(cfg.Dir, "example.com", selector, Ed25519, 0)
		check(t, err)
	}
	s1, s2 := Ref{"example.com", "s1"}, Ref{"example.com", "s2"}
	store, err := Open(cfg, []Ref{s1, s2})
	check(t, err)
	now := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	p := &Plan{Config: cfg, Store: store, Listed: []Listed{
		{Ref: s1}, {Ref: s1, Duty: "x"}, {Ref: s2, Duty: "x"}, {Ref: s2, Duty: "x"}, {Ref: s1, Duty: "late", ActiveFrom: now.Add(time.Hour)},
	}}
	known := p.fill(ledger{}, now, nil)
	for duty, want := range map[string]string{"example.com": "s1", "x": "s1 s2", "late": ""} {
		var got []string
		for _, k := range p.Roster.Duty(duty).Keys {
			got = append(got, k.Selector)
		}
		if strings.Join(got, " ") != want {
			t.Errorf("for %s %q sign, want %q", duty, got, want)
		}
	}
	if len(known) != 2 || known[s1].State != Active || known[s2].State != Active {
		t.Errorf("known is %+v", known)
	}
}
