package tablesource

import (
	"fmt"
	"strings"
	"testing"
)

// Each address holds the words hidden1 and hidden2 where a password stands, or what
// a wrong address takes for another part.
func TestNoPasswordOfADatabaseIsPrinted(t *testing.T) {
	for _, c := range []struct {
		name, address string
		want          string // in what is printed
	}{
		{"in the user part", "postgres://panel:hidden1@127.0.0.1:1/mail", "postgres://panel@127.0.0.1:1/mail"},
		{"as a parameter", "postgres://panel@127.0.0.1:1/mail?password=hidden1&sslpassword=hidden2", "postgres://panel@127.0.0.1:1/mail"},
		{"all as parameters", "postgres://?host=127.0.0.1&port=1&user=panel&dbname=mail&password=hidden1", "postgres://panel@127.0.0.1:1/mail"},
		{"with an @ in it", "postgresql://panel@127.0.0.1:1/mail?password=hidden1@hidden2", "postgresql://panel@127.0.0.1:1/mail"},
		{"with an address that pgx cannot read", "postgres://panel:hidden1@127.0.0.1:1/mail?sslmode=hidden2", "postgres://panel@127.0.0.1:1/mail"},
		{"with a port that pgx cannot read", "postgres://panel:hidden1@127.0.0.1/mail?port=hidden2", "postgres://panel@127.0.0.1/mail"},
		{"with a server that does not exist", "postgres://panel:hidden1@no.such.invalid:1/mail", "postgres://panel@no.such.invalid:1/mail"},
		{"in key=value form", "host=127.0.0.1 user=panel password=hidden1", "write sqlite:/PATH or postgres://USER@HOST/DATABASE"},
		{"in key=value form with a colon", "user=panel password=hidden1:hidden2 host=127.0.0.1", "write sqlite:/PATH or postgres://USER@HOST/DATABASE"},
		{"in key=value form behind the scheme", "postgres:host=127.0.0.1 user=panel password=hidden1", "write postgres://USER@HOST/DATABASE"},
		{"of another kind of database", "mysql://panel:hidden1@127.0.0.1/mail", "write sqlite:/PATH or postgres://USER@HOST/DATABASE"},
		{"with a slash in it", "postgres://panel:12/hidden1@127.0.0.1/mail", "as %2F"},
		{"with a hash sign in it", "postgres://panel:12#hidden1@127.0.0.1:1/mail", "postgres://panel@127.0.0.1:1/mail"},
		{"with a question mark in it", "postgres://panel:12?hidden1@127.0.0.1:1/mail", "postgres://panel@127.0.0.1:1/mail"},
		{"with letters that are no port", "postgres://panel:hidden1/hidden2@127.0.0.1/mail", "write postgres://USER@HOST/DATABASE"},
		{"with a percent sign in it", "postgres://panel:hidden1%zz@127.0.0.1/mail", "write postgres://USER@HOST/DATABASE"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var printed string
			bad := func(_, problem string) { printed += problem }
			cfg := withDatabase(c.address)
			cfg.Validate(bad)
			Validate(cfg, bad)
			if printed == "" {
				_, tables, err := Read(t.Context(), cfg, Tables{}, t.TempDir(), nil)
				printed = fmt.Sprint(err, "\n", strings.Join(tables.Warnings(), "\n"))
			}
			if strings.Contains(printed, "hidden") {
				t.Errorf("a secret is printed: %s", printed)
			}
			if !strings.Contains(printed, c.want) {
				t.Errorf("got %s\nwant %s", printed, c.want)
			}
			if s := (database{c.address, ""}).String(); strings.Contains(s, "hidden") {
				t.Errorf("the name is %s", s)
			}
		})
	}
}
