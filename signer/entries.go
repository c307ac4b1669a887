package signer

import (
	"fmt"
	"maps"
	"slices"
	"unsafe"

	"signpost/internal/giveway"
)

// Entries collects the entries of the YAML file and of its tables, and holds them to
// the rules that concern several of them: each name has one entry, the number of
// patterns has a limit, and sdid names an entry that has keys.
type Entries struct {
	config    Config           // only its Domains
	index     map[string]int32 // by name
	patterns  int
	table     *Place                // of the last entry, without its line
	selectors map[string][]Selector // by the words of lines: most entries list the same
	room      []Selector            // memory for those of a line
}

// Entries begins with the entries of the YAML file.
func (c Config) Entries() *Entries {
	e := &Entries{index: maps.Clone(c.names()), selectors: map[string][]Selector{}}
	e.config.Domains = slices.Clone(c.Domains)
	return e
}

// Len is the number of entries so far.
func (e *Entries) Len() int { return len(e.config.Domains) }

// Grow makes room for n entries more.
func (e *Entries) Grow(n int) {
	e.config.Domains = slices.Grow(e.config.Domains, n)
	index := make(map[string]int32, len(e.index)+n)
	maps.Copy(index, e.index)
	e.index = index
}

// Add adds the entry that the words of a line describe; see ParseEntry. The error says
// why it was not added.
func (e *Entries) Add(place Place, words []string) error {
	d, err := parseEntry(words, e.room)
	if err != nil {
		return err
	}
	e.room = d.Selectors
	name, k := d.name()
	if first, twice := e.index[name]; twice {
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
	e.index[name] = int32(len(e.config.Domains))
	e.config.Domains = append(e.config.Domains, d)
	return nil
}

// where is the place of an entry, for people.
func (e *Entries) where(i int) string {
	if d := e.config.Domains[i]; d.table != nil {
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

// namesOf are the indices of entries by name, for the slice that they were made for.
type namesOf struct {
	domains []Domain
	byName  map[string]int32
}

// names returns the indices of the entries of a valid configuration by name.
func (c Config) names() map[string]int32 {
	if n := c.index; n.byName != nil && len(n.domains) == len(c.Domains) && unsafe.SliceData(n.domains) == unsafe.SliceData(c.Domains) {
		return n.byName
	}
	names := make(map[string]int32, len(c.Domains))
	for i := range c.Domains {
		giveway.Point()
		name, _ := c.Domains[i].name()
		names[name] = int32(i)
	}
	return names
}

// Resolve puts the entries into the configuration, without those whose sdid names no entry with
// keys. It reports each of these: where it stands, whether a database gave it, and the problem.
func (e *Entries) Resolve(c *Config, bad func(where string, database bool, problem string)) {
	domains, left := e.config.Domains, map[int]bool{}
	for i, d := range domains {
		giveway.Point()
		if problem := e.config.sdidProblem(d, e.index); problem != "" {
			bad(e.where(i), d.fromDatabase(), "sdid: "+problem)
			left[i] = true
		}
	}
	if len(left) == 0 {
		c.Domains, c.index = domains, namesOf{domains, e.index}
		return
	}
	good := make([]Domain, 0, len(domains)-len(left))
	for i, d := range domains {
		giveway.Point()
		if !left[i] {
			good = append(good, d)
		}
	}
	c.Domains = good
}
