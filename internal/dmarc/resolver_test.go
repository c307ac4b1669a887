package dmarc

import (
	"context"
	"errors"
)

// counting records the names that a resolver is queried for.
type counting struct {
	Resolver
	names  []string // of LookupTXT
	exists []string // of Exists
}

func (c *counting) LookupTXT(ctx context.Context, name string) ([]string, error) {
	c.names = append(c.names, name)
	return c.Resolver.LookupTXT(ctx, name)
}

func (c *counting) Exists(ctx context.Context, name string) (bool, error) {
	c.exists = append(c.exists, name)
	return c.Resolver.Exists(ctx, name)
}

// records is a small DNS: TXT records by name. A name without records exists if it has
// an entry; an entry of one record "!" is a look-up that fails.
type records map[string][]string

var errDNS = errors.New("SERVFAIL")

func (r records) LookupTXT(_ context.Context, name string) ([]string, error) {
	// as a DNS library does for a name that is too long
	if len(name) > maxName || len(r[name]) == 1 && r[name][0] == "!" {
		return nil, errDNS
	}
	return r[name], nil
}

func (r records) Exists(_ context.Context, name string) (bool, error) {
	if len(r[name]) == 1 && r[name][0] == "!" {
		return false, errDNS
	}
	_, ok := r[name]
	return ok, nil
}
