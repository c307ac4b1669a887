package tablesource

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"signpost/signer"
)

// Tables is the state of the tables of one configuration: a reload compares with it and takes
// over from it. It is immutable.
type Tables struct {
	fetched  []fetched // from databases
	files    []fileSize
	warnings []string
	index    *signer.Index
}

// Index has all entries of the section that Read returned.
func (t Tables) Index() *signer.Index { return t.index }

// Read returns the section with the entries of its tables added, as if the YAML file had all
// of them. The error has every mistake in files, one on each line. A database that is down
// and wrong rows of a database are only warnings, since an edit elsewhere must not keep the
// daemon from starting. If a database is down, its entries come from before, the tables of
// the configuration in force, else from the folder keep; see Tables.Keep. giveWay is called for
// each entry, and may pause; nil: no pauses.
func Read(ctx context.Context, c signer.Config, before Tables, keep string, giveWay func()) (signer.Config, Tables, error) {
	var tables Tables
	var errs []error
	if c.Senders.File != "" {
		allow, err := readSenders(c.Senders.File)
		tables.files = append(tables.files, fileSize{c.Senders.File, len(allow)})
		if err == nil && len(allow)+len(c.Senders.Allow) == 0 && c.Senders.Mode != signer.SendersOff {
			err = fmt.Errorf("%s has no entry, so signer.senders allows no author: write lines of LOGIN-or-NETWORK AUTHOR", c.Senders.File)
		}
		errs = append(errs, err)
		c.Senders.Allow = slices.Concat(c.Senders.Allow, allow)
	}
	if len(c.Tables) == 0 {
		tables.index = c.Index()
		return c, tables, errors.Join(errs...)
	}
	if giveWay == nil {
		giveWay = func() {}
	}
	r := reader{entries: c.Entries(), tables: tables, giveWay: giveWay}
	for i, source := range c.Tables {
		if source.File != "" {
			errs = append(errs, r.file(fmt.Sprintf("signer.tables[%d]", i), source.File))
		} else {
			r.database(ctx, database{source.Database, source.Query}, before.fetched, keep)
		}
	}
	err := r.resolve(&c)
	return c, r.tables, errors.Join(append(errs, err)...)
}

// Validate reports the databases whose address cannot be used, by their path within the
// section. signer.Config.Validate reports the other mistakes in a table.
func Validate(c signer.Config, bad func(path, problem string)) {
	for i, t := range c.Tables {
		if t.File != "" || t.Database == "" || t.Query == "" {
			continue
		}
		if _, _, err := (database{t.Database, t.Query}).driver(); err != nil {
			bad(fmt.Sprintf("tables[%d]", i), err.Error())
		}
	}
}

// Warnings says which files have no entry, which databases are down and which rows were
// left out.
func (t Tables) Warnings() []string {
	lines := slices.Clone(t.warnings)
	for _, f := range t.files {
		if f.entries == 0 {
			lines = append(lines, fmt.Sprintf("%s has no entry", f.path))
		}
	}
	return lines
}

// reader reads the tables of one configuration.
type reader struct {
	entries *signer.Entries
	tables  Tables
	omitted int // warnings beyond the limit
	giveWay func()
}

// add adds the entry of a line or row.
func (r *reader) add(place signer.Place, words []string) error {
	r.giveWay()
	return r.entries.Add(place, words)
}

func (r *reader) file(key, path string) error {
	before := r.entries.Len()
	text, err := readFile(key, path)
	if err == nil {
		r.entries.Grow(entriesIn(text))
		err = eachLine(path, text, func(line int, words []string) error {
			return r.add(signer.Place{Source: path, Line: line}, words)
		})
	}
	r.tables.files = append(r.tables.files, fileSize{path, r.entries.Len() - before})
	return err
}

// database adds the rows that a database gives, or the last known ones.
func (r *reader) database(ctx context.Context, d database, before []fetched, keep string) {
	f, trouble := d.fetch(ctx, before, keep)
	r.tables.fetched = append(r.tables.fetched, f)
	if trouble != "" {
		r.tables.warnings = append(r.tables.warnings, trouble)
	}
	row, source, text := 0, d.String(), string(f.text)
	r.entries.Grow(entriesIn(text))
	for line := range strings.Lines(text) {
		row++
		place := signer.Place{Source: source, Database: true, Line: row}
		if err := r.add(place, strings.Fields(line)); err != nil {
			r.warn(fmt.Sprintf("signer.tables %s: row %d is left out: %v", source, row, err))
		}
	}
	if r.omitted > 0 {
		r.tables.warnings = append(r.tables.warnings, fmt.Sprintf("signer.tables %s: and %d rows more", d, r.omitted))
		r.omitted = 0
	}
}

// warn adds a warning about a row, up to a limit.
func (r *reader) warn(warning string) {
	if len(r.tables.warnings) < maxReported {
		r.tables.warnings = append(r.tables.warnings, warning)
	} else {
		r.omitted++
	}
}

// resolve puts the entries into the section. One whose sdid names no entry with keys is a mistake in
// a file, and left out with a warning if it came from a database.
func (r *reader) resolve(c *signer.Config) error {
	var errs []error
	r.tables.index = r.entries.Resolve(c, func(where string, database bool, problem string) {
		switch {
		case database:
			r.warn(fmt.Sprintf("signer.tables: %s is left out: %s", where, problem))
		case len(errs) < maxReported:
			errs = append(errs, fmt.Errorf("%s: %s", where, problem))
		}
	})
	return errors.Join(errs...)
}

// readSenders reads lines of a login or network and the authors that it may use:
//
//	alice          alice@example.com, *@example.org
//	192.0.2.0/24   example.net
func readSenders(path string) ([]signer.Sender, error) {
	text, err := readFile("signer.senders.file", path)
	if err != nil {
		return nil, err
	}
	var allow []signer.Sender
	err = eachLine(path, text, func(_ int, words []string) error {
		a, err := signer.ParseSender(words)
		allow = append(allow, a)
		return err
	})
	return allow, err
}
