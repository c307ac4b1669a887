package daemon

import (
	"net/http"

	"signpost/internal/control"
	"signpost/internal/status"
	"signpost/keys/lifecycle"
)

// Readiness is the answer to /ready, for probes: whether mail can be handled.
type Readiness struct {
	Ready   bool     `json:"ready"`
	Reasons []string `json:"reasons"` // why not
}

// ready answers at the control socket.
func (s *Service) ready(*http.Request) (any, error) {
	why := s.notReady()
	return Readiness{len(why) == 0, append([]string{}, why...)}, nil
}

// notReady says why mail cannot be handled at all. One key that waits, or DNS that does not
// answer, is no reason.
func (s *Service) notReady() []string {
	current, _ := s.vitals.inForce()
	if current == nil {
		return []string{"no configuration is in force yet"}
	}
	domains := s.domains(current.Generation, 0)
	return status.NotReady(s.listeners(), domains.Total, domains.States)
}

// domains says what signs for each name, and keeps the worst of them.
func (s *Service) domains(g *Generation, keep int) status.Domains {
	c := status.NewCollector(keep)
	g.Spec.Active.Each(func(name string, set *lifecycle.SigningSet, awaited bool) {
		c.Add(name, stateOf(set, awaited), func(d *status.Domain) {
			d.Why, d.Selectors = set.Why, []string{}
			for _, k := range set.Keys {
				d.Selectors = append(d.Selectors, k.Selector)
			}
		})
	})
	return c.Domains()
}

func stateOf(set *lifecycle.SigningSet, awaited bool) string {
	switch {
	case awaited:
		return status.Awaited
	case set.Lost != "":
		return status.Lost
	case len(set.Keys) == 0:
		return status.Unsigned
	case set.Planned:
		return status.Planned
	case set.Why != "":
		return status.Partial
	}
	return status.Signing
}

// errNotRunning is the answer before a configuration is in force.
var errNotRunning = &control.Error{Status: http.StatusServiceUnavailable, Problem: "no configuration is in force yet", Remedy: "ask again in a few seconds"}
