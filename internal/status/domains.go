package status

import (
	"cmp"
	"container/heap"
	"slices"
	"strings"
)

// states are the words of Domain.State, the worst first.
var states = []string{Lost, Unsigned, Partial, Awaited, Planned, Signing}

// Collector collects domains and keeps the worst of them, so that a hundred thousand take no more
// memory than a few.
type Collector struct {
	keep   int
	states map[string]int
	total  int
	worst  worst
}

// NewCollector returns a collector that keeps so many domains.
func NewCollector(keep int) *Collector { return &Collector{keep: keep, states: map[string]int{}} }

// Add adds a domain. fill gives Selectors and Why, and is called only for one that is kept.
func (c *Collector) Add(name, state string, fill func(*Domain)) {
	c.total++
	c.states[state]++
	d := Domain{Name: name, State: state}
	switch {
	case c.keep == 0:
		return
	case len(c.worst) >= c.keep && compare(d, c.worst[0]) >= 0:
		return
	case len(c.worst) >= c.keep:
		heap.Pop(&c.worst)
	}
	fill(&d)
	heap.Push(&c.worst, d)
}

// Domains returns what is collected.
func (c *Collector) Domains() Domains {
	list := slices.Clone(c.worst)
	slices.SortFunc(list, compare)
	return Domains{Total: c.total, States: c.states, List: append([]Domain{}, list...), More: c.total - len(list)}
}

// compare orders domains, the worst first.
func compare(a, b Domain) int {
	return cmp.Or(slices.Index(states, a.State)-slices.Index(states, b.State), strings.Compare(a.Name, b.Name))
}

// worst is a heap of domains with the best at its top.
type worst []Domain

func (w worst) Len() int           { return len(w) }
func (w worst) Less(i, j int) bool { return compare(w[i], w[j]) > 0 }
func (w worst) Swap(i, j int)      { w[i], w[j] = w[j], w[i] }
func (w *worst) Push(x any)        { *w = append(*w, x.(Domain)) }
func (w *worst) Pop() any {
	old := *w
	d := old[len(old)-1]
	*w = old[:len(old)-1]
	return d
}
