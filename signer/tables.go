package signer

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// WithTables returns the section with what stands in files of their own put in: to
// the rest of the program it is as if the YAML file had all of it. The error has
// every mistake in them, one a line.
func (c Config) WithTables() (Config, error) {
	var errs []error
	if c.Senders.File != "" {
		allow, err := readSenders(c.Senders.File)
		errs = append(errs, err)
		c.Senders.Allow = slices.Concat(c.Senders.Allow, allow)
	}
	if len(c.Tables) > 0 {
		domains, err := c.readTables()
		errs = append(errs, err)
		c.Domains = domains
	}
	return c, errors.Join(errs...)
}

// readTables returns the entries of the YAML file and those of the tables, which
// are lines of a domain and its selectors, with the other keys of an entry behind:
//
//	example.com        s2026b,e2026b   subdomains
//	customer.example   s2026b          keys_of=provider.example
//	shop.example       sdid=example.com
func (c Config) readTables() ([]Domain, error) {
	t := tableReader{entries: make(map[string]int, len(c.Domains)), where: make([]string, len(c.Domains))}
	t.config.Domains = slices.Clone(c.Domains)
	for i, d := range c.Domains {
		name, _ := d.name()
		t.entries[name] = i
		t.where[i] = fmt.Sprintf("signer.domains[%d]", i)
	}
	var errs []error
	for _, path := range c.Tables {
		errs = append(errs, readLines(path, func(line int, words []string) error {
			return t.take(fmt.Sprintf("%s:%d", path, line), words)
		}))
	}
	errs = append(errs, t.loans())
	return t.config.Domains, errors.Join(errs...)
}

// tableReader collects entries.
type tableReader struct {
	config   Config         // its Domains alone
	entries  map[string]int // their indexes, by name
	where    []string       // each one's place, for a person
	patterns int
}

func (t *tableReader) take(where string, words []string) error {
	d, err := parseDomain(words)
	if err != nil {
		return err
	}
	name, k := d.name()
	if first, twice := t.entries[name]; twice {
		return fmt.Errorf("%s stands already in %s: put all its selectors there", d.Domain, t.where[first])
	}
	if k == domainGlob {
		if t.patterns++; t.patterns > maxPatterns {
			return fmt.Errorf("%s is one pattern more than the %d that are tried for a message: write the domains out", d.Domain, maxPatterns)
		}
	}
	t.entries[name] = len(t.where)
	t.where = append(t.where, where)
	t.config.Domains = append(t.config.Domains, d)
	return nil
}

// loans looks for the entries that others name.
func (t *tableReader) loans() error {
	var errs []error
	for i, d := range t.config.Domains {
		if problem := t.config.loanProblem(d, t.entries); problem != "" && len(errs) < toldMistakes {
			errs = append(errs, fmt.Errorf("%s: sdid: %s", t.where[i], problem))
		}
	}
	return errors.Join(errs...)
}

func parseDomain(words []string) (Domain, error) {
	d := Domain{Domain: words[0]}
	for _, word := range words[1:] {
		key, value, assigned := strings.Cut(word, "=")
		switch {
		case assigned && key == "keys_of":
			d.KeysOf = value
		case assigned && key == "sdid":
			d.SDID = value
		case assigned:
			return d, fmt.Errorf("unknown key %q: a line takes a domain, its selectors, subdomains, keys_of=DOMAIN, sdid=DOMAIN", key)
		case word == "subdomains":
			d.Subdomains = true
		default:
			for s := range strings.SplitSeq(word, ",") {
				if s != "" {
					d.Selectors = append(d.Selectors, Selector{Selector: s})
				}
			}
		}
	}
	var first error
	d.validate("", func(path, problem string) {
		if first == nil {
			first = errors.New(problem)
		}
	})
	return d, first
}

// readSenders reads lines of a login or a network and what may stand in From:
//
//	alice          alice@example.com, *@example.org
//	192.0.2.0/24   example.net
func readSenders(path string) ([]Sender, error) {
	var allow []Sender
	err := readLines(path, func(_ int, words []string) error {
		a, err := parseSender(words)
		allow = append(allow, a)
		return err
	})
	return allow, err
}

func parseSender(words []string) (Sender, error) {
	var a Sender
	if network, ok := anyPrefix(words[0]); ok {
		a.Network = network
	} else {
		a.Login = words[0]
	}
	for _, word := range words[1:] {
		for one := range strings.SplitSeq(word, ",") {
			if one == "" {
				continue
			}
			var p AuthorPattern
			if err := p.UnmarshalText([]byte(one)); err != nil {
				return a, err
			}
			a.Authors = append(a.Authors, p)
		}
	}
	if problem := a.problem(); problem != "" {
		return a, fmt.Errorf("%s: %s", words[0], problem)
	}
	return a, nil
}
