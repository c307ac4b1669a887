package signer

import (
	"fmt"
	"slices"

	"signpost/internal/message"
)

// Place says where an entry outside of the YAML file stands. The zero Place is the YAML
// file.
type Place struct {
	// Source is the path of a table file, or the database's name without its password.
	Source   string
	Database bool
	// Line is the line of the file, or the row of the query's result, counted from 1.
	Line int
}

func (p Place) String() string {
	if p.Database {
		return fmt.Sprintf("%s row %d", p.Source, p.Line)
	}
	return fmt.Sprintf("%s:%d", p.Source, p.Line)
}

// Place returns where the entry stands.
func (d Domain) Place() Place {
	if d.table == nil {
		return Place{}
	}
	p := *d.table
	p.Line = int(d.line)
	return p
}

// fromDatabase reports whether a database has the entry: its keys may be missing.
func (d Domain) fromDatabase() bool { return d.table != nil && d.table.Database }

// SignsWith reports whether the entry lists a key of a domain's folder. The domain must be in
// A-labels and lower case. Entries with sdid list no keys. Patterns and "*" without keys_of
// list none of one certain folder.
func (d Domain) SignsWith(folder, selector string) bool {
	if d.folder() != folder || folder == "" {
		return false
	}
	return slices.ContainsFunc(d.Selectors, func(s Selector) bool { return s.Is(selector) })
}

// Is reports whether the selector has this name. Case does not count, and a name in U-labels
// equals its A-labels.
func (s Selector) Is(name string) bool {
	x, ok := message.DomainToASCII(s.Selector)
	y, ok2 := message.DomainToASCII(name)
	return ok && ok2 && x == y
}
