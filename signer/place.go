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
	return slices.ContainsFunc(d.Selectors, func(s Selector) bool { return s.Is(selector) })
}

// Is reports whether the selector has this name, without regard to case and to whether
// it is written in A-labels.
func (s Selector) Is(name string) bool {
	x, ok := message.DomainToASCII(s.Selector)
	y, ok2 := message.DomainToASCII(name)
	return ok && ok2 && x == y
}
