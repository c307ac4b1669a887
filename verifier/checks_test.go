package verifier

import (
	"slices"
	"testing"

	"signpost/internal/authres"
)

// A row of the table is a check whose result the policy reads, with all that is made of
// it, or one function.
func TestEveryRowOfTheTableIsWhole(t *testing.T) {
	registered := []string{authres.MethodARC, authres.MethodAuth, authres.MethodDKIM, authres.MethodDMARC, authres.MethodIPRev, authres.MethodSPF}
	seen := map[string]bool{}
	for _, c := range checks {
		if !slices.Contains(registered, c.method) || seen[c.method] || len(c.values) == 0 {
			t.Errorf("row %q with values %q", c.method, c.values)
		}
		seen[c.method] = true
		whole := c.conclude != nil && c.find != nil && c.explain != nil && c.report != nil && c.on == nil
		one := (c.query != nil) != (c.evaluate != nil) && c.on != nil && c.find == nil && c.conclude == nil
		if whole == one {
			t.Errorf("row %s is neither a check that the policy reads nor one function", c.method)
		}
		if c.on != nil && c.on(Defaults()) {
			t.Errorf("%s is on by default", c.method)
		}
	}
}
