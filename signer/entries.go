package signer

import (
	"fmt"
	"maps"
	"slices"
)

// Entries collects the entries of the YAML file and of its tables, and holds them to
// the rules that concern several of them: each name has one entry, the number of
// patterns has a limit, and sdid names an entry that has keys. One goroutine uses it.
type Entries struct {
	index     Index
	patterns  int
	table     *Place                // of the last entry, without its line
	selectors map[string][]Selector // by the words of lines: most entries list the same
	ofLine    []Selector            // those of the last line; its memory is used again
}

// Entries begins with the entries of the YAML file.
func (c Config) Entries() *Entries {
	e := &Entries{index: *c.Index(), selectors: map[string][]Selector{}}
	e.index.domains = slices.Clone(c.Domains)
	return e
}

// Len is the number of entries so far.
func (e *Entries) Len() int { return len(e.index.domains) }

// Grow allocates memory for n entries more.
func (e *Entries) Grow(n int) {
	e.index.domains = slices.Grow(e.index.domains, n)
	larger := make(map[string]int32, len(e.index.byName)+n)
	maps.Copy(larger, e.index.byName)
	e.index.byName = larger
}

// Add adds the entry that the words of a line describe; see ParseEntry. The error says
// why it was not added.
func (e *Entries) Add(place Place, words []string) error {
	d, err := parseEntry(words, e.ofLine[:0])
	if err != nil {
		return err
	}
	e.ofLine = d.Selectors
	name, k := d.name()
	if first, twice := e.index.byName[name]; twice {
		return fmt.Errorf("%s stands already in %s: put all its selectors there", d.Domain, e.where(int(first)))
	}
	if k == domainGlob {
		if e.patterns++; e.patterns > maxPatterns {
			return fmt.Errorf("%s is one pattern more than the %d that are tried for a message: write the domains out", d.Domain, maxPatterns)
		}
	}
	d.line, place.Line = int32(place.Line), 0
	if e.table == nil || *e.table != place {
		table := place
		e.table = &table
	}
	d.table, d.Selectors = e.table, e.same(d.Selectors)
	e.index.byName[name] = int32(len(e.index.domains))
	e.index.domains = append(e.index.domains, d)
	return nil
}

// where is the place of an entry, for people.
func (e *Entries) where(i int) string {
	if d := e.index.domains[i]; d.table != nil {
		return d.Place().String()
	}
	return fmt.Sprintf("signer.domains[%d]", i)
}

// maxSameSelectors bounds the lists that are remembered.
const maxSameSelectors = 1000

// same returns the list of an entry before that has the same selectors, or a copy of the list. A line
// gives them no other property.
func (e *Entries) same(list []Selector) []Selector {
	if len(list) != 1 {
		return slices.Clone(list)
	}
	name := list[0].Selector
	if before, ok := e.selectors[name]; ok {
		return before
	}
	list = slices.Clone(list)
	if len(e.selectors) < maxSameSelectors {
		e.selectors[name] = list
	}
	return list
}

// Resolve puts the entries into the configuration, without those whose sdid names no entry with
// keys, and returns their index. It reports each entry that is left out: where it stands, whether a
// database gave it, and the problem. Nothing may be added afterwards.
func (e *Entries) Resolve(c *Config, bad func(where string, database bool, problem string)) *Index {
	domains, left := e.index.domains, map[int]bool{}
	for i, d := range domains {
		if problem := e.index.sdidProblem(d); problem != "" {
			bad(e.where(i), d.fromDatabase(), "sdid: "+problem)
			left[i] = true
		}
	}
	if len(left) == 0 {
		c.Domains = domains
		return &Index{domains, e.index.byName}
	}
	good := make([]Domain, 0, len(domains)-len(left))
	for i, d := range domains {
		if !left[i] {
			good = append(good, d)
		}
	}
	c.Domains = good
	return c.Index()
}
