package signer

// Table is one source of entries. In the YAML file it is the path of a file, or a database
// with a query.
type Table struct {
	// File has one entry on each line: a domain, its selectors, then other options:
	//
	// 	example.com        s2026b,e2026b   subdomains
	// 	customer.example   s2026b          keys_of=provider.example
	// 	shop.example       sdid=example.com
	File string `yaml:"file"`
	// Database is sqlite:/PATH or postgres://USER@HOST/DATABASE. The columns of Query have the
	// names of an entry's keys.
	Database string `yaml:"database"`
	Query    string `yaml:"query"`
}

// UnmarshalText reads the short form, only the path.
func (t *Table) UnmarshalText(text []byte) error {
	*t = Table{File: string(text)}
	return nil
}

// problem returns the missing or surplus key, or "". It does not check the address.
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
	return ""
}
