package keys

import "testing"

func TestKeysInOrderAreThoseOfLookup(t *testing.T) {
	cfg := Defaults()
	cfg.Dir = t.TempDir()
	refs := []Ref{{"a.example", "s1"}, {"b.example", "s1"}, {"b.example", "s2"}, {"c.example", "s1"}}
	for _, ref := range refs {
		_, err := Generate(cfg.Dir, ref.Domain, ref.Selector, Ed25519, 0)
		check(t, err)
	}
	s, err := Open(cfg, refs)
	check(t, err)
	for _, asked := range [][]Ref{
		refs,
		{refs[1], refs[0], refs[1], refs[2]},
		{refs[0], {"none.example", "s1"}, refs[1], refs[0], refs[3]},
		{{"A.Example", "S1"}, refs[1]},
	} {
		lookup := s.InOrder()
		for _, ref := range asked {
			got, found := lookup(ref.Domain, ref.Selector)
			if want, ok := s.Lookup(ref.Domain, ref.Selector); got != want || found != ok {
				t.Errorf("of %v: %s is %v", asked, ref, got)
			}
		}
	}
}
