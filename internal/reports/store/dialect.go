package store

import (
	"strconv"
	"strings"
)

// dialect is what differs between the two databases. The words in braces stand in statements
// and migrations:
//
//	{id}           a primary key that the database counts up
//	{blob}         the type of a column of octets
//	{greatest}     the function that returns the largest of its arguments
//	{least}        the function that returns the smallest
//	{skip locked}  at the end of a SELECT: leaves out the rows that another transaction has
//	               claimed, and claims the others. SQLite has one writer at a time, so that
//	               Write claims all
type dialect struct {
	name     string
	words    *strings.Replacer
	numbered bool // arguments are $1, $2
}

var (
	sqliteDialect = dialect{name: "SQLite", words: strings.NewReplacer(
		"{id}", "INTEGER PRIMARY KEY AUTOINCREMENT", "{blob}", "BLOB",
		"{greatest}", "max", "{least}", "min", "{skip locked}", "")}
	postgresDialect = dialect{name: "PostgreSQL", numbered: true, words: strings.NewReplacer(
		"{id}", "BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY", "{blob}", "BYTEA",
		"{greatest}", "greatest", "{least}", "least", "{skip locked}", "FOR UPDATE SKIP LOCKED")}
)

// sql is a statement in the words of the database. A "?" within quotes stays.
func (d dialect) sql(statement string) string {
	statement = d.words.Replace(statement)
	if !d.numbered || !strings.Contains(statement, "?") {
		return statement
	}
	var b strings.Builder
	b.Grow(len(statement) + 32)
	quoted, n := false, 0
	for i := 0; i < len(statement); i++ {
		switch c := statement[i]; {
		case c == '\'':
			quoted = !quoted
			b.WriteByte(c)
		case c == '?' && !quoted:
			n++
			b.WriteByte('$')
			b.WriteString(strconv.Itoa(n))
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}

// Arguments returns n placeholders for a list: "?, ?, ?".
func Arguments(n int) string {
	return strings.TrimSuffix(strings.Repeat("?, ", n), ", ")
}
