package signer

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"signpost/internal/config"
)

// Table is one source of entries. In the YAML file it is the path of a file alone,
// or a database with its query.
type Table struct {
	// File has lines of a domain and its selectors, with the other keys of an entry
	// behind:
	//
	//	example.com        s2026b,e2026b   subdomains
	//	customer.example   s2026b          keys_of=provider.example
	//	shop.example       sdid=example.com
	File string `yaml:"file"`
	// Database is sqlite:/PATH or postgres://USER@HOST/DATABASE, and Query gives
	// columns that are called as the keys of an entry.
	Database string `yaml:"database"`
	Query    string `yaml:"query"`
}

// UnmarshalText takes the path alone.
func (t *Table) UnmarshalText(text []byte) error {
	*t = Table{File: string(text)}
	return nil
}

func (t Table) problem() string {
	switch {
	case t.File == "" && t.Database == "":
		return "a table needs a file, or a database and a query"
	case t.File != "" && t.Database != "":
		return "one table is a file or a database: write two"
	case t.File != "" && t.Query != "":
		return "a query is for a database: leave it out"
	case t.Database == "":
		return ""
	case t.Query == "":
		return "a database needs a query, as SELECT domain, selectors FROM signpost"
	}
	if _, _, err := (database{t.Database, t.Query}).driver(); err != nil {
		return err.Error()
	}
	return ""
}

// WithTables returns the section with what stands in tables of their own put in: to
// the rest of the program it is as if the YAML file had all of it. The error has
// every mistake in files, one a line. A database that is down, and rows of it that
// are mistakes, are warnings, since an edit elsewhere must not keep the daemon from
// starting: what was last known of the table is in keep, see KeepTables.
func (c Config) WithTables(ctx context.Context, keep string) (Config, error) {
	var errs []error
	if c.Senders.File != "" {
		allow, err := readSenders(c.Senders.File)
		c.files = append(c.files, fileSize{c.Senders.File, len(allow)})
		if err == nil && len(allow)+len(c.Senders.Allow) == 0 && c.Senders.Mode != SendersOff {
			err = fmt.Errorf("%s has no entry, so signer.senders allows nobody anything: write lines of LOGIN-or-NETWORK AUTHOR", c.Senders.File)
		}
		errs = append(errs, err)
		c.Senders.Allow = slices.Concat(c.Senders.Allow, allow)
	}
	if len(c.Tables) > 0 {
		t := newTableReader(c.Domains)
		for _, source := range c.Tables {
			if source.File != "" {
				before := len(t.config.Domains)
				errs = append(errs, t.file(source.File))
				c.files = append(c.files, fileSize{source.File, len(t.config.Domains) - before})
			} else {
				t.database(ctx, database{source.Database, source.Query}, c.fetched, keep)
			}
		}
		errs = append(errs, t.loans())
		c.Domains, c.fetched, c.troubles = t.config.Domains, t.fetched, t.troubles
	}
	return c, errors.Join(errs...)
}

// tableReader collects entries.
type tableReader struct {
	config   Config         // its Domains alone
	entries  map[string]int // their indexes, by name
	where    []string       // each one's place, for a person
	patterns int
	fetched  []fetched
	troubles []string
	untold   int
}

func newTableReader(domains []Domain) *tableReader {
	t := &tableReader{entries: make(map[string]int, len(domains))}
	t.config.Domains = slices.Clone(domains)
	for i, d := range domains {
		name, _ := d.name()
		t.entries[name] = i
		t.where = append(t.where, fmt.Sprintf("signer.domains[%d]", i))
	}
	return t
}

func (t *tableReader) file(path string) error {
	return readLines(path, func(line int, words []string) error {
		return t.take(Place{Source: path, Line: line}, words)
	})
}

// database takes what a database gives, or gave.
func (t *tableReader) database(ctx context.Context, d database, before []fetched, keep string) {
	f, trouble := d.fetch(ctx, before, keep)
	t.fetched = append(t.fetched, f)
	if trouble != "" {
		t.troubles = append(t.troubles, trouble)
	}
	row, source := 0, d.String()
	for line := range bytes.Lines(f.text) {
		row++
		if err := t.take(Place{Source: source, Database: true, Line: row}, strings.Fields(string(line))); err != nil {
			t.tell(fmt.Sprintf("signer.tables %s: row %d is left out: %v", source, row, err))
		}
	}
	if t.untold > 0 {
		t.troubles = append(t.troubles, fmt.Sprintf("signer.tables %s: and %d rows more", d, t.untold))
		t.untold = 0
	}
}

// tell of what is left out, in few lines.
func (t *tableReader) tell(trouble string) {
	if len(t.troubles) < toldMistakes {
		t.troubles = append(t.troubles, trouble)
	} else {
		t.untold++
	}
}

func (t *tableReader) take(place Place, words []string) error {
	d, err := parseDomain(words)
	if err != nil {
		return err
	}
	d.place, d.lenient = place, place.Database
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
	t.where = append(t.where, place.String())
	t.config.Domains = append(t.config.Domains, d)
	return nil
}

// loans looks for the entries that others name.
func (t *tableReader) loans() error {
	var errs []error
	var good []Domain
	for i, d := range t.config.Domains {
		problem := t.config.loanProblem(d, t.entries)
		switch {
		case problem == "":
			good = append(good, d)
		case d.lenient:
			t.tell(fmt.Sprintf("signer.tables: %s is left out: sdid: %s", t.where[i], problem))
		case len(errs) < toldMistakes:
			errs = append(errs, fmt.Errorf("%s: sdid: %s", t.where[i], problem))
		}
	}
	t.config.Domains = good
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
				if option := meantOption(s); option != "" {
					return d, fmt.Errorf("%q is no selector of a table: did you mean %s? (a selector of that name has to stand in signer.domains)", s, option)
				}
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

// meantOption is the option that a word was probably meant to be, which would else be
// taken for a selector; "": none. A name that only looks alike from afar is a selector.
func meantOption(word string) string {
	word = strings.ReplaceAll(strings.ToLower(word), "-", "_")
	switch {
	case word == "subdomains":
		return "subdomains, as a word of its own"
	case strings.HasPrefix(word, "subdom"), config.Distance(word, "subdomains") <= 2:
		return "subdomains"
	case word == "sdid":
		return "sdid=DOMAIN"
	case word == "keys_of", word == "keysof", word == "key_of":
		return "keys_of=DOMAIN"
	}
	return ""
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
