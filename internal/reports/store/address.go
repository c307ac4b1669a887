package store

import (
	"errors"
	"iter"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// Address is a database as the configuration names it: "sqlite:PATH" or
// "postgres://USER@HOST/DATABASE". It may hold a password.
type Address string

const addressForm = "write sqlite:/PATH, postgres://USER@HOST/DATABASE, or \"\" to keep nothing"

// Problem says what is wrong with the address, without quoting a password; "" if nothing is.
func (a Address) Problem() string {
	switch scheme, rest, _ := strings.Cut(string(a), ":"); scheme {
	case "sqlite":
		if !filepath.IsAbs(rest) {
			return "the path of a database is absolute: " + addressForm
		}
		return ""
	case "postgres", "postgresql":
		return a.serverProblem(scheme)
	}
	return "this is no database: " + addressForm
}

func (a Address) serverProblem(scheme string) string {
	if _, err := url.Parse(string(a)); err != nil || !strings.HasPrefix(string(a), scheme+"://") {
		return "the address is no URL: " + addressForm
	}
	c, err := pgx.ParseConfig(string(a))
	switch {
	case err != nil: // the error may quote the password
		return "the address cannot be read: look at its port and its parameters (such as sslmode), and at the files these name"
	case strings.Contains(c.Host+c.Database, "@"):
		return "the address has an @ in its host or database: write / in a password as %2F, and @ as %40"
	}
	return ""
}

// Path is the file of an SQLite database; "" for a server.
func (a Address) Path() string {
	path, _ := strings.CutPrefix(string(a), "sqlite:")
	if len(path) == len(a) {
		return ""
	}
	return path
}

// Servers are the network and the address of each server that an address names; none for a
// file.
func (a Address) Servers() iter.Seq2[string, string] {
	return func(yield func(network, address string) bool) {
		if a.Path() != "" {
			return
		}
		c, err := pgx.ParseConfig(string(a))
		if err != nil || !yield(pgconn.NetworkAddress(c.Host, c.Port)) {
			return
		}
		seen := map[string]bool{c.Host + ":" + strconv.Itoa(int(c.Port)): true}
		for _, f := range c.Fallbacks { // one for each way of TLS, too
			if key := f.Host + ":" + strconv.Itoa(int(f.Port)); !seen[key] {
				seen[key] = true
				if !yield(pgconn.NetworkAddress(f.Host, f.Port)) {
					return
				}
			}
		}
	}
}

// String names the database for messages: its file, or scheme, user, host and database. No
// other part of an address is shown, since it may hold a password.
func (a Address) String() string {
	if a == "" {
		return "no database"
	}
	if a.Path() != "" {
		return string(a)
	}
	c, err := pgx.ParseConfig(string(a))
	if err != nil || strings.Contains(c.User+c.Host+c.Database, "@") {
		return "the PostgreSQL database"
	}
	host := c.Host
	if !strings.HasPrefix(host, "/") { // the folder of a unix socket
		host += ":" + strconv.Itoa(int(c.Port))
	}
	return "postgres://" + c.User + "@" + host + "/" + c.Database
}

// MarshalText is String, so that no password is written out.
func (a Address) MarshalText() ([]byte, error) { return []byte(a.String()), nil }

// UnmarshalText takes any text; Problem checks it.
func (a *Address) UnmarshalText(text []byte) error {
	*a = Address(text)
	return nil
}

// withoutAddress hides the address that pgx quotes in its errors.
func withoutAddress(err error) error {
	if _, ok := errors.AsType[*pgconn.ParseConfigError](err); ok {
		return errors.New("the address cannot be read")
	}
	return err
}
