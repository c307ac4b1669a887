package tablesource

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"signpost/internal/config"
	"signpost/internal/message"
	"signpost/keys"
	"signpost/keys/lifecycle"
	"signpost/signer"
)

const databaseQuery = "SELECT domain, selectors, subdomains, keys_of, sdid FROM signpost ORDER BY domain"

// sqliteFile makes a database with a table.
func sqliteFile(t *testing.T) (path string, exec func(string)) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "do mains?.db")
	db, err := sql.Open("sqlite", "file:"+strings.NewReplacer(" ", "%20", "?", "%3f").Replace(path))
	if err != nil {
		t.Fatal(err)
	}
	db.SetMaxOpenConns(1) // a transaction is one connection's
	t.Cleanup(func() { db.Close() })
	exec = func(statement string) {
		t.Helper()
		if _, err := db.Exec(statement); err != nil {
			t.Fatal(err)
		}
	}
	exec("CREATE TABLE signpost (domain text, selectors text, subdomains bool, keys_of text, sdid text)")
	return path, exec
}

func withDatabase(address string) signer.Config {
	c := signer.Defaults()
	c.Domains = []signer.Domain{{Domain: "example.com", Selectors: []signer.Selector{{Selector: "s1"}}}}
	c.Tables = []signer.Table{{Database: address, Query: databaseQuery}}
	return c
}

// read reads the tables and returns the entries from them, joined to one line.
func read(t *testing.T, c signer.Config, before Tables, keep string) (signer.Config, Tables, string) {
	t.Helper()
	c, tables, err := Read(t.Context(), c, before, keep, nil)
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, d := range c.Domains[1:] {
		line := d.Domain
		for _, s := range d.Selectors {
			line += " " + s.Selector
		}
		if d.Subdomains {
			line += " subdomains"
		}
		lines = append(lines, strings.TrimSpace(line+" "+d.KeysOf+" "+d.SDID))
	}
	return c, tables, strings.Join(lines, "|")
}

// testDatabase is the test for each kind of database.
func testDatabase(t *testing.T, address string, exec func(string), stop, start func()) {
	keep := t.TempDir()
	exec("INSERT INTO signpost VALUES ('a.example', 's1, s2', true, NULL, NULL), ('b.example', 's1', false, 'example.com', ''), ('alias.example.com', NULL, NULL, NULL, 'example.com')")
	const first = "a.example s1 s2 subdomains|alias.example.com  example.com|b.example s1 example.com"
	_, tables, got := read(t, withDatabase(address), Tables{}, keep)
	if got != first || len(tables.Warnings()) != 0 || !tables.HasDatabases() {
		t.Fatalf("the entries are %q, want %q; %q", got, first, tables.Warnings())
	}
	if tables.Changed(t.Context()) {
		t.Error("it has changed at once")
	}
	if err := tables.Keep(keep); err != nil {
		t.Fatal(err)
	}

	exec("DELETE FROM signpost WHERE domain = 'a.example'")
	if !tables.Changed(t.Context()) {
		t.Error("a change is not seen")
	}
	stop()
	if tables.Changed(t.Context()) {
		t.Error("a database that is down has changed")
	}
	for name, before := range map[string]struct {
		before Tables
		keep   string
		want   string
		say    string
	}{
		"a restart":                         {Tables{}, keep, first, "goes on signing"},
		"a reload":                          {tables, t.TempDir(), first, "what was last known of it goes on signing"},
		"a start with nothing known":        {Tables{}, t.TempDir(), "", "nothing was known of it before, so its domains go unsigned until it answers"},
		"a reload with nothing known of it": {Tables{}, t.TempDir(), "", "nothing was known"},
	} {
		_, down, got := read(t, withDatabase(address), before.before, before.keep)
		if w := down.Warnings(); got != before.want || len(w) != 1 || !strings.Contains(w[0], before.say) {
			t.Errorf("%s while it is down: %q, %q", name, got, w)
		}
	}
	_, down, _ := read(t, withDatabase(address), tables, keep)
	start()
	if !down.Changed(t.Context()) {
		t.Error("it is not seen that the database is back")
	}
	if _, _, got := read(t, withDatabase(address), down, keep); got != "alias.example.com  example.com|b.example s1 example.com" {
		t.Errorf("after it is back: %q", got)
	}
}

func TestATableInSQLite(t *testing.T) {
	path, exec := sqliteFile(t)
	testDatabase(t, "sqlite:"+path, exec,
		func() { move(t, path, path+".away") },
		func() { move(t, path+".away", path) })
}

func move(t *testing.T, from, to string) {
	t.Helper()
	if err := os.Rename(from, to); err != nil {
		t.Fatal(err)
	}
}

func TestATableInPostgreSQL(t *testing.T) {
	address, exec, control := postgres(t)
	testDatabase(t, address, exec, func() { control("stop", "-m", "immediate") }, func() { control("start") })
}

// postgres starts a server of its own, where PostgreSQL is installed and we may run
// it as its user.
func postgres(t *testing.T) (address string, exec func(string), control func(...string)) {
	t.Helper()
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	owner, err := user.Lookup("postgres")
	if len(found) == 0 || err != nil || os.Getuid() != 0 || testing.Short() {
		t.Skip("PostgreSQL is not installed, or this is not root")
	}
	bin := filepath.Dir(found[len(found)-1])
	uid, _ := strconv.Atoi(owner.Uid)
	gid, _ := strconv.Atoi(owner.Gid)
	dir, err := os.MkdirTemp("", "pg") // a short name, for the socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chown(dir, uid, gid); err != nil {
		t.Fatal(err)
	}
	run := func(name string, args ...string) {
		t.Helper()
		c := osexec(bin, name, args...)
		c.Dir = dir
		c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}
		if err := c.Run(); err != nil {
			t.Fatalf("%s %v: %v", name, args, err)
		}
	}
	data := filepath.Join(dir, "data")
	run("initdb", "-D", data, "-A", "trust", "-N")
	control = func(args ...string) {
		t.Helper()
		run("pg_ctl", append([]string{"-D", data, "-w", "-l", filepath.Join(dir, "log"), "-o", "-c listen_addresses='' -F -k " + dir}, args...)...)
	}
	control("start")
	t.Cleanup(func() { control("stop", "-m", "immediate") })
	address = fmt.Sprintf("postgres:///postgres?host=%s&user=postgres", dir)
	exec = func(statement string) {
		t.Helper()
		db, err := sql.Open("pgx", address)
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		if _, err := db.Exec(statement); err != nil {
			t.Fatal(err)
		}
	}
	exec("CREATE TABLE signpost (domain text, selectors text, subdomains bool, keys_of text, sdid text)")
	return address, exec, control
}

func osexec(bin, name string, args ...string) *exec.Cmd {
	return exec.Command(filepath.Join(bin, name), args...)
}

func TestRowsThatAreMistakesAreLeftOut(t *testing.T) {
	path, exec := sqliteFile(t)
	exec(`INSERT INTO signpost VALUES ('a b.example', 's1', 0, '', ''), ('c.example', '', 0, '', ''), ('d.example', 'keys_of=x', 0, '', ''),
		('EXAMPLE.com', 's9', 0, '', ''), ('f.example', NULL, 0, '', 'nowhere.example'), ('g.example', 's1', 0, 'h.example subdomains', ''),
		('good.example', '{s1,s2}', '1', '', ''), (NULL, 's1', 0, '', ''), ('line' || char(10) || 'evil.example', 's1', 0, '', ''),
		('i.example', 's1 subdomains', 0, '', '')`)
	_, tables, got := read(t, withDatabase("sqlite:"+path), Tables{}, t.TempDir())
	if got != "good.example s1 s2 subdomains" {
		t.Errorf("the entries are %q", got)
	}
	all := strings.Join(tables.Warnings(), "\n")
	for _, want := range []string{
		`"?" is not a domain name`, `"a?b.example" is not a domain name`, `"c.example" has no selectors`, `"keys_of?x" is not a selector`,
		"EXAMPLE.com stands already in signer.domains[0]", "is left out: sdid: nowhere.example has no entry", `"h.example?subdomains" is not a domain name`,
		`"line?evil.example" is not a domain name`, `"subdomains?" is no selector of a table`,
	} {
		if !strings.Contains(all, want) {
			t.Errorf("no warning says %s:\n%s", want, all)
		}
	}
	if len(tables.Warnings()) != 9 {
		t.Errorf("%d warnings:\n%s", len(tables.Warnings()), all)
	}
	exec("BEGIN")
	for i := range 100 {
		exec(fmt.Sprintf("INSERT INTO signpost VALUES ('bad%d.example', '', 0, '', '')", i))
	}
	exec("COMMIT")
	if _, tables, _ = read(t, withDatabase("sqlite:"+path), Tables{}, t.TempDir()); len(tables.Warnings()) > maxReported+2 || !strings.Contains(strings.Join(tables.Warnings(), "\n"), "rows more") {
		t.Errorf("%d warnings for many rows", len(tables.Warnings()))
	}
}

func TestAWrongQueryIsAWarning(t *testing.T) {
	path, _ := sqliteFile(t)
	for query, want := range map[string]string{
		"SELECT nowhere FROM signpost":             "no such column: nowhere",
		"SELECT selectors FROM signpost":           "there is no column domain: the query gives the columns domain, selectors",
		"SELECT domain, 1 AS colour FROM signpost": `unknown column "colour"`,
		"DELETE FROM signpost RETURNING domain":    "readonly",
	} {
		c := withDatabase("sqlite:" + path)
		c.Tables[0].Query = query
		_, tables, _ := read(t, c, Tables{}, t.TempDir())
		if w := strings.Join(tables.Warnings(), "\n"); !strings.Contains(w, want) || !strings.Contains(w, "signer.tables sqlite:") {
			t.Errorf("%s: %s", query, w)
		}
	}
}

func TestTablesAreHeldToTheirRules(t *testing.T) {
	for _, c := range []struct{ name, yaml, want string }{
		{"both", "{file: a, database: \"sqlite:/a\", query: b}", "tables[0]: one table is a file or a database: write two"},
		{"no query", "{database: \"sqlite:/a\"}", "tables[0]: a database needs a query, as SELECT domain, selectors FROM signpost"},
		{"a query for a file", "{file: a, query: b}", "tables[0]: a query is for a database: leave it out"},
		{"another database", "{database: \"mysql://a/b\", query: b}", `tables[0]: "mysql" is no database: write sqlite:/PATH or postgres://USER@HOST/DATABASE`},
		{"no URL", "{database: \"postgres://a b/c\", query: b}", "tables[0]: the address is no URL"},
	} {
		t.Run(c.name, func(t *testing.T) { wantProblem(t, "tables:\n  - "+c.yaml+"\n", c.want) })
	}
}

// A row with a missing key stops the signatures of its own domain and of no other.
func TestAMissingKeyOfARowStopsNoOtherDomain(t *testing.T) {
	path, exec := sqliteFile(t)
	exec("INSERT INTO signpost VALUES ('new.example', 's1', 0, '', ''), ('lent.example', 's9', 0, 'example.com', '')")
	c, _, _ := read(t, withDatabase("sqlite:"+path), Tables{}, t.TempDir())
	kc := keys.Defaults()
	kc.Dir = t.TempDir()
	if _, err := keys.Generate(kc.Dir, "example.com", "s1", keys.Ed25519, 0); err != nil {
		t.Fatal(err)
	}
	kc.Shared, kc.Optional = c.Index().SharedKeys(), c.Optional()
	store, err := keys.Open(kc, c.Refs())
	if err != nil {
		t.Fatal(err)
	}
	all := strings.Join(store.Warnings(), "\n")
	for _, want := range []string{"a key does not sign: the key s1 of new.example: there is no file", "the key s9 of example.com: there is no file"} {
		if !strings.Contains(all, want) {
			t.Errorf("no warning says %q: %s", want, all)
		}
	}
	plan := &lifecycle.Spec{Config: kc, Store: store, Listed: c.Listed(store.Refs())}
	lifecycle.NewTracker(filepath.Join(kc.Dir, "none"), func() time.Time { return time.Now() }).Preview(plan)
	s := signer.New(c, c.Index(), &plan.Active, func() time.Time { return time.Now() })
	if out := sign(s, "a@example.com"); len(out.Insert) != 1 {
		t.Errorf("the outcome for another domain is %+v", out)
	}
	out := sign(s, "a@new.example")
	if got := out.Unsigned; !strings.Contains(got, "signer.domains new.example: no key is loaded for selector s1 of new.example; signpost keys generate makes one") {
		t.Errorf("the rule is %q", got)
	}
	c.Domains[0].Selectors[0].Selector = "s2" // the YAML file's own key must be there
	if _, err := keys.Open(kc, c.Refs()); err == nil {
		t.Error("a key of the YAML file may be missing")
	}
}

// sign signs a message without a body.
func sign(s *signer.Signer, author string) message.Outcome {
	signing := s.Sign(context.Background(), message.Envelope{})
	signing.Header(message.Envelope{}, message.Header{{Name: "From", Value: " " + author}})
	return signing.End()
}

// wantProblem reads a section and wants this among its problems.
func wantProblem(t *testing.T, yaml, want string) {
	t.Helper()
	c := signer.Defaults()
	src := config.Decode("test.yaml", []byte(yaml), &c)
	c.Validate(src.Bad)
	Validate(c, src.Bad)
	if err := src.Err(); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("the error is %v, want it to say %q", err, want)
	}
}
