package signer

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

// problem says what is wrong with the form of a source; its address is not looked at.
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
