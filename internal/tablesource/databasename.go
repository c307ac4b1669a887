package tablesource

import (
	"errors"
	"net/url"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
)

// String is the name for messages: only scheme, user, host and database, since a password may
// stand in any other part of the address.
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

// place is user, host and database as pgx reads them. If pgx cannot read the address, only the
// certain parts are named.
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

// place joins the parts. A part with an "@" may hold a part of a password.
func place(user, host, name string) string {
	if strings.Contains(user+host+name, "@") {
		return "…"
	}
	return user + "@" + host + "/" + name
}

// problem returns the problem with a PostgreSQL address, without quoting it, or "".
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

// withoutAddress removes the address from an error of pgx, which quotes it. If pgx cannot read
// an address, it cannot remove the password itself.
func withoutAddress(err error) error {
	if _, ok := errors.AsType[*pgconn.ParseConfigError](err); ok {
		return errors.New("the address cannot be read: look at its port and its parameters (such as sslmode), and at the files these name")
	}
	return err
}
