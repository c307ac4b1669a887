package opendkim

import (
	"strings"
)

// Signature is one that opendkim makes.
type Signature struct {
	Domain, Selector string // d=, s=
	Key              string // the path of the key's file, or the key itself

	row  row    // of the SigningTable
	d    string // as the KeyTable has it, which may be "%"
	file string // the same for the key
}

// Answer is what opendkim does with a message that a client of its own sends.
type Answer struct {
	Signatures []Signature
	// Refused says why the message is answered with 451; "": it is not.
	Refused string
	// Unsigned says why there is no signature; "": there is one.
	Unsigned string

	used []int // the rows of the SigningTable that sign
	seen []int // those that match
}

// Sign answers for the author user@domain.
func (c *Config) Sign(user, domain string) Answer {
	domain = lower(domain)
	switch {
	case !c.signs():
		return Answer{Unsigned: "Mode has no s: opendkim only verifies"}
	case c.exempt.has(domain):
		return Answer{Unsigned: domain + " is one of ExemptDomains"}
	case c.signing != nil:
		return c.byTable(user, domain)
	case c.domains != nil:
		return c.byDomain(domain)
	}
	return Answer{Unsigned: "neither Domain nor SigningTable is set"}
}

// byDomain is Domain, Selector, KeyFile and SubDomains.
func (c *Config) byDomain(domain string) Answer {
	one := func(row row, d string) Answer {
		return Answer{Signatures: []Signature{{Domain: d, Selector: c.text("Selector"), Key: c.path(c.text("KeyFile")), row: row, d: d, file: c.path(c.text("KeyFile"))}}}
	}
	for _, name := range []string{domain, "*"} {
		if r, ok := c.domains.first(name); ok {
			return one(r, domain)
		}
	}
	for rest := domain; c.yes("SubDomains"); {
		_, parent, more := strings.Cut(rest, ".")
		if !more || parent == "" {
			break
		}
		if r, ok := c.domains.first(parent); ok {
			return one(r, parent)
		}
		rest = parent
	}
	return Answer{Unsigned: "Domain does not list " + domain}
}

// matching returns the rows of the SigningTable that are for an author, in the order
// in which opendkim finds them.
func (c *Config) matching(user, domain string) []int {
	if c.signing.kind == "refile" {
		return c.signing.matches(user + "@" + domain)
	}
	var found []int
	try := func(key string) {
		if rows := c.signing.matches(key); len(rows) > 0 {
			found = append(found, rows[0])
		}
	}
	try(user + "@" + domain)
	try(domain)
	for i := strings.IndexByte(domain, '.'); i >= 0; {
		try(user + "@" + domain[i:])
		try(domain[i:])
		next := strings.IndexByte(domain[i+1:], '.')
		if next < 0 {
			break
		}
		i += 1 + next
	}
	try(user + "@*")
	try("*")
	return found
}

// byTable is SigningTable and KeyTable.
func (c *Config) byTable(user, domain string) Answer {
	a := Answer{seen: c.matching(user, domain)}
	if len(a.seen) == 0 {
		a.Unsigned = "no line of SigningTable is for " + user + "@" + domain
		return a
	}
	multiple := c.yes("MultipleSignatures")
	for n, i := range a.seen {
		r := c.signing.rows[i]
		s, problem := c.keyOf(r, domain)
		if problem != "" {
			return Answer{seen: a.seen, Refused: c.signing.where(r) + ": " + problem}
		}
		// opendkim loses the requests between the first and the last.
		if n == 0 || n == len(a.seen)-1 {
			a.Signatures, a.used = append(a.Signatures, s), append(a.used, i)
		}
		if !multiple {
			break
		}
	}
	return a
}

// keyOf finds the key that a row of the SigningTable names.
func (c *Config) keyOf(r row, domain string) (s Signature, problem string) {
	name := r.keyName()
	if name == "%" {
		name = domain
	}
	k, ok := c.keys.first(name)
	switch {
	case r.value == "":
		return s, "no key is named"
	case !ok:
		return s, "the key " + quoted(name) + " is not in the KeyTable"
	}
	d, selector, key, ok := keyFields(k.value)
	if !ok {
		return s, c.keys.where(k) + " is not domain:selector:key"
	}
	s = Signature{Domain: d, Selector: selector, Key: key, row: r, d: d, file: key}
	if d == "%" {
		s.Domain = domain
	}
	switch {
	case strings.HasPrefix(key, "/"):
		s.Key = strings.ReplaceAll(key, "%", domain)
	case isPath(key) && strings.Contains(key, "%"):
		return s, "the path " + key + " does not begin with /, and opendkim then takes % as it stands; write the whole path"
	case isPath(key):
		s.Key = c.path(key)
		s.file = s.Key
	}
	return s, ""
}

// keyName is the first field of a value of the SigningTable; the second is for i=.
func (r row) keyName() string {
	name, _, _ := strings.Cut(r.value, ":")
	return name
}

// keyFields splits a value of the KeyTable. A fourth field, the algorithm, which later
// versions know, is the key's own.
func keyFields(value string) (d, selector, key string, ok bool) {
	f := strings.SplitN(value, ":", 3)
	if len(f) != 3 || f[0] == "" || f[1] == "" || f[2] == "" {
		return "", "", "", false
	}
	if isPath(f[2]) {
		for _, algorithm := range []string{":rsa-sha1", ":rsa-sha256", ":ed25519-sha256"} {
			f[2] = strings.TrimSuffix(f[2], algorithm)
		}
	}
	return f[0], f[1], f[2], true
}

func isPath(key string) bool {
	return strings.HasPrefix(key, "/") || strings.HasPrefix(key, "./") || strings.HasPrefix(key, "../")
}

func quoted(s string) string { return `"` + s + `"` }
