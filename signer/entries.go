package signer

import (
	"fmt"
	"slices"
)

// Entries collects the entries of the YAML file and of its tables, and holds them to
// the rules that concern several of them: each name has one entry, the number of
// patterns has a limit, and sdid names an entry that has keys.
type Entries struct {
	config   Config         // only its Domains
	index    map[string]int // by name
	where    []string       // the place of each, for people
	patterns int
}

// Entries begins with the entries of the YAML file.
func (c Config) Entries() *Entries {
	e := &Entries{index: make(map[string]int, len(c.Domains))}
	e.config.Domains = slices.Clone(c.Domains)
	for i, d := range c.Domains {
		name, _ := d.name()
		e.index[name] = i
		e.where = append(e.where, fmt.Sprintf("signer.domains[%d]", i))
	}
	return e
}

// Len is the number of entries so far.
func (e *Entries) Len() int { return len(e.config.Domains) }

// Add adds the entry that the words of a line describe; see ParseEntry. The error says
// why it was not added.
func (e *Entries) Add(place Place, words []string) error {
	d, err := ParseEntry(words)
	if err != nil {
		return err
	}
	d.place, d.fromDatabase = place, place.Database
	name, k := d.name()
	if first, twice := e.index[name]; twice {
		return fmt.Errorf("%s stands already in %s: put all its selectors there", d.Domain, e.where[first])
	}
	if k == domainGlob {
		if e.patterns++; e.patterns > maxPatterns {
			return fmt.Errorf("%s is one pattern more than the %d that are tried for a message: write the domains out", d.Domain, maxPatterns)
		}
	}
	e.index[name] = len(e.where)
	e.where = append(e.where, place.String())
	e.config.Domains = append(e.config.Domains, d)
	return nil
}

// Resolve returns the entries without those whose sdid names no entry with keys. It
// reports each of these: where it stands, whether a database gave it, and the problem.
func (e *Entries) Resolve(bad func(where string, database bool, problem string)) []Domain {
	good := make([]Domain, 0, len(e.config.Domains))
	for i, d := range e.config.Domains {
		if problem := e.config.sdidProblem(d, e.index); problem != "" {
			bad(e.where[i], d.fromDatabase, "sdid: "+problem)
			continue
		}
		good = append(good, d)
	}
	return good
}
