package daemon

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// vanished returns an error where a reload would remove all signing domains, or all entries
// of a table file, and no file says that this is intended: a truncated file, or one that is
// still being written, must not make mail leave unsigned.
func (c Config) vanished(before Config) error {
	err := c.tables.Emptied(before.tables)
	had := len(before.Signer.Domains)
	if had > 0 && len(c.Signer.Domains) == 0 && !c.signsNone {
		err = errors.Join(err, fmt.Errorf("the configuration has no signing domain, and had %d before (%s): if nothing is to be signed any more, write signer: {domains: []}, without tables",
			had, SomeOf(domainNames(before))))
	}
	return err
}

// leaving returns the entries that the next configuration no longer has. Most reloads leave most
// entries at their places, counted from the top or from the end.
func leaving(before, next Config) []string {
	had, has := before.Signer.Domains, next.Signer.Domains
	for len(had) > 0 && len(has) > 0 && had[len(had)-1].Domain == has[len(has)-1].Domain {
		had, has = had[:len(had)-1], has[:len(has)-1]
	}
	var moved []string
	for i, d := range had {
		if i >= len(has) || has[i].Domain != d.Domain {
			moved = append(moved, d.Domain)
		}
	}
	if len(moved) == 0 {
		return nil
	}
	stay := make(map[string]bool, len(next.Signer.Domains))
	for _, d := range next.Signer.Domains {
		stay[d.Domain] = true
	}
	return slices.DeleteFunc(moved, func(name string) bool { return stay[name] })
}

func domainNames(c Config) []string {
	names := make([]string, 0, len(c.Signer.Domains))
	for _, d := range c.Signer.Domains {
		names = append(names, d.Domain)
	}
	return names
}

// SomeOf lists the first few names.
func SomeOf(names []string) string {
	const shown = 10
	if len(names) <= shown {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:shown], ", "), len(names)-shown)
}
