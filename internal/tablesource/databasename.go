package tablesource

import (
	"errors"
	"net/url"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
)

// String names the database for people: scheme, user, host and database alone, since
// a password may stand in any other part of the address.
func (d database) String() string {
	scheme, _, _ := strings.Cut(d.address, ":")
	switch scheme {
	case "sqlite":
		return d.address
	case "postgres", "postgresql":
		return scheme + "://" + d.place()
	}
	return "the database"
}

// place is user, host and database as pgx reads them, or, where pgx cannot read the
// address, what is certain of it.
func (d database) place() string {
	if c, err := pgconn.ParseConfig(d.address); err == nil {
		host := c.Host
		if !strings.HasPrefix(host, "/") { // the folder of a unix socket
			host += ":" + strconv.Itoa(int(c.Port))
		}
		return place(c.User, host, c.Database)
	}
	u, err := url.Parse(d.address)
	if err != nil || u.User == nil {
		return "…"
	}
	return place(u.User.Username(), u.Host, strings.TrimPrefix(u.Path, "/"))
}

// place joins the parts. One with an "@" in it holds a part of a password.
func place(user, host, name string) string {
	if strings.Contains(user+host+name, "@") {
		return "…"
	}
	return user + "@" + host + "/" + name
}

// problem says what is wrong with a PostgreSQL address, without quoting it, or "".
func (d database) problem() string {
	const form = "write postgres://USER@HOST/DATABASE"
	scheme, _, _ := strings.Cut(d.address, ":")
	if _, err := url.Parse(d.address); err != nil || !strings.HasPrefix(d.address, scheme+"://") {
		return "the address is no URL: " + form
	}
	if c, err := pgconn.ParseConfig(d.address); err == nil && strings.Contains(c.Host+c.Database, "@") {
		return "the address has an @ in its host or database: write / in a password as %2F, and @ as %40"
	}
	return ""
}

// withoutAddress takes the address out of an error of pgx. Where pgx cannot read an
// address, it cannot tell which part is the password.
func withoutAddress(err error) error {
	if _, ok := errors.AsType[*pgconn.ParseConfigError](err); ok {
		return errors.New("the address cannot be read: look at its port and its parameters (such as sslmode), and at the files these name")
	}
	return err
}
