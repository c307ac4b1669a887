package signer

import (
	"fmt"
	"slices"

	"signpost/internal/message"
)

// Place is where an entry stands outside of the YAML file; the zero Place is in it.
type Place struct {
	// Source is the path of a table file, or the database without its password.
	Source   string
	Database bool
	// Line is that of the file, or the row of the query's answer, from 1 on.
	Line int
}

func (p Place) String() string {
	if p.Database {
		return fmt.Sprintf("%s row %d", p.Source, p.Line)
	}
	return fmt.Sprintf("%s:%d", p.Source, p.Line)
}

// Place is where the entry stands.
func (d Domain) Place() Place { return d.place }

// SignsWith reports whether the entry names a key in the folder of a domain, given in
// A-labels and lower case. An entry with sdid names none, nor does one that many domains
// come under, for the keys of their own folders.
func (d Domain) SignsWith(folder, selector string) bool {
	if d.folder() != folder || folder == "" {
		return false
	}
	return slices.ContainsFunc(d.Selectors, func(s Selector) bool { return sameSelector(s.Selector, selector) })
}

func sameSelector(a, b string) bool {
	x, ok := message.DomainToASCII(a)
	y, ok2 := message.DomainToASCII(b)
	return ok && ok2 && x == y
}
